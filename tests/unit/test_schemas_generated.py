"""The committed files are what the tables and models say, and the tables keep the rules of the contract."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from schemas.fields import EventRow
from schemas.generate import rendered, write
from schemas.sets import ALL

REPOSITORY = Path(__file__).parents[2]
FILES = rendered()
SCHEMAS = {path: json.loads(text) for path, text in FILES.items() if path.endswith(".json")}
EVENT_SCHEMAS = {path: schema for path, schema in SCHEMAS.items() if "/events/" in path}
EVENTS: list[EventRow] = [event for table in ALL for event in table.events]


@pytest.mark.parametrize("path", FILES)
def test_committed_file_is_in_step_with_its_source(path: str) -> None:
    assert (REPOSITORY / path).read_text(encoding="utf-8") == FILES[path], "run python -m schemas.generate"


def test_no_schema_file_is_left_without_a_source() -> None:
    committed = {
        path.relative_to(REPOSITORY).as_posix()
        for folder in ("events", "records")
        for path in (REPOSITORY / "schemas" / folder).glob("*.json")
    }
    assert committed <= set(FILES)


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    assert sorted(write(tmp_path)) == sorted(FILES)
    assert write(tmp_path) == []


@pytest.mark.parametrize("path", SCHEMAS)
def test_file_is_a_json_schema_2020_12_with_a_name(path: str) -> None:
    schema = SCHEMAS[path]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:simorgh:")
    assert schema["title"]


def test_ids_of_schemas_are_unique() -> None:
    assert len({schema["$id"] for schema in SCHEMAS.values()}) == len(SCHEMAS)


@pytest.mark.parametrize("path", EVENT_SCHEMAS)
def test_event_schema_requires_nothing_allows_null_and_takes_unknown_fields(path: str) -> None:
    for part in _parts(EVENT_SCHEMAS[path]):
        assert "required" not in part
        assert "additionalProperties" not in part
        for field in part.get("properties", {}).values():
            assert "null" in field.get("type", ["null"])
            assert field["description"]


@pytest.mark.parametrize("path", EVENT_SCHEMAS)
def test_personal_fields_are_not_inside_lists(path: str) -> None:
    """A JSON pointer can name them then, and erasure can find them."""
    for part in _parts(EVENT_SCHEMAS[path]):
        inside = part.get("items", {}).get("properties", {})
        assert not any(field.get("x-personal") for field in inside.values())


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{event.type}-v{event.version}")
def test_event_row_keeps_the_rules_of_the_tables(event: EventRow) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", event.type)
    assert (event.name is None) != (event.call is None)
    fields = [field.name for field in event.fields]
    assert len(fields) == len(set(fields))
    assert event.business_key is None or event.business_key in fields


def test_no_track_name_has_two_meanings() -> None:
    names = [name.casefold() for event in EVENTS for name in (event.name, *event.aliases) if name]
    assert len(names) == len(set(names))


def test_segments_sets_are_complete() -> None:
    names = {event.name for event in EVENTS}
    assert names >= {
        *("Products Searched", "Product List Viewed", "Product List Filtered", "Promotion Viewed"),
        *("Promotion Clicked", "Product Clicked", "Product Viewed", "Product Added", "Product Removed"),
        *("Cart Viewed", "Checkout Started", "Checkout Step Viewed", "Checkout Step Completed"),
        *("Payment Info Entered", "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"),
        *("Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed"),
        *("Product Added to Wishlist", "Product Removed from Wishlist", "Wishlist Product Added to Cart"),
        *("Product Shared", "Cart Shared", "Product Reviewed"),
        *("Live Chat Conversation Started", "Live Chat Conversation Ended"),
        *("Live Chat Message Sent", "Live Chat Message Received"),
        *("Email Bounced", "Email Delivered", "Email Link Clicked", "Email Marked as Spam"),
        *("Email Opened", "Unsubscribed", "Account Created", "Account Deleted", "Signed Up", "Signed In"),
        *("Signed Out", "Invite Sent", "Account Added User", "Account Removed User", "Trial Started"),
        *("Trial Ended", "Experiment Viewed"),
    }


def test_every_event_and_field_is_on_the_page() -> None:
    page = FILES["docs/events.md"]
    for event in EVENTS:
        assert f"### `{event.type}` version {event.version}" in page
        assert all(f"`{field.name}`" in page for field in event.fields)


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    for part in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from _parts(part)
