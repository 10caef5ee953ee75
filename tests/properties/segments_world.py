"""A small random world for the segment laws: who is who, events, traits; as table rows and as live facts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import orjson
from hypothesis import strategies as st

from stream_processors.segments.live import LiveRules, ProfileFacts

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
NAMES = ("revenue", "revenue", "kind", "address", "when")
SEGMENTS = ("s0", "s1", "s2")
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


_DATES = ("2026-01-25", "2026-02-01T00:00:00Z", "2026-01-31T03:30:00.001+03:30", "1900-01-01", "2026-02-30")
_WIDE = (2**63, 2**64 - 1, -(2**63), 5e-324, 1.7976931348623157e308, 1e22, 1e31, 1e32)
TEXTS = st.sampled_from(
    ("", "a", "ab", "A", "é😀", "x'y\\n", "1", "true", "a\nb", "\x00", "{p0:String}", "null", *_DATES)
)
NUMBERS = st.sampled_from(
    (0, -0.0, 1, 1.0, 1.5, 2, -3, 0.1, 0.3, 20, 99.999999, 1e-7, -1.9e-6, 1.1234567, *_WIDE)
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans())
VALUES = st.one_of(
    SCALARS, SCALARS, st.none(), st.just([1, "a"]), st.fixed_dictionaries({}, optional={"city": SCALARS})
)
_BORDERS = st.sampled_from(
    [T0 - window + step for window in (0, DAY, 7 * DAY, 30 * DAY) for step in (-1, 0, 1)]
)
TIMES = st.one_of(
    _BORDERS,
    _BORDERS,
    st.integers(T0 - 40 * DAY, T0 + 60 * SECOND),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for node in NODES:
        for ver in range(draw(st.integers(0, 2))):
            profile = node if ver == 0 and node in PROFILES else draw(st.sampled_from((0, *PROFILES)))
            world.identity.append((node, profile, ver))
    for offset in range(draw(st.sampled_from((0, 3, 12, 24)))):
        world.events.append(draw(events(offset)))
    count = draw(st.integers(0, 6))
    for ver in range(count):
        kind = draw(st.sampled_from(("trait", "trait", "consent")))
        name = draw(st.sampled_from(NAMES)) if kind == "trait" else "marketing"
        world.stored.append((draw(st.sampled_from(NODES)), kind, name, draw(VALUES), ver))
    world.identifiers = draw(
        st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(("email", "user_id"))), max_size=3)
    )
    return world


@st.composite
def events(draw: st.DrawFn, offset: int) -> Event:
    kind = draw(st.sampled_from(TYPES))
    payload = {
        "id": f"e{offset}",
        "properties": draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3)),
        "context": draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=1)),
    }
    currency = draw(st.sampled_from(("", "EUR", "IRR"))) if kind.startswith("order") else ""
    amount = draw(st.sampled_from(("0", "12.5", "-0.000001", "999999999999999999999999999999.999999")))
    node = draw(st.sampled_from((0, *NODES)))
    return Event(node, draw(TIMES), kind, payload, Decimal(amount if currency else "0"), currency)


# Rules, as a user writes them


def one_or_two(ops: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    one = st.sampled_from(sorted(ops)).flatmap(lambda op: st.fixed_dictionaries({op: ops[op]}))
    return st.one_of(one, one, st.tuples(one, one).map(lambda pair: {**pair[0], **pair[1]}))


DATES = st.sampled_from(["2026-01-25", "2026-02-01T00:00:00.000Z", "2026-01-31T00:00:00.001", "1900-01-01"])
WINDOWS = st.sampled_from(["1s", "1d", "7d", "1w", "30d", "720h"])
BOUND = st.sampled_from([0, 1, 1.0, 1.5, 2, -3, 0.1, 20, 1e22])
VALUE_OPS: dict[str, st.SearchStrategy[Any]] = {
    "eq": SCALARS,
    "ne": SCALARS,
    "in": st.lists(SCALARS, min_size=1, max_size=4),
    "not_in": st.lists(SCALARS, min_size=1, max_size=4),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), BOUND),
    "exists": st.booleans(),
    "contains": TEXTS.filter(bool),
    "starts_with": TEXTS.filter(bool),
    "matches": st.sampled_from(["^a", "a.b", "(?i)^A$", "^(a+)+$", "\\d{4}-", "é."]),
    "before": DATES,
    "after": DATES,
    "within": WINDOWS,
}
WHERE_OPS = {op: values for op, values in VALUE_OPS.items() if op != "within"}


def compared(operands: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return one_or_two(dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte"), operands))


COUNTED = compared(st.integers(0, 3))
SUMMED = compared(st.sampled_from([0, 1, 1.5, 20, -3, 0.1, 13.5, 12.5, 99.999999, 1e22]))
DAYS = compared(st.sampled_from([0, 1, 7, 0.5, 30, 7.00001]))
PATHS = st.sampled_from((*NAMES, "address.city", "revenue.x"))
PROPERTIES = st.one_of(PATHS, PATHS, PATHS.map(lambda path: "context." + path))


@st.composite
def event_leaves(draw: st.DrawFn) -> dict[str, Any]:
    leaf: dict[str, Any] = {"event": draw(st.sampled_from(TYPES))}
    if draw(st.booleans()):
        condition = st.tuples(PROPERTIES, one_or_two(WHERE_OPS)).map(
            lambda pair: {"property": pair[0], **pair[1]}
        )
        leaf["where"] = draw(st.lists(condition, max_size=2))
    aggregate = draw(
        st.sampled_from(
            [
                "",
                "count",
                "count",
                "sum",
                "avg",
                "min",
                "max",
                "distinct",
                "days_since_last",
                "days_since_first",
            ]
        )
    )
    if aggregate in ("count", "distinct"):
        leaf[aggregate] = draw(COUNTED)
    elif aggregate.startswith("days"):
        leaf[aggregate] = draw(DAYS)
    elif aggregate:
        leaf[aggregate] = draw(SUMMED)
    if aggregate in ("sum", "avg", "min", "max", "distinct"):
        leaf["of"] = draw(PROPERTIES)
    span = draw(st.sampled_from(("", "within", "within", "between")))
    if span == "within":
        leaf["within"] = draw(WINDOWS)
    elif span == "between":
        leaf["between"] = draw(
            st.sampled_from([["2026-01-25", "2026-02-01"], ["2026-01-01T10:00:00Z", "2026-02-02"]])
        )
    return leaf


def leaves(nested: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    trait = st.tuples(PATHS, one_or_two(VALUE_OPS)).map(lambda pair: {"trait": pair[0], **pair[1]})
    consent_ops = {op: VALUE_OPS[op] for op in ("eq", "ne", "in", "not_in", "exists")}
    consent = one_or_two(consent_ops).map(lambda ops: {"consent": "marketing", **ops})
    identity = st.booleans().map(lambda exists: {"identity": "email", "exists": exists})
    counted = st.tuples(st.sampled_from(("events", "orders")), COUNTED).map(
        lambda p: {"metric": p[0], **p[1]}
    )
    money = st.tuples(st.sampled_from(("revenue", "refunds")), SUMMED).map(
        lambda p: {"metric": p[0], "currency": "EUR", **p[1]}
    )
    seen_ops = {"before": DATES, "after": DATES, "within": WINDOWS}
    seen = st.tuples(st.sampled_from(("first_seen", "last_seen")), one_or_two(seen_ops)).map(
        lambda p: {"metric": p[0], **p[1]}
    )
    kinds = [
        event_leaves(),
        event_leaves(),
        event_leaves(),
        trait,
        trait,
        consent,
        identity,
        counted,
        money,
        seen,
    ]
    if nested:
        kinds.append(st.sampled_from(nested).map(lambda segment: {"segment": segment}))
    return st.one_of(kinds)


def trees(nested: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        leaves(nested),
        lambda below: st.one_of(
            st.lists(below, min_size=1, max_size=3).map(lambda listed: {"all": listed}),
            st.lists(below, min_size=1, max_size=3).map(lambda listed: {"any": listed}),
            below.map(lambda rule: {"not": rule}),
        ),
        max_leaves=4,
    )


LEAF_SETS = st.lists(leaves(()), min_size=10, max_size=10)
RULE_SETS = st.tuples(trees(()), trees(("s0",)), trees(("s0", "s1"))).map(
    lambda made: dict(zip(SEGMENTS, made, strict=True))
)


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
    if event.type in ("order.completed", "order.refunded"):
        money: dict[str, Decimal] = facts.revenue if event.type == "order.completed" else facts.refunds  # type: ignore[assignment]
        money[event.currency] = _SUMS.add(money.get(event.currency, Decimal(0)), event.amount)


# The same world as table rows


def table_rows(world: World) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
    yield "identity", ["node", "profile", "ver"], [list(row) for row in world.identity]
    seen = {(node, profile) for node, profile, _ in world.identity if profile}
    yield "members", ["profile", "node", "live", "ver"], [[profile, node, 1, 1] for node, profile in seen]
    columns = ["node", "time", "type", "part", "off", "amount", "currency", "payload"]
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
                e.amount,
                e.currency,
                orjson.dumps(e.payload).decode(),
            ]
            for offset, e in enumerate(world.events)
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
