"""The meaning of JSON values in rules, in Python. `sql_values` is the same in SQL, and a property test compares them.

A value is missing when it is absent or null. The type of the operand decides: numbers are compared with JSON numbers
only, and exactly; strings with strings, booleans with booleans; with anything else a test is false, except for `ne` and
`not_in`, the negations of `eq` and `in`, and for `exists`.

Lists are entered: a test of a list holds when it holds for one of its items, see `ValueTests.several`.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

import re2

from schemas.untyped import Json
from segments.tree import MICROS, Scalar, ValueTest

DATE_PATTERN = (
    r"^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$"
)
"""An ISO 8601 date or datetime of the years 1900 to 2299, in RE2 syntax, used by both back ends."""

EPOCH_PATTERN = r"^-?[0-9]{9,13}$"
"""Seconds or milliseconds since 1970 as a text. With shorter ones, a year or a basic date would count as seconds."""

MS_FROM: Final = 100_000_000_000
"""From this value on a number is in milliseconds: as seconds it would be after the year 5000."""

EARLIEST: Final = -2_208_988_800_000
LATEST: Final = 10_413_792_000_000
"""The years 1900 to 2299, in ms: `EARLIEST <= moment < LATEST`."""

EXACT: Final = 2**53
"""Below this, a comparison with a double is exact for every JSON number."""

WRITTEN_OUT: Final = 10**21
"""From this value on, shortest decimals of doubles have an exponent, and no JSON integer is as large."""

_MICRO_LIMIT = 10**38  # Decimal(38, 6)
_SAFE = 10**15

_OPERATORS: Final = {"gt": "gt", "gte": "ge", "lt": "lt", "lte": "le"}

Check = Callable[[Json, int], bool]
"""(value or None, now in ms) -> whether the test holds."""


def pattern_options() -> Any:
    """ClickHouse's match(): the dot matches line breaks, errors are not logged."""
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    return options


_DATE = re2.compile(DATE_PATTERN)
_EPOCH = re2.compile(EPOCH_PATTERN)


def at_path(root: Json, path: Sequence[str]) -> Json:
    """The value at a path of object keys, None if there is none. A path that reaches a list continues in each of its
    items, or in one of them if the next key is a number. Then the answer is a tuple of the values there. (JSON has no
    tuples.)
    """
    value = root
    for key in path:
        if type(value) is not dict:
            return _through_lists(root, path) if type(value) is list else None
        value = value.get(key)
    return value


def index_of(key: str) -> int | None:
    """The index in a list that a part of a path names, from 0; None if the part is a name."""
    return int(key) if key.isascii() and key.isdigit() else None


def items_of(value: Json) -> Sequence[Json]:
    """The values to test: the items of a list, or the value itself. A list inside a list is not entered."""
    if type(value) is list:
        return value
    if type(value) is tuple:
        return [item for one in value for item in (one if type(one) is list else (one,))]
    return (value,)


def _through_lists(root: Json, path: Sequence[str]) -> tuple[Json, ...]:
    reached = [root]
    for key in path:
        below: list[Json] = []
        index = index_of(key)
        for value in reached:
            if type(value) is dict:
                below.append(value.get(key))
            elif type(value) is list and index is None:
                below += [item.get(key) for item in value if type(item) is dict]
            elif type(value) is list and cast(int, index) < len(value):
                below.append(value[cast(int, index)])
        reached = below
    return tuple(reached)


def parse_date(text: str) -> int | None:
    """Milliseconds since epoch, further digits are cut off; no zone means UTC. None for any other text."""
    if not _DATE.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def moment_of(value: Json) -> int | None:
    """A JSON value that is a moment, in ms since epoch: a date as `parse_date` reads it, or seconds or milliseconds
    since 1970 as a number or a text of digits. None for anything else."""
    if type(value) is str:
        return _epoch(float(value)) if _EPOCH.match(value) else parse_date(value)
    return _epoch(float(value)) if type(value) is int or type(value) is float else None


def _epoch(number: float) -> int | None:
    if abs(number) >= LATEST:
        return None
    ms = int(number * 1000 if abs(number) < MS_FROM else number)
    return ms if EARLIEST <= ms < LATEST else None


def micros(value: Json) -> int | None:
    """A JSON number in millionths, further digits cut off; None for anything else and from 10^32 on."""
    if type(value) is int:
        scaled = value * MICROS
    elif type(value) is float:
        scaled = _float_micros(value)
    else:
        return None
    return scaled if -_MICRO_LIMIT < scaled < _MICRO_LIMIT else None


def _float_micros(value: float) -> int:
    """Of the shortest decimal that reads as this double. Two decimals of up to 15 digits never read as the same double,
    so if a whole number of millionths does, it is that decimal. This is five times as fast as formatting the digits."""
    scaled = value * MICROS
    if -_SAFE < scaled < _SAFE and (nearest := round(scaled)) / MICROS == value:
        return nearest
    return int(Decimal(repr(value)).scaleb(6))


