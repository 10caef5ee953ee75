"""The law of computed traits: event by event, as a whole and in SQL they have the same values, whatever the history."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from segments.computed import bound, bound_computation, parse_computation
from segments.facts import ProfileFacts
from segments.live_traits import LiveTraits
from segments.rule import parse_rule
from segments.sql import compile_several, compile_sql, compile_values
from segments.tree import Computation, EventValue, Rule
from tests.effort import examples
from tests.properties.segments_world import NOWS, SEEDS, Random, World, live_facts, make_world
from tests.properties.sql_world import load, sql_engine
from tests.properties.traits_world import make_segments, make_traits


def make(seed: int) -> tuple[World, dict[str, Computation], dict[str, Rule]]:
    r = Random(seed)
    world = make_world(r)
    for offset, event in enumerate(world.events):
        event.payload |= {
            "key": f"{offset:032x}",
            "type": event.type,
            "time": r.choice(("2026-01-25", "2026-02-01T00:00:00Z", "x")),
        }
        if event.currency:
            event.payload["money"] = {"amount": f"{event.amount:f}", "currency": event.currency}
    traits = {name: parse_computation(written) for name, written in make_traits(r).items()}
    if isinstance(staged := traits["t3"], EventValue):
        traits["t3"] = replace(staged, usual=r.choice((None, 500_000, 3_000_000)))
    return world, traits, {name: parse_rule(written) for name, written in make_segments(r).items()}


@pytest.fixture(scope="module")
def engine(chdb_dsn: str) -> Iterator[Any]:
    with sql_engine(chdb_dsn, "traits_law") as client:
        yield client


def values(texts: dict[str, str]) -> dict[str, Any]:
    return {name: orjson.loads(text) for name, text in texts.items()}


@settings(max_examples=examples(2), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_live_equals_sql(engine: Any, seed: int) -> None:
    world, traits, rules = make(seed)
    load(engine, world)
    live = LiveTraits(rules, traits)
    floor = min(NOWS)
    facts = live_facts(world, live, floor, world.events)
    bound_rules = {name: bound(one, traits.get) for name, one in rules.items()}
    made = {name: bound_computation(name, one, traits.get) for name, one in traits.items()}
    for now in Random(seed).sample(NOWS, 2):
        held = {profile: live.evaluate(one, now) for profile, one in facts.items()}
        query = compile_values(list(made.values()), now, bound_rules.__getitem__)
        rows = engine.query(query.sql, parameters=query.parameters).result_rows
        found = {profile: dict(zip(made, texts, strict=True)) for profile, texts in rows}
        for profile, one in facts.items():
            assert values({name: text for name, text in found[profile].items() if text}) == values(one.computed)
        for name, bound_rule in bound_rules.items():
            query = compile_sql(bound_rule, now, bound_rules.__getitem__)
            members = {row[0] for row in engine.query(query.sql, parameters=query.parameters).result_rows}
            assert members == {profile for profile, segments in held.items() if name in segments}, name
        query = compile_several(list(bound_rules.values()), now, bound_rules.__getitem__)
        dues = {row[0]: row[2] for row in engine.query(query.sql, parameters=query.parameters).result_rows}
        for profile, one in facts.items():
            of_segments = live.timed_leaves(rules)
            latest = live.next_change(one, now, of_segments)
            assert latest is None or now < dues.get(profile, 0) <= latest


@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_event_by_event_equals_the_whole_and_due_moments_come_in_time(seed: int) -> None:
    """Events in a random order, time in steps, and half of them as another profile that is absorbed at the end."""
    world, traits, rules = make(seed)
    r = Random(seed)
    live = LiveTraits(rules, traits)
    now, members = NOWS[0], set[str]()
    sent = r.choice(({}, {"kind": "a"}))
    facts, other = ProfileFacts(traits=sent, identity_types=set()), ProfileFacts()
    events = [event for event in world.events if event.time <= now]
    r.shuffle(events)
    for number, event in enumerate(events):
        if number % 3 == 2:
            live.fold_event(other.leaves, event.type, event.time, event.payload, now)
            continue
        held = frozenset(facts.true_leaves or ())
        touched = live.fold_event(facts.leaves, event.type, event.time, event.payload, now, held)
        tell(live, facts, touched, members, now)
        if r.random() < 0.2:
            step = now + r.choice((1, 30_000, 86_400_000))
            while facts.due is not None and facts.due <= step:
                now = facts.due
                tell(live, facts, set(), members, now)
                agree(live, facts, members, now)
            now = step
        agree(live, facts, members, now)
    live.absorb(facts.leaves, other.leaves)
    facts.true_leaves = None
    tell(live, facts, set(), members, now)
    agree(live, facts, members, now)
    whole = ProfileFacts(traits=sent, identity_types=set())
    for event in events:
        live.fold_event(whole.leaves, event.type, event.time, event.payload, now)
    assert live.evaluate(whole, now) == members
    assert whole.computed == facts.computed


def tell(live: LiveTraits, facts: ProfileFacts, touched: set[int], members: set[str], now: int) -> None:
    for segment, holds in live.update(facts, touched, frozenset(members), now).items():
        (members.add if holds else members.discard)(segment)


def agree(live: LiveTraits, facts: ProfileFacts, members: set[str], now: int) -> None:
    anew = ProfileFacts(
        traits=facts.sent if facts.sent is not None else facts.traits, identity_types=set(), leaves=facts.leaves
    )
    assert live.evaluate(anew, now) == members
    assert anew.computed == facts.computed
    assert facts.due is None or facts.due > now
