"""The SQL back end: rules as one SELECT of the live profiles that satisfy them at an instant.

Used for back-fill, preview, full recompute and why. Every value from a caller is a bound parameter; the text consists
of constants of this package only. The statement reads the tables of one generation's database: `identity` and `members`
(who is who), `counted` (the events that count), `traits`, `identifiers`. Each part of a table is read once, however
many rules and leaves there are (`segments.readings`). A reading has one row for each profile with data, and a column
for each leaf. The column says whether the leaf holds; for a leaf that holds without data, it says whether it does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.errors import InvalidRule
from segments.readings import NEVER, Reading, event_conditions, holds_for_nobody, readings, window_due
from segments.sql_values import Binder, entered, moments, reached, value_conditions
from segments.tree import (
    MICROS,
    All,
    Any_,
    Balance,
    Cases,
    Computation,
    Computed,
    EventValue,
    Leaf,
    Not,
    Ratio,
    Rule,
    Scalar,
    SegmentRef,
)
from segments.value_readings import balance_text, differing, ratio_text, value_readings, value_text
from segments.value_texts import json_text
from warehouse import latest

Resolve = Callable[[str], Rule]
"""The rule of a segment by id; raises `NotFound` if there is none."""

_LATEST = "argMax(tuple(value), ver).1"


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT and the values of its `{name:Type}` parameters."""

    sql: str
    parameters: dict[str, object]


class Page(NamedTuple):
    """The profiles from one id to another, both included. Ids are keyed hashes, so pages of the same width hold about
    as many."""

    first: int
    last: int


Only = Sequence[int] | Page | None
"""The profiles to evaluate: some, those of a page, or all."""

MOST_LEAVES: Final = 5_000
"""In one statement, nested segments included. A bound for unchecked rules; the limits of declarations are far below."""


def compile_sql(rule: Rule, now_ms: int, resolve: Resolve, only: Only = None) -> Query:
    """The live profiles (one column `profile`, UInt128, no order) that satisfy the rule at `now_ms`.

    `only` evaluates these profiles alone and reads only the rows of their nodes. Nested segments are inlined; a segment
    that names itself, however far down, and more than `MOST_LEAVES` raise `InvalidRule`.
    """
    compiler = Compiler(now_ms, resolve, only)
    return compiler.query(compiler.members(rule))


def compile_several(rules: Sequence[Rule], now_ms: int, resolve: Resolve, only: Only = None) -> Query:
    """The live profiles that satisfy any of the rules, or may do so later by the passing of time, in one statement.

    Columns: `profile`, `held` (the indices of the rules that it satisfies), and `due`: a moment after `now_ms`, in ms,
    before which time alone changes none of the leaves; 0 if it never does. Raises as `compile_sql` does.
    """
    compiler = Compiler(now_ms, resolve, only)
    return compiler.query(compiler.several(rules))


def compile_values(computations: Sequence[Computation], now_ms: int, resolve: Resolve, only: Only = None) -> Query:
    """`profile`, and `made`: the value of each of these computed traits as JSON text, '' if it has none. The
    computations are bound (`segments.computed`)."""
    compiler = Compiler(now_ms, resolve, only)
    return compiler.query(compiler.values(computations))


def compile_differing(
    traits: Mapping[str, tuple[Computation, int]], gone: Sequence[str], now_ms: int, resolve: Resolve, only: Only = None
) -> Query:
    """The profiles (one column `profile`) whose rows do not show the values of these computed traits (name -> bound
    computation, version), or still show what is `gone`."""
    compiler = Compiler(now_ms, resolve, only)
    values = compiler.values([computation for computation, _ in traits.values()])
    versions = {name: version for name, (_, version) in traits.items()}
    return compiler.query(differing(values, versions, gone, compiler.profiles, compiler.binder))


def compile_usual_gap(taken: EventValue, now_ms: int) -> Query:
    """One row: the median of the gaps between the days of all profiles' events, in millionths of a day, and how many
    gaps there are."""
    compiler = Compiler(now_ms, _none, None)
    day = f"toInt64(toDate32(time, {compiler.binder.bind(taken.zone, 'String')})) AS day"
    rows = compiler.rows("counted", day, " AND ".join(event_conditions(compiler.binder, taken, now_ms)))
    days = f"SELECT arraySort(groupUniqArray(day)) AS days FROM ({rows}) GROUP BY profile"
    gaps = f"SELECT arrayJoin(arrayPopFront(arrayDifference(days))) AS gap FROM ({days})"
    median = f"toInt64(round(ifNotFinite(quantileExactInclusive(0.5)(gap), 0) * {MICROS}))"
    return compiler.query(f"SELECT {median} AS usual, count() AS gaps FROM ({gaps})")


