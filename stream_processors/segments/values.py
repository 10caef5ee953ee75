"""What a JSON value means to a rule, in Python; `sql` says the same in SQL and a property test compares them.

A value is missing when it is absent or null. The type of the operand decides: numbers are compared as IEEE
doubles with JSON numbers only, strings with strings, booleans with booleans; with anything else a test is
false, but for `ne` and `not_in`, which are the negations of `eq` and `in`, and for `exists`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import re2

from stream_processors.segments.tree import MICROS, Scalar, ValueTest

DATE_PATTERN = (
    r"^(19|2[0-2])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$"
)
"""An ISO 8601 date or datetime of the years 1900 to 2299, in RE2 syntax, used by both back ends."""

_MICRO_LIMIT = 10**38  # Decimal(38, 6)
_SAFE = 10**15

Check = Callable[[Any, int], bool]
"""(value or None, now in ms) -> whether the test holds."""


def pattern_options() -> Any:
    """ClickHouse's match(): the dot matches line breaks, errors are not logged."""
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    return options


_DATE = re2.compile(DATE_PATTERN)


def at_path(value: Any, path: Sequence[str]) -> Any:
    """The value at a path of object keys, None where there is none; arrays are not entered."""
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def parse_date(text: str) -> int | None:
    """Milliseconds since epoch, digits beyond cut off; no zone means UTC. None when it is no date we know."""
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


def micros(value: Any) -> int | None:
    """A JSON number in millionths, further digits cut off; None for anything else and from 10^32 on."""
    if type(value) is int:
        scaled = value * MICROS
    elif type(value) is float:
        scaled = _float_micros(value)
    else:
        return None
    return scaled if -_MICRO_LIMIT < scaled < _MICRO_LIMIT else None


def _float_micros(value: float) -> int:
    """Of the shortest decimal that reads as this double. Two decimals of up to 15 digits never read as the same one, so
    where some whole number of millionths does, it is that decimal: five times as quick as asking for its digits."""
    scaled = value * MICROS
    if -_SAFE < scaled < _SAFE and (nearest := round(scaled)) / MICROS == value:
        return nearest
    return int(Decimal(repr(value)).scaleb(6))


def distinct_key(value: Any) -> object | None:
    """What makes a value distinct: strings, numbers and booleans each on their own; None: not counted."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return (value,)
    if type(value) is int or type(value) is float:
        return float(value)
    return None


def check(test: ValueTest) -> Check:
    """Compile one test. The compiled check never raises, whatever the value."""
    if test.op in ("ne", "not_in"):
        positive = _equal_to(test)
        return lambda value, now: not positive(value, now)
    if test.op in ("eq", "in"):
        return _equal_to(test)
    if test.op in ("gt", "gte", "lt", "lte"):
        return _ordered(test.op, float(cast(float, test.operand)))
    if test.op in ("contains", "starts_with", "matches"):
        return _textual(test.op, cast(str, test.operand))
    if test.op in ("before", "after", "within"):
        return _timed(test.op, cast(int, test.operand))
    return (lambda value, now: value is not None) if test.operand else (lambda value, now: value is None)


def check_all(tests: Sequence[ValueTest]) -> Check:
    """All tests of one value."""
    checks = [check(test) for test in tests]
    if len(checks) == 1:
        return checks[0]
    return lambda value, now: all(one(value, now) for one in checks)


def by_type(operands: Sequence[Scalar]) -> tuple[list[str], list[float], list[bool]]:
    """Operands of `in` apart by JSON type."""
    strings = [value for value in operands if isinstance(value, str)]
    booleans = [value for value in operands if isinstance(value, bool)]
    numbers = [float(v) for v in operands if not isinstance(v, str | bool)]
    return strings, numbers, booleans


def _equal_to(test: ValueTest) -> Check:
    operands = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    wanted = frozenset(distinct_key(operand) for operand in operands)
    if all(type(operand) is str for operand in operands):
        return lambda value, now: type(value) is str and value in wanted
    return lambda value, now: value is not None and distinct_key(value) in wanted


def _ordered(op: str, operand: float) -> Check:
    def number(value: Any) -> bool:
        return type(value) is int or type(value) is float

    match op:
        case "gt":
            return lambda value, now: number(value) and float(value) > operand
        case "gte":
            return lambda value, now: number(value) and float(value) >= operand
        case "lt":
            return lambda value, now: number(value) and float(value) < operand
        case _:
            return lambda value, now: number(value) and float(value) <= operand


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
    def moment(value: Any) -> int | None:
        return parse_date(value) if type(value) is str else None

    def before(value: Any, now: int) -> bool:
        at = moment(value)
        return at is not None and at < operand

    def after(value: Any, now: int) -> bool:
        at = moment(value)
        return at is not None and at > operand

    def within(value: Any, now: int) -> bool:
        at = moment(value)
        return at is not None and now - operand < at <= now

    return {"before": before, "after": after, "within": within}[op]
