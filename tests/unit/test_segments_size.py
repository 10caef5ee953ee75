"""The limits of a rule and the engine agree: what is within them runs, what is beyond is refused before it is tried."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.errors import InvalidRule
from segments import operands, rule, size
from segments.rule import parse_rule
from segments.size import check_size
from segments.sql import Page, compile_sql
from segments.tree import Rule
from tests.effort import few
from tests.properties.segments_world import T0
from warehouse.client import Warehouse

Rules = dict[str, dict[str, Any]]
"""By name; the one to try is "s"."""

LEAF = {"metric": "events", "gte": 0}


def conditions(tests: int) -> list[dict[str, Any]]:
    """With up to seven tests each."""
    whole = {
        "eq": "a",
        "ne": "b",
        "exists": True,
        "contains": "a",
        "starts_with": "a",
        "matches": "a",
        "after": "2026-01-01",
    }
    found = []
    while tests:
        some = dict(list(whole.items())[:tests])
        found.append({"property": f"a{tests}.b.0.c", **some})
        tests -= len(some)
    return found


def leaf(tests: int) -> dict[str, Any]:
    return {"event": "a", "where": conditions(tests - 1), "count": {"gte": 1}, "within": "30d"}


def many_tests(tests: int) -> dict[str, Any]:
    """So many tests, in as few leaves as hold them."""
    most = 7 * rule.MAX_WHERE + 1
    parts = [most] * (tests // most) + [tests % most] * (tests % most > 0)
    return {"any": [leaf(part) for part in parts]}


def deep(levels: int) -> dict[str, Any]:
    below: dict[str, Any] = LEAF
    for _ in range(levels - 1):
        below = {"not": below}
    return below


def chain(levels: int) -> Rules:
    """Segments that name each other, each as deep as one may be."""
    rules: Rules = {}
    written: dict[str, Any] = LEAF
    own = 1
    for level in range(1, levels):
        if own == rule.MAX_DEPTH:
            rules[f"c{level}"], written, own = written, {"segment": f"c{level}"}, 1
        else:
            written, own = {"not": written}, own + 1
    return {**rules, "s": written}


def nodes(count: int, nested: int = 0) -> Rules:
    """A rule of so many nodes, and as many more that it names."""
    rules: Rules = {"s": {"any": [LEAF] * (count - 1)}}
    if nested:
        rules["inner"] = {"any": [{"event": f"e{i}"} for i in range(nested - 1)]}
        rules["s"] = {"any": [*[LEAF] * (count - 2), {"segment": "inner"}]}
    return rules


LONG = "é" * operands.MAX_TEXT
WITHIN: dict[str, Rules] = {
    "nodes": nodes(rule.MAX_NODES),
    "event leaves": {
        "s": {"any": [{"event": "a", "where": [{"property": "b", "eq": i}]} for i in range(rule.MAX_NODES - 1)]}
    },
    "nodes in full": nodes(size.MAX_NODES - 150, 150),
    "levels": {"s": deep(rule.MAX_DEPTH)},
    "levels in full": chain(size.MAX_LEVELS),
    "tests": {"s": many_tests(size.MAX_TESTS)},
    "conditions": {"s": {"event": "a", "where": [{"property": f"p{i}", "eq": i} for i in range(rule.MAX_WHERE)]}},
    "list": {"s": {"trait": "a", "in": [f"'\\{i}" for i in range(operands.MAX_LIST)]}},
    "numbers": {"s": {"trait": "a", "in": list(range(2**53, 2**53 + operands.MAX_LIST))}},
    "text": {"s": {"any": [{"trait": LONG, "eq": LONG}, {"trait": "a", "in": [LONG] * 400 + ["'\\" * 500] * 599}]}},
    "path": {"s": {"event": "a", "where": [{"property": ".".join(["a"] * operands.MAX_PATH), "eq": 1}]}},
}
BEYOND: dict[str, Rules] = {
    "nodes": nodes(rule.MAX_NODES + 1),
    "nodes in full": nodes(size.MAX_NODES - 150, 151),
    "levels": {"s": deep(rule.MAX_DEPTH + 1)},
    "levels in full": chain(size.MAX_LEVELS + 1),
    "tests": {"s": many_tests(size.MAX_TESTS + 1)},
    "a hundred times a leaf": {"s": {"any": [leaf(21)] * 100}},
    "conditions": {"s": {"event": "a", "where": [{"property": f"p{i}", "eq": i} for i in range(rule.MAX_WHERE + 1)]}},
    "list": {"s": {"trait": "a", "in": ["b"] * (operands.MAX_LIST + 1)}},
    "list, a hundred times": {"s": {"trait": "a", "in": ["b"] * operands.MAX_LIST * 100}},
    "text": {"s": {"trait": "a", "in": [LONG] * 1_000}, "t": LEAF},
    "path": {"s": {"event": "a", "where": [{"property": ".".join(["a"] * (operands.MAX_PATH + 1)), "eq": 1}]}},
    "segments that double": {"s": {"all": [{"segment": "c0"}] * 2}}
    | {f"c{i}": {"all": [{"segment": f"c{i + 1}"}] * 2} for i in range(60)}
    | {"c60": LEAF},
}
BEYOND["text"]["s"] = {"any": [BEYOND["text"]["s"], {"trait": "a", "eq": "b"}]}


@pytest.fixture(scope="module")
def warehouse(chdb_dsn: str) -> Iterator[Warehouse]:
    made = Warehouse(chdb_dsn, "limits")
    made.migrate(1)
    made.writer(1).command("INSERT INTO identity VALUES (1, 1, 1)")
    made.writer(1).command("INSERT INTO members VALUES (1, 1, 1, 1)")
    yield made
    made.drop(1)
    made.close()


def check(written: Rules) -> dict[str, Rule]:
    rules = {name: parse_rule(one) for name, one in written.items()}
    check_size(rules["s"], rules.__getitem__)
    return rules


@pytest.mark.parametrize("limit", few([name for name in WITHIN if name != "event leaves"], list(WITHIN)))
def test_what_is_within_the_limits_runs(warehouse: Warehouse, limit: str) -> None:
    rules = check(WITHIN[limit])
    query = compile_sql(rules["s"], T0, rules.__getitem__, Page(0, 2**127))
    warehouse.reader(lambda: 1).fill(query.sql, query.parameters)


@pytest.mark.parametrize("limit", BEYOND)
def test_what_is_beyond_is_refused_at_once(limit: str) -> None:
    with pytest.raises(InvalidRule):
        check(BEYOND[limit])
