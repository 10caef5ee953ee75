"""The door: the one place where an envelope is made. Made once, never recomputed.

Every way in (SDKs, CloudEvents, vendors' webhooks, files) brings its events here as `Incoming`. The door
checks, corrects the clock, normalises and hashes identifiers, reads the money, and answers with the record to
append: one for `simorgh.events`, or one for `simorgh.rejected` that holds the original bytes and the reason.
It never raises for what a sender sent, does no I/O and may be called from any thread.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from eventlog.port import Message
from identity.nodes import node_of, to_hex
from identity.normalise import NORMALISER_VERSION, normalise
from identity.rules import IdentityRules
from producers import limits
from producers.money import money_of
from producers.times import correct, iso_fast
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import IdMaker
from schemas.errors import InvalidEvent, InvalidIdentifier

Object = Mapping[str, object]

STRICT: Final = frozenset({"user_id", "anonymous_id"})
"""A wrong one refuses the event; a wrong email or phone among traits merely identifies nobody."""

IDENTIFIED: Final = "profile.identified"
CUSTOM: Final = "custom"

IGNORED: Final = "identifier_ignored"
BLOCKED: Final = "identifier_blocked"
UNPLANNED: Final = "unplanned"

CACHED_IDENTIFIERS: Final = 16_384
"""Phones take libphonenumber 100 µs each, and the same few people come again and again."""


class Incoming(NamedTuple):
    """One event as a connector understood it, before any check of ours. Times in ms.

    `id`: unique in the workspace, stable over the sender's retries.
    `identifiers`: (type, value as received); None and "" are skipped.
    `strict`: any wrong identifier refuses the event, not only one of `STRICT`.
    `alias`: its links override the limit of one user id.
    `raw`: the event's original bytes, or the parsed JSON where the whole request was below the limit of one
    event; kept if the event is refused.
    `name`: the sender's own name of it. `dataschema`: type and version where it is not the newest.
    """

    type: str
    id: str
    source: Source
    channel: str
    received_at: int
    original_time: int | None = None
    sent_at: int | None = None
    identifiers: Sequence[tuple[str, object]] = ()
    traits: Object | None = None
    properties: Object | None = None
    context: Object | None = None
    consent: Object | None = None
    name: str | None = None
    dataschema: str | None = None
    alias: bool = False
    strict: bool = False
    raw: bytes | Object = b""


class Accepted(NamedTuple):
    """`message` goes to simorgh.events."""

    id: str
    message: Message


class Refused(NamedTuple):
    """`message` goes to simorgh.rejected. `code` is stable; `reason` is for people and quotes no value."""

    id: str
    code: str
    reason: str
    message: Message


Verdict = Accepted | Refused

_Identifier = tuple[int, dict[str, object]]
"""Rank (lowest first) and the envelope's entry."""


