"""What a vendor's message means, said as data: which event it is, whose, when, and which of its fields we keep.

The same words serve the connectors of this folder, as Python, and the generic webhook that a user declares, as JSON
(`read_map`). `EventMap.read` raises nothing but `Unmappable`, whatever the message is. It makes functions of the words
at a kind's first message, and calls only those from then on.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from producers.vendors.fields import Field, IdentifierField, TimeField, ValueField
from producers.vendors.paths import LONGEST, Reader, Scope, reader
from producers.vendors.readers import (
    Found,
    Values,
    digest_of,
    id_reader,
    identifiers_reader,
    kind_reader,
    pattern_of,
    time_reader,
    values_reader,
)
from producers.vendors.request import VendorRequest
from schemas.custom import custom_type
from schemas.errors import InvalidInput, Unmappable


class Meaning(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One of the vendor's kinds of messages: our type, and what it has besides the fields of all kinds. Its own `time`,
    `id`, properties, traits and types of identifiers stand instead of theirs."""

    type: str
    properties: dict[str, Field] = {}
    traits: dict[str, Field] = {}
    identifiers: tuple[IdentifierField, ...] = ()
    time: TimeField | None = None
    id: tuple[str, ...] = ()


class VendorEvent(Struct, kw_only=True):
    """One event as a connector understood it. `name`: the vendor's own word for it. `id`: unique in the source, the
    same at every redelivery. `time`: ms; None: the message has none. `unread_time`: what stood in its place.
    `identifiers`: (type, value), or (type, value, "hint"). `channel`: where it is not the connector's."""

    type: str
    id: str
    name: str = ""
    time: int | None = None
    unread_time: object = None
    identifiers: Sequence[tuple[str, object] | tuple[str, object, str]] = ()
    traits: dict[str, object] = {}
    properties: dict[str, object] = {}
    context: dict[str, object] = {}
    consent: dict[str, bool | str] = {}
    channel: str | None = None
    somebody: bool = False
    """Refused if none of its identifiers is valid."""


class KindReaders(NamedTuple):
    """How messages of one kind are read. `type`: None for a kind that the map does not list."""

    type: str | None
    id: Callable[[Scope], str]
    time: Callable[[Scope], tuple[int | None, object]]
    identifiers: Callable[[Scope], Found]
    traits: Values
    properties: Values


