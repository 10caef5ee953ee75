"""Sealing at the door: what an event says about a person is encrypted with the key of its anchor, facts stay in the
clear."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from identity.nodes import from_hex, node_of, to_hex
from privacy.facts import Facts, facts_of, nothing
from privacy.keyring import DataKey, Keyring, Name
from privacy.sealing import opened_parts, seal
from producers.limits import encode
from schemas.catalog import Catalog
from schemas.clock import iso

_DRAWER: Final = "\x1fday"
"""The type of no identifier: keys for events of nobody are of a source and a day."""

_DAY: Final = 10
_BEFORE_FACTS: Final = len('{"properties":')
_MAX_DRAWERS: Final = 4_096


class Sealer:
    """All methods may be called from any thread."""

    def __init__(self, keyring: Keyring, secret: bytes, workspace: str, catalog: Catalog) -> None:
        self._keyring = keyring
        self._secret = secret
        self._workspace = workspace
        self._facts: Mapping[str, Facts] = {
            event.type: facts_of(schema) for event in catalog.all() if (schema := catalog.schema(event.type))
        }
        self._drawers: dict[tuple[str, str], DataKey] = {}

    def key_of(self, named: Sequence[tuple[int, Name]]) -> DataKey | None:
        """The anchor's key; the other nodes get one, too, which keeps what they stand for. None where nobody is
        named."""
        keys = [self._keyring.key_of(node, name) for node, name in named]
        return keys[0] if keys else None

    def record(
        self,
        clear: bytes,
        personal: dict[str, object],
        *,
        event: str,
        type: str,
        key: DataKey | None,
        source: str,
        received_at: int,
    ) -> bytes:
        """The whole record. `clear`: its members in the clear, from the brace to the last comma; `event`: its key;
        `personal`: all other members, of which it may take the properties.

        Raises `InvalidEvent` for what cannot be written as JSON.
        """
        properties = personal["properties"]
        assert isinstance(properties, dict)
        found = self._facts.get(type, nothing)(properties) if properties else {}
        if whole := found == properties:
            del personal["properties"]
            facts = encode({"properties": found})[_BEFORE_FACTS:-1] if found else b"{}"
            content = encode(personal)
        else:
            content = encode(personal)  # first: it says what is wrong with a value
            facts = orjson.dumps(found)
        if key is not None:
            return seal(key, event, clear, content, facts=facts, whole=whole)
        key = self._drawer(source, iso(received_at)[:_DAY])
        return seal(key, event, clear, content, facts=facts, whole=whole, owner=to_hex(key.node))

    def again(self, value: bytes) -> bytes | None:
        """An event as it was read, sealed once more. None where the keys of its person are destroyed. What is no opened
        event stays as it is."""
        parts = opened_parts(value)
        if parts is None:
            return value
        said = orjson.loads(value)
        if not said["identifiers"]:
            key = self._drawer(str(said["source"]).removeprefix("/sources/"), str(said["received_at"])[:_DAY])
            return seal(key, said["key"], parts.clear, parts.content, facts=parts.facts, owner=to_hex(key.node))
        node = from_hex(said["identifiers"][0]["node"])
        keys = self._keyring.find((node,)).get(node)
        return seal(keys[0], said["key"], parts.clear, parts.content, facts=parts.facts) if keys else None

    def _drawer(self, source: str, day: str) -> DataKey:
        known = self._drawers.get((source, day))
        if known is None:
            node = node_of(self._secret, self._workspace, _DRAWER, f"{source}\x1f{day}")
            if len(self._drawers) >= _MAX_DRAWERS:
                self._drawers.clear()
            known = self._drawers[source, day] = self._keyring.key_of(node)
        return known

    def forget_cached(self) -> None:
        self._drawers.clear()
