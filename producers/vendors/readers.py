"""From the words of a mapping to functions that read a message: made once for each map, called for every event."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parseaddr, parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import re2

from producers.vendors.fields import Constant, Field, IdentifierField, TimeField, Trust, ValueField
from producers.vendors.paths import Reader, Scope, as_text, reader
from schemas.digits import ascii_digits, exact_number
from schemas.envelope import MAX_ID
from schemas.errors import Unmappable
from schemas.minor_units import in_major_units
from schemas.moments import read_moment

MOST_LINES: Final = 300
"""Of a list that is read with `each`: more are left out, and the event says how many there were."""

Values = Callable[[Scope], dict[str, object]]
Change = Callable[[object, Scope], object]
"""From a value that is there to what becomes of it; None: it counts as absent."""
Found = Sequence[tuple[str, object] | tuple[str, object, str]]

_HASHED: Final = "#"
_LATEST_SECOND: Final = 100_000_000_000
_PART: Final = re.compile(r"\{([^{}]*)\}")
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


# --- values


def values_reader(fields: Mapping[str, Field]) -> Values:
    """Of those that are there. `*` spreads the members of an object; others of the same name win."""
    named = [(name, value_reader(field)) for name, field in fields.items() if name != "*"]

    def read(scope: Scope) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, one in named:
            if (value := one(scope)) is not None:
                found[name] = value
        return found

    if "*" not in fields:
        return read
    spread = value_reader(fields["*"])

    def read_with_members(scope: Scope) -> dict[str, object]:
        members = spread(scope)
        return {**members, **read(scope)} if isinstance(members, dict) else read(scope)

    return read_with_members


def value_reader(field: Field) -> Reader:
    if isinstance(field, str):
        return reader(field)
    if field.value is not None:
        constant = field.value
        return lambda scope: constant
    start, change = template_reader(field.template) if field.template else reader(field.path), _change(field)
    return _changed(start, change, field.otherwise) if change or field.otherwise is not None else start


def _changed(start: Reader, change: Change | None, otherwise: Constant | None) -> Reader:
    def read(scope: Scope) -> object:
        value = start(scope)
        if value is not None and change is not None:
            value = change(value, scope)
        return otherwise if value is None else value

    return read


def _change(field: ValueField) -> Change | None:
    """All that becomes of a value; None: it stays as it is."""
    if field.each:
        return _lines(field.each)
    if field.minor:
        return _amount(field.minor)
    steps: list[Change] = []
    if field.read:
        how = _READS[field.read]
        steps.append(lambda value, scope: how(value))
    if field.strip or field.prefix or field.matches:
        steps.append(_trimmed(field))
    if field.table:
        steps.append(_looked_up(field))
    return steps[0] if len(steps) == 1 else _in_turn(steps) if steps else None


def _in_turn(steps: Sequence[Change]) -> Change:
    def change(value: object, scope: Scope) -> object:
        for step in steps:
            if (value := step(value, scope)) is None:
                return None
        return value

    return change


def _lines(fields: Mapping[str, Field]) -> Change:
    read = values_reader(fields)

    def change(items: object, scope: Scope) -> object:
        if not isinstance(items, list):
            return None
        lines, of_line = [], Scope(None, scope.request, scope.item)
        for item in items[:MOST_LINES]:
            of_line.item = item
            if line := read(of_line):
                lines.append(line)
        return lines or None

    return change


def _amount(minor: str) -> Change:
    if len(minor) == 3 and minor.isupper():
        return lambda value, scope: in_major_units(value, minor)
    currency = reader(minor)
    return lambda value, scope: in_major_units(value, as_text(currency(scope)) or "")


def _trimmed(field: ValueField) -> Change:
    pattern = pattern_of(field.matches) if field.matches else None

    def change(value: object, scope: Scope) -> str | None:
        text = as_text(value)
        if text is None:
            return None
        text = text.removeprefix(field.strip)
        if field.matches and (pattern is None or not text.isprintable() or not pattern.fullmatch(text)):
            return None
        return field.prefix + text

    return change


def _looked_up(field: ValueField) -> Change:
    def change(value: object, scope: Scope) -> object:
        text = str(value).lower() if isinstance(value, bool) else as_text(value)
        return field.table.get(text or "", field.otherwise if field.otherwise is not None else value)

    return change


@lru_cache(1024)
def pattern_of(text: str) -> Any:
    """None for no pattern of RE2."""
    try:
        return re2.compile(text)
    except re2.error:
        return None


# --- how one value is read


def _number(value: object) -> int | float | None:
    text = as_text(value)
    if text is None:
        return None
    if _PLAIN_NUMBER.fullmatch(text):  # nearly every one
        number = float(text)
        return int(number) if number.is_integer() else number
    exact = exact_number(text)
    if exact is None or not abs(exact) < 10**30:
        return None
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def _names(value: object) -> str | None:
    names = [as_text(one) for one in value] if isinstance(value, list) else [as_text(value)]
    return ", ".join(name for name in names if name) or None


def _address(value: object) -> str | None:
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    text = as_text(value)
    return (parseaddr(text)[1] or None) if text is not None else None


def _first(value: object) -> object:
    if isinstance(value, list):
        return value[0] if value else None
    return value


def _lower(value: object) -> str | None:
    text = as_text(value)
    return None if text is None else text.lower()


def _upper(value: object) -> str | None:
    text = as_text(value)
    return None if text is None else text.upper()


_READS: Final[Mapping[str, Callable[[object], object]]] = {
    "text": as_text,
    "number": _number,
    "bool": lambda value: _BOOLEANS.get(str(value).lower()),
    "lower": _lower,
    "upper": _upper,
    "address": _address,
    "first": _first,
    "count": lambda value: len(value) if isinstance(value, list) else None,
    "names": _names,
}


# --- templates and ids


def template_reader(template: str) -> Callable[[Scope], str | None]:
    """The template with its values; None if one is absent that may not be."""
    parts = [
        (text, None, False) if index % 2 == 0 else ("", reader(text.removesuffix("?")), text.endswith("?"))
        for index, text in enumerate(_PART.split(template))
        if text
    ]

    def read(scope: Scope) -> str | None:
        found: list[str] = []
        for text, value_of, may_be_absent in parts:
            if value_of is None:
                found.append(text)
                continue
            value = value_of(scope)
            part = str(value).lower() if isinstance(value, bool) else as_text(value)
            if part is None and not may_be_absent:
                return None
            found.append(part or "")
        return "".join(found)

    return read


def id_reader(templates: Sequence[str]) -> Callable[[Scope], str]:
    """By the first template with all its parts. Raises `Unmappable`."""
    made = [
        (template_reader(one.removeprefix(_HASHED)), digest_of if one.startswith(_HASHED) else bounded_id)
        for one in templates
    ]

    def read(scope: Scope) -> str:
        for template, id_of in made:
            if (text := template(scope)) is not None:
                return id_of(text)
        raise Unmappable(
            f"{' or '.join(templates)}: wanted the parts of an id, got too few; fix the mapping, then retry"
        )

    return read


def bounded_id(text: str) -> str:
    """The text, or its digest if it cannot be an id: ids have at most 200 characters."""
    fits = len(text) <= MAX_ID and text.isprintable()
    return text if fits else digest_of(text)


def digest_of(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:40]


def kind_reader(fields: Field | tuple[Field, ...]) -> Callable[[Scope], str]:
    """The first text that is there. Raises `Unmappable`."""
    readers = [value_reader(field) for field in (fields if isinstance(fields, tuple) else (fields,))]

    def read(scope: Scope) -> str:
        for one in readers:
            if (kind := as_text(one(scope))) is not None:
                return kind
        raise Unmappable(f"{_where(fields)}: wanted the kind of event, got none; fix the mapping, then retry")

    return read


def _where(fields: Field | tuple[Field, ...]) -> str:
    if isinstance(fields, tuple):
        return " or ".join(_where(one) for one in fields)
    return fields if isinstance(fields, str) else fields.path or fields.template


# --- identifiers


def identifiers_reader(fields: Sequence[IdentifierField]) -> Callable[[Scope], Found]:
    made = [(one.type, value_reader(one.value), one.trust) for one in fields]

    def read(scope: Scope) -> Found:
        return trusted([(type_, value(scope), trust) for type_, value, trust in made])

    return read


def trusted(found: Sequence[tuple[str, object, Trust]]) -> Found:
    """What links and what is a hint: the proven ones link. Where there is none, the first claimed one stands for the
    person, so that a claim never joins two people. All others are hints."""
    there = [one for one in found if one[1] is not None and one[1] != ""]
    anchors = [(type_, value) for type_, value, trust in there if trust == "proven"]
    anchors = anchors or [(type_, value) for type_, value, trust in there if trust == "claimed"][:1]
    hints = [(type_, value, "hint") for type_, value, _ in there if (type_, value) not in anchors]
    return [*anchors, *hints]


# --- times


def time_reader(field: TimeField | None) -> Callable[[Scope], tuple[int | None, object]]:
    """(ms, None), or (None, what stood there and is no time)."""
    if field is None:
        return lambda scope: (None, None)
    value_of, moment = reader(field.path), _moment_reader(field)

    def read(scope: Scope) -> tuple[int | None, object]:
        value = value_of(scope)
        if value is None:
            return None, None
        time = moment(value, scope)
        return time, (None if time is not None else value)

    return read


def _moment_reader(field: TimeField) -> Callable[[object, Scope], int | None]:
    if field.unit == "auto":
        in_utc = field.zone == "UTC"
        return lambda value, scope: _any_moment(value, scope, in_utc=in_utc)
    unit = field.unit

    def counted(value: object, scope: Scope) -> int | None:
        if unit == "s" and type(value) is int and 0 < value < _LATEST_SECOND:
            return value * 1000  # nearly every one
        number = exact_number(ascii_digits(text)) if (text := as_text(value)) is not None else None
        if number is None or not 0 < number < 10**17:
            return None
        return read_moment(round(number / 1000) if unit == "us" else round(number * (1000 if unit == "s" else 1)))

    return counted


def _any_moment(value: object, scope: Scope, *, in_utc: bool) -> int | None:
    time = read_moment(value, UTC if in_utc else scope.request.zone)
    if time is None and isinstance(value, str) and len(value) <= 60:
        try:
            return round(parsedate_to_datetime(value).timestamp() * 1000)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return time
