"""The envelope's model and the file generated from it take and refuse the same records."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError

from schemas.clock import iso
from schemas.envelope import Envelope

SCHEMAS = Path(__file__).parents[2] / "schemas"
NODE, OTHER = "0" * 31 + "a", "f" * 32

ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "key": OTHER,
    "id": "ajs-next-1",
    "source": "/sources/shop",
    "type": "order.completed",
    "time": iso(1_700_000_000_123),
    "subject": "user_id:u42",
    "workspace": "default",
    "channel": "web",
    "dataschema": "order.completed/1",
    "received_at": iso(1_700_000_000_456),
    "place": 3,
    "sent_at": iso(1_700_000_000_400),
    "original_time": iso(1_700_009_000_000),
    "flags": ["clock_clamped"],
    "identifiers": [
        {"type": "user_id", "value": " U42", "normalised": "u42", "normaliser": 1, "node": NODE},
        {"type": "email", "value": "سارا@x.ir", "normalised": "سارا@x.ir", "normaliser": 1, "node": OTHER},
    ],
    "properties": {"order_id": "o1", "revenue": 361.5},
    "context": {"ip": "203.0.113.7"},
    "consent": {"marketing": True, "analytics": "granted"},
    "money": {"amount": "361.50", "currency": "EUR"},
    "name": "Order Completed",
}
MINIMAL = {
    key: ENVELOPE[key]
    for key in (
        "specversion",
        "key",
        "id",
        "source",
        "type",
        "time",
        "workspace",
        "channel",
        "dataschema",
        "received_at",
        "place",
    )
} | {"identifiers": []}
GOOD: list[tuple[str, Any, dict[str, Any]]] = [
    ("envelope.v2.json", Envelope, ENVELOPE),
    ("envelope.v2.json", Envelope, MINIMAL),
    ("envelope.v2.json", Envelope, {**MINIMAL, "alias": True, "traits": {"email": None}}),
    ("envelope.v2.json", Envelope, {**MINIMAL, "money": {"amount": "-0.000001", "currency": ""}}),
]

# One broken member each; None removes it.
BAD: dict[str, list[tuple[str, Any]]] = {
    "envelope.v2.json": [
        ("specversion", "0.3"),
        ("id", ""),
        ("id", "x" * 201),
        ("id", 7),
        ("source", "shop"),
        ("type", None),
        ("time", "2024-05-01T09:30:00Z"),
        ("time", "2024-05-01T09:30:00.000+00:00"),
        ("time", "2024-13-01T09:30:00.000Z"),
        ("time", "۲۰۲۴-۰۵-۰۱T۰۹:۳۰:۰۰.۰۰۰Z"),
        ("time", 1_700_000_000_000),
        ("dataschema", "order.completed"),
        ("received_at", None),
        ("identifiers", None),
        ("identifiers", [{"type": "email"}]),
        ("identifiers", [{**ENVELOPE["identifiers"][0], "node": "A" * 32}]),
        ("identifiers", [{**ENVELOPE["identifiers"][0], "normaliser": "1"}]),
        ("identifiers", [{**ENVELOPE["identifiers"][0], "extra": 1}]),
        ("alias", False),
        ("properties", []),
        ("consent", {"marketing": 1}),
        ("money", {"amount": 361.5, "currency": "EUR"}),
        ("money", {"amount": "1e9", "currency": "EUR"}),
        ("money", {"amount": "0.1234567", "currency": "EUR"}),
        ("money", {"amount": "1" * 31, "currency": "EUR"}),
        ("money", {"amount": "1", "currency": "eur"}),
        ("flags", "unplanned"),
        ("unknown", 1),
    ],
}


def takes(model: Any, record: dict[str, Any]) -> bool:
    try:
        TypeAdapter(model).validate_json(json.dumps(record))
    except ValidationError:
        return False
    return True


def file_takes(file: str) -> Callable[[dict[str, Any]], bool]:
    schema = json.loads((SCHEMAS / file).read_bytes())
    return lambda record: bool(Draft202012Validator(schema).is_valid(record))


@pytest.mark.parametrize(("file", "model", "record"), GOOD)
def test_model_and_file_take_a_good_record(file: str, model: Any, record: dict[str, Any]) -> None:
    assert takes(model, record)
    assert file_takes(file)(record)


CASES = [
    (file, next(model for name, model, _ in GOOD if name == file), member, value)
    for file, cases in BAD.items()
    for member, value in cases
]


@pytest.mark.parametrize(("file", "model", "member", "value"), CASES)
def test_model_and_file_refuse_a_bad_member(file: str, model: Any, member: str, value: Any) -> None:
    record = copy.deepcopy(next(good for name, _, good in GOOD if name == file))
    if value is None:
        del record[member]
    else:
        record[member] = value
    assert not takes(model, record)
    assert not file_takes(file)(record)


@pytest.mark.parametrize("record", [ENVELOPE, MINIMAL], ids=["full", "minimal"])
def test_an_envelope_goes_through_the_model_unchanged(record: dict[str, Any]) -> None:
    written = Envelope.model_validate_json(json.dumps(record)).record()
    assert written == {"flags": [], "traits": {}, "properties": {}, "context": {}, **record}


def test_an_envelope_keeps_the_null_of_a_trait() -> None:
    """`null` removes a trait, so leaving members out must not reach into them."""
    record = {**MINIMAL, "traits": {"city": None}}
    assert Envelope.model_validate_json(json.dumps(record)).record()["traits"] == {"city": None}


def test_an_envelope_is_frozen() -> None:
    envelope = Envelope.model_validate_json(json.dumps(MINIMAL))
    with pytest.raises(ValidationError):
        envelope.id = "other"


def test_the_file_marks_what_is_personal() -> None:
    schema = json.loads((SCHEMAS / "envelope.v2.json").read_bytes())
    marked = {name for name, field in schema["properties"].items() if field.get("x-personal")}
    assert marked == {"subject", "original", "traits", "context"}
    assert schema["$defs"]["Identifier"]["properties"]["value"]["x-personal"] is True
