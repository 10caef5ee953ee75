"""What a JSON value means to a rule, in SQL: the twin of `values`, kept equal by a property test."""

import struct
from collections.abc import Sequence
from typing import Any, cast

from stream_processors.segments.tree import MICROS, NumberTest, Scalar, ValueTest
from stream_processors.segments.values import DATE_PATTERN, by_type

_NUMBER_SQL = {"eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NUMBERS = "IN ('Int64', 'UInt64', 'Double')"


class Binder:
    """Names the bound parameters of one statement: p0, p1, …; equal values share a name."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def bind(self, value: Any, kind: str) -> str:
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def double(self, value: float) -> str:
        """A double bound by its bits: ClickHouse's fast parser of decimal text may be off by the last one."""
        return f"reinterpretAsFloat64({self.bind(_bits(value), 'UInt64')})"

    def doubles(self, values: Sequence[float]) -> str:
        bits = self.bind([_bits(value) for value in values], "Array(UInt64)")
        return f"arrayMap(x -> reinterpretAsFloat64(x), {bits})"


def number_condition(binder: Binder, value: str, test: NumberTest, unit: str) -> str:
    """A comparison of an aggregate: `integer`, `decimal` (millionths), or `average` (the sum against the
    count).
    """
    sign = _NUMBER_SQL[test.op]
    if unit == "integer":
        return f"{value} {sign} {binder.bind(test.operand, 'Int64')}"
    operand = f"toDecimal256({binder.bind(_decimal_text(test.operand), 'String')}, 6)"
    times = " * toInt64(count(value))" if unit == "average" else ""
    return f"{value} {sign} {operand}{times}"


def value_condition(binder: Binder, document: str, path: Sequence[str], test: ValueTest, now: int) -> str:
    """A test of the value at `path` (bound parameters) in a JSON text; true or false, never NULL."""
    at = ", ".join([document, *path])
    match test.op:
        case "eq" | "in":
            return _equal(binder, at, _operands(test))
        case "ne" | "not_in":
            return f"(NOT {_equal(binder, at, _operands(test))})"
        case "gt" | "gte" | "lt" | "lte":
            operand = binder.double(cast(float, test.operand))
            return f"(JSONType({at}) {_NUMBERS} AND JSONExtractFloat({at}) {_NUMBER_SQL[test.op]} {operand})"
        case "exists":
            return f"(JSONType({at}) {'!=' if test.operand else '='} 'Null')"
        case "contains" | "starts_with" | "matches":
            return _textual(at, test.op, binder.bind(test.operand, "String"))
        case _:
            return _timed(binder, at, test, now)


def _operands(test: ValueTest) -> tuple[Scalar, ...]:
    return test.operand if isinstance(test.operand, tuple) else (test.operand,)


def _equal(binder: Binder, at: str, operands: tuple[Scalar, ...]) -> str:
    strings, numbers, booleans = by_type(operands)
    parts = []
    if strings:
        listed = binder.bind(strings, "Array(String)")
        parts.append(f"(JSONType({at}) = 'String' AND has({listed}, JSONExtractString({at})))")
    if numbers:
        parts.append(f"(JSONType({at}) {_NUMBERS} AND has({binder.doubles(numbers)}, JSONExtractFloat({at})))")
    if booleans:
        listed = binder.bind([int(one) for one in booleans], "Array(UInt8)")
        parts.append(f"(JSONType({at}) = 'Bool' AND has({listed}, JSONExtractBool({at})))")
    return "(" + " OR ".join(parts) + ")"


def _textual(at: str, op: str, operand: str) -> str:
    text = f"JSONExtractString({at})"
    tests = {
        "contains": f"position({text}, {operand}) > 0",
        "starts_with": f"startsWith({text}, {operand})",
        "matches": f"match({text}, {operand})",
    }
    return f"(JSONType({at}) = 'String' AND {tests[op]})"


def _timed(binder: Binder, at: str, test: ValueTest, now: int) -> str:
    text = f"if(JSONType({at}) = 'String', JSONExtractString({at}), '')"
    pattern = binder.bind(DATE_PATTERN, "String")
    parsed = f"toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({text}, 3, 'UTC'))"
    moment = f"if(match({text}, {pattern}), {parsed}, NULL)"
    operand = cast(int, test.operand)
    match test.op:
        case "before":
            condition = f"{moment} < {binder.bind(operand, 'Int64')}"
        case "after":
            condition = f"{moment} > {binder.bind(operand, 'Int64')}"
        case _:
            start, end = binder.bind(now - operand, "Int64"), binder.bind(now, "Int64")
            condition = f"{moment} > {start} AND {moment} <= {end}"
    return f"ifNull({condition}, 0)"


def _decimal_text(micros: int) -> str:
    whole, part = divmod(abs(micros), MICROS)
    return f"{'-' if micros < 0 else ''}{whole}.{part:06d}"


def _bits(value: float) -> int:
    return int.from_bytes(struct.pack("<d", value), "little")
