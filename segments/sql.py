"""The SQL back end: a rule as one SELECT of the live profiles that satisfy it at an instant.

Used for back-fill, preview, full recompute and why. Every value that a caller gave is a bound parameter; the
text is put together from constants of this file only. The statement reads the tables of one generation's
database: `identity` and `members` (who is who), `counted` (the events that count), `traits`, `identifiers`.

Each leaf becomes `profile IN (profiles that pass)`; a leaf that a profile without any row passes becomes
`profile NOT IN (profiles that fail)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from schemas.errors import InvalidRule
from segments.sql_values import (
    Binder,
    distinct_key,
    entered,
    number_condition,
    reached,
    value_conditions,
)
from segments.tree import (
    All,
    Any_,
    AnyItem,
    Condition,
    Consent,
    CountMetric,
    EventLeaf,
    Identity,
    Leaf,
    Not,
    NumberTest,
    Rule,
    SeenMetric,
    SegmentRef,
    SumMetric,
    Trait,
    ValueTest,
    holds_for,
)

Resolve = Callable[[str], Rule]
"""The rule of a segment by id; raises `NotFound` where there is none."""

_MONEY_TYPES = {"revenue": "order.completed", "refunds": "order.refunded"}
_LATEST = "argMax(tuple(value), ver).1"
_ENVELOPE, _ITEM = 2, 1
"""Parts of a path that are keys of objects: `properties` or `context` and a name; a name."""
_DECIMALS = ("sum", "avg", "min", "max")


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT and the values of its `{name:Type}` parameters."""

    sql: str
    parameters: dict[str, Any]


class Page(NamedTuple):
    """The profiles from an id to another, both included. Ids are keyed hashes: pages of one width hold alike many."""

    first: int
    last: int


Only = Sequence[int] | Page | None
"""The profiles to look at: some, those of a page, or all."""

MOST_LEAVES: Final = 5_000
"""In one statement, nested segments included. A bound for what was never checked; the door's limits lie far below."""


def compile_sql(rule: Rule, now_ms: int, resolve: Resolve, only: Only = None) -> Query:
    """The live profiles (one column `profile`, UInt128, no order) that satisfy the rule at `now_ms`.

    `only` looks at these profiles alone and reads the rows of their nodes. Nested segments are inlined; a segment
    that names itself, however far down, and more than `MOST_LEAVES` raise `InvalidRule`.
    """
    compiler = Compiler(now_ms, resolve, only)
    condition = compiler.condition(rule)
    return compiler.query(f"SELECT DISTINCT profile FROM nodes WHERE {condition}")


