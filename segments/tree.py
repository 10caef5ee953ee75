"""The syntax tree of a segment rule: frozen, typed, comparable.

Two leaves with the same meaning are equal, so that segments share them: `written` (the JSON as the user wrote it) is
not compared. Every number that is compared with an aggregate is an integer in the unit of that aggregate: counts as
units, money and other decimals in millionths (`MICROS`), days in milliseconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

MICROS = 1_000_000
DAY_MS = 86_400_000

Scalar = str | bool | int | float
"""An operand as written; numbers are compared exactly."""

Written = Mapping[str, Any]

ValueOp = Literal[
    "eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "exists",
    "contains", "starts_with", "matches", "before", "after", "within",
]  # fmt: skip
NumberOp = Literal["eq", "ne", "gt", "gte", "lt", "lte"]
Aggregate = Literal["count", "sum", "avg", "min", "max", "distinct", "days_since_last", "days_since_first"]
Take = Literal[
    "count", "sum", "avg", "min", "max", "first", "last", "list", "unique", "most_frequent",
    "open", "usual_gap", "lifecycle",
]  # fmt: skip
MetricName = Literal[
    "events", "orders", "orders_placed", "revenue", "refunds", "net_revenue", "first_seen", "last_seen"
]
CountName = Literal["events", "orders", "orders_placed"]
MoneyMetric = Literal["revenue", "refunds", "net_revenue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """The base of all nodes: the JSON that it was read from."""

    written: Written = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ValueTest:
    """A test of one JSON value. `before`, `after`: ms since epoch; `within`: ms; `in`, `not_in`: a tuple.

    `kind` distinguishes operands that are equal in Python (`1`, `True`): "string", "number", "bool", comma-separated
    for a list.
    """

    op: ValueOp
    operand: Scalar | tuple[Scalar, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class NumberTest:
    """A test of an aggregate against an integer in the aggregate's unit."""

    op: NumberOp
    operand: int


@dataclass(frozen=True, slots=True)
class Where:
    """One condition on the event: `path` from the envelope's root (`properties` or `context` first)."""

    path: tuple[str, ...]
    tests: tuple[ValueTest, ...]


@dataclass(frozen=True, slots=True)
class AnyItem:
    """Conditions that one object in the list at `path` must meet together. Their paths start at that object."""

    path: tuple[str, ...]
    where: tuple["Condition", ...]


Condition = Where | AnyItem


@dataclass(frozen=True, slots=True)
class All(_Node):
    children: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Any_(_Node):
    children: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not(_Node):
    child: "Rule"


@dataclass(frozen=True, slots=True)
class SegmentRef(_Node):
    segment: str


@dataclass(frozen=True, slots=True)
class Trait(_Node):
    """`path[0]` is the trait's name, the rest leads into its value."""

    path: tuple[str, ...]
    tests: tuple[ValueTest, ...]


@dataclass(frozen=True, slots=True)
class Consent(_Node):
    purpose: str
    tests: tuple[ValueTest, ...]


@dataclass(frozen=True, slots=True)
class IdentityLeaf(_Node):
    type: str
    exists: bool


@dataclass(frozen=True, slots=True)
class EventLeaf(_Node):
    """An aggregate over the profile's events of one type.

    `within` (ms): only those in `(now - within, now]`; `between` (ms): only those in `[a, b)`; neither: all.
    """

    type: str
    where: tuple[Condition, ...]
    aggregate: Aggregate
    tests: tuple[NumberTest, ...]
    of: tuple[str, ...] | None = None
    within: int | None = None
    between: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class CountMetric(_Node):
    """Events or orders of the profile."""

    name: CountName
    tests: tuple[NumberTest, ...]


@dataclass(frozen=True, slots=True)
class SumMetric(_Node):
    """Money of the profile in one currency, in millionths; 0 if there is none."""

    name: MoneyMetric
    currency: str
    tests: tuple[NumberTest, ...]


@dataclass(frozen=True, slots=True)
class SeenMetric(_Node):
    """The time of the profile's first or last event."""

    name: Literal["first_seen", "last_seen"]
    tests: tuple[ValueTest, ...]


