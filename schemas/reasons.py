"""What a schema wanted and what it got, as text with the place and the types, never the value."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.formats import WANTED

ARTICLES: Final = {
    "array": "a list",
    "boolean": "true or false",
    "null": "null",
    "number": "a number",
    "integer": "a whole number",
    "object": "an object",
    "string": "a text",
}


def pointer(path: Sequence[str | int]) -> str:
    """A path as a JSON pointer (RFC 6901): empty for the root."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in parts)


def wanted_by(schema: Mapping[str, Any], keyword: str) -> str:
    """What this schema wants of a value, for the keyword that failed."""
    if keyword == "maxProperties":
        return f"at most {schema['maxProperties']} entries"
    if keyword == "format":
        return WANTED[schema["format"]]
    if keyword == "type":
        return " or ".join(ARTICLES[type] for type in schema["type"] if type != "null")
    return f"a number {_range(schema)}"


def _range(schema: Mapping[str, Any]) -> str:
    low = _bound(schema, "of at least", "minimum") or _bound(schema, "above", "exclusiveMinimum")
    high = _bound(schema, "of at most", "maximum") or _bound(schema, "below", "exclusiveMaximum")
    return " and ".join(part for part in (low, high) if part)


def _bound(schema: Mapping[str, Any], words: str, keyword: str) -> str:
    return f"{words} {schema[keyword]:g}" if keyword in schema else ""


def came(value: object, keyword: str) -> str:
    """What it got instead."""
    if keyword == "maxProperties" and isinstance(value, Mapping):
        return f"{len(value)}"
    if keyword == "format":
        return "a text that is none"
    kind = json_type(value)
    return ARTICLES[kind] if keyword == "type" else f"{ARTICLES[kind]} out of that range"


def is_json(value: object) -> bool:
    """Whether a value is of a JSON type at all: bytes, for instance, are not."""
    return value is None or isinstance(value, bool | int | float | str | Mapping | list | tuple)


def json_type(value: object) -> str:
    """The JSON type of a parsed value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"
