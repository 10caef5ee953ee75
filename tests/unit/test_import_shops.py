"""Shopify's and WooCommerce's own exports, by the shipped mappings."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from producers.files.events import Event
from producers.files.importer import read_events
from producers.files.mapping import load_mapping, shipped
from producers.files.report import Report

SHOPIFY = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,Shipping,"
    "Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,"
    "Lineitem fulfillment status,Billing Name,Billing City,Billing Country,Notes,Cancelled at,Payment Method,"
    "Refunded Amount,Vendor,Id,Tags,Source,Lineitem discount,Phone\n"
)


def shopify(
    name: str, sku: str, quantity: str, price: str, *, first: bool = True, status: str = "paid",
    refunded: str = "0.00", cancelled: str = "", created: str = "2024-01-05 10:00:00 -0500", phone: str = "",
) -> str:  # fmt: skip
    order = {
        "Name": name, "Email": "sara@example.com", "Created at": created, "Lineitem quantity": quantity,
        "Lineitem name": '"Tea, green"', "Lineitem price": price, "Lineitem sku": sku, "Vendor": "Acme",
        "Lineitem discount": "0.00",
    }  # fmt: skip
    if first:
        order |= {
            "Financial Status": status, "Currency": "EUR", "Subtotal": "28.00", "Shipping": "4.90", "Taxes": "5.25",
            "Total": "32.90", "Discount Code": "SPRING", "Discount Amount": "2.00", "Billing City": "Bonn",
            "Notes": '"two\nlines, ""quoted"""', "Refunded Amount": refunded, "Cancelled at": cancelled, "Id": "5551",
            "Phone": phone,
        }  # fmt: skip
    return ",".join(order.get(column, "") for column in SHOPIFY.strip().split(",")) + "\n"


def read(path: Path, name: str, text: str) -> tuple[list[Event], Report]:
    path.write_text(text, encoding="utf-8")
    report = Report()
    return list(read_events(path, load_mapping(name), report)), report


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "orders_export_1.csv"


def of(events: list[Event], type_: str) -> list[dict[str, Any]]:
    return [event["data"]["properties"] for event in events if event["type"] == type_]


def test_every_shipped_mapping_is_valid() -> None:
    assert shipped() == ["shopify-customers", "shopify-orders", "woocommerce-customers", "woocommerce-orders"]
    for name in shipped():
        assert load_mapping(name).channel == "web"


def test_an_order_of_shopify_has_its_values_on_the_first_line_only(csv: Path) -> None:
    text = SHOPIFY + shopify("#1001", "a", "2", "10.00", phone="'+4915112345678")
    text += shopify("#1001", "b", "1", "10.00", first=False) + shopify("#1002", "a", "1", "28.00")
    events, report = read(csv, "shopify-orders", text)
    first, second = of(events, "order.completed")
    assert (first["revenue"], first["total"], first["shipping"], first["tax"], first["discount"]) == (
        28, 32.9, 4.9, 5.25, 2,
    )  # fmt: skip
    assert (first["currency"], first["coupon"], first["shopify_id"]) == ("EUR", "SPRING", "5551")
    assert [(one["sku"], one["name"], one["quantity"], one["price"]) for one in first["products"]] == [
        ("a", "Tea, green", 2, 10),
        ("b", "Tea, green", 1, 10),
    ]
    assert events[0]["time"] == "2024-01-05T15:00:00.000Z"
    assert events[0]["data"]["identifiers"] == [
        {"type": "email", "value": "sara@example.com"},
        {"type": "phone", "value": "+4915112345678"},
    ]
    assert second["order_id"] == "#1002"
    assert report.money["EUR"]["order.completed"] == Decimal("56.00")
    assert report.rejected == {}


def test_refunds_cancellations_and_voided_orders(csv: Path) -> None:
    text = SHOPIFY + shopify("#1", "a", "1", "28.00", refunded="10.00")
    text += shopify("#2", "a", "1", "28.00", cancelled="2024-01-06 09:00:00 -0500")
    text += shopify("#3", "a", "1", "28.00", status="voided")
    events, report = read(csv, "shopify-orders", text)
    assert [one["order_id"] for one in of(events, "order.completed")] == ["#1", "#2"]
    assert of(events, "order.refunded") == [
        {"order_id": "#1", "currency": "EUR", "revenue": 10, "total": 10, "time_assumed": True}
    ]
    [cancelled] = [event for event in events if event["type"] == "order.cancelled"]
    assert cancelled["time"] == "2024-01-06T14:00:00.000Z"
    assert report.skipped == 1


def test_an_export_that_excel_has_saved_again(csv: Path) -> None:
    text = SHOPIFY + shopify("#1", "a", "1", "28.00", created="45296.4166666667")
    events, report = read(csv, "shopify-orders", text.replace(",", ";").replace('"Tea; green"', "Tea"))
    assert events[0]["time"].startswith("2024-01-05T10:00:00")
    assert report.repaired["spreadsheet_day_converted"].count == 1
    assert report.recognised == {"separator": "semicolon"}


def test_an_order_of_woocommerce_is_one_line(csv: Path) -> None:
    header = "Date,Order #,N. Revenue (formatted),Status,Customer,Customer type,Product(s),Items sold,Coupon(s),"
    header += "Net Sales,Attribution\n"
    row = '2024-03-01 10:00:00,{0},"€1,028.00",{1},Sara,new,"2× Tea, 1× Cup",3,,1020,Organic\n'
    rows = [("1", "completed"), ("2", "pending payment"), ("3", "cancelled"), ("4", "refunded")]
    events, report = read(csv, "woocommerce-orders", header + "".join(row.format(*one) for one in rows))
    assert [one["order_id"] for one in of(events, "order.completed")] == ["1", "3", "4"]
    assert of(events, "order.completed")[0] | {"products": []} == {
        "order_id": "1", "currency": "EUR", "revenue": 1020, "total": 1028, "lines": 1, "products": [],
        "customer_type": "new", "product_names": "2× Tea, 1× Cup", "items_sold": 3, "affiliation": "Organic",
    }  # fmt: skip
    assert [one["order_id"] for one in of(events, "order.cancelled")] == ["3"]
    assert of(events, "order.refunded")[0]["revenue"] == 1028
    assert report.skipped == 1


def test_people_of_both(csv: Path) -> None:
    header = "First Name,Last Name,Email,Accepts Email Marketing,Default Address City,Phone,Total Spent\n"
    events, _ = read(csv, "shopify-customers", header + "Sara,Ahmadi,sara@example.com,yes,Bonn,'+4915112345678,12\n")
    assert events[0]["data"]["traits"] == {
        "email": "sara@example.com", "first_name": "Sara", "last_name": "Ahmadi", "phone": "+4915112345678",
        "city": "Bonn", "accepts_email": True,
    }  # fmt: skip
    header = "Name,Username,Last Active,Sign Up,Email,Orders,Total Spend,AOV,Country / Region,City,Region,Postal Code\n"
    events, _ = read(
        csv, "woocommerce-customers", header + "Sara,s,,2024-01-05,sara@example.com,1,2,2,DE,Bonn,,53111\n"
    )
    assert events[0]["data"]["traits"]["signed_up_at"] == "2024-01-05"
