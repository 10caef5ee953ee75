"""What a vendor's message means, said as data: which event it is, whose, when, and which of its fields we keep.

The same words serve the connectors of this folder, as Python, and the generic webhook that a user declares, as JSON
(`read_map`). `EventMap.read` raises nothing but `Unmappable`, whatever the message is.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec
import re2
from msgspec import Struct

from producers.vendors.paths import LONGEST, Scope, as_text, find
from producers.vendors.request import VendorRequest
from schemas.custom import PREFIX, custom_type
from schemas.digits import ascii_digits, exact_number
from schemas.envelope import MAX_ID
from schemas.errors import InvalidInput, Unmappable
from schemas.minor_units import in_major_units
from schemas.moments import read_moment

Trust = Literal["proven", "claimed", "hint"]
"""proven: the vendor verified that it is the person's. claimed: somebody typed it, or staff entered it. hint: a URL or
the page's script carried it."""

MOST_LINES: Final = 300
"""Of a list that is read with `each`: more are left out, and the event says how many there were."""

_HASHED: Final = "#"
_LATEST_SECOND: Final = 100_000_000_000
_PART: Final = re.compile(r"\{([^{}]*)\}")

Constant = str | int | float | bool


class ValueField(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One value. Where a plain text stands instead of it, that is its `path`.

    path       where it is found; see `producers.vendors.paths`
    value      a constant, instead of a path
    template   a text with paths in braces; absent if one of them is absent, unless that one ends in `?`
    table      the vendor's word -> ours; a word that is not in it stays as it is, or becomes `otherwise`
    minor      the amount is in minor units (cents) of the currency at this path, or of this currency: `EUR`
    each       the path is a list: each of its items becomes an object with these `fields`
    read       text, number, bool, lower, upper; or first (of a list), count (its length), names (a list as one text)
    matches    a regular expression (RE2) for the whole text; anything else counts as absent
    strip      removed from its beginning; `prefix`: put before it
    """

    path: str = ""
    value: Constant | None = None
    template: str = ""
    table: dict[str, Constant] = {}
    otherwise: Constant | None = None
    minor: str = ""
    each: "dict[str, str | ValueField]" = {}
    read: Literal["", "text", "number", "bool", "lower", "upper", "first", "count", "names"] = ""
    matches: str = ""
    strip: str = ""
    prefix: str = ""


Field = str | ValueField


class IdentifierField(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An identifier of the person. `type`: such as email, phone, user_id or the vendor's own, `stripe_customer`."""

    type: str
    value: Field
    trust: Trust = "claimed"


class TimeField(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """When it happened. `unit`: auto reads ISO 8601, HTTP's dates, and numbers since 1970 by their size. `zone`: of
    texts without an offset: the source's setting, or UTC where the vendor says so."""

    path: str
    unit: Literal["auto", "s", "ms", "us"] = "auto"
    zone: Literal["source", "UTC"] = "source"


class Meaning(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One of the vendor's kinds of messages: our type, and what it has besides the fields of all kinds. Its own `time`
    and `id` stand instead of theirs."""

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


class EventMap(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How messages of one vendor are read.

    items        path of the list of events in the message; absent: the message is one event, or a list of them
    kind         what kind of message it is
    cases        kind -> our type, or a `Meaning`
    otherwise    type of other kinds: a template with {kind}; absent: `custom.<vendor>_<kind>` with the whole item
    rest         path of the object that stands for the whole item there
    skip         kinds that are not events, such as a test of the connection
    id           templates of the event's id, of which the first with all its parts holds; `#` before one hashes it
    somebody     an event without any identifier is refused, instead of belonging to nobody
    """

    kind: Field
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
        self, item: object, request: VendorRequest, *, vendor: str = "", whole: object = None
    ) -> list[VendorEvent]:
        """The event of one item, in a list; [] for a kind that is skipped. Raises `Unmappable`."""
        if not isinstance(item, dict):
            raise Unmappable("item: wanted an object, got something else; see the rejected event")
        scope = Scope(item, request, item if whole is None else whole)
        kind = as_text(value_of(self.kind, scope))
        if kind is None:
            raise Unmappable(f"{_where(self.kind)}: wanted the kind of event, got none; fix the mapping, then retry")
        if kind in self.skip:
            return []
        known = self.cases.get(kind)
        case = Meaning(type=known) if isinstance(known, str) else known
        properties = values_of(self.properties | case.properties if case else self.properties, scope)
        type_ = case.type if case else self._other(kind, vendor)
        if not case and not self.otherwise:
            rest = find(self.rest, scope)
            properties = (rest if isinstance(rest, dict) else item) | properties
        time_field = (case.time if case else None) or self.time
        time, unread = read_time(time_field, scope)
        fields = (*(case.identifiers if case else ()), *self.identifiers)
        identifiers = trusted([(one.type, value_of(one.value, scope), one.trust) for one in fields])
        if self.somebody and not identifiers:
            raise Unmappable("identifiers: wanted one of a person, got none; see the rejected event")
        return [
            VendorEvent(
                type=type_,
                id=_id((case.id if case else ()) or self.id, scope),
                name=kind,
                time=time,
                unread_time=unread,
                identifiers=identifiers,
                traits=values_of(self.traits | case.traits if case else self.traits, scope),
                properties=properties,
                context=nested(values_of(self.context, scope)),
                somebody=self.somebody,
            )
        ]

    def _other(self, kind: str, vendor: str) -> str:
        if self.otherwise:
            return self.otherwise.replace("{kind}", kind)
        return custom_type(f"{vendor} {kind}" if vendor else kind)


def _id(templates: Sequence[str], scope: Scope) -> str:
    for template in templates:
        text = filled(template.removeprefix(_HASHED), scope)
        if text is not None:
            return digest_of(text) if template.startswith(_HASHED) else bounded_id(text)
    raise Unmappable(f"{' or '.join(templates)}: wanted the parts of an id, got too few; fix the mapping, then retry")


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
        if field.matches and _pattern(field.matches) is None:
            raise _wrong("wanted a regular expression of RE2 in `matches`, got another text")
    if not found.id:
        raise _wrong("wanted at least one template in `id`, got none")
    return found


def _wrong(said: str) -> InvalidInput:
    return InvalidInput(f"mapping: {said}; see docs/add-a-connector.md", code="invalid_mapping")


def trusted(found: Sequence[tuple[str, object, Trust]]) -> list[tuple[str, object] | tuple[str, object, str]]:
    """What links and what is a hint: the proven ones link. Where there is none, the first claimed one stands for the
    person, so that a claim never joins two people. All others are hints."""
    there = [(type_, value, trust) for type_, value, trust in found if value is not None and value != ""]
    anchors = [(type_, value) for type_, value, trust in there if trust == "proven"]
    anchors = anchors or [(type_, value) for type_, value, trust in there if trust == "claimed"][:1]
    hints = [(type_, value, "hint") for type_, value, _ in there if (type_, value) not in anchors]
    return [*anchors, *hints]


def values_of(fields: Mapping[str, Field], scope: Scope) -> dict[str, object]:
    """Those that are there. `*` spreads the members of an object; others of the same name win."""
    found: dict[str, object] = {}
    spread = fields.get("*")
    if spread is not None and isinstance(members := value_of(spread, scope), dict):
        found |= members
    for name, field in fields.items():
        if name != "*" and (value := value_of(field, scope)) is not None:
            found[name] = value
    return found


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


def value_of(field: Field, scope: Scope) -> object:
    """None where there is none."""
    if isinstance(field, str):
        return find(field, scope)
    if field.value is not None:
        return field.value
    value = filled(field.template, scope) if field.template else find(field.path, scope)
    if value is None:
        return field.otherwise
    if field.each:
        return _lines(field.each, value, scope)
    if field.minor:
        return _amount(value, field.minor, scope)
    if field.read:
        value = _read(value, field.read)
    if field.strip or field.prefix or field.matches:
        value = _trimmed(value, field)
    if field.table:
        text = str(value).lower() if isinstance(value, bool) else as_text(value)
        value = field.table.get(text or "", field.otherwise if field.otherwise is not None else value)
    return field.otherwise if value is None else value


def _lines(fields: Mapping[str, Field], items: object, scope: Scope) -> object:
    if not isinstance(items, list):
        return None
    lines = [values_of(fields, Scope(one, scope.request, scope.item)) for one in items[:MOST_LINES]]
    return [line for line in lines if line] or None


def _amount(value: object, minor: str, scope: Scope) -> object:
    currency = minor if len(minor) == 3 and minor.isupper() else as_text(find(minor, scope))
    return in_major_units(value, currency or "")


def _read(value: object, how: str) -> object:  # noqa: PLR0911 - one line for each word
    if how == "first":
        return value[0] if isinstance(value, list) and value else None if isinstance(value, list) else value
    if how == "count":
        return len(value) if isinstance(value, list) else None
    if how == "names":
        return ", ".join(text for one in value if (text := as_text(one))) if isinstance(value, list) else as_text(value)
    if how == "bool":
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(str(value).lower())
    text = as_text(value)
    if text is None:
        return None
    if how == "number":
        number = exact_number(text)
        if number is None or not abs(number) < 10**30:
            return None
        return int(number) if number == number.to_integral_value() else float(number)
    return text.lower() if how == "lower" else text.upper() if how == "upper" else text


def _trimmed(value: object, field: ValueField) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    text = text.removeprefix(field.strip)
    if field.matches:
        pattern = _pattern(field.matches)
        if pattern is None or not text.isprintable() or not pattern.fullmatch(text):
            return None
    return field.prefix + text


@lru_cache(1024)
def _pattern(text: str) -> Any:
    """None for no pattern of RE2."""
    try:
        return re2.compile(text)
    except re2.error:
        return None


def filled(template: str, scope: Scope) -> str | None:
    """The template with its values; None if one is absent that may not be."""
    parts: list[str] = []
    for is_path, text, may_be_absent in _parts(template):
        if is_path:
            value = as_text(find(text, scope))
            if value is None and not may_be_absent:
                return None
            parts.append(value or "")
        else:
            parts.append(text)
    return "".join(parts)


@lru_cache(1024)
def _parts(template: str) -> tuple[tuple[bool, str, bool], ...]:
    """(whether it is a path, the text or path, whether it may be absent), in order."""
    return tuple(
        (index % 2 == 1, text.removesuffix("?") if index % 2 else text, text.endswith("?"))
        for index, text in enumerate(_PART.split(template))
        if text
    )


def read_time(field: TimeField | None, scope: Scope) -> tuple[int | None, object]:
    """(ms, None), or (None, what stood there and is no time)."""
    value = None if field is None else find(field.path, scope)
    if field is None or value is None:
        return None, None
    time = _moment(value, field, scope)
    return time, (None if time is not None else value)


def _moment(value: object, field: TimeField, scope: Scope) -> int | None:
    if field.unit == "s" and type(value) is int and 0 < value < _LATEST_SECOND:
        return value * 1000  # nearly every one
    if field.unit != "auto":
        number = exact_number(ascii_digits(text)) if (text := as_text(value)) is not None else None
        if number is None or not 0 < number < 10**17:
            return None
        per_unit = {"s": 1000, "ms": 1, "us": 0}[field.unit]
        return read_moment(round(number * per_unit) if per_unit else round(number / 1000))
    zone = UTC if field.zone == "UTC" else scope.request.zone
    time = read_moment(value, zone)
    if time is None and isinstance(value, str) and len(value) <= 60:
        try:
            time = round(parsedate_to_datetime(value).timestamp() * 1000)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return time


def bounded_id(text: str) -> str:
    """The text, or its digest if it cannot be an id: ids have at most 200 characters."""
    fits = len(text) <= MAX_ID and text.isprintable()
    return text if fits else digest_of(text)


def digest_of(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:40]


def _where(field: Field) -> str:
    return field if isinstance(field, str) else field.path or field.template


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


__all__ = ["PREFIX", "EventMap", "IdentifierField", "Meaning", "TimeField", "ValueField", "VendorEvent", "read_map"]
