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
from segments.readings import NEVER, Reading, holds_for_nobody, readings
from segments.sql_values import Binder, reached
from segments.tree import All, Any_, Leaf, Not, Rule, SegmentRef
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


class Compiler:
    """Turns rules into conditions on the columns of readings, collecting leaves and parameters."""

    def __init__(self, now_ms: int, resolve: Resolve, only: Only) -> None:
        self.binder = Binder()
        self._now = now_ms
        self._resolve = resolve
        self._inside: tuple[str, ...] = ()
        self._columns: dict[Leaf, str] = {}
        self._leaves = 0
        self._page = [self.binder.bind(end, "UInt128") for end in only] if isinstance(only, Page) else None
        self._some = None
        if only is not None and not isinstance(only, Page):
            self._some = self.binder.bind(list(only), "Array(UInt128)")

    def query(self, select: str) -> Query:
        """A SELECT over `nodes` (node, profile): every node that belongs to a live profile, as of now."""
        return Query(f"WITH nodes AS ({self._nodes()}) {select}", self.binder.parameters)

    def members(self, rule: Rule) -> str:
        """A SELECT of the profiles that satisfy a rule."""
        condition = self._condition(rule)
        return f"SELECT everybody.profile AS profile FROM {self._everybody(self._readings())} WHERE {condition}"

    def several(self, rules: Sequence[Rule]) -> str:
        conditions = [f"toUInt8({self._condition(rule)})" for rule in rules]
        read = self._readings(due=True)
        held = f"arrayFilter((i, holds) -> holds, range({len(rules)}), [{', '.join(conditions)}])"
        moments = [f"ifNull({name}.due, 0)" for name, reading in read.items() if reading.dues]
        due = f"arrayMin(arrayFilter(at -> at > 0 AND at < {NEVER}, [{', '.join([*moments, 'toInt64(0)'])}]))"
        select = f"SELECT everybody.profile AS profile, {held} AS held, {due} AS due FROM {self._everybody(read)}"
        return f"SELECT profile, held, due FROM ({select}) WHERE notEmpty(held) OR due != 0"

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
            matching = f"node IN (SELECT node FROM nodes) AND {matching}"
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
            case leaf:
                return self._leaf(leaf)

    def _leaf(self, leaf: Leaf) -> str:
        self._leaves += 1
        if self._leaves > MOST_LEAVES:
            raise too_large(f"at most {MOST_LEAVES} leaves, nested segments included")
        column = f"ifNull({self._columns.setdefault(leaf, f'l{len(self._columns)}')}, 0)"
        return f"(NOT {column})" if holds_for_nobody(leaf) else column

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
