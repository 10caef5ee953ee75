"""Values that do not fit their schema: read, left out, or refused."""

from typing import Any

import pytest

from producers.odd import Odd
from tests.clients.world import make_source
from tests.unit.door_events import admitted, refused


@pytest.mark.parametrize(
    ("properties", "fitted", "flags"),
    [
        ({"revenue": "49.99"}, {"revenue": 49.99}, ["value_read:/properties/revenue"]),
        ({"revenue": "۴۹٫۹۹"}, {"revenue": 49.99}, ["value_read:/properties/revenue"]),
        ({"revenue": "", "total": 27.5}, {"total": 27.5}, ["value_left_out:/properties/revenue"]),
        ({"total": 1, "revenue": "1,990"}, {"total": 1}, ["value_left_out:/properties/revenue"]),
        ({"total": 1, "tax": 1e30}, {"total": 1}, ["value_left_out:/properties/tax"]),
        ({"total": 1, "tax": True}, {"total": 1}, ["value_left_out:/properties/tax"]),
        ({"total": 1, "affiliation": 42}, {"total": 1, "affiliation": "42"}, ["value_read:/properties/affiliation"]),
        ({"total": 1, "affiliation": [1]}, {"total": 1}, ["value_left_out:/properties/affiliation"]),
        (
            {"total": 1, "products": [{"price": "5.00", "quantity": "1"}, "p2"]},
            {"total": 1, "products": [{"price": 5, "quantity": 1}, None]},
            [
                "value_read:/properties/products/0/price",
                "value_read:/properties/products/0/quantity",
                "value_left_out:/properties/products/1",
            ],
        ),
        (
            {"total": 1, "products": {"sku": "a"}},
            {"total": 1, "products": [{"sku": "a"}]},
            ["value_read:/properties/products"],
        ),
        (
            {"total": 1, "products": {"0": {"sku": "a"}, "2": {"sku": "b"}}},
            {"total": 1, "products": [{"sku": "a"}, {"sku": "b"}]},
            ["value_read:/properties/products"],
        ),
        (
            {"total": 1, "products": '[{"sku": "a"}]'},
            {"total": 1, "products": [{"sku": "a"}]},
            ["value_read:/properties/products"],
        ),
    ],
)
def test_odd_values_cost_no_event(properties: dict[str, Any], fitted: dict[str, Any], flags: list[str]) -> None:
    envelope = admitted(properties={**properties, "currency": "EUR"})
    assert envelope["properties"] == {**fitted, "currency": "EUR"}
    assert envelope["flags"] == flags
    for flag in flags:
        pointer = flag.partition(":")[2]
        value: Any = {"properties": properties}
        for part in pointer[1:].split("/"):
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert envelope["original"][pointer] == value


def test_odd_traits_cost_no_event() -> None:
    envelope = admitted(type="profile.identified", traits={"firstName": 42, "title": 5, "email": ["x"], "plan": "pro"})
    assert envelope["traits"] == {"firstName": "42", "title": "5", "plan": "pro"}
    assert envelope["original"] == {"/traits/firstName": 42, "/traits/title": 5, "/traits/email": ["x"]}


def test_money_is_read_to_the_last_digit_whatever_fits_the_schema() -> None:
    envelope = admitted(properties={"revenue": "123456789012345678.91", "currency": "EUR"})
    assert envelope["money"] == {"amount": "123456789012345678.91", "currency": "EUR"}
    assert envelope["flags"] == ["value_left_out:/properties/revenue"]


def test_very_many_odd_values_are_told_together() -> None:
    products = [{"price": str(n)} for n in range(1, 100)]
    envelope = admitted(properties={"total": 1, "currency": "EUR", "products": products})
    assert [product["price"] for product in envelope["properties"]["products"]] == list(range(1, 100))
    assert envelope["flags"] == ["value_read:/properties/products"]
    assert envelope["original"] == {"/properties/products": products}


def test_a_source_may_refuse_them() -> None:
    strict = make_source(schema_faults="reject")
    record = refused(source=strict, properties={"revenue": "49.99", "currency": "EUR"})
    assert record["reason"] == "properties/revenue: wanted a number, got a text; see /v1/schemas/order.completed"
    assert admitted(source=strict, properties={"revenue": 49.99, "currency": "EUR"})


@pytest.mark.parametrize("member", ["properties", "traits", "context", "properties/traits"])
def test_a_source_may_refuse_what_is_no_object(member: str) -> None:
    odd = Odd()
    odd.left_out(f"/{member}", [1])
    assert admitted(odd=odd)["flags"][-1] == f"value_left_out:/{member}"
    record = refused(odd=odd, source=make_source(schema_faults="reject"))
    assert record["code"] == "schema_violation"
    assert record["reason"] == f"{member}: wanted an object, got something else; send an object, or nothing"


def test_a_source_that_refuses_misfits_takes_a_currency_that_is_not_known() -> None:
    envelope = admitted(source=make_source(schema_faults="reject"), properties={"revenue": 1, "currency": "?"})
    assert envelope["flags"] == ["value_left_out:/money/currency", "money_uncounted"]
