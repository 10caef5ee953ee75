"""The parts of `live`: each function compiles one kind of node into a closure."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, Protocol, cast

from segments.facts import Pass, ProfileFacts
from segments.folds import Fold, earliest, number_check
from segments.tree import (
    MICROS,
    AnyItem,
    Condition,
    Consent,
    CountMetric,
    EventLeaf,
    IdentityLeaf,
    Leaf,
    Metric,
    SeenMetric,
    SumMetric,
    Trait,
    ValueTest,
)
from segments.values import (
    at_path,
    compile_tests,
    distinct_key,
    items_of,
    micros,
    moment_of,
)

_EXACT = Context(prec=80)  # the usual context rounds to 28 digits

Truth = Callable[[Pass], bool]
Due = Callable[[ProfileFacts, int], int | None]
Matches = Callable[[Mapping[str, Any], int], bool]
Reads = Callable[[Mapping[str, Any]], Any]


class Counted(Protocol):
    """What says which events count: an event leaf, or what a computed trait takes."""

    @property
    def where(self) -> tuple[Condition, ...]: ...

    @property
    def between(self) -> tuple[int, int] | None: ...


def all_of(below: Sequence[Truth]) -> Truth:
    def truth(one: Pass) -> bool:
        for child in below:  # noqa: SIM110 - `all` of a generator takes twice the time, and this is the hot path
            if not child(one):
                return False
        return True

    return truth


def any_of(below: Sequence[Truth]) -> Truth:
    def truth(one: Pass) -> bool:
        for child in below:  # noqa: SIM110 - as above
            if child(one):
                return True
        return False

    return truth


def nested(segment: str) -> Truth:
    """A segment as decided in this pass, else as stored."""

    def truth(one: Pass) -> bool:
        decided = one.segments.get(segment)
        return segment in one.current if decided is None else decided

    return truth


def once(leaf: int, truth: Truth) -> Truth:
    """A leaf that several segments share, evaluated once per pass."""

    def remembered(one: Pass) -> bool:
        known = one.leaves.get(leaf)
        if known is None:
            known = one.leaves[leaf] = truth(one)
        return known

    return remembered


def event_truth(fold: Fold, leaf: int) -> Truth:
    empty, holds = fold.empty, fold.holds

    def truth(one: Pass) -> bool:
        state = one.facts.leaves.get(leaf)
        return empty if state is None else holds(state, one.now)

    return truth


def trait_truth(leaf: Trait) -> Truth:
    passes, path = compile_tests(leaf.tests).pass_for, leaf.path
    if len(path) == 1:
        name = path[0]
        return lambda one: passes(one.facts.traits.get(name), one.now)
    return lambda one: passes(at_path(one.facts.traits, path), one.now)


def consent_truth(leaf: Consent) -> Truth:
    passes, purpose = compile_tests(leaf.tests).pass_for, leaf.purpose
    return lambda one: passes(one.facts.consent.get(purpose), one.now)


def identity_truth(leaf: IdentityLeaf) -> Truth:
    kind, exists = leaf.type, leaf.exists
    return lambda one: (kind in one.facts.identity_types) == exists


def metric_truth(leaf: Metric) -> Truth:
    name = leaf.name
    match leaf:
        case CountMetric(tests=tests):
            counted = number_check(tests)
            return lambda one: counted(getattr(one.facts, name))
        case SumMetric(currency=currency, tests=tests):
            summed = number_check(tests)
            return lambda one: summed(_micros_of(getattr(one.facts, name).get(currency)))
        case SeenMetric(tests=tests):
            return lambda one: _seen_passes(tests, getattr(one.facts, name), one.now)


def event_due(fold: Fold, leaf: int) -> Due:
    def due(facts: ProfileFacts, now: int) -> int | None:
        state = facts.leaves.get(leaf)
        return None if state is None else fold.due(state, now)

    return due


def trait_due(leaf: Trait) -> Due | None:
    windows, path = _windows(leaf.tests), leaf.path
    if not windows:
        return None

    def due(facts: ProfileFacts, now: int) -> int | None:
        found: int | None = None
        for item in items_of(at_path(facts.traits, path)):
            found = earliest(found, _window_due(moment_of(item), windows, now))
        return found

    return due


def seen_due(leaf: SeenMetric) -> Due | None:
    windows, name = _windows(leaf.tests), leaf.name
    return (lambda facts, now: _window_due(getattr(facts, name), windows, now)) if windows else None


def matcher(leaf: Counted) -> Matches | None:
    """Whether an event (envelope, time) counts; None: each one of the type does."""
    conditions = [_condition(where) for where in leaf.where]
    if leaf.between is None:
        return _all_conditions(conditions) if conditions else None
    start, end = leaf.between
    if not conditions:
        return lambda event, time: start <= time < end
    inner = _all_conditions(conditions)
    return lambda event, time: start <= time < end and inner(event, time)


def reader(leaf: EventLeaf) -> Reads | None:
    """The value that an event adds to the aggregate, a list of values if it adds several, None if none."""
    path = leaf.of
    if path is None:
        return None
    read: Callable[[Any], Any] = distinct_key if leaf.aggregate == "distinct" else micros

    at = getter(path)

    def values(event: Mapping[str, Any]) -> Any:
        value = at(event)
        kind = type(value)
        if kind is list or kind is tuple:
            return [one for item in items_of(value) if (one := read(item)) is not None]
        return read(value)

    return values


def stays(leaf: EventLeaf) -> Callable[[Any], bool]:
    """For a leaf whose aggregate moves in one direction: whether it does so with an event of this value."""
    return _not_negative if leaf.aggregate == "sum" else _always


def _not_negative(value: int) -> bool:
    return value >= 0


def _always(_: object) -> bool:
    return True


def reads(leaf: Leaf) -> tuple[str, str] | None:
    """Kind and name of the fact that a leaf other than an event leaf reads."""
    match leaf:
        case Trait(path=path):
            return "trait", path[0]
        case Consent(purpose=purpose):
            return "consent", purpose
        case IdentityLeaf(type=kind):
            return "identity", kind
        case EventLeaf():
            return None
        case _:
            return "metric", leaf.name


def _all_conditions(conditions: Sequence[Matches]) -> Matches:
    if len(conditions) == 1:
        return conditions[0]
    return lambda event, time: all(holds(event, time) for holds in conditions)


def _condition(condition: Condition) -> Matches:
    path = condition.path
    if isinstance(condition, AnyItem):
        inner = _all_conditions([_condition(below) for below in condition.where])
        return lambda event, time: any(
            type(item) is dict and inner(item, time) for item in items_of(at_path(event, path))
        )
    tests = compile_tests(condition.tests)
    at, one, several = getter(path), tests.one, tests.several

    def holds(event: Mapping[str, Any], time: int) -> bool:
        value = at(event)
        kind = type(value)
        if kind is list or kind is tuple:
            return several(value, time)
        return one(value, time)

    return holds


def getter(path: tuple[str, ...]) -> Reads:
    """`at_path` for one path. Nearly all paths are short, and this is the hot path."""
    if len(path) != 2:
        return lambda event: at_path(event, path)
    root, name = path

    def value(event: Mapping[str, Any]) -> Any:
        top = event.get(root)
        return top.get(name) if type(top) is dict else at_path(event, path)

    return value


def _micros_of(amount: Decimal | None) -> int:
    return 0 if amount is None else int(_EXACT.multiply(amount, MICROS))


def _seen_passes(tests: tuple[ValueTest, ...], seen: int | None, now: int) -> bool:
    return seen is not None and all(_moment_passes(test, seen, now) for test in tests)


def _moment_passes(test: ValueTest, moment: int, now: int) -> bool:
    operand = cast(int, test.operand)
    match test.op:
        case "before":
            return moment < operand
        case "after":
            return moment > operand
        case _:
            return now - operand < moment <= now


def _windows(tests: Sequence[ValueTest]) -> tuple[int, ...]:
    return tuple(cast(int, test.operand) for test in tests if test.op == "within")


def _window_due(moment: int | None, windows: tuple[int, ...], now: int) -> int | None:
    """A moment enters a window when it comes, and leaves it one window later."""
    if moment is None:
        return None
    due = moment if moment > now else None
    for window in windows:
        due = earliest(due, moment + window if moment + window > now else None)
    return due