class Compiler:
    """Turns the nodes of one rule into conditions on `profile`, collecting parameters."""

    def __init__(self, now_ms: int, resolve: Resolve, only: Only) -> None:
        self.binder = Binder()
        self._now = now_ms
        self._resolve = resolve
        self._inside: tuple[str, ...] = ()
        self._leaves = 0
        self._page = [self.binder.bind(end, "UInt128") for end in only] if isinstance(only, Page) else None
        self._some = None
        if only is not None and not isinstance(only, Page):
            self._some = self.binder.bind(list(only), "Array(UInt128)")

    def query(self, select: str) -> Query:
        """A SELECT over `nodes` (node, profile): every node that belongs to a live profile, as of now."""
        return Query(f"WITH nodes AS ({self._nodes()}) {select}", self.binder.parameters)

    def condition(self, rule: Rule) -> str:
        match rule:
            case All(children=below):
                return "(" + " AND ".join(self.condition(child) for child in below) + ")"
            case Any_(children=below):
                return "(" + " OR ".join(self.condition(child) for child in below) + ")"
            case Not(child=child):
                return f"(NOT {self.condition(child)})"
            case SegmentRef(segment=segment):
                return self._nested(segment)
            case leaf:
                return self.leaf(leaf)

    def leaf(self, leaf: Leaf) -> str:  # noqa: PLR0911 (one return a kind of leaf)
        self._leaves += 1
        if self._leaves > MOST_LEAVES:
            raise too_large(f"at most {MOST_LEAVES} leaves, nested segments included, are wanted")
        match leaf:
            case Trait(path=path, tests=tests):
                return self._stored("trait", path, tests)
            case Consent(purpose=purpose, tests=tests):
                return self._stored("consent", (purpose,), tests)
            case Identity(type=kind, exists=exists):
                return self._identity(kind, exists)
            case EventLeaf():
                return self._event(leaf)
            case CountMetric():
                return self._counted(leaf)
            case SumMetric():
                return self._money(leaf)
            case SeenMetric():
                return self._seen(leaf)

    def matching(self, leaf: EventLeaf) -> str:
        """The condition on a row of `counted` to count for the leaf."""
        parts = [f"type = {self.binder.bind(leaf.type, 'String')}"]
        if leaf.within is not None:
            parts.append(f"time > {self._instant(self._now - leaf.within)}")
            parts.append(f"time <= {self._instant(self._now)}")
        if leaf.between is not None:
            parts.append(f"time >= {self._instant(leaf.between[0])}")
            parts.append(f"time < {self._instant(leaf.between[1])}")
        for condition in leaf.where:
            parts += self._conditions("payload", condition, _ENVELOPE)
        return " AND ".join(parts)

    def _conditions(self, document: str, condition: Condition, head: int) -> list[str]:
        """What a JSON text must meet. `head`: how many of a path's first parts cannot be lists."""
        found = reached(self.binder, document, condition.path[:head], condition.path[head:])
        if isinstance(condition, AnyItem):
            inner = [part for below in condition.where for part in self._conditions("item", below, _ITEM)]
            return [f"arrayExists(item -> startsWith(item, '{{') AND {' AND '.join(inner)}, {entered(found)})"]
        return value_conditions(self.binder, found, condition.tests, self._now)

    def value_of(self, leaf: EventLeaf) -> str:
        """The number or value of a row that the leaf's aggregate is over; with a list, a row for each of its items."""
        if leaf.of is None:
            return "toUnixTimestamp64Milli(time)"
        items = entered(reached(self.binder, "payload", leaf.of[:_ENVELOPE], leaf.of[_ENVELOPE:]))
        value = distinct_key("x") if leaf.aggregate == "distinct" else "toDecimal256(toDecimal128OrNull(x, 6), 6)"
        return f"arrayJoin(arrayMap(x -> {value}, {items}))"

    def aggregated(self, leaf: EventLeaf) -> str:
        """The aggregate over `value`, in the unit of the leaf's tests."""
        return {
            "count": "toInt64(count())",
            "sum": "sum(ifNull(value, toDecimal256(0, 6)))",
            "avg": "sum(value)",
            "min": "min(value)",
            "max": "max(value)",
            "distinct": "toInt64(uniqExact(value))",
            "days_since_last": f"{self.binder.bind(self._now, 'Int64')} - max(value)",
            "days_since_first": f"{self.binder.bind(self._now, 'Int64')} - min(value)",
        }[leaf.aggregate]

    def _nodes(self) -> str:
        latest, wanted = "SELECT node, argMax(profile, ver) AS latest FROM identity", "latest != 0"
        if self._some is not None:
            latest += f" WHERE node IN (SELECT node FROM members WHERE profile IN {self._some})"
            wanted += f" AND has({self._some}, latest)"
        elif self._page is not None:
            wanted += f" AND latest BETWEEN {self._page[0]} AND {self._page[1]}"
        return f"SELECT node, latest AS profile FROM ({latest} GROUP BY node) WHERE {wanted}"

    def _nested(self, segment: str) -> str:
        if segment in self._inside:
            raise circle()
        outer, self._inside = self._inside, (*self._inside, segment)
        condition = self.condition(self._resolve(segment))
        self._inside = outer
        return condition

    def _event(self, leaf: EventLeaf) -> str:
        rows = self.rows("counted", f"{self.value_of(leaf)} AS value", self.matching(leaf))
        tests = [self._aggregate_test(leaf, test) for test in leaf.tests]
        always = leaf.aggregate in ("count", "sum", "distinct") and holds_for(leaf.tests, 0)
        return _grouped(rows, " AND ".join(tests), always)

    def _aggregate_test(self, leaf: EventLeaf, test: NumberTest) -> str:
        value = self.aggregated(leaf)
        if leaf.aggregate == "avg":
            return f"(count(value) > 0 AND {number_condition(self.binder, value, test, 'average')})"
        if leaf.aggregate in _DECIMALS:
            return f"ifNull({number_condition(self.binder, value, test, 'decimal')}, 0)"
        return number_condition(self.binder, value, test, "integer")

    def latest_value(self, kind: str, path: tuple[str, ...]) -> str:
        """One row: the JSON text of the stored value at a path, or NULL; for one profile (`only`). Where the path leads
        to several values, of a list of them.
        """
        found = f"arrayFilter(x -> x != '', {self._at('latest', path)})"
        shown = f"if(length({found}) > 1, concat('[', arrayStringConcat({found}, ', '), ']'), nullIf({found}[1], ''))"
        rows = self._stored_rows(kind, path[0])
        return f"SELECT {shown} FROM (SELECT ifNull({_LATEST}, '') AS latest FROM ({rows}))"

    def _stored(self, kind: str, path: tuple[str, ...], tests: tuple[ValueTest, ...]) -> str:
        passed = " AND ".join(value_conditions(self.binder, self._at("latest", path), tests, self._now))
        rows = self._stored_rows(kind, path[0])
        values = f"SELECT profile, ifNull({_LATEST}, 'null') AS latest FROM ({rows}) GROUP BY profile"
        always = all(passes_missing(test) for test in tests)
        return _chosen(f"SELECT profile FROM ({values}) WHERE", passed, always)

    def _at(self, latest: str, path: tuple[str, ...]) -> str:
        return reached(self.binder, latest, (), path[1:])

    def _stored_rows(self, kind: str, name: str) -> str:
        """Traits or consent by name, from all nodes; the latest is written last, NULL = removed."""
        return self.rows("traits", "value, ver", f"kind = '{kind}' AND name = {self.binder.bind(name, 'String')}")

    def _identity(self, kind: str, exists: bool) -> str:
        rows = self.rows("identifiers", "type", f"type = {self.binder.bind(kind, 'String')}")
        return f"(profile {'IN' if exists else 'NOT IN'} (SELECT profile FROM ({rows})))"

    def _counted(self, leaf: CountMetric) -> str:
        matching = "1" if leaf.name == "events" else "type = 'order.completed'"
        tests = [number_condition(self.binder, "toInt64(count())", test, "integer") for test in leaf.tests]
        return _grouped(self.rows("counted", "node", matching), " AND ".join(tests), holds_for(leaf.tests, 0))

    def _money(self, leaf: SumMetric) -> str:
        currency = self.binder.bind(leaf.currency, "String")
        matching = f"type = '{_MONEY_TYPES[leaf.name]}' AND currency = {currency}"
        rows = self.rows("counted", "toDecimal256(amount, 6) AS value", matching)
        tests = [number_condition(self.binder, "sum(value)", test, "decimal") for test in leaf.tests]
        return _grouped(rows, " AND ".join(tests), holds_for(leaf.tests, 0))

    def _seen(self, leaf: SeenMetric) -> str:
        seen = "min(time)" if leaf.name == "first_seen" else "max(time)"
        tests = []
        for test in leaf.tests:
            operand = int(test.operand)  # type: ignore[arg-type]
            match test.op:
                case "before":
                    tests.append(f"{seen} < {self._instant(operand)}")
                case "after":
                    tests.append(f"{seen} > {self._instant(operand)}")
                case _:
                    tests.append(f"{seen} > {self._instant(self._now - operand)}")
                    tests.append(f"{seen} <= {self._instant(self._now)}")
        return _grouped(self.rows("counted", "time", "1"), " AND ".join(tests), False)

    def rows(self, table: str, columns: str, matching: str) -> str:
        """Rows of a table by node, each with the profile that the node belongs to."""
        if self._some is not None or self._page is not None:
            matching = f"node IN (SELECT node FROM nodes) AND {matching}"
        selected = f"SELECT node AS at_node, {columns} FROM {table} WHERE {matching}"
        return f"SELECT * FROM ({selected}) AS r INNER JOIN nodes AS n ON r.at_node = n.node"

    def _instant(self, ms: int) -> str:
        return f"fromUnixTimestamp64Milli({self.binder.bind(ms, 'Int64')}, 'UTC')"


def circle() -> InvalidRule:
    return InvalidRule(
        "rule: segments that do not contain themselves are wanted, a circle came; remove one reference",
        code="segment_cycle",
    )


def too_large(wanted: str) -> InvalidRule:
    return InvalidRule(f"rule: {wanted}, more came; ask for less in one segment", code="rule_too_large")


def passes_missing(test: ValueTest) -> bool:
    """Whether a test of a value holds where there is no value."""
    return test.op in ("ne", "not_in") or (test.op == "exists" and not test.operand)


def _grouped(rows: str, passed: str, always: bool) -> str:
    """`always`: whether a profile without any row passes."""
    return _chosen(f"SELECT profile FROM ({rows}) GROUP BY profile HAVING", passed, always)


def _chosen(select: str, passed: str, always: bool) -> str:
    if always:
        return f"(profile NOT IN ({select} NOT ({passed})))"
    return f"(profile IN ({select} {passed}))"
