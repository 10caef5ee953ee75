"""Computed traits: reading them, binding them, rings, and values by hand."""

from collections import Counter
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import simorgh.demo
from schemas.errors import InvalidRule
from segments import lifecycle
from segments.computed import bound, parse_computation, rules_of, units_of
from segments.facts import ProfileFacts
from segments.live_traits import LiveTraits
from segments.rule import parse_rule
from segments.shipped import SHIPPED
from segments.tree import MICROS, Computed

DAY = 86_400_000
T0 = 20_000 * DAY


def computed(event: dict[str, Any], *events: tuple[int, dict[str, Any]], now: int = T0 + 100 * DAY) -> str | None:
    """The value of a trait after these events: (time, properties)."""
    live = LiveTraits({}, {"x": parse_computation(event)})
    facts = ProfileFacts()
    for number, (time, properties) in enumerate(events):
        envelope = {"key": f"{number:032x}", "type": properties.pop("type", "a"), "properties": properties}
        live.fold_event(facts.leaves, "a", time, envelope, now)
    live.update(facts, (), (), now)
    return facts.computed.get("x")


LINES = ((0.1, "b"), (0.2, "a"), (3, "b"))
BOUGHT = [(T0 + n * DAY, {"price": price, "sku": sku}) for n, (price, sku) in enumerate(LINES)]


@pytest.mark.parametrize(
    ("take", "of", "expected"),
    [
        ("count", None, "3"), ("sum", "price", "3.3"), ("avg", "price", "1.1"), ("min", "price", "0.1"),
        ("max", "price", "3"), ("first", "sku", '"b"'), ("last", "price", "3"), ("list", "sku", '["b","a","b"]'),
        ("unique", "sku", '["b","a"]'), ("most_frequent", "sku", '"b"'), ("sum", "sku", None), ("first", "none", None),
    ],
)  # fmt: skip
def test_what_is_taken(take: str, of: str | None, expected: str | None) -> None:
    more = {"of": of} if of else {}
    events = [(time, dict(properties)) for time, properties in BOUGHT]
    assert computed({"event": "a", "take": take, **more}, *events) == expected
    within = {"event": "a", "take": take, **more, "within": "200d"}
    assert computed(within, *[(time, dict(properties)) for time, properties in BOUGHT]) == expected


def test_a_list_holds_the_newest_hundred() -> None:
    events = [(T0 + n, {"n": n}) for n in range(500)]
    expected = str(list(range(499, 399, -1))).replace(" ", "")
    assert computed({"event": "a", "take": "unique", "of": "n"}, *events) == expected


def test_lines_are_entered() -> None:
    lamps = [{"property": "lines.category", "eq": "lamps"}]
    events = [(T0, {"lines": [{"category": "paper"}, {"category": "lamps"}]}), (T0, {"lines": [{"category": "paper"}]})]
    assert computed({"event": "a", "where": lamps}, *events) == "1"


def test_a_ratio_of_nothing_is_0_and_over_nothing_none() -> None:
    events = [(T0, {"x": 1})] * 3
    none = [{"property": "x", "eq": 2}]
    assert computed({"ratio": [{"event": "a", "where": none}, {"event": "a"}]}, *events) == "0"
    assert computed({"ratio": [{"event": "a"}, {"event": "a", "where": none}]}, *events) is None
    assert computed({"ratio": [{"event": "a", "take": "sum", "of": "x"}, {"event": "a"}]}, *events) == "1"


def test_what_is_open_by_its_latest_event() -> None:
    made = {"event": ["a"], "take": "open", "of": "id", "opens": "a"}
    with pytest.raises(InvalidRule):
        parse_computation(made)
    live = LiveTraits({}, {"x": parse_computation({**made, "event": ["a", "b"]})})
    facts = ProfileFacts()
    for number, (kind, ticket) in enumerate((("a", 1), ("a", 2), ("b", 1), ("a", 3), ("b", 2), ("a", 2))):
        envelope = {"key": f"{number:032x}", "type": kind, "properties": {"id": ticket}}
        live.fold_event(facts.leaves, kind, T0 + number, envelope, T0 + DAY)
    live.update(facts, (), (), T0 + DAY)
    assert facts.computed == {"x": "2"}


