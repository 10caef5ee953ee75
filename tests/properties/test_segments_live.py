"""Laws of the live back end alone: any order and batching, merges, and moments that are never late."""

import random
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segments.live import LiveRules, ProfileFacts
from segments.rule import parse_rule
from segments.tree import MetricName, segments_of
from tests.effort import examples
from tests.properties.segments_world import (
    DAY,
    NOWS,
    NUMBER_OPS,
    RULE_SETS,
    SEEDS,
    T0,
    WORLDS,
    Event,
    World,
    add_event,
    live_facts,
)

LAW = settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))


def compiled(written: dict[str, Any]) -> LiveRules:
    return LiveRules({segment: parse_rule(rule) for segment, rule in written.items()})


@LAW
@given(world=WORLDS, written=RULE_SETS, seed=SEEDS)
def test_updates_in_any_batches_equal_one_evaluation(world: World, written: dict[str, Any], seed: int) -> None:
    r = random.Random(seed)  # hundreds of choices: Hypothesis would take longer to draw them than all the rest takes
    rules = compiled(written)
    profile = live_facts(world, rules, T0, [])
    owner = world.profile_of()
    members: dict[int, set[str]] = {one: set() for one in profile}
    waiting: list[Event] = r.sample(world.events, len(world.events))
    now = T0
    while True:
        touched: dict[int, set[int]] = {one: set() for one in profile}
        for _ in range(r.randint(0, 4)):
            if waiting and (event := waiting.pop()).node in owner:
                touched[owner[event.node]] |= one_event(rules, profile[owner[event.node]], event, now)
        for one, facts in profile.items():
            tell(rules, facts, touched[one], members[one], now)
            assert members[one] == rules.evaluate(facts, now)
        if not waiting:
            break
        now += r.choice((0, 1, 30_000, DAY, 7 * DAY))
        for one, facts in profile.items():
            attend(rules, facts, members[one], now)


def one_event(rules: LiveRules, facts: ProfileFacts, event: Event, now: int) -> set[int]:
    add_event(facts, event, rules, now)
    held = facts.true_leaves or set()
    touched = rules.fold_event({}, event.type, event.time, event.payload, now, held) & facts.leaves.keys()
    return touched | rules.leaves_of(metrics=get_args(MetricName))


def tell(rules: LiveRules, facts: ProfileFacts, touched: set[int], members: set[str], now: int) -> None:
    for segment, holds in rules.update(facts, touched, members, now).items():
        (members.add if holds else members.discard)(segment)


def attend(rules: LiveRules, facts: ProfileFacts, members: set[str], until: int) -> None:
    """The scheduler between two batches: each due moment is attended to; just before it nothing differs."""
    for _ in range(500):
        if facts.due is None or facts.due > until:
            return
        due = facts.due
        assert rules.evaluate(facts, due - 1) == members
        tell(rules, facts, set(), members, due)
        assert rules.evaluate(facts, due) == members
        assert facts.due is None or facts.due > due
    raise AssertionError("due moments without end")


