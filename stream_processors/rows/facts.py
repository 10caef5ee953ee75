"""A batch -> rows of the tables of facts (`schemas.fact_tables`). Pure: the caller writes them.

Column by column: what a row costs is mostly what its columns cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.fact_tables import ALL, Column, FactTable, Kind, readable
from stream_processors.parse.batch import Batch
from stream_processors.parse.money import decimal_array
from warehouse.client import fixed16

_STAMP: Final = pa.timestamp("ms", "UTC")
_NUMBER: Final = pa.decimal128(38, 6)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_UNIT: Final = 1_000_000
_MOST: Final = Decimal("1e30")
_MOST_MICROS: Final = 10**36
_SURE: Final = 1e9
"""Below this, a float that is some millionths divided by a million was written with six decimals at most."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS: Final = range(1900, 2300)


class _Feed(NamedTuple):
    """A table that a type feeds. `names`: the properties that are read."""

    table: FactTable
    word: bytes
    names: tuple[str, ...]


_FEEDS: Final[Mapping[str, tuple[_Feed, ...]]] = {
    type: tuple(_Feed(table, table.word.encode(), readable(table, type)) for table in ALL if type in table.types)
    for type in {type for table in ALL for type in table.types}
}

Object = Mapping[str, Any]
_NONE: Final[Object] = {}


@dataclass(slots=True)
class _Rows:
    """The rows of one table: for each its event, its place in that, and what its columns are read from."""

    events: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    entries: list[Object] = field(default_factory=list)
    outers: list[Object] = field(default_factory=list)
    campaigns: list[Object] = field(default_factory=list)

    def objects(self, column: Column) -> list[Object]:
        return {"entry": self.entries, "event": self.outers, "campaign": self.campaigns}[column.at]


def fact_rows(batch: Batch, index: Sequence[int]) -> dict[str, pa.Table]:
    """The rows of these events, by table; without tables that have none."""
    types = batch.types
    feeding = [i for i in index if types[i] in _FEEDS]
    if not feeding:
        return {}
    found: dict[str, _Rows] = {}
    for i in feeding:
        event, properties, campaign = batch.events[i], None, _NONE
        raw, around = bytes(event.properties), bytes(event.context)
        for table, word, names in _FEEDS[types[i]]:
            if word and word not in raw and word not in around:
                continue
            if properties is None:
                properties = orjson.loads(raw)
                campaign = _campaign(around)
            rows = found.get(table.name) or found.setdefault(table.name, _Rows())
            _add(rows, i, table, {name: properties[name] for name in names if name in properties}, campaign)
    made = {table.name: _table(batch, table, found[table.name]) for table in ALL if table.name in found}
    return {name: rows for name, rows in made.items() if rows.num_rows}


def _campaign(context: bytes) -> Object:
    if b'"campaign"' not in context:
        return _NONE
    campaign = orjson.loads(context).get("campaign")
    return campaign if isinstance(campaign, dict) else _NONE


def _add(rows: _Rows, i: int, table: FactTable, properties: Object, campaign: Object) -> None:
    entries = [properties] if table.entries is None else properties.get(table.entries)
    for n, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            rows.events.append(i)
            rows.places.append(n)
            rows.entries.append(entry)
            rows.outers.append(properties)
            rows.campaigns.append(campaign)


def _table(batch: Batch, table: FactTable, rows: _Rows) -> pa.Table:
    columns = _common(batch, rows.events)
    columns["n"] = pa.array(rows.places, pa.uint32())
    micros: dict[str, list[int | None]] = {}
    for column in table.columns:
        values = _values(column, rows.objects(column))
        if column.fixed:
            values = [
                column.fixed.get(batch.types[i]) if value is None or value == "" else value
                for i, value in zip(rows.events, values, strict=True)
            ]
        if column.kind == "number":
            found = [_micros(value) for value in values]
            if column.times is not None:
                one, other = (micros[name] for name in column.times)
                found = [
                    known if known is not None else _product(a, b)
                    for known, a, b in zip(found, one, other, strict=True)
                ]
            micros[column.name] = found
            columns[column.name] = _decimals(found)
        else:
            columns[column.name] = _MADE[column.kind](values)
    made = pa.table({name: columns[name] for name in columns})
    return made.filter(_any_of(table, made)) if table.wanted else made