def test_circles_and_depth_are_refused() -> None:
    def over(name: str) -> Any:
        return parse_computation({"cases": [{"when": {"trait": name, "exists": True}, "value": 1}]})

    with pytest.raises(InvalidRule, match="circle"):
        LiveTraits({}, {"a": over("b"), "b": over("a")})
    with pytest.raises(InvalidRule, match="circle"):
        LiveTraits({"s": parse_rule({"trait": "a", "exists": True})}, {"a": parse_computation(
            {"cases": [{"when": {"segment": "s"}, "value": 1}]})})  # fmt: skip
    many = {f"t{n}": over(f"t{n + 1}") for n in range(20)}
    with pytest.raises(InvalidRule, match="at most 8"):
        bound(parse_rule({"trait": "t0", "exists": True}), many.get)
    rule = bound(parse_rule({"trait": "t18", "exists": True}), many.get)
    assert isinstance(rule, Computed)
    assert units_of(rules_of(many["t18"])[0]) == {"trait:t19"}


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({}, ""), ({"event": "a", "take": "most"}, "/take"), ({"event": "a", "take": "sum"}, ""),
        ({"event": "a", "of": "x"}, "/of"), ({"event": [], "take": "count"}, "/event"),
        ({"event": "a", "take": "first", "of": "$money"}, "/of"), ({"event": "a", "take": "sum", "of": "$time"}, "/of"),
        ({"event": "a", "zone": "Nowhere"}, "/zone"), ({"ratio": [{"event": "a"}]}, "/ratio"),
        ({"ratio": [{"event": "a"}, {"event": "a", "take": "list", "of": "x"}]}, "/ratio/1"),
        ({"cases": [{"when": {"trait": "x"}, "value": 1}]}, "/cases/0/when"),
        ({"cases": [{"when": {"trait": "x", "eq": 1}, "value": None}]}, "/cases/0/value"),
        ({"event": "a", "within": "9x"}, "/within"), ({"event": "a", "take": "lifecycle", "within": "1d"}, ""),
    ],
)  # fmt: skip
def test_a_fault_is_named(written: Any, path: str) -> None:
    with pytest.raises(InvalidRule) as caught:
        parse_computation(written)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("days", "today", "stage"),
    [
        ((0,), 30, "new"), ((0,), 31, "active"), ((0,), 42, "active"), ((0,), 43, "cooling"), ((0,), 84, "cooling"),
        ((0,), 85, "lapsed"), ((0, 100), 110, "returned"), ((0, 10, 20, 30), 44, "active"),
        ((0, 60, 120, 180), 200, "loyal"), ((0, 60, 120, 180), 300, "cooling"), ((0, 60, 120, 180), 361, "lapsed"),
        ((0, 10, 20, 30, 100), 105, "returned"),
    ],
)  # fmt: skip
def test_stages(days: tuple[int, ...], today: int, stage: str) -> None:
    assert lifecycle.stage(days, today, 28 * MICROS) == stage
    following = lifecycle.next_day(days, today, 28 * MICROS)
    later = range(today, today + 400)
    changed = next((day for day in later if lifecycle.stage(days, day, 28 * MICROS) != stage), None)
    assert changed is None or (following is not None and following <= changed)


def test_stages_of_the_real_purchases() -> None:
    """Sales with a customer, by the shop's own days, at 2011-12-10."""
    columns = ["InvoiceNo", "Quantity", "InvoiceDate", "CustomerID"]
    table = pq.read_table(Path(simorgh.demo.__file__).parent / "data" / "online_retail.parquet", columns=columns)
    sold = pc.and_(pc.greater(table["Quantity"], 0), pc.invert(pc.starts_with(table["InvoiceNo"].cast("string"), "C")))
    table = table.filter(pc.and_(sold, pc.is_valid(table["CustomerID"])))
    moments = table["InvoiceDate"].cast("string").combine_chunks()
    day = pc.strptime(pc.utf8_slice_codeunits(moments, 0, 10), "%Y-%m-%d", "s").cast("date32").cast("int32")
    pairs = pa.table({"customer": table["CustomerID"], "day": day}).group_by(["customer", "day"]).aggregate([])
    days: dict[Any, set[int]] = {}
    for customer, one in zip(pairs["customer"].to_pylist(), pairs["day"].to_pylist(), strict=True):
        days.setdefault(customer, set()).add(one)
    bought = [sorted(some) for some in days.values()]
    usual = median(gap for some in bought for gap in lifecycle.gaps(some))
    assert usual == 28
    today = (date(2011, 12, 10) - date(1970, 1, 1)).days
    assert Counter(lifecycle.stage(some, today, 28 * MICROS) for some in bought) == {
        "returned": 276, "new": 253, "loyal": 1011, "active": 556, "cooling": 768, "lapsed": 1475
    }  # fmt: skip


def test_no_stage_before_the_usual_gap_is_known() -> None:
    assert lifecycle.stage((0,), 1, None) is None
    assert lifecycle.stage((0, 5, 9, 14), 15, None) == "new"


def test_shipped_traits_can_be_declared() -> None:
    for name, (title, compute) in SHIPPED.items():
        assert title
        assert units_of(parse_computation(compute)) == frozenset(), name