class Door:
    """`secret` keys the node hashes, `rules` answers with the identity rules in force."""

    def __init__(
        self,
        secret: bytes,
        workspace: str,
        rules: Callable[[], IdentityRules],
        catalog: Catalog,
        new_id: IdMaker,
    ) -> None:
        self._secret = secret
        self._workspace = workspace
        self._rules_now = rules
        self._rules = rules()
        self._catalog = catalog
        self._new_id = new_id
        self._identifier = lru_cache(CACHED_IDENTIFIERS)(self._read_identifier)

    def admit(self, incoming: Incoming) -> Verdict:
        """Check the event and make its record. Never raises for what was sent."""
        try:
            key = limits.check_id(incoming.id)
            return Accepted(incoming.id, (key, limits.encode(self._envelope(incoming))))
        except InvalidEvent as error:
            return self.refuse(
                error,
                incoming.id,
                incoming.raw,
                source=incoming.source,
                channel=incoming.channel,
                received_at=incoming.received_at,
            )

    def refuse(
        self,
        error: InvalidEvent,
        id: str,
        raw: bytes | Object,
        *,
        source: Source,
        received_at: int,
        channel: str | None = None,
    ) -> Refused:
        """The record that keeps a refused event: its bytes and the reason, under its own id if it has one."""
        payload = raw if isinstance(raw, bytes) else dump(raw)
        safe_id = id if _is_id(id) else self._new_id()
        record = {
            "id": safe_id,
            "code": error.code,
            "reason": error.message,
            "source": source.id,
            "channel": channel or source.channel,
            "received_at": iso_fast(received_at),
            **_payload(payload),
            "digest": int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big"),
        }
        return Refused(safe_id, error.code, error.message, (safe_id.encode(), orjson.dumps(record)))

    def forget_cached(self) -> None:
        """Empty the cache of identifiers."""
        self._identifier.cache_clear()

    # --- The envelope, one small step after the other ---

    def _envelope(self, incoming: Incoming) -> dict[str, object]:
        flags: list[str] = []
        properties = incoming.properties or {}
        _check_limits(incoming, properties)
        dataschema = self._check_schema(incoming, properties, flags)
        time, clock_flag = correct(incoming.original_time, incoming.sent_at, incoming.received_at)
        identifiers = self._identifiers(incoming, flags)
        envelope: dict[str, object] = {
            "specversion": "1.0",
            "id": incoming.id,
            "source": f"/sources/{incoming.source.id}",
            "type": incoming.type,
            "time": iso_fast(time),
            "workspace": self._workspace,
            "channel": incoming.channel,
            "dataschema": dataschema,
            "received_at": iso_fast(incoming.received_at),
            "identifiers": identifiers,
            "traits": incoming.traits or {},
            "properties": properties,
            "context": incoming.context or {},
        }
        if identifiers:
            envelope["subject"] = f"{identifiers[0]['type']}:{identifiers[0]['normalised']}"
        if incoming.sent_at is not None:
            envelope["sent_at"] = iso_fast(incoming.sent_at)
        if clock_flag is not None and incoming.original_time is not None:
            flags.append(clock_flag)
            envelope["original_time"] = iso_fast(incoming.original_time)
        if flags:
            envelope["flags"] = flags
        if incoming.alias:
            envelope["alias"] = True
        if incoming.consent:
            envelope["consent"] = incoming.consent
        if (money := money_of(incoming.type, properties)) is not None:
            envelope["money"] = money
        if incoming.name is not None:
            envelope["name"] = incoming.name
        return envelope

    def _check_schema(self, incoming: Incoming, properties: Object, flags: list[str]) -> str:
        """The schema's name. Raises `InvalidEvent` for a fault and for a type that the source refuses."""
        schema = incoming.dataschema or self._catalog.dataschema(incoming.type)
        if schema == CUSTOM:
            return _check_unplanned(incoming, flags)
        whole = (incoming.traits or {}) if incoming.type == IDENTIFIED else properties
        fault = self._catalog.check(incoming.type, whole)
        if fault is not None:
            place = "traits" if incoming.type == IDENTIFIED else "properties"
            raise InvalidEvent(f"{place}{fault}; see /v1/schemas/{incoming.type}", code="schema_violation")
        return schema

    # --- Identifiers ---

    def _identifiers(self, incoming: Incoming, flags: list[str]) -> list[dict[str, object]]:
        """The envelope's entries by priority, the first being the anchor; each once."""
        self._follow_rules()
        found: dict[object, _Identifier] = {}
        for type_, value in incoming.identifiers:
            if value is None or value == "":
                continue
            try:
                known = self._identifier(type_, _text(type_, value))
            except InvalidIdentifier as error:
                if incoming.strict or type_ in STRICT:
                    raise InvalidEvent(error.message, code=error.code) from error
                _flag(flags, IGNORED)
                continue
            if known is None:
                _flag(flags, BLOCKED)
            else:
                found.setdefault(known[1]["node"], known)
        if len(found) > 1:
            return [entry for _, entry in sorted(found.values(), key=_rank)]
        return [entry for _, entry in found.values()]

    def _follow_rules(self) -> None:
        rules = self._rules_now()
        if rules is not self._rules:
            self._rules = rules
            self.forget_cached()

    def _read_identifier(self, type_: str, value: str) -> _Identifier | None:
        """None where the rules block it. Raises `InvalidIdentifier`."""
        normalised = normalise(type_, value)
        if self._rules.is_blocked(type_, normalised):
            return None
        node = node_of(self._secret, self._workspace, type_, normalised)
        entry: dict[str, object] = {
            "type": type_,
            "value": value,
            "normalised": normalised,
            "normaliser": NORMALISER_VERSION,
            "node": to_hex(node),
        }
        return self._rules.rank(type_), entry


def dump(value: object) -> bytes:
    """Parsed JSON as bytes again, whatever the parser let through (deep nesting, lone surrogates, NaN)."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _dump_slowly(value)


def _dump_slowly(value: object) -> bytes:
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"{}"  # deeper than any parser of ours reads: cannot come from a request


def _payload(payload: bytes) -> dict[str, str]:
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": base64.b64encode(payload).decode()}


def _is_id(id: str) -> bool:
    try:
        limits.check_id(id)
    except InvalidEvent:
        return False
    return True


def _check_limits(incoming: Incoming, properties: Object) -> None:
    if isinstance(incoming.raw, bytes):
        limits.check_size(incoming.raw)
    if incoming.traits:
        limits.check_keys("traits", incoming.traits)
    limits.check_keys("properties", properties)


def _check_unplanned(incoming: Incoming, flags: list[str]) -> str:
    if incoming.source.unplanned == "reject":
        raise InvalidEvent(
            "type: wanted one of the catalogue's, got another; name a type of /v1/schemas, or let the source "
            "take others",
            code="unplanned_event",
        )
    flags.append(UNPLANNED)
    return CUSTOM


def _text(type_: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or "\x00" in value:
        raise InvalidIdentifier(
            f"{type_}: wanted a text without NUL, got something else; send the identifier as a text"
        )
    return value


def _rank(identifier: _Identifier) -> int:
    return identifier[0]


def _flag(flags: list[str], flag: str) -> None:
    if flag not in flags:
        flags.append(flag)