def _common(batch: Batch, rows: Sequence[int]) -> dict[str, pa.Array]:
    """The columns that every row of an event has: made once for each event."""
    events = list(dict.fromkeys(rows))
    number = {i: at for at, i in enumerate(events)}
    records = [batch.records[i] for i in events]
    once = {
        "node": fixed16([batch.nodes[i][0] if batch.nodes[i] else 0 for i in events]),
        "time": pa.array([batch.times[i] for i in events], _STAMP),
        "part": pa.array([record.partition for record in records], pa.uint16()),
        "off": pa.array([record.offset for record in records], pa.uint64()),
        "type": pa.array([batch.types[i] for i in events], pa.string()),
        "source": pa.array([batch.sources[i] for i in events], pa.string()),
        "channel": pa.array([batch.events[i].channel for i in events], pa.string()),
        "received_at": pa.array([batch.received[i] for i in events], _STAMP),
        "place": pa.array([batch.events[i].place for i in events], pa.uint64()),
        "key": fixed16([batch.keys[i] for i in events]),
        "doc": fixed16([batch.documents.get(i) or batch.facts.get(i, 0) for i in events]),
    }
    if len(events) == len(rows):
        return once
    picked = pa.array([number[i] for i in rows], pa.int32())
    return {name: column.take(picked) for name, column in once.items()}


def _any_of(table: FactTable, rows: pa.Table) -> pa.ChunkedArray:
    kinds = {column.name: column.kind for column in table.columns}
    found = [pc.not_equal(rows[one], "") if kinds[one] == "text" else pc.is_valid(rows[one]) for one in table.wanted]
    whole = found[0]
    for one in found[1:]:
        whole = pc.or_(whole, one)
    return whole


def _values(column: Column, objects: Sequence[Object]) -> list[Any]:
    first, *others = column.read
    if not others:
        return [one.get(first) for one in objects]
    return [
        next((value for name in column.read if (value := one.get(name)) not in (None, "")), None) for one in objects
    ]


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([value if type(value) is str else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _moments(values: Sequence[Any]) -> pa.Array:
    return pa.array([_moment(value) for value in values], _STAMP)


def _moment(value: Any) -> int | None:
    """In ms; a day is its start, what has no zone is UTC. None for what is no moment."""
    if type(value) is not str or not value:
        return None
    try:
        found = datetime.fromisoformat(value.strip().upper())
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        since = found - _EPOCH
    except (ValueError, OverflowError):
        return None
    if found.year not in _YEARS:
        return None
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


_MADE: Final[Mapping[Kind, Callable[[Sequence[Any]], pa.Array]]] = {"text": _texts, "moment": _moments}


def _micros(value: Any) -> int | None:
    """In millionths, half to even; None for what is no number."""
    if type(value) is float:
        if -_SURE < value < _SURE and (near := round(value * _UNIT)) / _UNIT == value:
            return near
        number = Decimal(repr(value))
    elif type(value) is int:
        return value * _UNIT if abs(value) * _UNIT < _MOST_MICROS else None
    elif type(value) is str:
        try:
            number = Decimal(value)
        except InvalidOperation:
            return None
    else:
        return None
    if not abs(number) < _MOST:  # also NaN
        return None
    return _fitting(int(number.scaleb(6, _EXACT).to_integral_value(context=_EXACT)))


def _product(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return None
    whole, rest = divmod(a * b, _UNIT)
    up = rest * 2 > _UNIT or (rest * 2 == _UNIT and whole & 1)
    return _fitting(whole + up)


def _fitting(micros: int) -> int | None:
    return micros if abs(micros) < _MOST_MICROS else None


def _decimals(values: Sequence[int | None]) -> pa.Array:
    """Exact; None is NULL."""
    made = decimal_array([value or 0 for value in values])
    if None not in values:
        return made
    valid = np.packbits(np.array([value is not None for value in values]), bitorder="little").tobytes()
    return pa.Array.from_buffers(_NUMBER, len(values), [pa.py_buffer(valid), made.buffers()[1]])
