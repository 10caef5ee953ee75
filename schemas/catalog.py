"""The catalogue of event types, read from the published files `schemas/events/*.json`.

`Catalog.load()` reads and compiles them once per process (some 10 ms); everything after that is look-ups in
memory, safe from any thread. Event types that the catalogue does not know are the caller's to accept (as
`custom.*`, flagged unplanned) or to refuse, by the setting of the source.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
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
"""A call describes people, and a track event of that name does not: it stays a track event."""

_QUICK_LIMIT: Final = 10**18


@dataclass(frozen=True)
class EventType:
    """One version of an event type.

    `name` is its track name, or `call` the call that it is made from (identify, page, screen, group, alias).
    `business_key` is the property that names the fact (two events of one type with one key are one fact). `personal`
    holds JSON pointers into the properties (into the traits for `profile.identified`).
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
        """Type and version as in the envelope: `order.completed/1`."""
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
        """The type of a track event with this name; None for a name that no table knows.

        The spelling does not matter, but every word does: `Order Completed`, `order.completed`, `OrderCompleted` and
        `ORDER_COMPLETED` are one. Google Analytics' recommended names are known too (`schemas.sets.ga4`), and names of
        Segment's e-commerce version 1, with the version of their payload: use `.dataschema` of the result.
        """
        return self._names.get(folded(name))

    def by_type(self, type: str) -> EventType | None:
        """The newest version of this type; None for `custom.*` and all other types outside the catalogue."""
        return self._newest.get(type)

    def check(self, type: str, properties: Mapping[str, object]) -> str | None:
        """Why these properties (traits, for `profile.identified`) do not fit this type; None if they do.

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
        """The properties converted to the schema of a known type, and each value that did not fit (`reading.fit`)."""
        return fit(self._schemas[type], properties)

    def quick_check(self, type: str) -> Callable[[Mapping[str, object]], bool]:
        """A cheaper test than `check`: properties that pass it have no fault; `check` and `fit` decide about the
        rest."""
        quick: Callable[[Mapping[str, object]], bool] = self._quick[type].is_valid
        return quick

    def all(self) -> tuple[EventType, ...]:
        """The newest version of every type, sorted by type."""
        return tuple(self._newest.values())

    def dataschema(self, type: str) -> str:
        """The envelope's `dataschema` for this type: `order.completed/1`, or `custom`."""
        event = self._newest.get(type)
        return "custom" if event is None else event.dataschema

    def schema(self, type: str) -> Mapping[str, Any] | None:
        """The newest JSON Schema of this type, as published (for `/v1/schemas`); not to be changed."""
        return self._schemas.get(type)


def compiled(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator that asserts our formats (`schemas.formats`) besides types and ranges."""
    return jsonschema_rs.Draft202012Validator(_exact(schema), formats=FORMATS, validate_formats=True)


def _exact(schema: Any) -> Any:
    """The same schema with each limit as the exact whole number of its text, not as the nearest double.

    The double 1e30 is 10^30 + 19,884,624,838,656: a validator that compares exactly (jsonschema-rs since 0.61)
    lets whole numbers between the two pass, one that compares as doubles does not. With 10^30 both say the same.
    """
    if isinstance(schema, Mapping):
        return {key: _exact(part) for key, part in schema.items()}
    if isinstance(schema, float) and schema.is_integer():
        return int(Decimal(repr(schema)))
    return schema


def _narrowed(schema: Any) -> Any:
    """The same schema with each limit of 1e30 reduced to 10^18: whatever it accepts, the schema accepts.

    In jsonschema-rs a bound beyond 64 bits costs some 1 µs more than one within, and some of its versions let a large
    integer pass such a bound. Nearly every event passes the narrow validator, so an order of five products is checked 3
    to 4 times faster; `schemas.reading` decides about the rest.
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
