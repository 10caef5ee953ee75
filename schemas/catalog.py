"""The catalogue of event types, read from the published files `schemas/events/*.json`.

`Catalog.load()` reads and compiles them once per process (some 10 ms); everything after that is look-ups in
memory, safe from any thread. Event types that the catalogue does not know are the caller's to accept (as
`custom.*`, flagged unplanned) or to refuse, by the setting of the source.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from schemas.custom import custom_type, folded
from schemas.fields import MONEY_LIMIT
from schemas.formats import FORMATS
from schemas.reading import Fault, fit
from schemas.sets.ga4 import NAMES as GA4_NAMES

__all__ = ["Catalog", "EventType", "custom_type"]

EVENTS_FOLDER: Final = Path(__file__).parent / "events"

_CALLS_ONLY: Final = frozenset({"identify", "group", "alias"})
"""What such a call says of people, a track event of that name does not: it stays a track event."""

_QUICK_LIMIT: Final = 10**18


@dataclass(frozen=True)
class EventType:
    """One version of an event type.

    `name` is the track name that carries it, or the `call` that is made into it (identify, page, screen, group,
    alias). `business_key` is the property that names the fact itself (two events of one type and one key
    are one fact). `personal` holds JSON pointers into the properties (into the traits for
    `profile.identified`).
    """

    type: str
    version: int
    name: str
    call: str | None
    set: str
    business_key: str | None
    personal: frozenset[str]

    @property
    def dataschema(self) -> str:
        """Type and version as the envelope carries them: `order.completed/1`."""
        return f"{self.type}/{self.version}"


class Catalog:
    """Every event type with its validator. Immutable; get it by `Catalog.load()`."""

    def __init__(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        """`files`: the schemas by file name, every version of every type."""
        described = [(_event_type(schema), schema) for schema in files.values()]
        described.sort(key=lambda entry: (entry[0].type, entry[0].version))
        newest = {event.type: (event, schema) for event, schema in described}
        self._newest = {type: event for type, (event, _) in newest.items()}
        self._schemas = {type: schema for type, (_, schema) in newest.items()}
        self._quick = {type: compiled(_narrowed(schema)) for type, schema in self._schemas.items()}
        self._names = {folded(event.type): event for event in self._newest.values() if event.call not in _CALLS_ONLY}
        self._names |= {folded(name): self._newest[type] for name, type in GA4_NAMES.items()}
        self._names |= {folded(name): event for event, schema in described for name in _track_names(schema)}

    @staticmethod
    @cache
    def load() -> "Catalog":
        """The catalogue of this installation; the same object at every call."""
        return Catalog(read_schemas(EVENTS_FOLDER))

    def by_track_name(self, name: str) -> EventType | None:
        """The type that a track event of this name is; None for a name that no table knows.

        How it is spelled does not matter, every word does: `Order Completed`, `order.completed`, `OrderCompleted`
        and `ORDER_COMPLETED` are one. Google Analytics' recommended names answer too (`schemas.sets.ga4`), and names
        of Segment's e-commerce version 1, with the version whose shape their payload has: stamp `.dataschema` of
        what is returned.
        """
        return self._names.get(folded(name))

    def by_type(self, type: str) -> EventType | None:
        """The newest version of this type; None for `custom.*` and whatever else is not in the catalogue."""
        return self._newest.get(type)

    def check(self, type: str, properties: Mapping[str, object]) -> str | None:
        """Why these properties (traits, for `profile.identified`) cannot be of this type; None when they can.

        The hot path. The reason is `<JSON pointer>: wanted <what>, got <JSON type>` for the first fault, and
        never shows a value; the pointer of the whole is empty, so a caller can put `properties` before it.
        Types that are not in the catalogue have nothing to check: None. `properties` must be what a JSON
        parser makes (dicts with text keys, lists, text, numbers, booleans, None).
        """
        quick = self._quick.get(type)
        if quick is None or quick.is_valid(properties):
            return None
        _, faults = fit(self._schemas[type], properties)
        return f"{faults[0].pointer}: {faults[0].reason}" if faults else None

    def fit(self, type: str, properties: Mapping[str, object]) -> tuple[dict[str, object], list[Fault]]:
        """The properties as the schema of a known type wants them, and each value that did not fit (`reading.fit`)."""
        return fit(self._schemas[type], properties)

    def quick_check(self, type: str) -> Callable[[Mapping[str, object]], bool]:
        """A look that is cheaper than `check`: what passes it has no fault, `check` and `fit` know about the rest."""
        quick: Callable[[Mapping[str, object]], bool] = self._quick[type].is_valid
        return quick

    def all(self) -> tuple[EventType, ...]:
        """The newest version of every type, sorted by type."""
        return tuple(self._newest.values())

    def dataschema(self, type: str) -> str:
        """What the envelope's `dataschema` says for this type: `order.completed/1`, or `custom`."""
        event = self._newest.get(type)
        return "custom" if event is None else event.dataschema

    def schema(self, type: str) -> Mapping[str, Any] | None:
        """The newest JSON Schema of this type, as published (for `/v1/schemas`); not to be changed."""
        return self._schemas.get(type)


def compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator that asserts our formats (`schemas.formats`) besides types and ranges."""
    return jsonschema_rs.Draft202012Validator(dict(schema), formats=FORMATS, validate_formats=True)


def _narrowed(schema: Any) -> Any:
    """The same schema with each limit of 1e30 drawn in to 10^18: what it takes, the schema takes.

    jsonschema-rs compares with a bound beyond 64 bits some 1 µs slower than with one within, and some of its
    versions let a large integer pass one. Nearly every event passes the narrow validator, so an order of five
    products is checked 3 to 4 times faster; `schemas.reading` decides about the rest.
    """
    if isinstance(schema, Mapping):
        return {
            key: int(part / MONEY_LIMIT) * _QUICK_LIMIT if _is_money_limit(key, part) else _narrowed(part)
            for key, part in schema.items()
        }
    return schema


def _is_money_limit(keyword: str, part: object) -> bool:
    return keyword in ("exclusiveMinimum", "exclusiveMaximum") and part in (MONEY_LIMIT, -MONEY_LIMIT)


def read_schemas(folder: Path) -> dict[str, dict[str, Any]]:
    """The JSON Schema files of a folder by file name, sorted."""
    return {path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def personal_pointers(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """JSON pointers of the fields marked `x-personal`, nested objects included."""
    for name, field in schema.get("properties", {}).items():
        pointer = f"{prefix}/{name}"
        if field.get("x-personal"):
            yield pointer
        yield from personal_pointers(field, pointer)


def _event_type(schema: Mapping[str, Any]) -> EventType:
    facts = schema["x-simorgh"]
    return EventType(
        type=facts["type"],
        version=facts["version"],
        name=facts["event_name"] or facts["call"],
        call=facts["call"],
        set=facts["set"],
        business_key=facts["business_key"],
        personal=frozenset(personal_pointers(schema)),
    )


def _track_names(schema: Mapping[str, Any]) -> list[str]:
    facts = schema["x-simorgh"]
    return [facts["event_name"], *facts["aliases"]] if facts["event_name"] else []
