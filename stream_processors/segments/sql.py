"""The SQL back end: a rule as one SELECT of the live profiles that satisfy it at an instant.

Used for back-fill, preview, full recompute and why. Every value that a caller gave is a bound parameter; the
text is put together from constants of this file only. The statement reads the tables of one generation's
database: `identity` and `members` (who is who), `events`, `traits`, `identifiers`.

Each leaf becomes `profile IN (profiles that pass)`; a leaf that a profile without any row passes becomes
`profile NOT IN (profiles that fail)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.errors import InvalidRule
from stream_processors.segments.sql_values import Binder, number_condition, value_condition
from stream_processors.segments.tree import (
    All,
    Any_,
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
_DECIMALS = ("sum", "avg", "min", "max")


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT and the values of its `{name:Type}` parameters."""

    sql: str
    parameters: dict[str, Any]


def compile_sql(rule: Rule, now_ms: int, resolve: Resolve, only: Sequence[int] | None = None) -> Query:
    """The live profiles (one column `profile`, UInt128, no order) that satisfy the rule at `now_ms`.

    `only` looks at these profiles alone and reads their rows by key. Nested segments are inlined; a segment
    that names itself, however far down, raises `InvalidRule`.
    """
    compiler = Compiler(now_ms, resolve, only)
    condition = compiler.condition(rule)
    return compiler.query(f"SELECT DISTINCT profile FROM nodes WHERE {condition}")


class Compiler:
    """Turns the nodes of one rule into conditions on `profile`, collecting parameters."""

    def __init__(self, now_ms: int, resolve: Resolve, only: Sequence[int] | None) -> None:
        self.binder = Binder()
        self._now = now_ms
        self._resolve = resolve
        self._inside: tuple[str, ...] = ()
        self._only = None if only is None else self.binder.bind(list(only), "Array(UInt128)")

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
        """The condition on a row of `events` to count for the leaf."""
        parts = [f"type = {self.binder.bind(leaf.type, 'String')}"]
        if leaf.within is not None:
            parts.append(f"time > {self._instant(self._now - leaf.within)}")
            parts.append(f"time <= {self._instant(self._now)}")
        if leaf.between is not None:
            parts.append(f"time >= {self._instant(leaf.between[0])}")
            parts.append(f"time < {self._instant(leaf.between[1])}")
        for where in leaf.where:
            path = [self.binder.bind(part, "String") for part in where.path]
            parts += [value_condition(self.binder, "payload", path, test, self._now) for test in where.tests]
        return " AND ".join(parts)

    def value_of(self, leaf: EventLeaf) -> str:
        """The number or value of a row that the leaf's aggregate is over."""
        document = ", ".join(["payload", *(self.binder.bind(part, "String") for part in leaf.of or ())])
        if leaf.aggregate in _DECIMALS:
            return f"toDecimal256(toDecimal128OrNull(JSONExtractRaw({document}), 6), 6)"
        if leaf.aggregate == "distinct":
            return _distinct_key(document)
        return "toUnixTimestamp64Milli(time)"

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
        latest = "SELECT node, argMax(profile, ver) AS latest FROM identity"
        if self._only is not None:
            latest += f" WHERE node IN (SELECT node FROM members WHERE profile IN {self._only})"
        of_some = "" if self._only is None else f" AND has({self._only}, latest)"
        return f"SELECT node, latest AS profile FROM ({latest} GROUP BY node) WHERE latest != 0{of_some}"

    def _nested(self, segment: str) -> str:
        if segment in self._inside:
            raise circle()
        outer, self._inside = self._inside, (*self._inside, segment)
        condition = self.condition(self._resolve(segment))
        self._inside = outer
        return condition

    def _event(self, leaf: EventLeaf) -> str:
        rows = self.rows("events", f"{self.value_of(leaf)} AS value", self.matching(leaf))
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
        """One row: the JSON text of the stored value at a path, or NULL; for one profile (`only`)."""
        rows = self._stored_rows(kind, path[0])
        parts = ", ".join(self.binder.bind(part, "String") for part in path[1:])
        raw = f"nullIf(JSONExtractRaw(ifNull(latest, 'null'), {parts}), '')" if parts else "latest"
        return f"SELECT {raw} FROM (SELECT {_LATEST} AS latest FROM ({rows}))"

    def _stored(self, kind: str, path: tuple[str, ...], tests: tuple[ValueTest, ...]) -> str:
        parts = [self.binder.bind(part, "String") for part in path[1:]]
        passed = " AND ".join(value_condition(self.binder, "latest", parts, test, self._now) for test in tests)
        rows = self._stored_rows(kind, path[0])
        values = f"SELECT profile, ifNull({_LATEST}, 'null') AS latest FROM ({rows}) GROUP BY profile"
        always = all(passes_missing(test) for test in tests)
        return _chosen(f"SELECT profile FROM ({values}) WHERE", passed, always)

    def _stored_rows(self, kind: str, name: str) -> str:
        """Traits or consent by name, from all nodes; the latest is written last, NULL = removed."""
        return self.rows("traits", "value, ver", f"kind = '{kind}' AND name = {self.binder.bind(name, 'String')}")

    def _identity(self, kind: str, exists: bool) -> str:
        rows = self.rows("identifiers", "type", f"type = {self.binder.bind(kind, 'String')}")
        return f"(profile {'IN' if exists else 'NOT IN'} (SELECT profile FROM ({rows})))"

    def _counted(self, leaf: CountMetric) -> str:
        matching = "1" if leaf.name == "events" else "type = 'order.completed'"
        tests = [number_condition(self.binder, "toInt64(count())", test, "integer") for test in leaf.tests]
        return _grouped(self.rows("events", "node", matching), " AND ".join(tests), holds_for(leaf.tests, 0))

    def _money(self, leaf: SumMetric) -> str:
        currency = self.binder.bind(leaf.currency, "String")
        matching = f"type = '{_MONEY_TYPES[leaf.name]}' AND currency = {currency}"
        rows = self.rows("events", "toDecimal256(amount, 6) AS value", matching)
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
        return _grouped(self.rows("events", "time", "1"), " AND ".join(tests), False)

    def rows(self, table: str, columns: str, matching: str) -> str:
        """Rows of a table by node, each with the profile that the node belongs to."""
        if self._only is not None:
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


def _distinct_key(document: str) -> str:
    """Strings, numbers (+ 0 makes -0 one with 0) and booleans each on their own; NULL, not counted, for the
    rest.
    """
    return (
        f"multiIf(JSONType({document}) = 'String', concat('s', JSONExtractString({document})), "
        f"JSONType({document}) IN ('Int64', 'UInt64', 'Double'), "
        f"concat('n', toString(JSONExtractFloat({document}) + 0)), "
        f"JSONType({document}) = 'Bool', concat('b', toString(JSONExtractBool({document}))), NULL)"
    )