def distinct_key(value: Json) -> object | None:
    """The key of a value for `distinct`: strings, numbers and booleans are kept apart; None: not counted."""
    kind = type(value)
    if kind is str or kind is int:
        return value
    if type(value) is float:
        return exact(value)
    return (value,) if kind is bool else None


def exact(number: int | float) -> int | float:
    """The number in its JSON text: a double stands for its shortest decimal."""
    if type(number) is float and EXACT <= abs(number) < WRITTEN_OUT:
        return int(Decimal(repr(number)))
    return number


def is_wide(number: int | float) -> bool:
    """Whether a double may not distinguish this number from its neighbours among the JSON integers."""
    return EXACT <= abs(number) < WRITTEN_OUT


@dataclass(frozen=True, slots=True)
class ValueTests:
    """The compiled tests of one value. Neither function raises, whatever the value."""

    one: Check
    """Whether a value that is neither a list nor a tuple of `at_path` passes all tests."""
    several: Check
    """Whether a list or such a tuple passes all tests: no item is equal to an operand of `ne` and `not_in`; `exists`
    asks whether there is a value at all, an empty list included; one item passes all other tests."""

    def pass_for(self, value: Json, now: int) -> bool:
        """For any value. (The hot path checks the type itself and saves the call.)"""
        return (self.several if type(value) is list or type(value) is tuple else self.one)(value, now)


def compile_tests(tests: Sequence[ValueTest]) -> ValueTests:
    """All tests of one value."""
    checks = [_check(test) for test in tests]
    if len(checks) == 1:
        return ValueTests(checks[0], _several(tests))
    return ValueTests(lambda value, now: all(one(value, now) for one in checks), _several(tests))


def _several(tests: Sequence[ValueTest]) -> Check:
    wanted = [_check(test) for test in tests if test.op not in ("ne", "not_in", "exists")]
    opposite = [_equal_to(test) for test in tests if test.op in ("ne", "not_in")]
    there = [bool(test.operand) for test in tests if test.op == "exists"]

    def passes(value: Json, now: int) -> bool:
        if any(asked != _is_there(value) for asked in there):
            return False
        items = items_of(value)
        if any(equal(item, now) for equal in opposite for item in items):
            return False
        return not wanted or any(all(check(item, now) for check in wanted) for item in items)

    return passes


def _is_there(value: Json) -> bool:
    return type(value) is list or (type(value) is tuple and any(one is not None for one in value))


def _check(test: ValueTest) -> Check:
    """One test of a value that is not a list."""
    if test.op in ("ne", "not_in"):
        positive = _equal_to(test)
        return lambda value, now: not positive(value, now)
    if test.op in ("eq", "in"):
        return _equal_to(test)
    if test.op in ("gt", "gte", "lt", "lte"):
        return _ordered(test.op, cast(float, test.operand))
    if test.op in ("contains", "starts_with", "matches"):
        return _textual(test.op, cast(str, test.operand))
    if test.op in ("before", "after", "within"):
        return _timed(test.op, cast(int, test.operand))
    return (lambda value, now: value is not None) if test.operand else (lambda value, now: value is None)


def by_type(operands: Iterable[Scalar]) -> tuple[list[str], list[int | float], list[bool]]:
    """The operands of `in`, separated by JSON type."""
    strings: list[str] = []
    numbers: list[int | float] = []
    booleans: list[bool] = []
    for value in operands:
        match value:
            case bool():
                booleans.append(value)
            case str():
                strings.append(value)
            case _:
                numbers.append(value)
    return strings, numbers, booleans


def _equal_to(test: ValueTest) -> Check:
    operands = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    wanted = frozenset(distinct_key(operand) for operand in operands)
    if all(type(operand) is str for operand in operands):
        return lambda value, now: type(value) is str and value in wanted
    return lambda value, now: value is not None and distinct_key(value) in wanted


def _ordered(op: str, operand: int | float) -> Check:
    compared = cast(Callable[[Any, Any], bool], getattr(operator, _OPERATORS[op]))
    if is_wide(operand):
        return lambda value, now: (type(value) is int or type(value) is float) and compared(exact(value), operand)
    return lambda value, now: (type(value) is int or type(value) is float) and compared(value, operand)


def _textual(op: str, operand: str) -> Check:
    match op:
        case "contains":
            return lambda value, now: type(value) is str and operand in value
        case "starts_with":
            return lambda value, now: type(value) is str and value.startswith(operand)
        case _:
            search = re2.compile(operand, pattern_options()).search
            return lambda value, now: type(value) is str and search(value) is not None


def _timed(op: str, operand: int) -> Check:
    def before(value: Json, now: int) -> bool:
        at = moment_of(value)
        return at is not None and at < operand

    def after(value: Json, now: int) -> bool:
        at = moment_of(value)
        return at is not None and at > operand

    def within(value: Json, now: int) -> bool:
        at = moment_of(value)
        return at is not None and now - operand < at <= now

    return {"before": before, "after": after, "within": within}[op]
