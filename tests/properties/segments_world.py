"""A small random world for the segment laws: who is who, events, traits; as table rows and as live facts.

Drawn from one seed by plain `random`: Hypothesis's own structures came out so sparse that a wrong border in a
window went unseen for hundreds of examples. A failure shows the world and the rules.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import orjson
from hypothesis import strategies as st

from segments.facts import net
from segments.live import LiveRules, ProfileFacts

SECOND, DAY = 1000, 86_400_000
T0 = 1_769_904_000_000  # 2026-02-01T00:00:00Z
NOWS = (
    T0,
    T0 + 1,
    T0 + 30 * SECOND,
    T0 + DAY,
    T0 + 7 * DAY - 1,
    T0 + 7 * DAY,
    T0 + 7 * DAY + 1,
    T0 + 40 * DAY,
)
PROFILES = (11, 12, 13)
NODES = (11, 12, 13, 2**127 + 5, 15)
TYPES = (
    "order.completed",
    "order.completed",
    "order.completed",
    "order.refunded",
    "page.viewed",
    "custom.سفارش",
)
_SUMS = Context(prec=80)


@dataclass
class Event:
    node: int
    time: int
    type: str
    payload: dict[str, Any]
    amount: Decimal
    currency: str


@dataclass
class World:
    identity: list[tuple[int, int, int]] = field(default_factory=list)  # node, profile, ver
    events: list[Event] = field(default_factory=list)
    stored: list[tuple[int, str, str, Any, int]] = field(default_factory=list)  # node, kind, name, value, ver
    identifiers: list[tuple[int, str]] = field(default_factory=list)

    def profile_of(self) -> dict[int, int]:
        latest: dict[int, int] = {}
        for node, profile, _ in sorted(self.identity, key=lambda row: row[2]):
            latest[node] = profile
        return {node: profile for node, profile in latest.items() if profile}


def moment(ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


# Values, as an event or a trait may hold them, and the operands that meet them

DATES = ("2026-01-25", "2026-02-01T00:00:00Z", "2026-01-31T03:30:00.001+03:30", "1900-01-01", "2026-02-30")
TEXTS = (
    "",
    "a",
    "ab",
    "A",
    "é😀",
    "x'y\\n",
    "1",
    "1.5",
    "true",
    "a\nb",
    "\x00",
    "{p0:String}",
    "null",
    "1769299200",
    "1769299200000",
    "-1769299200",
    "20260125",
    *DATES,
)
SMALL = (0, -0.0, 1, 1.0, 1.5, 2, -3, 0.1, 0.3, 12.5, 13.5, 20, 99.999999, 1.1234567, -1.9e-6)
HUGE = (2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, float(2**53), 2**63, float(2**63), 2**63 - 1, 2**64 - 1, -(2**63))
WIDE = (1e-7, 1e22, 1e31, 1e32, *HUGE, 2.0**64, 2.0**65, 5e-324, 1.7976931348623157e308)
BOUNDS = (0, 1, 1.0, 1.5, 2, -3, 0.1, 20, 1e22, *HUGE, 2.0**64, -1e300)
EPOCHS = (1_769_299_200, 1_769_299_200_000, 1_769_904_000.5, -2_208_988_800, -2_208_988_801, 10_413_792_000, 1e12, -0.5)
PATTERNS = ("^a", "a.b", "(?i)^A$", "^(a+)+$", "\\d{4}-", "é.")
KINDS = ("order.completed",) * 5 + ("order.refunded", "page.viewed", "custom.سفارش")
WINDOWS = ("1s", "1d", "7d", "1w", "30d", "720h")
STEPS = [T0 - window + step for window in (0, DAY, 7 * DAY, 30 * DAY) for step in (-1, 0, 1)]
NUMBER_OPS = ("eq", "ne", "gt", "gte", "lt", "lte")

Random = random.Random


def text(r: Random) -> str:
    return r.choice(TEXTS)


def number(r: Random) -> float:
    return r.choice(WIDE) if r.random() < 0.2 else r.choice(SMALL)


def scalar(r: Random) -> Any:
    return r.choice((text, number, number, lambda r: r.random() < 0.5))(r)


def value(r: Random) -> Any:
    return r.choice((text, text, number, number, number, scalar, epoch, lambda r: None, items, boxed))(r)


def epoch(r: Random) -> Any:
    return r.choice(EPOCHS)


def items(r: Random) -> list[Any]:
    """A list, as a value or of line items."""
    one = r.choice((scalar, scalar, boxed, lambda r: r.choice((None, [], [1, "a"], {}, [{"city": "a"}]))))
    return [one(r) for _ in range(r.choice((0, 1, 2, 3)))]


def boxed(r: Random) -> Any:
    if r.random() < 0.2:
        return {"city": items(r) if r.random() < 0.5 else scalar(r), "a": [{"b": scalar(r)}, {"b": [1, 2]}, 7]}
    return {"city": scalar(r), "a": {"b": scalar(r)}}


# The world


def make_world(r: Random) -> World:
    world = World([(node, node, 0) for node in PROFILES])
    world.identity += [(node, r.choice((*PROFILES, 0)), 1) for node in NODES if r.random() < 0.4]
    world.events = [make_event(r, offset) for offset in range(r.choice((0, 6, 12, 24)))]
    world.stored = [make_stored(r, ver) for ver in range(r.choice((0, 6, 12)))]
    world.identifiers = [(r.choice(NODES), r.choice(("email", "user_id"))) for _ in range(r.randrange(4))]
    return world


def make_event(r: Random, offset: int) -> Event:
    kind = r.choice(KINDS)
    names = ("revenue", "kind", "when", "address")
    payload = {
        "id": f"e{offset}",
        "properties": {name: number(r) if name == "revenue" and r.random() < 0.7 else value(r) for name in names},
        "context": {"kind": value(r)},
    }
    if r.random() < 0.2:
        del payload["properties"]["revenue"]  # type: ignore[attr-defined]
    currency = r.choice(("", "EUR", "IRR")) if kind.startswith("order") else ""
    amount = r.choice(("0", "12.5", "1", "-0.000001", "999999999999999999999999999999.999999"))
    time = r.choice(STEPS) if r.random() < 0.7 else r.randrange(T0 - 40 * DAY, T0 + 60 * SECOND)
    return Event(r.choice((0, *NODES)), time, kind, payload, Decimal(amount if currency else "0"), currency)


def make_stored(r: Random, ver: int) -> tuple[int, str, str, Any, int]:
    kind = r.choice(("trait", "trait", "trait", "consent"))
    name = "marketing" if kind == "consent" else r.choice(("kind", "when", "address", "revenue"))
    return r.choice(NODES), kind, name, value(r), ver


# Rules, as a user writes them


def value_tests(r: Random, ops: tuple[str, ...]) -> dict[str, Any]:
    return {op: operand(r, op) for op in r.sample(ops, r.choice((1, 1, 1, 2)) if len(ops) > 1 else 1)}


def operand(r: Random, op: str) -> Any:  # noqa: PLR0911
    match op:
        case "eq" | "ne":
            return scalar(r)
        case "in" | "not_in":
            return [scalar(r) for _ in range(r.randint(1, 4))]
        case "gt" | "gte" | "lt" | "lte":
            return r.choice(BOUNDS)
        case "exists":
            return r.random() < 0.5
        case "contains" | "starts_with":
            return text(r) or "a"
        case "matches":
            return r.choice(PATTERNS)
        case "before" | "after":
            return r.choice(DATES[:4])
        case _:
            return r.choice(WINDOWS)


WHERE_OPS = (*NUMBER_OPS, "in", "not_in", "exists", "contains", "starts_with", "matches", "before", "after")


def number_tests(r: Random, operands: tuple[float, ...]) -> dict[str, Any]:
    return {op: r.choice(operands) for op in r.sample(NUMBER_OPS, r.choice((1, 1, 2)))}


COUNTS = (0, 1, 2, 3)
SUMS = (0, 1, 1.5, 20, -3, 0.1, 2.5, 12.5, 13.5, 33.5, 99.999999, 1e22)
DAYS = (0, 1, 7, 0.5, 30, 7.00001)
AGGREGATES: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(("count", "distinct"), COUNTS),
    **dict.fromkeys(("sum", "avg", "min", "max"), SUMS),
    **dict.fromkeys(("days_since_last", "days_since_first"), DAYS),
}


def event_leaf(r: Random) -> dict[str, Any]:
    leaf: dict[str, Any] = {"event": r.choice(KINDS)}
    properties = ("revenue", "revenue", "revenue", "kind", "kind", "address.city", "when", "context.kind", *DEEP)
    if r.random() < 0.4:
        conditions = range(r.choice((0, 1, 1, 2)))
        leaf["where"] = [condition(r, properties) for _ in conditions]
    aggregate = r.choice((*AGGREGATES, ""))
    if aggregate:
        leaf[aggregate] = number_tests(r, AGGREGATES[aggregate])
    if aggregate in ("sum", "avg", "min", "max", "distinct"):
        leaf["of"] = r.choice(properties)
    span = r.choice(("", "within", "within", "between"))
    if span == "within":
        leaf["within"] = r.choice(WINDOWS)
    elif span == "between":
        leaf["between"] = r.choice((["2026-01-25", "2026-02-01"], ["2026-01-01T10:00:00Z", "2026-02-02"]))
    return leaf


DEEP = ("kind.0", "kind.1.city", "kind.city", "kind[].a.b", "address.a.b", "address.city[0]", "address.a.1.b.0")


def condition(r: Random, properties: tuple[str, ...]) -> dict[str, Any]:
    if r.random() < 0.2:
        inner = [
            {"property": r.choice(("city", "a.b", "x")), **value_tests(r, WHERE_OPS)} for _ in range(r.choice((1, 2)))
        ]
        return {"any_item": r.choice(("kind", "address", "address.a", "context.kind")), "where": inner}
    return {"property": r.choice(properties), **value_tests(r, WHERE_OPS)}


def fact_leaf(r: Random) -> dict[str, Any]:
    match r.choice("tttcimrs"):
        case "t":
            path = r.choice(("kind", "kind", "when", "address", "address.city", "revenue", *DEEP))
            return {"trait": path, **value_tests(r, (*WHERE_OPS, "within"))}
        case "c":
            return {"consent": "marketing", **value_tests(r, ("eq", "ne", "in", "not_in", "exists"))}
        case "i":
            return {"identity": "email", "exists": r.random() < 0.5}
        case "m":
            return {"metric": r.choice(("events", "orders", "orders_placed")), **number_tests(r, COUNTS)}
        case "r":
            return {
                "metric": r.choice(("revenue", "refunds", "net_revenue")),
                "currency": "EUR",
                **number_tests(r, SUMS),
            }
        case _:
            name = r.choice(("first_seen", "last_seen"))
            return {"metric": name, **value_tests(r, ("before", "after", "within"))}


def tree(r: Random, nested: tuple[str, ...], depth: int = 3) -> dict[str, Any]:
    if depth and r.random() < 0.5:
        kind = r.choice(("all", "any", "not"))
        below = [tree(r, nested, depth - 1) for _ in range(r.randint(1, 3))]
        return {kind: below[0] if kind == "not" else below}
    if nested and r.random() < 0.3:
        return {"segment": r.choice(nested)}
    return event_leaf(r) if r.random() < 0.6 else fact_leaf(r)


def make_rules(r: Random) -> dict[str, dict[str, Any]]:
    """Three trees, the later ones naming the earlier ones."""
    return {"s0": tree(r, ()), "s1": tree(r, ("s0",)), "s2": tree(r, ("s0", "s1"))}


def make_leaves(r: Random) -> dict[str, dict[str, Any]]:
    return {f"leaf{i}": event_leaf(r) if i < 8 else fact_leaf(r) for i in range(12)}


SEEDS = st.integers(0, 2**32 - 1).filter(bool)
"""Hypothesis begins every run with the simplest of all: without 0, that is none, and all examples are new ones."""
WORLDS = SEEDS.map(lambda seed: make_world(Random(seed)))
RULE_SETS = SEEDS.map(lambda seed: make_rules(Random(seed)))
LEAF_SETS = SEEDS.map(lambda seed: make_leaves(Random(seed)))


# The same world as live facts


def live_facts(world: World, rules: LiveRules, floor: int, order: list[Event]) -> dict[int, ProfileFacts]:
    """Facts of every live profile, the events folded one by one in the given order."""
    owner = world.profile_of()
    facts = {profile: ProfileFacts(identity_types=set()) for profile in owner.values()}
    for event in order:
        if event.node in owner:
            add_event(facts[owner[event.node]], event, rules, floor)
    for node, kind, name, value, _ in sorted(world.stored, key=lambda row: row[4]):
        if node in owner:
            one = facts[owner[node]]
            target: dict[str, Any] = one.traits if kind == "trait" else one.consent  # type: ignore[assignment]
            target[name] = orjson.loads(orjson.dumps(value))
    for node, kind in world.identifiers:
        if node in owner:
            facts[owner[node]].identity_types.add(kind)  # type: ignore[attr-defined]
    return facts


def add_event(facts: ProfileFacts, event: Event, rules: LiveRules, floor: int) -> None:
    rules.fold_row(facts.leaves, event.type, event.time, orjson.dumps(event.payload), floor)
    facts.events += 1
    facts.first_seen = event.time if facts.first_seen is None else min(facts.first_seen, event.time)
    facts.last_seen = event.time if facts.last_seen is None else max(facts.last_seen, event.time)
    if event.type == "order.completed":
        facts.orders += 1
        facts.orders_placed += 1
    if event.type in ("order.completed", "order.refunded"):
        money: dict[str, Decimal] = facts.revenue if event.type == "order.completed" else facts.refunds  # type: ignore[assignment]
        money[event.currency] = _SUMS.add(money.get(event.currency, Decimal(0)), event.amount)
        facts.net_revenue = net(facts.revenue, facts.refunds)


# The same world as table rows


def table_rows(world: World) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
    yield "identity", ["node", "profile", "ver"], [list(row) for row in world.identity]
    seen = {(node, profile) for node, profile, _ in world.identity if profile}
    yield "members", ["profile", "node", "live", "ver"], [[profile, node, 1, 1] for node, profile in seen]
    columns = ["node", "time", "type", "part", "off", "key", "amount", "currency", "payload"]
    yield (
        "events",
        columns,
        [
            [
                e.node,
                moment(e.time),
                e.type,
                0,
                offset,
                offset,
                e.amount,
                e.currency,
                orjson.dumps(e.payload).decode(),
            ]
            for offset, e in enumerate(world.events)
        ],
    )
    yield (
        "order_tellings",
        ["doc", "kind", "key", "node", "time", "known", "amount", "currency"],
        [
            [offset + 1, e.type, offset + 1, e.node, moment(e.time), 1, e.amount, e.currency]
            for offset, e in enumerate(world.events)
            if e.type in ("order.completed", "order.refunded")
        ],
    )
    yield (
        "traits",
        ["node", "kind", "name", "value", "ver", "source", "channel"],
        [
            [node, kind, name, None if value is None else orjson.dumps(value).decode(), ver, "", ""]
            for node, kind, name, value, ver in world.stored
        ],
    )
    at = moment(T0)
    yield (
        "identifiers",
        ["node", "type", "value", "first_seen", "last_seen"],
        [[node, kind, "x", at, at] for node, kind in world.identifiers],
    )
