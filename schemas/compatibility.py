"""What a change of a schema breaks: does the new schema accept everything that the old one accepts?

Compared by place (a JSON pointer into the schema), on the keywords that our schemas use. A new field may have any type,
since no table promised it before.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Summary = dict[str, dict[str, Any]]
"""By place: the keywords that limit the accepted values. Plain JSON, stored in the lock file."""

_LIMITING: Final = ("type", "enum", "const", "required", "format", "pattern", "additionalProperties")
_AT_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_BY_NAME: Final = ("properties", "$defs")
_BY_INDEX: Final = ("anyOf", "oneOf", "allOf", "prefixItems")

_EVERY_TYPE: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def summary(schema: Mapping[str, Any]) -> Summary:
    """The limits of a schema and of every schema within it, by place."""
    return {place: _limits(part) for place, part in _parts(schema, "")}


def breaks(old: Summary, new: Summary) -> list[str]:
    """What the new schema refuses or drops although the old one accepts it: one sentence each, sorted by place."""
    return [f"{place or '(root)'} {fault}" for place in sorted(old) for fault in _faults(old[place], new.get(place))]


def _parts(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield place, schema
    for keyword in _BY_NAME:
        for name, part in schema.get(keyword, {}).items():
            yield from _parts(part, f"{place}/{keyword}/{name}")
    for keyword in _BY_INDEX:
        for index, part in enumerate(schema.get(keyword, [])):
            yield from _parts(part, f"{place}/{keyword}/{index}")
    if "items" in schema and isinstance(schema["items"], Mapping):
        yield from _parts(schema["items"], f"{place}/items")


def _limits(schema: Mapping[str, Any]) -> dict[str, Any]:
    keywords = (*_LIMITING, "$ref", *_AT_LEAST, *_AT_MOST)
    return {keyword: schema[keyword] for keyword in keywords if keyword in schema}


def _faults(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        yield "is gone"
        return
    if lost := sorted(_types(old) - _types(new)):
        yield f"no longer takes {', '.join(lost)}"
    if _values(new) is not None and (_values(old) is None or not set(_values(old) or ()) <= set(_values(new) or ())):
        yield "takes fewer values"
    if asked := sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"now requires {', '.join(asked)}"
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield "no longer takes fields that it does not name"
    for keyword in ("format", "pattern", "$ref"):
        if keyword in new and new[keyword] != old.get(keyword):
            yield f"has another {keyword}"
    yield from _tighter(old, new)


def _types(limits: Mapping[str, Any]) -> frozenset[str]:
    types = limits.get("type")
    if types is None:
        return _EVERY_TYPE
    named = frozenset([types] if isinstance(types, str) else types)
    return named | {"integer"} if "number" in named else named


def _values(limits: Mapping[str, Any]) -> list[str] | None:
    """The values that an enum or a const allows, as text that can be compared; None for no such limit."""
    if "const" in limits:
        return [repr(limits["const"])]
    return [repr(value) for value in limits["enum"]] if "enum" in limits else None


def _tighter(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for keyword in _AT_LEAST:
        if keyword in new and (keyword not in old or new[keyword] > old[keyword]):
            yield f"has a higher {keyword}"
    for keyword in _AT_MOST:
        if keyword in new and (keyword not in old or new[keyword] < old[keyword]):
            yield f"has a lower {keyword}"
