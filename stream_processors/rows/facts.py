"""A batch -> rows of the tables of facts (`schemas.fact_tables`). Pure: the caller writes them."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final

import orjson
import pyarrow as pa

from schemas.fact_tables import ALL, Column, FactTable
from stream_processors.parse.batch import Batch
from warehouse.client import fixed16

_STAMP: Final = pa.timestamp("ms", "UTC")
_NUMBER: Final = pa.decimal128(38, 6)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_STEP: Final = Decimal("0.000001")
_MOST: Final = Decimal("1e30")

_FEEDS: Final[Mapping[str, tuple[FactTable, ...]]] = {
    type: tuple(table for table in ALL if type in table.types)
    for type in {type for table in ALL for type in table.types}
}

Object = Mapping[str, Any]
_Row = tuple[int, int, Object, Object]
"""Index of the event, place of the row in it, the entry, and the event's properties."""


def fact_rows(batch: Batch, index: Sequence[int]) -> dict[str, pa.Table]:
    """The rows of these events, by table; without tables that have none."""
    types = batch.types
    feeding = [i for i in index if types[i] in _FEEDS]
    if not feeding:
        return {}
    found: dict[str, list[_Row]] = {}
    for i in feeding:
        properties = orjson.loads(bytes(batch.events[i].properties))
        for table in _FEEDS[types[i]]:
            found.setdefault(table.name, []).extend(_rows(i, table, properties))
    return {table.name: _table(batch, table, rows) for table in ALL if (rows := found.get(table.name))}


def _rows(i: int, table: FactTable, properties: Object) -> Iterator[_Row]:
    if table.entries is None:
        yield i, 0, properties, properties
    elif isinstance(entries := properties.get(table.entries), list):
        for n, entry in enumerate(entries):
            if isinstance(entry, dict):
                yield i, n, entry, properties


def _table(batch: Batch, table: FactTable, rows: Sequence[_Row]) -> pa.Table:
    events = [i for i, _, _, _ in rows]
    records = [batch.records[i] for i in events]
    columns: dict[str, pa.Array] = {
        "node": fixed16([batch.nodes[i][0] if batch.nodes[i] else 0 for i in events]),
        "time": pa.array([batch.times[i] for i in events], _STAMP),
        "part": pa.array([record.partition for record in records], pa.uint16()),
        "off": pa.array([record.offset for record in records], pa.uint64()),
        "n": pa.array([n for _, n, _, _ in rows], pa.uint32()),
        "type": pa.array([batch.types[i] for i in events], pa.string()),
        "source": pa.array([batch.sources[i] for i in events], pa.string()),
        "key": fixed16([batch.keys[i] for i in events]),
        "doc": fixed16([batch.documents.get(i) or batch.facts.get(i, 0) for i in events]),
    }
    numbers: dict[str, list[Decimal | None]] = {}
    for column in table.columns:
        values = _values(column, [outer if column.outer else entry for _, _, entry, outer in rows])
        if column.kind == "text":
            columns[column.name] = pa.array([_text(value) for value in values], pa.string())
        else:
            found = [_number(value) for value in values]
            if column.times is not None:
                one, other = (numbers[name] for name in column.times)
                found = [
                    known if known is not None else _product(a, b)
                    for known, a, b in zip(found, one, other, strict=True)
                ]
            numbers[column.name] = found
            columns[column.name] = pa.array(found, _NUMBER)
    return pa.table(columns)


def _values(column: Column, objects: Sequence[Object]) -> list[Any]:
    first, *others = column.read
    if not others:
        return [one.get(first) for one in objects]
    return [
        next((value for name in column.read if (value := one.get(name)) not in (None, "")), None) for one in objects
    ]


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _number(value: Any) -> Decimal | None:
    """Exact up to six decimals, the rest half to even; None for what is no number."""
    if type(value) is int:
        number = Decimal(value)
    elif type(value) is float:
        number = Decimal(repr(value))
    elif type(value) is str:
        try:
            number = Decimal(value)
        except InvalidOperation:
            return None
    else:
        return None
    return _fitting(number)


def _product(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return None if a is None or b is None else _fitting(_EXACT.multiply(a, b))


def _fitting(number: Decimal) -> Decimal | None:
    if not abs(number) < _MOST:  # also NaN
        return None
    exponent = number.as_tuple().exponent
    return number.quantize(_STEP, context=_EXACT) if isinstance(exponent, int) and exponent < -6 else number
