"""The demo's real file, whole: published counts and the exact sum of its money."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

import simorgh.demo
from producers.files.events import Event
from producers.files.importer import read_events
from producers.files.mapping import load_mapping
from producers.files.order_events import CONTINUED
from producers.files.report import Report
from producers.limits import MAX_EVENT
from simorgh.demo.story import LAST_PURCHASE

DATA = Path(simorgh.demo.__file__).parent / "data"

pytestmark = pytest.mark.soak  # half a million rows

Read = tuple[list[Event], Report]


@pytest.fixture(scope="module")
def read() -> Read:
    report = Report()
    return (
        list(read_events(DATA / "online_retail.parquet", load_mapping(DATA / "mapping.toml"), report)),
        report,
    )


def _signed(event: Event) -> Decimal:
    amount = Decimal(repr(event["data"]["properties"]["revenue"]))
    return amount if event["type"] == "order.completed" else -amount


def test_every_invoice_becomes_one_order_or_refund(read: Read) -> None:
    events, report = read
    assert report.rows == 541_909
    assert report.rejected == {}
    kinds = Counter(event["type"] for event in events)
    # 3,836 invoices begin with C; 1,336 write off stock at no price, two correct a bad debt downwards
    assert kinds["order.refunded"] == 3_836 + 1_336 + 2
    assert kinds["order.completed"] + kinds["order.refunded"] == 25_900
    assert sum(event["type"] == "order.refunded" and event["id"].startswith("C") for event in events) == 3_836


def test_the_money_is_exact(read: Read) -> None:
    """As the index of the data set says. Four lines at a tenth of a penny are rounded, half up."""
    orders = [event for event in read[0] if event["type"].startswith("order.")]
    assert sum(map(_signed, orders)) == Decimal("9747747.93")
    assert {event["data"]["properties"]["currency"] for event in orders} == {"GBP"}


def test_every_line_is_kept_equal_ones_too(read: Read) -> None:
    lines = sum(len(event["data"]["properties"].get("products", ())) for event in read[0])
    assert lines == 541_909
    assert sum(event["type"] == CONTINUED for event in read[0]) == 131
    assert max(len(orjson.dumps(event)) for event in read[0]) < MAX_EVENT


def test_customers_and_the_lack_of_them(read: Read) -> None:
    events, report = read
    cards = {one["value"] for event in events for one in event["data"]["identifiers"]}
    assert len(cards) == 4_372
    assert report.anonymous == 3_710
    nameless = sum(
        len(event["data"]["properties"].get("products", ())) for event in events if not event["data"]["identifiers"]
    )
    assert nameless == 135_080
    told = Counter(event["data"]["identifiers"][0]["value"] for event in events if "traits" in event["data"])
    assert len(told) == 4_372
    assert sum(count > 1 for count in told.values()) == 8  # eight customers moved


def test_ids_are_unique_and_the_same_the_next_time(read: Read) -> None:
    ids = [event["id"] for event in read[0]]
    assert len(set(ids)) == len(ids) == 30_419
    first = read_events(DATA / "online_retail.parquet", load_mapping(DATA / "mapping.toml"), Report())
    assert [next(first)["id"] for _ in range(100)] == ids[:100]


def test_the_times_are_the_shops(read: Read) -> None:
    _, report = read
    assert report.last_time == LAST_PURCHASE
    assert {reason: found.count for reason, found in report.repaired.items()} == {
        "several_times_first_taken": 43,
        "amount_rounded": 4,
    }
