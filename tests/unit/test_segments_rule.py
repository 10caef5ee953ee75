"""What a rule may say, and how a wrong one is refused."""

from typing import Any

import pytest

from schemas.errors import InvalidRule
from segments.rule import MAX_DEPTH, MAX_NODES, parse_rule
from segments.tree import DAY_MS, All, EventLeaf, NumberTest, Trait, ValueTest


def test_the_design_example() -> None:
    rule = parse_rule(
        {
            "all": [
                {
                    "event": "order.completed",
                    "where": [{"property": "revenue", "gte": 20}],
                    "count": {"gte": 2},
                    "within": "30d",
                },
                {"trait": "country", "in": ["IR", "DE"]},
                {"not": {"segment": "churned"}},
            ]
        }
    )
    assert isinstance(rule, All)
    event, trait, _ = rule.children
    assert isinstance(event, EventLeaf)
    assert event.within == 30 * DAY_MS
    assert event.where[0].path == ("properties", "revenue")
    assert event.tests == (NumberTest("gte", 2),)
    assert isinstance(trait, Trait)


def test_a_plain_event_means_at_least_once() -> None:
    rule = parse_rule({"event": "custom.سفارش"})
    assert isinstance(rule, EventLeaf)
    assert (rule.aggregate, rule.tests) == ("count", (NumberTest("gte", 1),))


def test_consent_alone_means_given() -> None:
    assert parse_rule({"consent": "marketing"}) == parse_rule({"consent": "marketing", "eq": True})


def test_equal_means_equal_whatever_the_spelling() -> None:
    assert parse_rule({"trait": "x", "gte": 1, "lt": 2}) == parse_rule({"lt": 2.0, "gte": 1.0, "trait": "x"})
    assert parse_rule({"event": "e", "within": "1w"}) == parse_rule({"event": "e", "within": "7d"})
    assert ValueTest("eq", 1.0, "number") != ValueTest("eq", True, "bool")


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (3, ""),
        ({}, ""),
        ({"trait": "x"}, ""),
        ({"trait": "x", "event": "y"}, ""),
        ({"trait": "x", "eq": None}, "/eq"),
        ({"trait": "x", "eq": [1]}, "/eq"),
        ({"trait": "x", "gt": "1"}, "/gt"),
        ({"trait": "x", "gt": True}, "/gt"),
        ({"trait": "x", "gt": float("nan")}, "/gt"),
        ({"trait": "x", "in": []}, "/in"),
        ({"trait": "x", "in": [1, None]}, "/in/1"),
        ({"trait": "x", "in": ["a"] * 1001}, "/in"),
        ({"trait": "x", "matches": "(?=a)"}, "/matches"),
        ({"trait": "x", "matches": ""}, "/matches"),
        ({"trait": "x", "before": "yesterday"}, "/before"),
        ({"trait": "x", "before": "2026-02-30"}, "/before"),
        ({"trait": "x", "within": "30 days"}, "/within"),
        ({"trait": "x", "within": "0d"}, "/within"),
        ({"trait": "x", "within": "99999999d"}, "/within"),
        ({"trait": "x..y", "exists": True}, "/trait"),
        ({"trait": "x" * 1001, "exists": True}, "/trait"),
        ({"trait": "\ud800", "exists": True}, "/trait"),
        ({"trait": "x", "exists": True, "colour": 1}, ""),
        ({"all": []}, "/all"),
        ({"any": {}}, "/any"),
        ({"not": [1]}, "/not"),
        ({"all": [{"trait": "x", "eq": 1}, {"any": [{"trait": "y"}]}]}, "/all/1/any/0"),
        ({"event": "Order Completed"}, "/event"),
        ({"event": "e", "count": {"gte": 1.5}}, "/count/gte"),
        ({"event": "e", "count": 2}, "/count"),
        ({"event": "e", "count": {"gte": 1}, "sum": {"gte": 1}, "of": "x"}, ""),
        ({"event": "e", "sum": {"gte": 1}}, ""),
        ({"event": "e", "sum": {"gte": 1.1234567}, "of": "x"}, "/sum/gte"),
        ({"event": "e", "count": {"gte": 1}, "of": "x"}, "/of"),
        ({"event": "e", "within": "1d", "between": ["2026-01-01", "2026-02-01"]}, "/between"),
        ({"event": "e", "between": ["2026-02-01", "2026-01-01"]}, "/between"),
        ({"event": "e", "where": [{"property": "x", "within": "1d"}]}, "/where/0"),
        ({"event": "e", "where": [{"eq": 1}]}, "/where/0"),
        ({"metric": "revenue", "gte": 1}, "/currency"),
        ({"metric": "orders", "gte": 1, "currency": "EUR"}, ""),
        ({"metric": "loyalty", "gte": 1}, "/metric"),
        ({"identity": "email", "exists": 1}, "/exists"),
        ({"sequence": []}, ""),
    ],
)
def test_a_wrong_rule_is_refused_where_it_is_wrong(rule: Any, path: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        parse_rule(rule)
    assert refused.value.path == path


def test_sequence_says_that_it_comes_later() -> None:
    with pytest.raises(InvalidRule, match="comes later"):
        parse_rule({"sequence": [{"event": "a"}, {"event": "b"}]})


def test_a_rule_is_bounded() -> None:
    deep: dict[str, Any] = {"event": "e"}
    for _ in range(MAX_DEPTH):
        deep = {"not": deep}
    with pytest.raises(InvalidRule, match="levels"):
        parse_rule(deep)
    with pytest.raises(InvalidRule, match="nodes"):
        parse_rule({"all": [{"event": "e"}] * MAX_NODES})


def test_the_message_never_holds_the_value() -> None:
    with pytest.raises(InvalidRule) as refused:
        parse_rule({"trait": "email", "gt": "sara@example.com"})
    assert "sara" not in refused.value.message
