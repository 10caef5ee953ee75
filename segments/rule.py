"""Reading a segment rule: JSON in, a checked tree out, or `InvalidRule` with a pointer to the fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NoReturn, cast, get_args

from segments.operands import (
    days,
    duration,
    integer,
    kind_of,
    members,
    moment,
    number_tests,
    only,
    scaled,
    text,
    text_path,
    value_tests,
    wrong,
)
from segments.tree import (
    MICROS,
    Aggregate,
    All,
    Any_,
    AnyItem,
    Condition,
    Consent,
    CountMetric,
    EventLeaf,
    IdentityLeaf,
    Metric,
    MetricName,
    MoneyMetric,
    Not,
    NumberTest,
    Rule,
    SeenMetric,
    SegmentRef,
    SumMetric,
    Trait,
    ValueOp,
    ValueTest,
    Where,
)

MAX_DEPTH: Final = 16
MAX_NODES: Final = 200
MAX_WHERE: Final = 20

_KINDS: Final = (
    "all",
    "any",
    "not",
    "trait",
    "event",
    "segment",
    "consent",
    "identity",
    "metric",
    "sequence",
)
_VALUE_OPS: Final[tuple[ValueOp, ...]] = get_args(ValueOp)
_WHERE_OPS: Final = tuple(op for op in _VALUE_OPS if op != "within")
_CONSENT_OPS: Final[tuple[ValueOp, ...]] = ("eq", "ne", "in", "not_in", "exists")
_SEEN_OPS: Final[tuple[ValueOp, ...]] = ("before", "after", "within")
_AGGREGATES: Final[tuple[Aggregate, ...]] = get_args(Aggregate)
_WITH_PATH: Final = ("sum", "avg", "min", "max", "distinct")
_CONTEXT: Final = "context."
_WRITE: Final = 'write a node such as {"trait": …}'


def parse_rule(obj: object) -> Rule:
    """Check a rule as decoded from JSON and return its tree; the root may be any node.

    Raises `InvalidRule` with the JSON pointer of the first fault. Nested segments are not looked up here.
    """
    return _Parser().node(obj, "", 1)


class _Parser:
    """Reads one rule, and counts its nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, obj: object, at: str, depth: int) -> Rule:
        written = members(obj, at, _WRITE)
        self._count(at, depth)
        match kind_of(written, _KINDS, at, "write one node an object"):
            case "all":
                return All(self._list(written, "all", at, depth), written=written)
            case "any":
                return Any_(self._list(written, "any", at, depth), written=written)
            case "not":
                only(written, ("not",), at)
                return Not(self.node(written["not"], f"{at}/not", depth + 1), written=written)
            case "segment":
                only(written, ("segment",), at)
                return SegmentRef(text(written["segment"], f"{at}/segment"), written=written)
            case leaf:
                return cast(Rule, replace(_LEAVES[leaf](written, at), written=written))

    def _list(self, written: dict[str, Any], key: str, at: str, depth: int) -> tuple[Rule, ...]:
        only(written, (key,), at)
        listed = written[key]
        if not isinstance(listed, list) or not listed:
            wrong(f"{at}/{key}", "a list of one or more rules", "give at least one rule", listed)
        return tuple(self.node(child, f"{at}/{key}/{i}", depth + 1) for i, child in enumerate(listed))

    def _count(self, at: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            wrong(at, f"at most {MAX_DEPTH} levels", "put a part into a segment of its own")
        if self._nodes > MAX_NODES:
            wrong(at, f"at most {MAX_NODES} nodes", "put a part into a segment of its own")


def _trait(written: dict[str, Any], at: str) -> Trait:
    only(written, ("trait", *_VALUE_OPS), at)
    return Trait(text_path(written["trait"], f"{at}/trait"), value_tests(written, _VALUE_OPS, at))


def _consent(written: dict[str, Any], at: str) -> Consent:
    only(written, ("consent", *_CONSENT_OPS), at)
    purpose = text(written["consent"], f"{at}/consent")
    if len(written) == 1:
        return Consent(purpose, (ValueTest("eq", True, "bool"),))
    return Consent(purpose, value_tests(written, _CONSENT_OPS, at))


def _identity(written: dict[str, Any], at: str) -> IdentityLeaf:
    only(written, ("identity", "exists"), at)
    exists = written.get("exists", True)
    if not isinstance(exists, bool):
        wrong(f"{at}/exists", "true or false", "write true or false", exists)
    return IdentityLeaf(text(written["identity"], f"{at}/identity"), exists)


def _metric(written: dict[str, Any], at: str) -> Metric:
    name: MetricName = written["metric"]
    if name not in get_args(MetricName):
        wrong(f"{at}/metric", f"one of {', '.join(get_args(MetricName))}", "name one of them", name)
    match name:
        case "revenue" | "refunds" | "net_revenue":
            return _sum_metric(name, written, at)
        case "first_seen" | "last_seen":
            only(written, ("metric", *_SEEN_OPS), at)
            return SeenMetric(name, value_tests(written, _SEEN_OPS, at))
        case _:
            ops = {key: value for key, value in written.items() if key != "metric"}
            return CountMetric(name, number_tests(ops, integer, at))


def _sum_metric(name: MoneyMetric, written: dict[str, Any], at: str) -> SumMetric:
    currency = written.get("currency")
    if not isinstance(currency, str) or not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        wrong(f"{at}/currency", "three capital letters", "write a currency such as EUR", currency)
    ops = {key: value for key, value in written.items() if key not in ("metric", "currency")}
    return SumMetric(name, currency, number_tests(ops, scaled(MICROS), at))


def _event(written: dict[str, Any], at: str) -> EventLeaf:
    only(written, ("event", "where", "of", "within", "between", *_AGGREGATES), at)
    aggregate, tests = _aggregate(written, at)
    within, between = span(written, at)
    return EventLeaf(
        type=event_type(written["event"], f"{at}/event"),
        where=wheres(written.get("where", []), f"{at}/where"),
        aggregate=aggregate,
        tests=tests,
        of=_of(written, aggregate, at),
        within=within,
        between=between,
    )


def span(written: dict[str, Any], at: str) -> tuple[int | None, tuple[int, int] | None]:
    """`within` and `between`, in ms."""
    within = duration(written["within"], f"{at}/within") if "within" in written else None
    return within, _between(written, at)


def event_type(value: object, at: str) -> str:
    name = text(value, at)
    if not all(character.isalnum() or character in "._" for character in name):
        wrong(at, "an event type of letters, digits, dots and underscores", "write order.completed")
    return name


def _aggregate(written: dict[str, Any], at: str) -> tuple[Aggregate, tuple[NumberTest, ...]]:
    named = [aggregate for aggregate in _AGGREGATES if aggregate in written]
    if not named:
        return "count", (NumberTest("gte", 1),)
    if len(named) > 1:
        wrong(
            at,
            "at most one aggregate",
            "put each into an event leaf of its own",
            got=f"{len(named)}",
        )
    aggregate = named[0]
    unit: Callable[[object, str], int] = integer
    if aggregate in ("sum", "avg", "min", "max"):
        unit = scaled(MICROS)
    elif aggregate in ("days_since_last", "days_since_first"):
        unit = days
    return aggregate, number_tests(members(written[aggregate], f"{at}/{aggregate}", _WRITE), unit, f"{at}/{aggregate}")


def _of(written: dict[str, Any], aggregate: Aggregate, at: str) -> tuple[str, ...] | None:
    if aggregate in _WITH_PATH:
        if "of" not in written:
            wrong(at, f"`of` beside `{aggregate}`", 'name the property, such as "of": "revenue"', got="none")
        return property_path(written["of"], f"{at}/of")
    if "of" in written:
        wrong(f"{at}/of", f"`of` with {', '.join(_WITH_PATH)} only", "remove it", got="it elsewhere")
    return None


def _between(written: dict[str, Any], at: str) -> tuple[int, int] | None:
    if "between" not in written:
        return None
    pair, at = written["between"], f"{at}/between"
    if "within" in written:
        wrong(at, "`within` or `between`", "keep one", got="both")
    if not isinstance(pair, list) or len(pair) != 2:
        wrong(at, "a list of two dates", "write [start, end); the end is not in", pair)
    start, end = moment(pair[0], f"{at}/0"), moment(pair[1], f"{at}/1")
    if start >= end:
        wrong(at, "a start before the end", "swap them", got="them the other way round")
    return start, end


def wheres(value: object, at: str) -> tuple[Condition, ...]:
    if not isinstance(value, list) or len(value) > MAX_WHERE:
        wrong(at, f"a list of at most {MAX_WHERE} conditions", "shorten it", value)
    return tuple(_where(one, f"{at}/{i}", property_path) for i, one in enumerate(value))


def _where(value: object, at: str, path: Callable[[object, str], tuple[str, ...]]) -> Condition:
    """`path` reads the property's name: from the root of an envelope, or of an item."""
    written = members(value, at, _WRITE)
    if "any_item" in written:
        return _any_item(written, at, path)
    only(written, ("property", *_WHERE_OPS), at)
    if "property" not in written:
        wrong(at, "`property`", "name the property that is tested", got="none")
    return Where(path(written["property"], f"{at}/property"), value_tests(written, _WHERE_OPS, at))


def _any_item(written: dict[str, Any], at: str, path: Callable[[object, str], tuple[str, ...]]) -> AnyItem:
    only(written, ("any_item", "where"), at)
    if path is text_path:
        wrong(f"{at}/any_item", "one `any_item`", "ask about the outer list", got="one inside another")
    where = written.get("where")
    if not isinstance(where, list) or not 0 < len(where) <= MAX_WHERE:
        wrong(f"{at}/where", f"a list of 1 to {MAX_WHERE} conditions", "say what the item must meet", where)
    conditions = tuple(_where(one, f"{at}/where/{i}", text_path) for i, one in enumerate(where))
    return AnyItem(path(written["any_item"], f"{at}/any_item"), conditions)


def property_path(value: object, at: str) -> tuple[str, ...]:
    """A path from the envelope's root."""
    name = text(value, at)
    if name.startswith(_CONTEXT):
        return ("context", *text_path(name.removeprefix(_CONTEXT), at))
    return ("properties", *text_path(name, at))


def _sequence(written: dict[str, Any], at: str) -> NoReturn:
    wrong(at, "a kind of rule that exists", "use `event` leaves inside `all`", got="`sequence`, which comes later")


_LEAVES: Final[dict[str, Callable[[dict[str, Any], str], Any]]] = {
    "trait": _trait,
    "event": _event,
    "sequence": _sequence,
    "consent": _consent,
    "identity": _identity,
    "metric": _metric,
}
