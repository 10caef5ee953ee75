"""The reads of leaves from tables in SQL, each part of a table once: a row for each profile, a column for each leaf.

There is one reading of the events' own columns, one for each type of event whose payload some leaf reads, one of traits
and consent, and one of identifiers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from segments.sql_values import (
    Binder,
    distinct_key,
    entered,
    moments,
    number_condition,
    reached,
    value_conditions,
)
from segments.tree import (
    AnyItem,
    Condition,
    Consent,
    CountMetric,
    EventLeaf,
    EventValue,
    IdentityLeaf,
    Leaf,
    NumberTest,
    SeenMetric,
    SumMetric,
    Trait,
    ValueTest,
    holds_for,
)

NEVER: Final = 1 << 60
"""A moment that never comes."""
NUMBER: Final = "toDecimal256(toDecimal128OrNull(x, 6), 6)"
"""The JSON text `x` as a number, NULL for other values."""

_ORDERS: Final = {
    "orders": "countIf(kind = 'order' AND counts)",
    "orders_placed": "countIf(kind = 'order')",
    "revenue": "sumIf(toDecimal256(amount, 6), kind = 'order' AND {counts})",
    "refunds": "sumIf(toDecimal256(amount, 6), kind = 'refund' AND {counts})",
    "net_revenue": "sumIf(if(kind = 'order', toDecimal256(amount, 6), -toDecimal256(amount, 6)), {counts})",
}
"""Metrics of the movements of orders."""
_ENVELOPE, _ITEM = 2, 1
"""Parts of a path that are keys of objects: `properties` or `context` and a name; a name."""
_VALUED: Final = ("sum", "avg", "min", "max", "distinct")


@dataclass(slots=True)
class Reading:
    """One scan of a table. `columns`: of its rows, besides the node; `latest`: aggregates of a profile's rows that
    `tests` (leaf column -> whether its tests pass or fail) and `dues` (moments in ms, `NEVER`) are made from.
    """

    table: str
    wanted: str = "1"
    columns: list[str] = field(default_factory=list)
    latest: list[str] = field(default_factory=list)
    tests: dict[str, str] = field(default_factory=dict)
    dues: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    """Column -> what computed traits are made of (`segments.value_readings`)."""

    def by_profile(self, rows: str) -> str:
        """One row for each profile in `rows`."""
        selected = ["profile", *(f"toUInt8({test}) AS {column}" for column, test in self.tests.items())]
        selected += [f"{value} AS {column}" for column, value in self.values.items()]
        if self.dues:
            selected.append(f"toInt64(arrayMin([{', '.join(self.dues)}])) AS due")
        if self.latest:
            rows = f"SELECT profile, {', '.join(self.latest)} FROM ({rows}) GROUP BY profile"
            return f"SELECT {', '.join(selected)} FROM ({rows})"
        return f"SELECT {', '.join(selected)} FROM ({rows}) GROUP BY profile"

    def test(self, column: str, leaf: Leaf, passed: str) -> None:
        self.tests[column] = f"NOT ({passed})" if holds_for_nobody(leaf) else passed


def holds_for_nobody(leaf: Leaf) -> bool:
    """Whether the leaf holds for a profile without rows."""
    match leaf:
        case Trait(tests=tests) | Consent(tests=tests):
            return all(_passes_missing(test) for test in tests)
        case IdentityLeaf(exists=exists):
            return not exists
        case EventLeaf(aggregate=aggregate, tests=tests):
            return aggregate in ("count", "sum", "distinct") and holds_for(tests, 0)
        case SeenMetric():
            return False
        case metric:
            return holds_for(metric.tests, 0)


def readings(leaves: Mapping[Leaf, str], binder: Binder, now: int, *, due: bool) -> list[Reading]:
    """Of leaves with the names of their columns. `due`: with the moments at which time alone may change them, which may
    be early, never late."""
    look = _Look(binder, now, due)
    plain: dict[Leaf, str] = {}
    orders: dict[CountMetric | SumMetric, str] = {}
    stored: dict[Trait | Consent, str] = {}
    types: dict[IdentityLeaf, str] = {}
    payloads: dict[str, dict[EventLeaf, str]] = {}
    for leaf, column in leaves.items():
        match leaf:
            case Trait() | Consent():
                stored[leaf] = column
            case IdentityLeaf():
                types[leaf] = column
            case CountMetric(name="orders" | "orders_placed") | SumMetric():
                orders[leaf] = column
            case EventLeaf(where=where, of=of) if where or of:
                payloads.setdefault(leaf.type, {})[leaf] = column
            case _:
                plain[leaf] = column
    found = [look.payloads(kind, some) for kind, some in payloads.items()]
    found += [look.events(plain)] if plain else []
    found += [look.orders(orders)] if orders else []
    found += [look.stored(stored)] if stored else []
    found += [look.identifiers(types)] if types else []
    return found


class _Look:
    """Makes readings for one statement."""

    def __init__(self, binder: Binder, now: int, due: bool) -> None:
        self._binder = binder
        self._now = now
        self._due = due

    # ---- events

    def events(self, leaves: Mapping[Leaf, str]) -> Reading:
        reading = Reading("counted", columns=["type", "toUnixTimestamp64Milli(time) AS at"])
        wanted: set[str] | None = set()
        for leaf, column in leaves.items():
            match leaf:
                case EventLeaf():
                    matches = f"type = {self._binder.bind(leaf.type, 'String')}"
                    self._event(reading, leaf, column, matches, "")
                    wanted = wanted if wanted is None else wanted | {leaf.type}
                case CountMetric():
                    self._numbers(reading, leaf, column, "toInt64(count())", leaf.tests, "integer")
                    wanted = None
                case SeenMetric():
                    self._seen(reading, leaf, column)
                    wanted = None
        if wanted is not None:
            reading.wanted = f"type IN {self._binder.bind(sorted(wanted), 'Array(String)')}"
        return reading

    def orders(self, leaves: Mapping[CountMetric | SumMetric, str]) -> Reading:
        reading = Reading("order_movements", columns=["kind", "counts", "amount", "currency"])
        for leaf, column in leaves.items():
            if isinstance(leaf, CountMetric):
                self._numbers(reading, leaf, column, f"toInt64({_ORDERS[leaf.name]})", leaf.tests, "integer")
            else:
                counts = f"counts AND currency = {self._binder.bind(leaf.currency, 'String')}"
                total = _ORDERS[leaf.name].replace("{counts}", counts)
                self._numbers(reading, leaf, column, total, leaf.tests, "decimal")
        return reading

    def payloads(self, kind: str, leaves: Mapping[EventLeaf, str]) -> Reading:
        reading = Reading("counted", columns=["toUnixTimestamp64Milli(time) AS at"])
        wanted = [f"type = {self._binder.bind(kind, 'String')}", *self._bounds(leaves)]
        for number, (leaf, column) in enumerate(leaves.items()):
            conditions = " AND ".join(where_conditions(self._binder, leaf.where, self._now)) or "1"
            if len(leaves) == 1:
                wanted.append(conditions)
                conditions = "1"
            reading.columns.append(f"{conditions} AS m{number}")
            if leaf.of is not None:
                reading.columns.append(f"{self._values(leaf)} AS v{number}")
            self._event(reading, leaf, column, f"m{number}", f"v{number}")
        reading.wanted = " AND ".join(wanted)
        return reading

    def _bounds(self, leaves: Iterable[EventLeaf]) -> Iterator[str]:
        """The common time range of these leaves' events. Future events matter for due moments."""
        starts = [self._now - leaf.within if leaf.within else (leaf.between or (None,))[0] for leaf in leaves]
        known = [start for start in starts if start is not None]
        if len(known) == len(starts):
            yield f"time >= {instant(self._binder, min(known))}"

    def _values(self, leaf: EventLeaf) -> str:
        """The numbers or values that a row adds to the leaf's aggregate, as an array: several, with a list."""
        return values_at(self._binder, leaf.of or (), distinct_key("x") if leaf.aggregate == "distinct" else NUMBER)

    def _event(self, reading: Reading, leaf: EventLeaf, column: str, matches: str, values: str) -> None:
        """`matches`: whether a row counts, at any time; `values`: the column of its values."""
        counts = in_time(self._binder, self._now, leaf, matches)
        tests = [self._aggregate(leaf, test, counts, values) for test in leaf.tests]
        reading.test(column, leaf, " AND ".join(tests))
        if self._due:
            reading.dues += self._event_dues(leaf, matches, counts)

    def _aggregate(self, leaf: EventLeaf, test: NumberTest, counts: str, values: str) -> str:
        """One test of an aggregate of the rows that count."""
        many = f"sumIf(length({values}), {counts})" if leaf.aggregate in _VALUED else f"countIf({counts})"
        match leaf.aggregate:
            case "count":
                return number_condition(self._binder, f"toInt64({many})", test, "integer")
            case "distinct":
                return number_condition(self._binder, f"toInt64(uniqExactArrayIf({values}, {counts}))", test, "integer")
            case "sum":
                return number_condition(self._binder, f"sumArrayIf({values}, {counts})", test, "decimal")
            case "avg":
                total = f"sumArrayIf({values}, {counts})"
                return f"({many} > 0 AND {number_condition(self._binder, total, test, 'decimal', f'toInt64({many})')})"
            case "min" | "max" as named:
                best = f"{named}ArrayIf({values}, {counts})"
                return f"({many} > 0 AND {number_condition(self._binder, best, test, 'decimal')})"
            case "days_since_last" | "days_since_first" as named:
                age = f"{self._ms(self._now)} - {self._since(named, counts)}"
                return f"({many} > 0 AND {number_condition(self._binder, age, test, 'integer')})"

    @staticmethod
    def _since(aggregate: str, counts: str) -> str:
        return f"{'max' if aggregate == 'days_since_last' else 'min'}If(at, {counts})"

    def _event_dues(self, leaf: EventLeaf, matches: str, counts: str) -> Iterator[str]:
        """Moments of a window; and ages only grow."""
        if leaf.within is not None:
            yield from window_dues(self._binder, self._now, leaf.within, matches, counts)
        if leaf.aggregate in ("days_since_last", "days_since_first"):
            since = self._since(leaf.aggregate, counts)
            for test in leaf.tests:
                for step in (0, 1):
                    moment = f"{since} + {self._ms(test.operand + step)}"
                    yield f"if(countIf({counts}) > 0 AND {moment} > {self._ms(self._now)}, {moment}, {NEVER})"

    # ---- metrics

    def _numbers(
        self, reading: Reading, leaf: Leaf, column: str, value: str, tests: Sequence[NumberTest], unit: str
    ) -> None:
        passed = [number_condition(self._binder, value, test, unit) for test in tests]
        reading.test(column, leaf, " AND ".join(passed))

    def _seen(self, reading: Reading, leaf: SeenMetric, column: str) -> None:
        seen = "min(at)" if leaf.name == "first_seen" else "max(at)"
        passed = []
        for test in leaf.tests:
            operand = int(test.operand)  # type: ignore[arg-type]
            match test.op:
                case "before":
                    passed.append(f"{seen} < {self._ms(operand)}")
                case "after":
                    passed.append(f"{seen} > {self._ms(operand)}")
                case _:
                    passed.append(f"{seen} > {self._ms(self._now - operand)} AND {seen} <= {self._ms(self._now)}")
                    if self._due:
                        reading.dues += [self._window_due(seen, operand)]
        reading.test(column, leaf, " AND ".join(passed))

    def _window_due(self, moment: str, window: int) -> str:
        return window_due(self._binder, moment, window, self._now)

    # ---- traits, consent, identifiers

    def stored(self, leaves: Mapping[Trait | Consent, str]) -> Reading:
        """Traits or consent by name, from all nodes; the latest is written last, NULL = removed."""
        reading = Reading("traits", columns=["kind", "name", "value", "ver"])
        names: dict[tuple[str, str], str] = {}
        for leaf, column in leaves.items():
            kind, path = ("trait", leaf.path) if isinstance(leaf, Trait) else ("consent", (leaf.purpose,))
            latest = names.setdefault((kind, path[0]), f"s{len(names)}")
            found = reached(self._binder, latest, (), path[1:])
            reading.test(column, leaf, " AND ".join(value_conditions(self._binder, found, leaf.tests, self._now)))
            if self._due:
                reading.dues += self._stored_dues(found, leaf.tests)
        wanted = []
        for (kind, name), latest in names.items():
            is_it = f"(kind = '{kind}' AND name = {self._binder.bind(name, 'String')})"
            reading.latest.append(f"ifNull(argMaxIf(tuple(value), ver, {is_it}).1, 'null') AS {latest}")
            wanted.append(is_it)
        reading.wanted = f"({' OR '.join(wanted)})"
        return reading

    def _stored_dues(self, found: str, tests: Sequence[ValueTest]) -> Iterator[str]:
        windows = [int(test.operand) for test in tests if test.op == "within"]  # type: ignore[arg-type]
        for window in windows:
            dues = f"arrayMap(at -> {self._window_due('at', window)}, {moments(entered(found))})"
            yield f"arrayMin(arrayPushBack({dues}, toInt64({NEVER})))"

    def identifiers(self, leaves: Mapping[IdentityLeaf, str]) -> Reading:
        types = self._binder.bind(sorted({leaf.type for leaf in leaves}), "Array(String)")
        reading = Reading("identifiers", wanted=f"type IN {types}", columns=["type"])
        for leaf, column in leaves.items():
            reading.tests[column] = f"countIf(type = {self._binder.bind(leaf.type, 'String')}) > 0"
        return reading

    def _ms(self, ms: int) -> str:
        return self._binder.bind(ms, "Int64")


