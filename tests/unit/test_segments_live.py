"""The live back end where a table of cases says more than a law."""

from typing import Any

import pytest

from schemas.errors import InvalidRule
from segments.live import LiveRules, ProfileFacts, topological
from segments.rule import parse_rule

DAY = 86_400_000
T0 = 1_769_904_000_000


def live(**rules: dict[str, Any]) -> LiveRules:
    return LiveRules({segment: parse_rule(rule) for segment, rule in rules.items()})


def order(revenue: Any) -> dict[str, Any]:
    return {"properties": {"revenue": revenue}}


def test_a_window_ends_exactly_and_says_when() -> None:
    rules = live(s={"event": "order.completed", "count": {"gte": 2}, "within": "30d"})
    facts = ProfileFacts()
    for day in (1, 2, 3):
        rules.fold_event(facts.leaves, "order.completed", T0 + day * DAY, {}, T0 + 3 * DAY)
    assert rules.update(facts, (), (), T0 + 3 * DAY) == {"s": True}
    assert facts.due == T0 + 32 * DAY
    assert rules.evaluate(facts, facts.due - 1) == {"s"}
    assert rules.update(facts, (), ("s",), facts.due) == {"s": False}
    assert facts.due is None


def test_silence_is_an_entry_by_time() -> None:
    rules = live(s={"event": "order.completed", "days_since_last": {"gte": 30}})
    facts = ProfileFacts()
    rules.fold_event(facts.leaves, "order.completed", T0, {}, T0)
    assert rules.update(facts, (), (), T0) == {"s": False}
    assert facts.due == T0 + 30 * DAY
    assert rules.update(facts, (), (), T0 + 30 * DAY) == {"s": True}


def test_an_event_that_changes_no_truth_evaluates_no_segment() -> None:
    rules = live(s={"event": "page.viewed", "count": {"gte": 2}, "within": "7d"})
    facts = ProfileFacts()
    rules.update(facts, (), (), T0)
    assert rules.update(facts, rules.fold_event(facts.leaves, "page.viewed", T0, {}, T0), (), T0) == {}
    assert rules.update(facts, rules.fold_event(facts.leaves, "page.viewed", T0, {}, T0), (), T0) == {"s": True}


def test_a_nested_segment_takes_its_users_along_in_one_pass() -> None:
    rules = live(
        active={"not": {"segment": "churned"}},
        churned={"trait": "status", "eq": "gone"},
    )
    facts = ProfileFacts(traits={"status": "gone"})
    rules.update(facts, (), (), T0)
    facts.traits = {"status": "back"}
    touched = rules.leaves_of(traits=["status"])
    assert rules.affected(touched) == {"active", "churned"}
    assert rules.update(facts, touched, {"churned"}, T0) == {"churned": False, "active": True}


def test_equal_leaves_are_shared() -> None:
    leaf = {"event": "order.completed", "count": {"gte": 2}}
    rules = live(a=leaf, b={"not": {**leaf}})
    facts = ProfileFacts()
    assert len(rules.fold_event(facts.leaves, "order.completed", T0, {}, T0)) == 1
    assert rules.evaluate(facts, T0) == {"b"}


def test_one_and_true_are_different_operands() -> None:
    rules = live(one={"trait": "x", "in": [1]}, true={"trait": "x", "in": [True]})
    assert rules.evaluate(ProfileFacts(traits={"x": True}), T0) == {"true"}
    assert rules.evaluate(ProfileFacts(traits={"x": 1}), T0) == {"one"}


def test_sums_are_exact() -> None:
    rules = live(s={"event": "order.completed", "sum": {"eq": 0.3}, "of": "revenue"})
    facts = ProfileFacts()
    for revenue in (0.1, 0.2):
        rules.fold_event(facts.leaves, "order.completed", T0, order(revenue), T0)
    assert rules.evaluate(facts, T0) == {"s"}


def test_only_rules_that_look_inside_need_the_payload() -> None:
    rules = live(a={"event": "page.viewed"}, b={"event": "order.completed", "sum": {"gte": 1}, "of": "revenue"})
    assert rules.event_types == {"page.viewed", "order.completed"}
    assert [rules.needs_payload(t) for t in ("page.viewed", "order.completed", "x")] == [False, True, False]


def test_rows_of_a_window_are_bounded() -> None:
    rules = live(s={"event": "page.viewed", "count": {"gte": 3}, "within": "30d"})
    facts = ProfileFacts()
    for i in range(1000):
        rules.fold_event(facts.leaves, "page.viewed", T0 + i, {}, T0 + 1000)
    (state,) = facts.leaves.values()
    assert len(state) < 40


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"a": {"segment": "a"}}, "segment_cycle"),
        ({"a": {"not": {"segment": "b"}}, "b": {"all": [{"segment": "a"}]}}, "segment_cycle"),
        ({"a": {"segment": "missing"}}, "unknown_segment"),
    ],
)
def test_nested_segments_must_end(rules: dict[str, dict[str, Any]], code: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        topological({segment: parse_rule(rule) for segment, rule in rules.items()})
    assert refused.value.code == code


@pytest.mark.parametrize("test", [{"eq": 3}, {"lte": 3}, {"lt": 4}])
def test_a_bounded_window_still_knows_that_there_are_more(test: dict[str, int]) -> None:
    rules = live(s={"event": "page.viewed", "count": test, "within": "30d"})
    facts = ProfileFacts()
    for i in range(200):
        rules.fold_event(facts.leaves, "page.viewed", T0 + i, {}, T0 + i)
        assert rules.evaluate(facts, T0 + i) == ({"s"} if i + 1 == 3 or ("eq" not in test and i < 3) else set())
