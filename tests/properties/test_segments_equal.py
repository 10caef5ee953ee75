"""The law of segments: live and SQL answers are equal, whatever the rule, the history and the instant."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segments.live import LiveRules
from segments.rule import parse_rule
from segments.sql import Query, compile_several, compile_sql
from segments.values import DATE_PATTERN, parse_date
from segments.why import compile_why, why_tree
from tests.effort import each, examples
from tests.properties.segments_world import (
    BOUNDS,
    EPOCHS,
    LEAF_SETS,
    NOWS,
    NUMBER_OPS,
    PATTERNS,
    RULE_SETS,
    SMALL,
    STEPS,
    SUMS,
    T0,
    TEXTS,
    WIDE,
    WINDOWS,
    WORLDS,
    Event,
    World,
    live_facts,
)
from tests.properties.segments_world import DATES as DATE_TEXTS
from tests.properties.sql_world import load, sql_engine


@pytest.fixture(scope="module")
def engine(chdb_dsn: str) -> Iterator[Any]:
    with sql_engine(chdb_dsn, "laws") as client:
        yield client


@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    world=WORLDS,
    trees=RULE_SETS,
    leaves=LEAF_SETS,
    nows=st.sets(st.sampled_from(NOWS), min_size=1, max_size=2),
)
def test_live_equals_sql(
    engine: Any, world: World, trees: dict[str, Any], leaves: dict[str, Any], nows: set[int]
) -> None:
    rules = {segment: parse_rule(rule) for segment, rule in (trees | leaves).items()}
    live = LiveRules(rules)
    facts = live_facts(world, live, min(nows), world.events)
    load(engine, world)
    for now in nows:
        held = {profile: live.evaluate(one, now) for profile, one in facts.items()}
        for segment, rule in rules.items():
            found = profiles(engine, compile_sql(rule, now, rules.__getitem__))
            assert found == {profile for profile, segments in held.items() if segment in segments}, segment


@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(world=WORLDS, written=RULE_SETS, now=st.sampled_from(NOWS))
def test_why_and_a_chosen_few_agree_with_the_whole(
    engine: Any, world: World, written: dict[str, Any], now: int
) -> None:
    rules = {segment: parse_rule(rule) for segment, rule in written.items()}
    load(engine, world)
    rule, resolve = rules["s2"], rules.__getitem__
    members = profiles(engine, compile_sql(rule, now, resolve))
    chosen = list(world.profile_of().values())[:1]
    assert profiles(engine, compile_sql(rule, now, resolve, chosen)) == members & set(chosen)
    for profile in chosen:
        rows = {
            pointer: next(iter(engine.query(query.sql, parameters=query.parameters).named_results()))
            for pointer, query in compile_why(rule, now, profile, resolve)
        }
        truths = {pointer: bool(row["holds"]) for pointer, row in rows.items()}
        answer = why_tree(rule, truths, rows, resolve)
        assert answer["holds"] == (profile in members)
        assert answer["node"] == written["s2"]
        for row in rows.values():
            assert len(row.get("events", ())) == min(10, row.get("matched", 0))


@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(world=WORLDS, trees=RULE_SETS, leaves=LEAF_SETS, now=st.sampled_from(NOWS))
def test_several_at_once_equal_each_alone_and_are_due_in_time(
    engine: Any, world: World, trees: dict[str, Any], leaves: dict[str, Any], now: int
) -> None:
    rules = {segment: parse_rule(rule) for segment, rule in (trees | leaves).items()}
    live = LiveRules(rules)
    facts = live_facts(world, live, now, world.events)
    load(engine, world)
    query = compile_several(list(rules.values()), now, rules.__getitem__)
    found = {profile: (held, due) for profile, held, due in engine.query(query.sql, query.parameters).result_rows}
    for profile, one in facts.items():
        held, due = found.get(profile, ([], 0))
        assert {list(rules)[index] for index in held} == live.evaluate(one, now)
        latest = live.next_change(one, now)
        assert due == 0 or due > now
        assert latest is None or now < due <= latest


def profiles(engine: Any, query: Query) -> set[int]:
    return {row[0] for row in engine.query(query.sql, parameters=query.parameters).result_rows}


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "'; DROP TABLE canary; --",
            "') OR 1=1 --",
            "\\'; DROP TABLE canary; --",
            "{p0:String}",
            "\x00",
            "`canary`",
            "x' UNION ALL SELECT 1 --",
            "\\",
            "/*",
            "$$; DROP TABLE canary; $$",
        ]
    ),
    st.text(min_size=1, max_size=30).filter(lambda text: not set(".[]").intersection(text) and not text.isdigit()),
)


def everywhere(text: str) -> dict[str, Any]:
    """One rule with the same text in every slot that takes one."""
    condition = {"property": text, "eq": text, "in": [text], "contains": text, "starts_with": text}
    return {
        "any": [
            {"trait": text, "eq": text, "ne": text, "not_in": [text], "contains": text},
            {"trait": f"a.{text}", "starts_with": text},
            {"consent": text, "eq": text},
            {"identity": text},
            {"event": "a", "where": [condition, {**condition, "property": f"context.{text}"}]},
            {"event": "a", "distinct": {"gte": 1}, "of": text, "within": "1d"},
            {"metric": "revenue", "currency": "EUR", "gte": 1},
        ]
    }


@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(text=HOSTILE)
def test_a_text_in_any_slot_stays_data(engine: Any, text: str) -> None:
    engine.command("CREATE TABLE IF NOT EXISTS canary (x UInt8) ENGINE = MergeTree ORDER BY x")
    query = compile_sql(parse_rule(everywhere(text)), T0, lambda _: parse_rule({"event": "a"}))
    plain = compile_sql(parse_rule(everywhere("plain")), T0, lambda _: parse_rule({"event": "a"}))
    assert query.sql == plain.sql
    profiles(engine, query)
    assert engine.query("SELECT count() FROM canary").result_rows == [(0,)]


def test_a_text_finds_exactly_itself(engine: Any) -> None:
    texts = ["'", "\\", "\\'", "\n", "\t", "\x00", "é", "{p0:String}", "\\N", "a\\nb", '"', "ß😀"]
    world = World(identity=[(node, node, 0) for node in range(1, len(texts) + 1)])
    world.stored = [(node, "trait", "x", text, 0) for node, text in enumerate(texts, start=1)]
    load(engine, world)
    for node, text in enumerate(texts, start=1):
        for op in ("eq", "contains", "starts_with"):
            rule = parse_rule({"trait": "x", op: text})
            found = profiles(engine, compile_sql(rule, T0, parse_rule))
            assert node in found
            assert op != "eq" or found == {node}


DATES = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2299, 12, 31)).map(datetime.isoformat),
    st.datetimes(datetime(1900, 1, 2), datetime(2299, 12, 30)).map(lambda d: d.isoformat("T", "milliseconds") + "Z"),
    st.datetimes(datetime(1900, 1, 2), datetime(2299, 12, 30)).map(lambda d: d.isoformat(" ", "seconds") + "-0930"),
    st.from_regex(r"(19|20|22)[0-9]{2}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9])?", fullmatch=True),
    st.from_regex(
        DATE_PATTERN.replace("^", "").replace("$", ""),
        fullmatch=True,
        alphabet=st.characters(max_codepoint=127),
    ),
)


@settings(max_examples=examples(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(DATES, min_size=20, max_size=60))
def test_dates_are_read_alike(engine: Any, texts: list[str]) -> None:
    parsed = "toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull(x, 3, 'UTC'))"
    sql = f"SELECT arrayMap(x -> if(match(x, {{p:String}}), {parsed}, NULL), {{t:Array(String)}})"
    found = engine.query(sql, parameters={"t": texts, "p": DATE_PATTERN}).result_rows[0][0]
    assert list(zip(texts, found, strict=True)) == [(text, parse_date(text)) for text in texts]


def both(engine: Any, world: World, rules: dict[str, Any], now: int = T0) -> None:
    """Both back ends on one world, rule by rule."""
    live = LiveRules({name: parse_rule(rule) for name, rule in rules.items()})
    load(engine, world)
    held = {profile: live.evaluate(one, now) for profile, one in live_facts(world, live, now, world.events).items()}
    for name, rule in live.rules.items():
        found = profiles(engine, compile_sql(rule, now, live.rules.__getitem__))
        assert found == {profile for profile, segments in held.items() if name in segments}, rules[name]


LISTS: tuple[list[Any], ...] = (
    [],
    [1, "a"],
    [None],
    [[1], "ab"],
    [{"city": "a"}],
    [20, 2**53 + 1],
    ["2026-01-25", 1.5],
    [EPOCHS[0]],
)
EVERY_VALUE = (*TEXTS, *SMALL, *WIDE, *EPOCHS, True, False, None, {"city": "a"}, *LISTS)


def test_every_test_of_every_value(engine: Any) -> None:
    world = World([(node, node, 0) for node in range(1, len(EVERY_VALUE) + 2)])
    world.stored = [(node, "trait", "kind", value, 0) for node, value in enumerate(EVERY_VALUE, start=1)]
    scalars = [value for value in EVERY_VALUE if isinstance(value, str | int | float)]
    tests: list[dict[str, Any]] = [{op: value} for op in ("eq", "ne") for value in scalars]
    tests += [{op: scalars[i : i + 3]} for op in ("in", "not_in") for i in range(0, len(scalars), 3)]
    tests += [{op: value} for op in ("gt", "gte", "lt", "lte") for value in BOUNDS]
    tests += [{op: value} for op in ("contains", "starts_with") for value in TEXTS if value]
    tests += [{"matches": pattern} for pattern in PATTERNS] + [{"exists": True}, {"exists": False}]
    tests += [{op: date} for op in ("before", "after") for date in DATE_TEXTS[:4]]
    tests += [{"within": window} for window in WINDOWS]
    both(engine, world, {f"r{i}": {"trait": "kind", **test} for i, test in enumerate(each(2, tests))})


def test_every_border_of_a_window(engine: Any) -> None:
    world = World([(node, node, 0) for node in range(1, len(STEPS) + 1)])
    world.events = [one_event(node, time, 1) for node, time in enumerate(STEPS, start=1)]
    spans: list[dict[str, Any]] = [{"within": window} for window in WINDOWS]
    spans += [{"between": pair} for pair in (["2026-01-25", "2026-02-01"], ["2026-01-02", "2026-01-25"])]
    days = [{op: value} for op in NUMBER_OPS for value in (0, 1, 7, 30)]
    since = [{f"days_since_{which}": test} for which in ("last", "first") for test in days]
    leaves = [*spans, *since, *({**span, **one} for span in spans for one in since[::5])]
    both(engine, world, {f"r{i}": {"event": "order.completed", **leaf} for i, leaf in enumerate(each(2, leaves))})


def test_every_pair_of_values_in_an_aggregate(engine: Any) -> None:
    pairs = [(a, b) for i, a in enumerate(EVERY_VALUE) for b in EVERY_VALUE[: i + 1]]
    world = World([(node, node, 0) for node in range(1, len(pairs) + 1)])
    world.events = [one_event(node, T0, value) for node, pair in enumerate(pairs, start=1) for value in pair]
    kinds = [("distinct", (0, 1, 2)), *((kind, SUMS) for kind in ("sum", "avg", "min", "max"))]
    leaves = [{kind: {op: value}} for kind, operands in kinds for value in operands for op in ("eq", "gt", "lt")]
    rules = {
        f"r{i}": {"event": "order.completed", "of": "revenue", **leaf, **span}
        for i, leaf in enumerate(each(5, leaves))
        for span in ({"within": "1d"} if i % 2 else {},)
    }
    both(engine, world, rules)


def one_event(node: int, time: int, revenue: Any) -> Event:
    return Event(node, time, "order.completed", {"id": "e", "properties": {"revenue": revenue}}, Decimal(0), "")
