"""Reading the operands of a rule: texts, numbers, durations, dates and the tests made of them."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NoReturn, cast, get_args

import re2

from schemas.errors import InvalidRule
from segments.tree import DAY_MS, NumberOp, NumberTest, Scalar, ValueOp, ValueTest
from segments.values import exact, parse_date, pattern_options

MAX_TEXT: Final = 1000
MAX_LIST: Final = 1000
MAX_PATH: Final = 16
MAX_NUMBER: Final = 10**30
MAX_WINDOW_MS: Final = 36_500 * DAY_MS

_NUMBER_OPS: Final[tuple[NumberOp, ...]] = get_args(NumberOp)
_UNITS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,9})([smhdw])")

_PART: Final = re.compile(r"([^\[\]]+)((?:\[(?:\*|[0-9]{1,6})?\])*)", re.DOTALL)
_INDEX: Final = re.compile(r"\[([0-9]+)\]")

Unit = Callable[[object, str], int]


def wrong(at: str, wanted: str, todo: str, came: object = None, *, got: str = "") -> NoReturn:
    """Refuse the rule. The message names the type of the value, never the value; `got` describes it in other words."""
    found = got or ("another value" if came is None else _kind_of(came))
    raise InvalidRule(f"rule at {at or 'its root'}: wanted {wanted}, got {found}; {todo}", path=at)


def members(obj: object, at: str, todo: str) -> dict[str, Any]:
    """An object. `todo`: what to write."""
    if not isinstance(obj, dict) or not all(isinstance(key, str) for key in obj):
        wrong(at, "an object", todo, obj)
    return cast(dict[str, Any], obj)


def kind_of(written: Mapping[str, Any], kinds: Collection[str], at: str, todo: str) -> str:
    """The only one of these keys that an object has."""
    found = [kind for kind in kinds if kind in written]
    if len(found) != 1:
        wrong(at, f"exactly one of {', '.join(kinds)}", todo, got=f"{len(found)}")
    return found[0]


def only(written: Mapping[str, Any], allowed: Collection[str], at: str) -> None:
    """Refuse other keys."""
    extra = [key for key in written if key not in allowed]
    if extra:
        wrong(at, f"only {', '.join(allowed)}", "remove the others", got=f"{len(extra)} other keys")


def text(value: object, at: str) -> str:
    """A string of 1 to `MAX_TEXT` characters that is Unicode text."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        wrong(at, f"a string of 1 to {MAX_TEXT} characters", "give one", value)
    return _unicode(value, at)


def text_path(value: object, at: str) -> tuple[str, ...]:
    """A dotted path as its parts. `products[].sku` and `products[0].sku` are other spellings of `products.sku`, since
    lists are entered, and of `products.0.sku`.
    """
    parts: list[str] = []
    for part in text(value, at).split("."):
        named = _PART.fullmatch(part)
        if not part:
            wrong(at, "a dotted path without empty parts", "remove the extra dots")
        if not named or part == "*":
            wrong(at, "brackets as [] or [0] behind a name only", "lists are entered without them")
        parts += [named[1], *_INDEX.findall(named[2])]
    if len(parts) > MAX_PATH:
        wrong(at, f"a path of at most {MAX_PATH} parts", "shorten it", got=f"{len(parts)}")
    return tuple(parts)