@LAW
@given(world=WORLDS, written=RULE_SETS, data=st.data())
def test_a_due_moment_is_never_late(world: World, written: dict[str, Any], data: st.DataObject) -> None:
    rules = compiled(written)
    now = data.draw(st.sampled_from(NOWS))
    for facts in live_facts(world, rules, now, world.events).values():
        held = rules.evaluate(facts, now)
        due = rules.next_change(facts, now)
        last = due - 1 if due is not None else now + 1000 * DAY
        assert last >= now
        for instant in {last, (now + last) // 2, data.draw(st.integers(now, last))}:
            assert rules.evaluate(facts, instant) == held


@LAW
@given(world=WORLDS, written=RULE_SETS, data=st.data())
def test_absorbing_equals_folding_everything(world: World, written: dict[str, Any], data: st.DataObject) -> None:
    rules = compiled(written)
    now = data.draw(st.sampled_from(NOWS))
    parts = [ProfileFacts(), ProfileFacts()]
    whole = ProfileFacts()
    for event in data.draw(st.permutations(world.events)):
        rules.fold_event(whole.leaves, event.type, event.time, event.payload, now)
        part = parts[data.draw(st.integers(0, 1))]
        rules.fold_event(part.leaves, event.type, event.time, event.payload, now)
    merged = ProfileFacts(leaves=rules.absorb(parts[0].leaves, parts[1].leaves))
    for later in (now, now + DAY, now + 7 * DAY):
        assert rules.evaluate(merged, later) == rules.evaluate(whole, later)


def test_every_border_is_announced() -> None:
    """Exhaustive where random worlds rarely land: instants one ms around each border of each kind of leaf."""
    days = (0, 1, 7, 30)
    tests = [{op: value} for op in NUMBER_OPS for value in days]
    leaves: list[dict[str, Any]] = [{"days_since_last": test} for test in tests]
    leaves += [{"days_since_first": test} for test in tests]
    leaves += [{**leaf, "within": "7d"} for leaf in leaves]
    leaves += [{"count": {op: value}, "within": "7d"} for op in NUMBER_OPS for value in (0, 1, 2, 3)]
    rules = compiled({f"r{i}": {"event": "a", **leaf} for i, leaf in enumerate(leaves)})
    alone = [compiled({"r": {"event": "a", **leaf}}) for leaf in leaves]
    times = [T0 - 7 * DAY + 1, T0 - DAY, T0, T0 + 30_000]
    borders = sorted({time + day * DAY + step for time in times for day in days for step in (-1, 0, 1, 2)})
    for now in (border for border in borders if border >= T0):
        for one in (rules, *alone):
            facts = ProfileFacts()
            for time in times:
                one.fold_event(facts.leaves, "a", time, {}, now)
            held, due = one.evaluate(facts, now), one.next_change(facts, now)
            for instant in (border for border in borders if now < border and (due is None or border < due)):
                assert one.evaluate(facts, instant) == held, one.rules


def test_an_event_ahead_of_the_clock_counts_when_its_time_comes() -> None:
    rules = compiled({"s": {"event": "a", "count": {"gte": 1}, "within": "7d"}})
    facts = ProfileFacts()
    rules.update(facts, (), (), T0)
    touched = rules.fold_event(facts.leaves, "a", T0 + 30_000, {}, T0)
    assert rules.update(facts, touched, (), T0) == {}
    assert facts.due == T0 + 30_000
    assert rules.update(facts, (), (), T0 + 30_000) == {"s": True}


@LAW
@given(world=WORLDS, steps=st.lists(RULE_SETS, min_size=2, max_size=4), data=st.data())
def test_rules_that_come_and_go_equal_rules_that_are_new(
    world: World, steps: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever was live before, members are told as from the beginning."""
    rules = compiled({})
    now = data.draw(st.sampled_from(NOWS))
    profile = live_facts(world, rules, now, world.events)
    members: dict[int, set[str]] = {one: set() for one in profile}
    for written in steps:
        names = data.draw(st.sets(st.sampled_from(sorted(written))))
        live = with_nested(written, names)
        rules.become({segment: parse_rule(rule) for segment, rule in live.items()})
        alone = compiled(live)
        assert set(rules.order) == set(alone.order)
        assert rules.event_types == alone.event_types
        assert all(rules.needs_payload(kind) == alone.needs_payload(kind) for kind in alone.event_types)
        expected = live_facts(world, alone, now, world.events)
        for one, facts in profile.items():
            members[one] &= live.keys()
            complete(world, rules, facts, one, now)
            tell(rules, facts, set(), members[one], now)
            assert members[one] == alone.evaluate(expected[one], now)
            assert rules.evaluate(facts, now) == members[one]
            assert facts.leaves.keys() <= rules.live_leaves
            tell(alone, expected[one], set(), set(), now)
            assert facts.due == expected[one].due
        for segment in live:
            assert rules.changes_with_time(segment) == alone.changes_with_time(segment)
        if data.draw(st.booleans()):
            now += DAY
            for one, facts in profile.items():
                attend(rules, facts, members[one], now)


def with_nested(written: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """These segments, and those that they name."""
    waiting, found = list(names), dict[str, Any]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = written[name]
            waiting.extend(segments_of(parse_rule(written[name])))
    return found


def complete(world: World, rules: LiveRules, facts: ProfileFacts, profile: int, now: int) -> None:
    """Make the leaf states anew, as whoever keeps them does when rules change."""
    facts.leaves, facts.true_leaves = {}, None
    owner = world.profile_of()
    for event in world.events:
        if owner.get(event.node) == profile:
            rules.fold_event(facts.leaves, event.type, event.time, event.payload, now)
