"""The meaning of JSON values in rules, in SQL: the counterpart of `values`. A property test compares them."""

import struct
from collections.abc import Sequence
from typing import cast

from segments.tree import MICROS, NumberTest, Scalar, ValueTest
from segments.values import (
    DATE_PATTERN,
    EARLIEST,
    EPOCH_PATTERN,
    LATEST,
    MS_FROM,
    by_type,
    index_of,
    is_wide,
)

_NUMBER_SQL = {"eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LONGEST_LIST = 1_000_000
_LONGEST_PARAMETER = 24_000

# Below, `x` is a JSON text as the engine writes it (`reached`), so its first character shows its type. Numbers are
# their shortest decimals, integers if they are whole and below 10^21.
_IS_TEXT = "startsWith(x, '\"')"
_IS_NUMBER = "(x >= '-' AND x < ':')"  # '-' and the digits lie between these
_TEXT = "JSONExtractString(x)"
_DOUBLE = "JSONExtractFloat(x)"
_SECONDS = f"multiIf({_IS_NUMBER}, {_DOUBLE}, match({_TEXT}, '{EPOCH_PATTERN}'), toFloat64OrZero({_TEXT}), NULL)"
_DATE = DATE_PATTERN.replace("\\", "\\\\")
_MOMENT = f"""arrayMap(s -> multiIf(
    {_IS_TEXT} AND match({_TEXT}, '{_DATE}'),
    toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({_TEXT}, 3, 'UTC')),
    abs(s) < {MS_FROM}, toInt64(s * 1000),
    abs(s) < {LATEST}, toInt64(s), NULL), [{_SECONDS}])"""
"""A JSON value as a moment in ms since epoch, or NULL, in an array of one: the counterpart of `values.moment_of`."""


class Binder:
    """Names the bound parameters of one statement: p0, p1, …; equal texts and numbers share a name, so that the engine
    recognises and computes equal expressions once."""

    def __init__(self) -> None:
        self.parameters: dict[str, object] = {}
        self._known: dict[tuple[str | int, str], str] = {}

    def bind(self, value: object, kind: str) -> str:
        known = self._known.get((value, kind)) if isinstance(value, str | int) else None
        if known is not None:
            return known
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        written = f"{{{name}:{kind}}}"
        if isinstance(value, str | int):
            self._known[value, kind] = written
        return written

    def double(self, value: float) -> str:
        """A double bound by its bits: ClickHouse's fast parser of decimal text may be off by the last one."""
        return f"reinterpretAsFloat64({self.bind(_bits(value), 'UInt64')})"

    def doubles(self, values: Sequence[float]) -> str:
        bits = self.bind([_bits(value) for value in values], "Array(UInt64)")
        return f"arrayMap(x -> reinterpretAsFloat64(x), {bits})"


def number_condition(binder: Binder, value: str, test: NumberTest, unit: str, times: str = "") -> str:
    """A comparison of an aggregate: `integer`, or `decimal` (millionths); with so many `times` the operand."""
    sign = _NUMBER_SQL[test.op]
    if unit == "integer":
        return f"{value} {sign} {binder.bind(test.operand, 'Int64')}"
    operand = f"toDecimal256({binder.bind(_decimal_text(test.operand), 'String')}, 6)"
    return f"{value} {sign} {operand}{f' * {times}' if times else ''}"


def reached(binder: Binder, document: str, head: Sequence[str], steps: Sequence[str]) -> str:
    """The values at a path in a JSON text, as an array of JSON texts: '' if there is nothing, several if the path
    passes through lists. `head`: keys of objects that are certainly not lists; `steps`: the other parts, which may be
    in lists.
    """
    found = f"[JSONExtractRaw({', '.join([document, *(binder.bind(key, 'String') for key in head)])})]"
    for step in steps:
        found = f"arrayFlatten(arrayMap(x -> {_step(binder, step)}, {found}))"
    return found


def entered(found: str) -> str:
    """The texts with lists replaced by their items: the values to test."""
    return f"arrayFlatten(arrayMap(x -> if(startsWith(x, '['), JSONExtractArrayRaw(x), [x]), {found}))"


def _step(binder: Binder, step: str) -> str:
    key = binder.bind(step, "String")
    index = index_of(step)
    if index is None:
        return (
            f"if(startsWith(x, '['), arrayMap(y -> JSONExtractRaw(y, {key}), JSONExtractArrayRaw(x)),"
            f" [JSONExtractRaw(x, {key})])"
        )
    place = binder.bind(min(index, _LONGEST_LIST) + 1, "UInt32")
    return f"[if(startsWith(x, '['), JSONExtractRaw(x, {place}), JSONExtractRaw(x, {key}))]"


def moments(items: str) -> str:
    """The moments among some JSON texts, in ms since epoch."""
    found = f"arrayFlatten(arrayMap(x -> {_MOMENT}, {items}))"
    known = f"arrayMap(at -> ifNull(at, {LATEST}), {found})"
    return f"arrayFilter(at -> at >= {EARLIEST} AND at < {LATEST}, {known})"


def value_conditions(binder: Binder, found: str, tests: Sequence[ValueTest], now: int) -> list[str]:
    """All tests of the `reached` values, as conditions that are never NULL. The counterpart of `values.ValueTests`."""
    items = entered(found)
    conditions: list[str] = []
    wanted: list[str] = []
    for test in tests:
        match test.op:
            case "exists":
                there = f"arrayExists(x -> x NOT IN ('', 'null'), {found})"
                conditions.append(there if test.operand else f"(NOT {there})")
            case "ne" | "not_in":
                conditions.append(f"(NOT arrayExists(x -> {_equal(binder, _operands(test))}, {items}))")
            case _:
                wanted.append(_condition(binder, test, now))
    if wanted:
        conditions.append(f"arrayExists(x -> {' AND '.join(wanted)}, {items})")
    return conditions


def _condition(binder: Binder, test: ValueTest, now: int) -> str:
    """A test of one item, the JSON text `x`."""
    match test.op:
        case "eq" | "in":
            return _equal(binder, _operands(test))
        case "gt" | "gte" | "lt" | "lte":
            return _ordered(binder, _NUMBER_SQL[test.op], cast(int | float, test.operand))
        case "contains" | "starts_with" | "matches":
            return _textual(test.op, binder.bind(test.operand, "String"))
        case _:
            return _timed(binder, test, now)


def _operands(test: ValueTest) -> tuple[Scalar, ...]:
    return test.operand if isinstance(test.operand, tuple) else (test.operand,)


def _equal(binder: Binder, operands: tuple[Scalar, ...]) -> str:
    strings, numbers, booleans = by_type(operands)
    parts = [f"({_IS_TEXT} AND has({binder.bind(some, 'Array(String)')}, {_TEXT}))" for some in _in_parts(strings)]
    if doubles := [float(number) for number in numbers if not is_wide(number)]:
        parts.append(f"({_IS_NUMBER} AND has({binder.doubles(doubles)}, {_DOUBLE}))")
    if wide := [int(number) for number in numbers if is_wide(number)]:
        parts.append(f"({_IS_NUMBER} AND has({binder.bind(wide, 'Array(Int128)')}, toInt128OrZero(x)))")
    if booleans:
        parts.append(f"has({binder.bind([str(one).lower() for one in booleans], 'Array(String)')}, x)")
    return "(" + " OR ".join(parts) + ")"


def _ordered(binder: Binder, sign: str, operand: int | float) -> str:
    if not is_wide(operand):
        return f"({_IS_NUMBER} AND {_DOUBLE} {sign} {binder.double(float(operand))})"
    wide = binder.bind(int(operand), "Int128")
    compared = f"if(match(x, '[.e]'), {_DOUBLE} {sign} {wide}, toInt128OrZero(x) {sign} {wide})"
    return f"({_IS_NUMBER} AND {compared})"


def _in_parts(strings: Sequence[str]) -> list[list[str]]:
    """A server accepts a parameter of at most 128 KiB, and each character may need an escape."""
    parts: list[list[str]] = []
    room = 0
    for one in strings:
        size = len(one.encode()) + 4
        if size > room:
            parts.append([])
            room = _LONGEST_PARAMETER
        parts[-1].append(one)
        room -= size
    return parts


def _textual(op: str, operand: str) -> str:
    tests = {
        "contains": f"position({_TEXT}, {operand}) > 0",
        "starts_with": f"startsWith({_TEXT}, {operand})",
        "matches": f"match({_TEXT}, {operand})",
    }
    return f"({_IS_TEXT} AND {tests[op]})"


def _timed(binder: Binder, test: ValueTest, now: int) -> str:
    operand = cast(int, test.operand)
    match test.op:
        case "before":
            condition = f"at < {binder.bind(operand, 'Int64')}"
        case "after":
            condition = f"at > {binder.bind(operand, 'Int64')}"
        case _:
            start, end = binder.bind(now - operand, "Int64"), binder.bind(now, "Int64")
            condition = f"at > {start} AND at <= {end}"
    in_range = f"at >= {EARLIEST} AND at < {LATEST}"
    return f"arrayExists(at -> ifNull({in_range} AND {condition}, 0), {_MOMENT})"


def distinct_key(item: str) -> str:
    """The JSON text of a string, number or boolean; NULL, which is not counted, for other values."""
    kept = f"{item} NOT IN ('', 'null') AND NOT startsWith({item}, '[') AND NOT startsWith({item}, '{{')"
    return f"if({kept}, if({item} = '-0', '0', {item}), NULL)"


def _decimal_text(micros: int) -> str:
    whole, part = divmod(abs(micros), MICROS)
    return f"{'-' if micros < 0 else ''}{whole}.{part:06d}"


def _bits(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")