def duration(value: object, at: str) -> int:
    """`"30d"` in ms: a whole number and one of s, m, h, d, w; a day is exactly 24 hours."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    ms = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < ms <= MAX_WINDOW_MS:
        wrong(
            at,
            "a duration of at most 36500d",
            'write a number and s, m, h, d or w, such as "30d"',
            value,
        )
    return ms


def moment(value: object, at: str) -> int:
    """An ISO 8601 date or datetime in ms since epoch; no zone means UTC."""
    ms = parse_date(value) if isinstance(value, str) else None
    if ms is None:
        wrong(
            at,
            "an ISO 8601 date or datetime",
            'write "2026-01-31" or "2026-01-31T10:00:00Z"',
            value,
        )
    return ms


def integer(value: object, at: str) -> int:
    """A whole number for a count."""
    return _exact(value, 1, at, "a whole number")


def scaled(unit: int) -> Unit:
    """A number in the given unit per 1, refused if that is not whole."""
    return lambda value, at: _exact(value, unit, at, "a number with at most 6 decimals")


def days(value: object, at: str) -> int:
    """A number of days in ms, refused if that is not whole."""
    return _exact(value, DAY_MS, at, "days with at most 5 decimals")


def number_tests(written: dict[str, Any], unit: Unit, at: str) -> tuple[NumberTest, ...]:
    """`{"gte": 2, "lt": 5}` as tests, in the order of the grammar."""
    extra = [key for key in written if key not in _NUMBER_OPS]
    if extra or not written:
        wrong(at, f"one or more of {', '.join(_NUMBER_OPS)} and nothing else", 'write {"gte": 1}')
    return tuple(NumberTest(op, unit(written[op], f"{at}/{op}")) for op in _NUMBER_OPS if op in written)


def value_tests(written: dict[str, Any], ops: tuple[ValueOp, ...], at: str) -> tuple[ValueTest, ...]:
    """The tests of a value among a leaf's keys, in the order of the grammar."""
    tests = tuple(_value_test(op, written[op], f"{at}/{op}") for op in ops if op in written)
    if not tests:
        wrong(at, f"one of {', '.join(ops)}", 'say what to test, such as "exists": true', got="none")
    return tests


def _value_test(op: ValueOp, value: object, at: str) -> ValueTest:
    operand = _OPERANDS[op](value, at)
    return ValueTest(op, operand, _kinds(operand))


def _kinds(operand: Scalar | tuple[Scalar, ...]) -> str:
    return ",".join(map(_kind_of, operand)) if isinstance(operand, tuple) else _kind_of(operand)


def _scalars(value: object, at: str) -> tuple[Scalar, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LIST:
        wrong(at, f"a list of 1 to {MAX_LIST} values", "give one", value)
    return tuple(_scalar(one, f"{at}/{i}") for i, one in enumerate(value))


def _scalar(value: object, at: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            wrong(at, f"a string of at most {MAX_TEXT} characters", "shorten it")
        return _unicode(value, at)
    if isinstance(value, int | float):
        return _compared(value, at)
    wrong(at, "a string, a number, true or false", "use `exists` to ask for a value at all", value)


def _flag(value: object, at: str) -> bool:
    if not isinstance(value, bool):
        wrong(at, "true or false", "write true or false", value)
    return value


def _compared(value: object, at: str) -> int | float:
    """A number that JSON numbers are compared with."""
    return exact(_number(value, at))


def _number(value: object, at: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        wrong(at, "a number", "give one", value)
    if isinstance(value, float) and not math.isfinite(value):
        wrong(at, "a finite number", "give one")
    if isinstance(value, int) and abs(value) >= MAX_NUMBER:
        wrong(at, "a number below 10^30", "give a smaller one")
    return value


def _exact(value: object, unit: int, at: str, wanted: str) -> int:
    number = _number(value, at)
    exact = Fraction(Decimal(repr(number))) * unit
    if exact.denominator != 1 or abs(number) >= MAX_NUMBER:
        wrong(at, wanted, "round it")
    return exact.numerator


def _pattern(value: object, at: str) -> str:
    pattern = text(value, at)
    try:
        re2.compile(pattern, pattern_options())
    except re2.error:
        wrong(
            at,
            "a regular expression in RE2 syntax",
            "RE2 has no look-around and no back-references",
        )
    return pattern


def _unicode(value: str, at: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        wrong(at, "Unicode text", "send the whole character", got="half of a surrogate pair")
    return value


def _kind_of(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "list"
        case dict():
            return "object"
        case _:
            return "null"


_OPERANDS: Final[dict[ValueOp, Callable[[object, str], Scalar | tuple[Scalar, ...]]]] = {
    "eq": _scalar,
    "ne": _scalar,
    "in": _scalars,
    "not_in": _scalars,
    "gt": _compared,
    "gte": _compared,
    "lt": _compared,
    "lte": _compared,
    "exists": _flag,
    "contains": text,
    "starts_with": text,
    "matches": _pattern,
    "before": moment,
    "after": moment,
    "within": duration,
}