class EventMap(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, dict=True):
    """How messages of one vendor are read.

    items        path of the list of events in the message; absent: the message is one event, or a list of them
    kind         what kind of message it is; of several fields, the first that is there
    cases        kind -> our type, or a `Meaning`
    otherwise    type of other kinds: a template with {kind}; absent: `custom.<vendor>_<kind>` with the whole item
    rest         path of the object that stands for the whole item there
    skip         kinds that are not events, such as a test of the connection
    id           templates of the event's id, of which the first with all its parts holds; `#` before one hashes it
    somebody     an event without any identifier is refused, instead of belonging to nobody
    """

    kind: Field | tuple[Field, ...]
    id: tuple[str, ...]
    items: str = ""
    cases: dict[str, str | Meaning] = {}
    otherwise: str = ""
    rest: str = "."
    skip: tuple[str, ...] = ()
    time: TimeField | None = None
    identifiers: tuple[IdentifierField, ...] = ()
    traits: dict[str, Field] = {}
    properties: dict[str, Field] = {}
    context: dict[str, Field] = {}
    somebody: bool = False

    def read(
        self, item: object, request: VendorRequest, *, vendor: str = "", whole: object = None, kind: str | None = None
    ) -> list[VendorEvent]:
        """The event of one item, in a list; [] for a kind that is skipped. `kind`: where the connector knows better
        than the map. Raises `Unmappable`."""
        if not isinstance(item, dict):
            raise Unmappable("item: wanted an object, got something else; see the rejected event")
        scope = Scope(item, request, item if whole is None else whole)
        if kind is None:
            kind = self._kind(scope)
        if kind in self.skip:
            return []
        readers = self._readers_of(kind)
        identifiers = readers.identifiers(scope)
        if self.somebody and not identifiers:
            raise Unmappable("identifiers: wanted one of a person, got none; see the rejected event")
        properties = readers.properties(scope)
        if readers.type is None and not self.otherwise:
            rest = self._rest(scope)
            properties = (rest if isinstance(rest, dict) else item) | properties
        time, unread = readers.time(scope)
        return [
            VendorEvent(
                type=readers.type or self._other(kind, vendor),
                id=readers.id(scope),
                name=kind,
                time=time,
                unread_time=unread,
                identifiers=identifiers,
                traits=readers.traits(scope),
                properties=properties,
                context=nested(self._context(scope)),
                somebody=self.somebody,
            )
        ]

    def _other(self, kind: str, vendor: str) -> str:
        if self.otherwise:
            return self.otherwise.replace("{kind}", kind)
        return custom_type(f"{vendor} {kind}" if vendor else kind)

    # --- made at first use

    def _readers_of(self, kind: str) -> KindReaders:
        made = self._made.get(kind)
        if made is None:
            case = self.cases.get(kind)
            # all kinds that are not listed share one: the sender chooses their names
            name = kind if case is not None else None
            made = self._made.get(name)
            if made is None:
                made = self._made[name] = self._readers(Meaning(type=case) if isinstance(case, str) else case)
        return made

    def _readers(self, case: Meaning | None) -> KindReaders:
        own = case.identifiers if case else ()
        replaced = {one.type for one in own}
        return KindReaders(
            type=case.type if case else None,
            id=id_reader((case.id if case else ()) or self.id),
            time=time_reader((case.time if case else None) or self.time),
            identifiers=identifiers_reader((*own, *(one for one in self.identifiers if one.type not in replaced))),
            traits=values_reader(self.traits | case.traits if case else self.traits),
            properties=values_reader(self.properties | case.properties if case else self.properties),
        )

    @cached_property
    def _made(self) -> dict[str | None, KindReaders]:
        """By kind; None: of all that are not listed."""
        return {}

    @cached_property
    def _kind(self) -> Callable[[Scope], str]:
        return kind_reader(self.kind)

    @cached_property
    def _context(self) -> Values:
        return values_reader(self.context)

    @cached_property
    def _rest(self) -> Reader:
        return reader(self.rest)


def read_map(declared: object) -> EventMap:
    """A user's mapping. Raises `InvalidInput`, which names the part that is wrong."""
    try:
        found = msgspec.convert(declared, EventMap)
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    for text in _texts(msgspec.to_builtins(found)):
        if len(text) > LONGEST:
            raise _wrong(f"wanted texts of at most {LONGEST} characters, got a longer one")
    for field in _value_fields(found):
        if field.matches and pattern_of(field.matches) is None:
            raise _wrong("wanted a regular expression of RE2 in `matches`, got another text")
    if not found.id:
        raise _wrong("wanted at least one template in `id`, got none")
    return found


def _wrong(said: str) -> InvalidInput:
    return InvalidInput(f"mapping: {said}; see docs/add-a-connector.md", code="invalid_mapping")


def nested(flat: Mapping[str, object]) -> dict[str, object]:
    """`{"page.url": …}` as `{"page": {"url": …}}`."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        outer, dot, inner = name.partition(".")
        if dot:
            found.setdefault(outer, {})[inner] = value
        else:
            found[name] = value
    return found


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, one in value.items() for text in (str(key), *_texts(one))]
    return [text for one in value for text in _texts(one)] if isinstance(value, (list, tuple)) else []


def _value_fields(value: object) -> list[ValueField]:
    if isinstance(value, dict):
        parts: Sequence[object] = list(value.values())
    elif isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, Struct):
        parts = [getattr(value, name) for name in value.__struct_fields__]
    else:
        return []
    found = [value] if isinstance(value, ValueField) else []
    return [*found, *(field for part in parts for field in _value_fields(part))]


__all__ = [
    "EventMap",
    "Field",
    "IdentifierField",
    "Meaning",
    "TimeField",
    "ValueField",
    "VendorEvent",
    "digest_of",
    "read_map",
]
