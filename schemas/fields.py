"""The vocabulary of the event tables (`schemas/sets/`), and its translation to JSON Schema 2020-12.

A field describes its value *if it is present*: no field is ever required, `null` is always allowed and fields that no
table names are accepted, because real SDKs send all three. Each word below is one line of meaning; `schema_of` turns an
event into the file that is published for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MONEY_LIMIT: Final = 1e30
"""Amounts have at most 30 digits before the point; larger ones are left out, never truncated."""

MAX_TRAITS: Final = 300
"""Traits of one person or group in one event; more come from a bug in the sender's code."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One property: name, JSON Schema without `null`, meaning, and whether it identifies a person.

    `fact`: it describes what was bought, where or by which campaign, and not the person: it stays readable when the
    rest of an event is sealed.
    """

    name: str
    schema: Mapping[str, Any]
    description: str
    personal: bool = False
    fact: bool = False

    def as_schema(self) -> Schema:
        schema: Schema = {"description": self.description}
        types = self.schema.get("type")
        if types is not None:
            schema["type"] = [*([types] if isinstance(types, str) else types), "null"]
        schema |= {key: value for key, value in self.schema.items() if key != "type"}
        if self.personal:
            schema["x-personal"] = True
        if self.fact:
            schema["x-fact"] = True
        return schema


def text(name: str, description: str) -> Field:
    return Field(name, {"type": "string"}, description)


def identifier(name: str, description: str) -> Field:
    """An id of the sender's own: text by contract, but shops send their database's numbers as they are."""
    return Field(name, {"type": ["string", "number"]}, description)


def number(name: str, description: str, *, at_least: float = -MONEY_LIMIT, at_most: float = MONEY_LIMIT) -> Field:
    """A number. A text is read if it has exactly one reading (`schemas.reading`): `"1,990"` has several."""
    low = "exclusiveMinimum" if at_least == -MONEY_LIMIT else "minimum"
    high = "exclusiveMaximum" if at_most == MONEY_LIMIT else "maximum"
    return Field(name, {"type": "number", low: at_least, high: at_most}, description)


money = number
"""An amount in the unit of `currency` (not in cents); corrections and refunds may be negative."""


def email(name: str, description: str) -> Field:
    """An address, and so always personal. What counts as one: `schemas.formats`."""
    return Field(name, {"type": "string", "format": "email"}, description, personal=True)


def date(name: str, description: str) -> Field:
    """A day or a moment in ISO 8601. What counts as one: `schemas.formats`."""
    return Field(name, {"type": "string", "format": "iso-8601"}, description)


def either(name: str, types: tuple[str, ...], description: str) -> Field:
    """A field that senders write as several JSON types."""
    return Field(name, {"type": list(types)}, description)


def nested(name: str, fields: tuple[Field, ...], description: str, *, most: int | None = None) -> Field:
    """An object with these fields; `most` limits their number."""
    return Field(name, _object(fields, most), description)


def several(name: str, fields: tuple[Field, ...], description: str) -> Field:
    """A list of objects with these fields."""
    items: Schema = _object(fields, None)
    return Field(name, {"type": "array", "items": {**items, "type": ["object", "null"]}}, description)


def personal(known: Field) -> Field:
    """The same field, marked as personal: erasing a person must include it, and no error message may show it."""
    return replace(known, personal=True)


def fact(known: Field) -> Field:
    """The same field, marked as a fact: it is counted and reported even if the rest of its event is sealed."""
    return replace(known, fact=True)


CURRENCY: Final = fact(text("currency", "Currency as three letters (ISO 4217)."))


@dataclass(frozen=True)
class EventRow:
    """One row of an event table: one version of one event type.

    `name` is the track name of this version; `aliases` are other names with the same payload. An event without a name
    is made from a `call` (identify, page, …). `business_key` is the field that names the fact, so that one order
    reported by two routes is recognised. `most` limits the number of properties. `applies_to` is the member of the
    envelope that the schema holds for.
    """

    type: str
    name: str | None
    description: str
    fields: tuple[Field, ...]
    version: int = 1
    aliases: tuple[str, ...] = ()
    business_key: str | None = None
    most: int | None = None
    call: str | None = None
    applies_to: str = "properties"


@dataclass(frozen=True)
class EventSet:
    """One table: the events of one area, in the order of the documentation."""

    name: str
    title: str
    about: str
    events: tuple[EventRow, ...] = field(default=())


def schema_of(event: EventRow, set_name: str) -> Schema:
    """The JSON Schema file of one event version; keys in reading order."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:simorgh:event:{event.type}:{event.version}",
        "title": event.name or event.type,
        "description": event.description,
        "x-simorgh": {
            "type": event.type,
            "version": event.version,
            "event_name": event.name,
            "call": event.call,
            "aliases": list(event.aliases),
            "set": set_name,
            "business_key": event.business_key,
            "applies_to": event.applies_to,
        },
        **_object(event.fields, event.most),
    }


def _object(fields: tuple[Field, ...], most: int | None) -> Schema:
    schema: Schema = {"type": "object", "properties": {known.name: known.as_schema() for known in fields}}
    if most is not None:
        schema["maxProperties"] = most
    return schema
