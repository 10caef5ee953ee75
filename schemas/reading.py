"""Values that do not fit a schema, one by one: read if they have exactly one reading, else left out.

A walk along one of our own schemas (`schemas.fields`), for the few events that the quick check has said no to. It
goes as deep as the schema does, whatever the value holds.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from schemas.clock import iso
from schemas.digits import exact_number, json_number, trim
from schemas.formats import FORMATS
from schemas.moments import read_moment
from schemas.reasons import came, json_type, pointer, wanted_by

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]


class Fault(NamedTuple):
    """One value that did not fit: where (a JSON pointer), the value, and whether it was read (else it was left out).

    `reason` is `wanted <what>, got <JSON type>` and never shows the value.
    """

    pointer: str
    value: object
    is_read: bool
    reason: str


class _Nothing:
    """Stands for a value that is left out."""


_NOTHING: Final = _Nothing()

_TRUTHS: Final[Mapping[object, bool]] = {"true": True, "false": False, "1": True, "0": False}


def fit(schema: Schema, values: Mapping[str, object]) -> tuple[dict[str, object], list[Fault]]:
    """The values converted to the schema, and the faults in their order. Unknown fields stay as they are.

    A list keeps its length, with `null` for each value that is left out.
    """
    faults: list[Fault] = []
    if _too_many(schema, values):
        faults.append(_fault(schema, "maxProperties", (), values, is_read=False))
    return _fit_object(schema, values, (), faults), faults


def _fit_object(schema: Schema, values: Mapping[str, object], path: Path, faults: list[Fault]) -> dict[str, object]:
    fields = schema.get("properties", {})
    fitted: dict[str, object] = {}
    for name, value in values.items():
        field = fields.get(name)
        fit_value = value if field is None else _fit(field, value, (*path, name), faults)
        if fit_value is not _NOTHING:
            fitted[name] = fit_value
    return fitted


def _fit(schema: Schema, value: object, path: Path, faults: list[Fault]) -> object:
    keyword = _misfit(schema, value)
    if keyword is not None:
        read = _read(schema, value)
        if _misfit(schema, read) is not None:
            read = _NOTHING
        faults.append(_fault(schema, keyword, path, value, is_read=read is not _NOTHING))
        value = read
    if isinstance(value, dict) and "properties" in schema:
        return _fit_object(schema, value, path, faults)
    if isinstance(value, list) and "items" in schema:
        items = [_fit(schema["items"], item, (*path, index), faults) for index, item in enumerate(value)]
        return [None if item is _NOTHING else item for item in items]
    return value


def _fault(schema: Schema, keyword: str, path: Path, value: object, *, is_read: bool) -> Fault:
    return Fault(pointer(path), value, is_read, f"wanted {wanted_by(schema, keyword)}, got {came(value, keyword)}")


# --- Does it fit? ---


def _misfit(schema: Schema, value: object) -> str | None:
    """The keyword of the schema that the value itself breaks; its members are not looked at."""
    if "type" in schema and not _is_of(schema["type"], value):
        return "type"
    if isinstance(value, str):
        format = schema.get("format")
        return "format" if format is not None and not FORMATS[format](value) else None
    if isinstance(value, dict):
        return "maxProperties" if _too_many(schema, value) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _out_of_range(schema, value)
    return None


def _is_of(types: str | list[str], value: object) -> bool:
    kind = json_type(value)
    return types == kind if isinstance(types, str) else kind in types


_RANGES: Final[Mapping[str, Callable[[float, Decimal], bool]]] = {
    "exclusiveMinimum": operator.gt,
    "minimum": operator.ge,
    "exclusiveMaximum": operator.lt,
    "maximum": operator.le,
}


def _out_of_range(schema: Schema, number: float) -> str | None:
    """Compared exactly, however large: to some libraries 10^30 and 1e30, its nearest double, are two numbers."""
    if isinstance(number, float) and not math.isfinite(number):
        return "type"
    for keyword, holds in _RANGES.items():
        if keyword in schema and not holds(number, Decimal(repr(schema[keyword]))):
            return keyword
    return None


def _too_many(schema: Schema, values: Mapping[str, object]) -> bool:
    return bool(len(values) > schema.get("maxProperties", len(values)))


# --- What does it say? ---


def _read(schema: Schema, value: object) -> object:
    """The exact value as one of the types of the schema; `_NOTHING` if there is no certain reading."""
    types = schema.get("type", ())
    if isinstance(value, str):
        return _read_text(schema, types, value)
    if "string" in types and isinstance(value, bool | int | float):
        return _as_text(schema, value)
    if "boolean" in types and value in (0, 1):
        return bool(value)
    if "array" in types and "items" in schema and isinstance(value, dict):
        return _as_list(value)
    return _NOTHING


def _read_text(schema: Schema, types: Sequence[str], text: str) -> object:
    if "format" in schema:
        moment = read_moment(text) if schema["format"] == "iso-8601" else None
        return _NOTHING if moment is None else iso(moment)
    if "number" in types:
        exact = exact_number(text)
        number = None if exact is None else json_number(exact)
        return _NOTHING if number is None else number
    if "boolean" in types:
        return _TRUTHS.get(trim(text).lower(), _NOTHING)
    if "array" in types or "object" in types:
        return _as_json(text)
    return _NOTHING


def _as_text(schema: Schema, value: float) -> object:
    """A number as JSON writes it; a moment where a date is wanted."""
    if schema.get("format") == "iso-8601":
        moment = read_moment(value)
        return _NOTHING if moment is None else iso(moment)
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)  # an integer beyond 64 bits


def _as_json(text: str) -> object:
    """Forms and tag managers send lists and objects as JSON in a text."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _NOTHING
    return parsed if isinstance(parsed, dict | list) else _NOTHING


def _as_list(value: dict[str, object]) -> list[object]:
    """PHP writes a list with a gap as an object with its indices; a single value becomes a list of one."""
    if value and all(name.isascii() and name.isdecimal() for name in value):
        return [value[name] for name in sorted(value, key=int)]
    return [value]