def window_due(binder: Binder, moment: str, window: int, now: int) -> str:
    """A moment enters a window when it comes, and leaves it one window later."""
    present, out = binder.bind(now, "Int64"), f"{moment} + {binder.bind(window, 'Int64')}"
    return f"multiIf({moment} > {present}, {moment}, {out} > {present}, {out}, {NEVER})"


def event_conditions(binder: Binder, leaf: EventLeaf | EventValue, now: int) -> list[str]:
    """The condition for a row of `events` to count for the leaf."""
    types = leaf.types if isinstance(leaf, EventValue) else (leaf.type,)
    parts = [f"type IN {binder.bind(list(types), 'Array(String)')}"]
    if leaf.within is not None:
        parts.append(f"time > {instant(binder, now - leaf.within)}")
        parts.append(f"time <= {instant(binder, now)}")
    if leaf.between is not None:
        parts.append(f"time >= {instant(binder, leaf.between[0])}")
        parts.append(f"time < {instant(binder, leaf.between[1])}")
    return parts + where_conditions(binder, leaf.where, now)


def in_time(binder: Binder, now: int, what: EventLeaf | EventValue, matches: str) -> str:
    """Whether a row that `matches` counts now."""
    if what.within is not None:
        since, until = binder.bind(now - what.within, "Int64"), binder.bind(now, "Int64")
        return f"({matches} AND at > {since} AND at <= {until})"
    if what.between is not None:
        start, end = (binder.bind(moment, "Int64") for moment in what.between)
        return f"({matches} AND at >= {start} AND at < {end})"
    return f"({matches})"