def _none(segment: str) -> Rule:
    raise circle()


class Compiler:
    """Turns rules into conditions on the columns of readings, collecting leaves and parameters."""

    def __init__(self, now_ms: int, resolve: Resolve, only: Only) -> None:
        self.binder = Binder()
        self._now = now_ms
        self._resolve = resolve
        self._inside: tuple[str, ...] = ()
        self._columns: dict[Leaf, str] = {}
        self._leaves = 0
        self._taken: dict[EventValue, str] = {}
        self._values: dict[Computation, tuple[str, str]] = {}
        """By computation, the name and the text of an expression; those that others are made of come first."""
        self._moments: list[tuple[str, int]] = []
        """The values and windows, in ms, of tests of computed traits that time changes."""
        self._page = [self.binder.bind(end, "UInt128") for end in only] if isinstance(only, Page) else None
        self._some = None
        if only is not None and not isinstance(only, Page):
            self._some = self.binder.bind(list(only), "Array(UInt128)")

    @property
    def profiles(self) -> str:
        """The condition on `profile` for those to evaluate."""
        if self._some is not None:
            return f"profile IN {self._some}"
        return "1" if self._page is None else f"profile BETWEEN {self._page[0]} AND {self._page[1]}"

    def query(self, select: str) -> Query:
        """A SELECT over `nodes` (node, profile): every node that belongs to a live profile, as of now."""
        return Query(f"WITH nodes AS ({self._nodes()}) {select}", self.binder.parameters)

    def members(self, rule: Rule) -> str:
        """A SELECT of the profiles that satisfy a rule."""
        condition = self._condition(rule)
        rows = self._everybody(self._readings())
        return self._with_values(f"SELECT everybody.profile AS profile FROM {rows} WHERE {condition}")

    def values(self, computations: Sequence[Computation]) -> str:
        """A SELECT of the values of computed traits, `profile` and `made`: an array of JSON texts."""
        made = [self.value(one) for one in computations] or ["''"]
        rows = self._everybody(self._readings())
        return self._with_values(f"SELECT everybody.profile AS profile, [{', '.join(made)}] AS made FROM {rows}")

    def _with_values(self, select: str) -> str:
        """A SELECT that may name the values of computed traits."""
        named = [f"{made} AS {name}" for name, made in self._values.values()]
        return f"SELECT * FROM (WITH {', '.join(named)} {select})" if named else select

    def several(self, rules: Sequence[Rule]) -> str:
        conditions = [f"toUInt8({self._condition(rule)})" for rule in rules]
        read = self._readings(due=True)
        held = f"arrayFilter((i, holds) -> holds, range({len(rules)}), [{', '.join(conditions)}])"
        dues = [f"ifNull({name}.due, 0)" for name, reading in read.items() if reading.dues]
        dues += [self._value_due(found, window) for found, window in self._moments]
        due = f"arrayMin(arrayFilter(at -> at > 0 AND at < {NEVER}, [{', '.join([*dues, 'toInt64(0)'])}]))"
        shown = f"everybody.profile AS profile, {held} AS held, {due} AS due"
        select = self._with_values(f"SELECT {shown} FROM {self._everybody(read)}")
        return f"SELECT profile, held, due FROM ({select}) WHERE notEmpty(held) OR due != 0"

    def _value_due(self, found: str, window: int) -> str:
        due = window_due(self.binder, "at", window, self._now)
        return f"arrayMin(arrayPushBack(arrayMap(at -> {due}, {moments(entered(found))}), toInt64({NEVER})))"

    def latest_value(self, kind: str, path: tuple[str, ...]) -> str:
        """One row: the JSON text of the stored value at a path, or NULL, for one profile (`only`). If the path leads to
        several values, the text is a list of them.
        """
        found = f"arrayFilter(x -> x != '', {reached(self.binder, 'latest', (), path[1:])})"
        shown = f"if(length({found}) > 1, concat('[', arrayStringConcat({found}, ', '), ']'), nullIf({found}[1], ''))"
        wanted = f"kind = '{kind}' AND name = {self.binder.bind(path[0], 'String')}"
        rows = self.rows("traits", "value, ver", wanted)
        return f"SELECT {shown} FROM (SELECT ifNull({_LATEST}, '') AS latest FROM ({rows}))"

    def rows(self, table: str, columns: str, matching: str) -> str:
        """Rows of a table by node, each with the profile that the node belongs to."""
        if self._some is not None or self._page is not None:
            matching = f"node IN (SELECT node FROM nodes) AND ({matching})"
        selected = f"SELECT node AS at_node, {columns} FROM {table} WHERE {matching}"
        return f"SELECT * FROM ({selected}) AS r INNER JOIN nodes AS n ON r.at_node = n.node"

    def _condition(self, rule: Rule) -> str:
        match rule:
            case All(children=below):
                return "(" + " AND ".join(self._condition(child) for child in below) + ")"
            case Any_(children=below):
                return "(" + " OR ".join(self._condition(child) for child in below) + ")"
            case Not(child=child):
                return f"(NOT {self._condition(child)})"
            case SegmentRef(segment=segment):
                return self._nested(segment)
            case Computed():
                return self._computed(rule)
            case leaf:
                return self._leaf(leaf)

    def _computed(self, leaf: Computed) -> str:
        self._count_leaf()
        found = reached(self.binder, self.value(leaf.computation), (), leaf.path[1:])
        windows = [int(test.operand) for test in leaf.tests if test.op == "within"]  # type: ignore[arg-type]
        self._moments += [(found, window) for window in windows]
        return "(" + " AND ".join(value_conditions(self.binder, found, leaf.tests, self._now)) + ")"

    def value(self, computation: Computation) -> str:
        """A computed trait's value: the name of an expression, whose value is a JSON text, or '' if it has none."""
        if (known := self._values.get(computation)) is not None:
            return known[0]
        match computation:
            case EventValue():
                made = value_text(self._taken_column(computation), computation)
            case Ratio(above=above, below=below):
                made = ratio_text(self._taken_column(above), self._taken_column(below))
            case Balance(add=add, subtract=subtract):
                columns = [[self._taken_column(one) for one in some] for some in (add, subtract)]
                made = balance_text(columns[0], columns[1])
            case Cases(rules=rules, values=values, otherwise=otherwise):
                made = self._case(rules, values, otherwise)
        name = f"t{len(self._values)}"
        self._values[computation] = name, made
        return name

    def _case(self, rules: Sequence[Rule], values: Sequence[Scalar], otherwise: Scalar | None) -> str:
        branches = [
            f"{self._condition(rule)}, {self.binder.bind(json_text(value), 'String')}"
            for rule, value in zip(rules, values, strict=True)
        ]
        last = self.binder.bind("" if otherwise is None else json_text(otherwise), "String")
        return f"multiIf({', '.join(branches)}, {last})"

    def _taken_column(self, taken: EventValue) -> str:
        return self._taken.setdefault(taken, f"v{len(self._taken)}")

    def _leaf(self, leaf: Leaf) -> str:
        self._count_leaf()
        column = f"ifNull({self._columns.setdefault(leaf, f'l{len(self._columns)}')}, 0)"
        return f"(NOT {column})" if holds_for_nobody(leaf) else column

    def _count_leaf(self) -> None:
        self._leaves += 1
        if self._leaves > MOST_LEAVES:
            raise too_large(f"at most {MOST_LEAVES} leaves, nested segments included")

    def _nested(self, segment: str) -> str:
        if segment in self._inside:
            raise circle()
        outer, self._inside = self._inside, (*self._inside, segment)
        condition = self._condition(self._resolve(segment))
        self._inside = outer
        return condition

    def _readings(self, *, due: bool = False) -> Mapping[str, Reading]:
        """By name, for all leaves of the rules."""
        found = readings(self._columns, self.binder, self._now, due=due)
        found += value_readings(self._taken, self.binder, self._now, due=due)
        return {f"r{number}": reading for number, reading in enumerate(found)}

    def _everybody(self, read: Mapping[str, Reading]) -> str:
        """Every live profile, with its readings."""
        joined = ["(SELECT DISTINCT profile FROM nodes) AS everybody"]
        for name, reading in read.items():
            rows = self.rows(reading.table, ", ".join(reading.columns), reading.wanted)
            joined.append(f"LEFT JOIN ({reading.by_profile(rows)}) AS {name} ON {name}.profile = everybody.profile")
        return " ".join(joined)

    def _nodes(self) -> str:
        homes, wanted = latest.homes(), "home != 0"
        if self._some is not None:
            homes = latest.homes(f"node IN (SELECT node FROM members WHERE profile IN {self._some})")
            wanted += f" AND has({self._some}, home)"
        elif self._page is not None:
            wanted += f" AND home BETWEEN {self._page[0]} AND {self._page[1]}"
        return f"SELECT node, home AS profile FROM ({homes}) WHERE {wanted}"


def circle() -> InvalidRule:
    return InvalidRule(
        "rule: wanted segments that do not contain themselves, got a circle; remove one reference",
        code="segment_cycle",
    )


def too_large(wanted: str, got: str = "more") -> InvalidRule:
    return InvalidRule(f"rule: wanted {wanted}, got {got}; ask for less in one segment", code="rule_too_large")
