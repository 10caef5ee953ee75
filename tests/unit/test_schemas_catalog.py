"""The catalogue: names to types, checks with readable reasons that never show a value."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import Catalog, custom_type
from schemas.custom import MAX_WORDS, PREFIX

CATALOG = Catalog.load()
SAMPLES = Path(__file__).parents[1] / "data" / "schemas"


@pytest.mark.parametrize(
    ("name", "dataschema"),
    [
        ("Order Completed", "order.completed/1"),
        ("order completed", "order.completed/1"),
        ("  ORDER\tCompleted ", "order.completed/1"),
        ("order.completed", "order.completed/1"),
        ("order_completed", "order.completed/1"),
        ("Order-Completed", "order.completed/1"),
        ("OrderCompleted", "order.completed/1"),
        ("orderCompleted", "order.completed/1"),
        ("user.signed_up", "user.signed_up/1"),
        ("Completed Order", "order.completed/1"),
        ("purchase", "order.completed/1"),
        ("add_to_cart", "product.added/2"),
        ("view_item", "product.viewed/2"),
        ("sign_up", "user.signed_up/1"),
        ("page_view", "page.viewed/1"),
        ("Order Refunded", "order.refunded/1"),
        ("Product List Viewed", "product_list.viewed/1"),
        ("Viewed Product Category", "product_list.viewed/1"),
        ("Product Viewed", "product.viewed/2"),
        ("Viewed Product", "product.viewed/1"),
        ("Added Product", "product.added/1"),
        ("Removed Product", "product.removed/1"),
        ("Product Added to Wishlist", "product.added_to_wishlist/1"),
        ("Live Chat Conversation Started", "live_chat_conversation.started/1"),
        ("Signed Up", "user.signed_up/1"),
        ("Unsubscribed", "email.unsubscribed/1"),
        ("Experiment Viewed", "experiment.viewed/1"),
    ],
)
def test_track_name_finds_its_type_and_version(name: str, dataschema: str) -> None:
    event = CATALOG.by_track_name(name)
    assert event is not None
    assert event.dataschema == dataschema


@pytest.mark.parametrize(
    "name", ["Order", "Orders Completed", "Completed", "identify", "Profile Identified", "page", "", "سفارش"]
)
def test_other_track_names_are_unknown(name: str) -> None:
    assert CATALOG.by_track_name(name) is None


def test_type_finds_its_newest_version() -> None:
    event = CATALOG.by_type("product.viewed")
    assert event is not None
    assert (event.version, event.name, event.set) == (2, "Product Viewed", "ecommerce")
    assert CATALOG.by_type("custom.foo_bar") is None


def test_order_has_a_business_key() -> None:
    event = CATALOG.by_type("order.completed")
    assert event is not None
    assert event.business_key == "order_id"


def test_refund_has_none_since_an_order_may_be_refunded_in_parts() -> None:
    event = CATALOG.by_type("order.refunded")
    assert event is not None
    assert event.business_key is None


def test_personal_fields_are_json_pointers() -> None:
    identified, joined = CATALOG.by_type("profile.identified"), CATALOG.by_type("group.joined")
    assert identified is not None
    assert joined is not None
    assert {"/email", "/phone", "/firstName", "/address"} <= identified.personal
    assert joined.personal == {"/traits/address", "/traits/email", "/traits/phone", "/reports_to"}


def test_all_lists_every_type_once_sorted() -> None:
    types = [event.type for event in CATALOG.all()]
    assert types == sorted(set(types))
    assert len(types) == 158


def test_dataschema_of_a_type() -> None:
    assert CATALOG.dataschema("order.completed") == "order.completed/1"
    assert CATALOG.dataschema("custom.foo_bar") == "custom"


def test_load_reads_once() -> None:
    assert Catalog.load() is CATALOG


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.v1.json")), ids=lambda path: path.name)
def test_stored_samples_are_valid(path: Path) -> None:
    type = path.name.removesuffix(".v1.json")
    assert [CATALOG.check(type, sample) for sample in json.loads(path.read_bytes())] == [None] * len(
        json.loads(path.read_bytes())
    )


@pytest.mark.parametrize(
    ("type", "properties", "reason"),
    [
        (
            "order.completed",
            {"revenue": "25"},
            "/revenue: wanted a number, got a text",
        ),
        (
            "order.completed",
            {"products": [{}, {"price": "SECRET"}]},
            "/products/1/price: wanted a number, got a text",
        ),
        (
            "order.completed",
            {"total": 10**30},
            "/total: wanted a number above -1e+30 and below 1e+30, got a number out of that range",
        ),
        (
            "order.completed",
            {"total": -1e30},
            "/total: wanted a number above -1e+30 and below 1e+30, got a number out of that range",
        ),
        ("order.completed", {"currency": 978}, "/currency: wanted a text, got a number"),
        ("order.completed", {"order_id": True}, "/order_id: wanted a text or a number, got true or false"),
        ("order.completed", {"products": {"price": 1}}, "/products: wanted a list, got an object"),
        ("order.completed", {"products": [[]]}, "/products/0: wanted an object, got a list"),
        (
            "live_chat_message.sent",
            {"conversation_duration": -1},
            "/conversation_duration: wanted a number of at least 0 and below 1e+30, got a number out of that range",
        ),
        ("user.signed_up", {"email": "SECRET"}, "/email: wanted an email address, got a text that is none"),
        (
            "trial.started",
            {"trial_start_date": "SECRET"},
            "/trial_start_date: wanted a date such as 2024-05-01 or 2024-05-01T09:30:00Z, got a text that is none",
        ),
        (
            "profile.identified",
            {f"t{n}": "SECRET" for n in range(301)},
            ": wanted at most 300 entries, got 301",
        ),
        (
            "group.joined",
            {"traits": {f"t{n}": "SECRET" for n in range(301)}},
            "/traits: wanted at most 300 entries, got 301",
        ),
    ],
)
def test_reason_names_place_and_types_and_no_value(type: str, properties: dict[str, object], reason: str) -> None:
    assert CATALOG.check(type, properties) == reason
    assert "SECRET" not in reason


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_json_has_not_are_refused(number: float) -> None:
    assert CATALOG.check("order.completed", {"revenue": number}) is not None


@pytest.mark.parametrize(
    ("type", "properties"),
    [
        ("order.completed", {}),
        ("order.completed", {"order_id": 17, "revenue": 0, "tax": None, "anything": {"at": ["all"]}}),
        ("order.completed", {"total": 999999999999999.999999, "discount": -5}),
        ("order.completed", {"total": 10**30 - 1, "discount": -(10**18), "revenue": 9.9e29}),
        ("product.viewed", {"id": "a version 1 field"}),
        (
            "profile.identified",
            {"email": "", "phone": 989121234567, "age": "42", "address": "Isfahan", "plan": 1},
        ),
        ("profile.identified", {"email": "not an address", "createdAt": 1700000000}),
        ("user.signed_up", {"email": " sara@example.com ", "phone": "0912 123 45 67"}),
        ("user.signed_up", {"email": ""}),
        (
            "trial.started",
            {"trial_start_date": "2018-08-28", "trial_end_date": "2018-08-28T04:09:47.123+04:30"},
        ),
        ("page.viewed", {"url": "", "referrer": "", "keywords": ["a"]}),
        ("custom.foo_bar", {"revenue": "anything"}),
    ],
)
def test_what_real_sdks_send_is_taken(type: str, properties: dict[str, object]) -> None:
    assert CATALOG.check(type, properties) is None


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize("field", ["anything", "products", "revenue"])
def test_deep_nesting_is_answered(field: str) -> None:
    reason = CATALOG.check("order.completed", {field: _nested(900)})
    assert (reason is None) == (field == "anything")


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("Foo Bar", "custom.foo_bar"),
        ("foo bar", "custom.foo_bar"),
        ("FooBar", "custom.foo_bar"),
        ("fooBar", "custom.foo_bar"),
        ("foo-bar", "custom.foo_bar"),
        ("foo.bar", "custom.foo_bar"),
        ("__foo  bar!!", "custom.foo_bar"),
        ("HTTPRequest Sent", "custom.http_request_sent"),
        ("Step2Done", "custom.step2_done"),
        ("سفارش ثبت شد", "custom.سفارش_ثبت_شد"),
        ("می‌خواهم", "custom.می_خواهم"),
        ("Größe Gewählt", "custom.größe_gewählt".casefold()),
        ("Ｆｏｏ　Ｂａｒ", "custom.foo_bar"),
        ("", "custom.unnamed"),
        ("🎉!?", "custom.unnamed"),
        ("\x00\ud800", "custom.unnamed"),
    ],
)
def test_custom_type(name: str, type: str) -> None:
    assert custom_type(name) == type


def test_long_names_stay_apart() -> None:
    one, two = custom_type("x" * 500 + "1"), custom_type("x" * 500 + "2")
    assert one != two
    assert len(one) == len(PREFIX) + MAX_WORDS


@given(st.text())
def test_custom_type_is_a_usable_key(name: str) -> None:
    type = custom_type(name)
    words = type.removeprefix(PREFIX)
    assert type.startswith(PREFIX)
    assert 1 <= len(words) <= MAX_WORDS
    assert all(character == "_" or character.isalnum() or not character.isascii() for character in words)
    assert type == type.strip("_")
    assert custom_type(words) == type
