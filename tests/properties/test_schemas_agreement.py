"""The fast validator and the readable one say the same of the same values."""

import json
import math
from decimal import Decimal
from functools import cache
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from schemas.catalog import EVENTS_FOLDER, Catalog, compiled, read_schemas
from schemas.formats import FORMATS, is_email, is_iso_8601
from tests.effort import examples

SCHEMAS = read_schemas(EVENTS_FOLDER)

TEXTS = st.sampled_from(
    [
        "",
        "EUR",
        "sara@example.com",
        "a@b@c",
        "@",
        "2024-02-29",
        "2023-02-29",
        "2024-05-01T09:30:00Z",
        "2024-05-01 9",
    ]
) | st.text(max_size=5)
NUMBERS = (
    st.sampled_from([0, -1, 10**40, 10**400, 1e30, -1e30, math.nextafter(1e30, 0), 10**18, 2**53, 2**63, 2**64])
    | st.integers(-2, 2).map(lambda step: 10**30 + step)
    | st.integers(-2, 2).map(lambda step: step - 10**30)
    | st.integers(10**30, int(1e30))  # below the double, not below the number
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS


def _value_for(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly the field's own shape, often enough another."""
    wrong = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
    if "items" in schema:
        return st.lists(_value_for(schema["items"]), max_size=3) | wrong
    if "properties" in schema:
        return _object_of(schema) | wrong
    return wrong


def _object_of(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = {name: _value_for(field) for name, field in schema["properties"].items()}
    return st.fixed_dictionaries({}, optional={**known, "unknown": SCALARS})


@cache
def _samples(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return _object_of(SCHEMAS[name])


@cache
def _fast(name: str) -> Any:
    return compiled(SCHEMAS[name])


@cache
def _readable(name: str) -> Any:
    checker = FormatChecker(formats=())
    for format, is_one in FORMATS.items():
        # A format says something about texts only: other types pass, as the standard has it.
        checker.checks(format)(lambda value, is_one=is_one: not isinstance(value, str) or is_one(value))
    published = json.loads((EVENTS_FOLDER / name).read_bytes(), parse_float=Decimal)  # limits to the last digit
    return Draft202012Validator(published, format_checker=checker)


@settings(max_examples=examples(125), deadline=None)
@given(st.sampled_from(sorted(SCHEMAS)).flatmap(lambda name: st.tuples(st.just(name), _samples(name))))
def test_both_validators_agree_and_every_refusal_has_a_reason(case: tuple[str, dict[str, Any]]) -> None:
    name, drawn = case
    for properties in (drawn, _as_at_the_door(drawn)):
        readable = _readable(name).is_valid(properties)
        assert _fast(name).is_valid(properties) == readable
        facts = SCHEMAS[name]["x-simorgh"]
        newest = Catalog.load().by_type(facts["type"])
        if newest is not None and newest.version == facts["version"]:
            assert (Catalog.load().check(facts["type"], properties) is None) == readable
            assert readable or not Catalog.load().quick_check(facts["type"])(properties)


def _as_at_the_door(drawn: dict[str, Any]) -> Any:
    """Whole numbers beyond 64 bits come as floats, and those beyond all floats do not come."""
    return orjson.loads(json.dumps(drawn).replace(str(10**400), "1e300"))


@given(st.sampled_from(sorted(FORMATS)), TEXTS)
def test_formats_agree(format: str, text: str) -> None:
    schema = {"properties": {"field": {"format": format}}}
    assert compiled(schema).is_valid({"field": text}) == FORMATS[format](text)


def test_what_counts_as_a_format() -> None:
    emails = {
        "": True,
        "a@b": True,
        " a@b.c ": True,
        "سارا@example.com": True,
        "a": False,
        "a@": False,
        "a b@c": False,
    }
    assert {text: is_email(text) for text in emails} == emails
    dates = {
        "": True,
        "2024-02-29": True,
        "2023-02-29": False,
        "2024-05-01T09:30": True,
        "2024-05-01T09:30:00Z": True,
        "2024-05-01 09:30:00.5 +0330": True,
        "2024-05-01T24:00:00Z": False,
        "2024-5-1": False,
        "01/05/2024": False,
        "2024-05-01T": False,
        "2024-05-01\n": False,
    }
    assert {text: is_iso_8601(text) for text in dates} == dates


def test_reasons_show_no_value() -> None:
    marker = "7h3-v4lu3"
    catalog = Catalog.load()
    for event in catalog.all():
        schema = catalog.schema(event.type)
        assert schema is not None
        for name in schema["properties"]:
            for value in (marker, [marker], {marker: marker}, [[marker]], [{"price": marker}]):
                assert marker not in (catalog.check(event.type, {name: value}) or ""), json.dumps(event.type)