# ---- computed traits (`segments.computed`)

CLOCKS: Final = ("hour", "weekday")
"""Paths that stand for a part of the event's time, in a zone: 0 to 23, and 1 (Monday) to 7."""
MONEY: Final = ("money",)
"""The path that stands for the exact money of an event: one number for each currency."""


@dataclass(frozen=True, slots=True)
class EventValue:
    """What is taken of the profile's events of some types. Times as in `EventLeaf`."""

    types: tuple[str, ...]
    where: tuple[Condition, ...]
    take: Take
    of: tuple[str, ...] | None = None
    within: int | None = None
    between: tuple[int, int] | None = None
    opens: tuple[str, ...] = ()
    """The types after which something is open, of `open`."""
    zone: str = "UTC"
    """Whose days, hours and weekdays count."""
    usual: int | None = None
    """The usual gap of the workspace, in millionths of a day, as it was recorded; None: it was not yet."""

    @property
    def by_currency(self) -> bool:
        return self.of == MONEY

    @property
    def in_order(self) -> bool:
        """Whether the total order of events matters."""
        return self.take in ("first", "last", "list", "unique", "open")

    @property
    def by_day(self) -> bool:
        """Whether only the days of the events matter."""
        return self.take in ("usual_gap", "lifecycle")

    @property
    def looks_into(self) -> bool:
        """Whether type and time of an event are not enough."""
        return bool(self.where or self.in_order or (self.of and self.of[0] not in CLOCKS))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Nothing counted above the line is 0, below it there is no ratio."""

    above: EventValue
    below: EventValue


@dataclass(frozen=True, slots=True)
class Cases:
    """The value of the first rule that holds. `otherwise` None: no value."""

    rules: tuple["Rule", ...]
    values: tuple[Scalar, ...]
    otherwise: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What is added less what is subtracted; nothing counted is 0, and if nothing counts anywhere there is none."""

    add: tuple[EventValue, ...]
    subtract: tuple[EventValue, ...]


Computation = EventValue | Ratio | Balance | Cases


@dataclass(frozen=True, slots=True)
class Computed(_Node):
    """A leaf that tests a computed trait, with its computation. `path` as in `Trait`."""

    path: tuple[str, ...]
    tests: tuple[ValueTest, ...]
    computation: Computation


Metric = CountMetric | SumMetric | SeenMetric
Leaf = Trait | Consent | IdentityLeaf | EventLeaf | CountMetric | SumMetric | SeenMetric
Rule = All | Any_ | Not | SegmentRef | Leaf | Computed


def children(rule: Rule) -> tuple[tuple[str, "Rule"], ...]:
    """The nodes directly below, each with the JSON pointer that leads to it from here."""
    match rule:
        case All(children=below):
            return tuple((f"/all/{i}", child) for i, child in enumerate(below))
        case Any_(children=below):
            return tuple((f"/any/{i}", child) for i, child in enumerate(below))
        case Not(child=child):
            return (("/not", child),)
        case _:
            return ()


def nodes(rule: Rule) -> Iterator[Rule]:
    """The rule and every node below it, not entering nested segments."""
    yield rule
    for _, child in children(rule):
        yield from nodes(child)


def segments_of(rule: Rule) -> frozenset[str]:
    """The segments that the rule names itself."""
    return frozenset(node.segment for node in nodes(rule) if isinstance(node, SegmentRef))


def leaves_in(rule: Rule) -> Iterator[Leaf]:
    """The leaves of the rule, not entering nested segments."""
    return (node for node in nodes(rule) if not isinstance(node, All | Any_ | Not | SegmentRef | Computed))


def holds_for(tests: tuple[NumberTest, ...], value: int) -> bool:
    """Whether the aggregate's value passes all tests."""
    return all(compare(test.op, value, test.operand) for test in tests)


def compare(op: NumberOp, left: int, right: int) -> bool:
    match op:
        case "eq":
            return left == right
        case "ne":
            return left != right
        case "gt":
            return left > right
        case "gte":
            return left >= right
        case "lt":
            return left < right
        case "lte":
            return left <= right