def window_dues(binder: Binder, now: int, within: int, matches: str, counts: str) -> Iterator[str]:
    """An event enters a window when its moment comes, and leaves it later."""
    yield f"ifNull(minOrNullIf(at, {counts}) + {binder.bind(within, 'Int64')}, {NEVER})"
    yield f"ifNull(minOrNullIf(at, {matches} AND at > {binder.bind(now, 'Int64')}), {NEVER})"


def values_at(binder: Binder, path: Sequence[str], value: str) -> str:
    """What `value` makes of each item `x` at a path of the payload, as an array without NULLs."""
    items = entered(reached(binder, "payload", path[:_ENVELOPE], path[_ENVELOPE:]))
    return f"arrayMap(x -> assumeNotNull(x), arrayFilter(x -> isNotNull(x), arrayMap(x -> {value}, {items})))"


def where_conditions(binder: Binder, where: Sequence[Condition], now: int) -> list[str]:
    """The condition on the payload of an event."""
    return [part for condition in where for part in _conditions(binder, "payload", condition, _ENVELOPE, now)]


def _conditions(binder: Binder, document: str, condition: Condition, head: int, now: int) -> list[str]:
    """The condition on a JSON text. `head`: how many of a path's first parts cannot be lists."""
    found = reached(binder, document, condition.path[:head], condition.path[head:])
    if isinstance(condition, AnyItem):
        inner = [part for below in condition.where for part in _conditions(binder, "item", below, _ITEM, now)]
        return [f"arrayExists(item -> startsWith(item, '{{') AND {' AND '.join(inner)}, {entered(found)})"]
    return value_conditions(binder, found, condition.tests, now)


def instant(binder: Binder, ms: int) -> str:
    return f"fromUnixTimestamp64Milli({binder.bind(ms, 'Int64')}, 'UTC')"


def _passes_missing(test: ValueTest) -> bool:
    """Whether a test of a value holds if there is no value."""
    return test.op in ("ne", "not_in") or (test.op == "exists" and not test.operand)
