"""Which properties of an event are facts: what was bought, how much, where. They stay in the clear."""

from collections.abc import Callable, Mapping
from typing import Final

from schemas.untyped import Json, JsonObject

Object = JsonObject
Facts = Callable[[Object], dict[str, Json]]

_FACT: Final = "x-fact"


def nothing(properties: Object) -> dict[str, Json]:
    """No facts: the type is in no catalogue, so any property may be personal."""
    return {}


def facts_of(schema: Object) -> Facts:
    """A function from the properties of an event to those that the schema marks as facts, in the same order. In lists
    and objects, too, only marked fields stay."""
    inner = {
        name: _part(_object(field))
        for name, field in _object(schema.get("properties")).items()
        if _object(field).get(_FACT)
    }
    if not inner:
        return nothing

    def pick(properties: Object) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for name, value in properties.items():
            if name in inner:
                part = inner[name]
                found[name] = value if part is None or value is None else part(value)
        return found

    return pick


def _part(field: Object) -> Callable[[Json], Json] | None:
    """The part of a field's value that stays; None if all of it does."""
    if "properties" in (items := _object(field.get("items"))):
        one = facts_of(items)
        return lambda values: (
            [one(value) for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []
        )
    if "properties" in field:
        inner = facts_of(field)
        return lambda value: inner(value) if isinstance(value, Mapping) else {}
    return None


def _object(value: Json) -> Object:
    return value if isinstance(value, Mapping) else {}
