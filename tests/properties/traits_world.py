"""Computed traits drawn at random, and rules that read them."""

from typing import Any

from tests.properties.segments_world import DEEP, KINDS, WINDOWS, Random, condition, tree, value_tests

PATHS = ("revenue", "revenue", "kind", "kind", "address.city", "when", "context.kind", "$time", *DEEP)
NUMBERS = ("count", "sum", "avg", "min", "max")
OTHERS = ("first", "last", "list", "unique", "most_frequent")
TRAITS = ("t0", "t1", "t2", "t3", "t4", "kind", "t5", "t6")
OPS = ("eq", "ne", "gt", "gte", "lt", "in", "exists", "contains", "before", "within")


def by_type(r: Random) -> dict[str, Any]:
    """What takes more than a value."""
    zone = r.choice(({}, {"zone": "Asia/Tehran"}, {"zone": "America/New_York"}))
    match r.choice(("open", "usual_gap", "lifecycle", "hour", "weekday")):
        case "open":
            return {"event": ["order.completed", "order.refunded"], "take": "open", "of": "kind", "opens": KINDS[0]}
        case "hour" | "weekday" as part:
            return {"event": r.choice(KINDS), "take": r.choice(OTHERS), "of": f"${part}", **zone}
        case take:
            return {"event": "order.completed", "take": take, **zone}


def taken(r: Random, takes: tuple[str, ...] = (*NUMBERS, *OTHERS)) -> dict[str, Any]:
    take = r.choice(takes)
    made: dict[str, Any] = {"event": r.sample(KINDS[4:], 2) if r.random() < 0.2 else r.choice(KINDS), "take": take}
    if take != "count":
        made["of"] = r.choice([path for path in PATHS if take in OTHERS or path != "$time"])
        if take in NUMBERS and r.random() < 0.3 and takes is not NUMBERS:
            made["of"] = "$money"
    if r.random() < 0.4:
        made["where"] = [condition(r, ("revenue", "kind", "address.city"))]
    span = r.choice(("", "", "within", "within", "between"))
    if span == "within":
        made["within"] = r.choice(WINDOWS)
    elif span == "between":
        made["between"] = ["2026-01-25", "2026-02-01"]
    return made


def rule(r: Random, below: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, Any]:
    """A rule that may read computed traits."""
    some = [tree(r, segments, 1), *({"trait": r.choice(below), **value_tests(r, OPS)} for _ in range(2) if below)]
    return {r.choice(("all", "any")): r.sample(some, r.randint(1, len(some)))}


def make_traits(r: Random) -> dict[str, dict[str, Any]]:
    """Some take of events, some divide, the last ones stand upon others."""
    made = {name: taken(r) for name in TRAITS[:3]} | {"t3": by_type(r)}
    numbers = [taken(r, NUMBERS) for _ in range(3)]
    made["t4"] = {"ratio": numbers[:2]} if r.random() < 0.5 else {"add": numbers[:1], "subtract": numbers[1:]}
    made["t5"] = {
        "cases": [{"when": rule(r, TRAITS[:6], ()), "value": value} for value in ("gold", 7)],
        **({"otherwise": "none"} if r.random() < 0.5 else {}),
    }
    made["kind"] = taken(r)  # it hides a sent one
    made["t6"] = {"cases": [{"when": rule(r, TRAITS[:7], ("s0",)), "value": True}]}
    return made


def make_segments(r: Random) -> dict[str, dict[str, Any]]:
    return {"s0": rule(r, TRAITS[:7], ()), "s1": rule(r, TRAITS, ("s0",)), "s2": rule(r, TRAITS, ("s0", "s1"))}
