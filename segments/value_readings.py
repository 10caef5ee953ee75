"""What computed traits take of events, in SQL: the counterpart of `value_folds`. A property test compares them.

There is one reading for each list of event types. Its columns are numbers in millionths (Int256, NULL: none), or JSON
texts ('': none); `value_text` makes the latter of the former.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from segments import lifecycle
from segments.computed import MOST_ITEMS, MOST_TEXT, NUMBERS
from segments.readings import NEVER, NUMBER, Reading, in_time, values_at, where_conditions, window_dues
from segments.sql_values import Binder, distinct_key
from segments.tree import MICROS, EventValue
from warehouse import latest

_LARGEST: Final = f"toInt256('{10**18 * MICROS}')"
_ORDER: Final = ("at", "received_at", "place", "key")
_PLACE: Final = f"({', '.join(_ORDER)})"
_IN_MILLIONTHS: Final = NUMBERS | {"open", "usual_gap"}
_REDUCED: Final = {"sum": "sum", "avg": "sum", "min": "min", "max": "max"}


def value_readings(taken: Mapping[EventValue, str], binder: Binder, now: int, *, due: bool) -> list[Reading]:
    """Of what is taken, with the names of their columns. `due`: see `readings`."""
    by_types: dict[tuple[str, ...], dict[EventValue, str]] = {}
    for one, column in taken.items():
        by_types.setdefault(one.types, {})[one] = column
    return [_Take(binder, now, due).reading(types, some) for types, some in by_types.items()]


class _Take:
    def __init__(self, binder: Binder, now: int, due: bool) -> None:
        self._binder = binder
        self._now = now
        self._due = due

    def reading(self, types: Sequence[str], taken: Mapping[EventValue, str]) -> Reading:
        columns = ["toUnixTimestamp64Milli(time) AS at"]
        wanted = f"type IN {self._binder.bind(list(types), 'Array(String)')}"
        reading = Reading("counted", wanted, columns)
        if any(one.in_order for one in taken):
            columns += _ORDER[1:]
        if any(one.opens for one in taken):
            columns.append("type")
        for one, column in taken.items():
            conditions = " AND ".join(where_conditions(self._binder, one.where, self._now)) or "1"
            columns.append(f"{conditions} AS m{column}")
            if one.by_day:
                columns.append(f"toInt64(toDate32(time, {self._binder.bind(one.zone, 'String')})) AS x{column}")
            if one.of is not None:
                columns.append(f"{self._values(one)} AS x{column}")
            counts = in_time(self._binder, self._now, one, f"m{column}")
            reading.values[column] = self._aggregate(one, counts, f"x{column}")
            if self._due and one.take == "lifecycle":
                tomorrow = lifecycle.start_of(lifecycle.day_of(self._now, one.zone) + 1, one.zone)
                reading.dues.append(f"if(countIf({counts}) > 0, {self._ms(tomorrow)}, {NEVER})")
            if self._due and one.within is not None:
                reading.dues += window_dues(self._binder, self._now, one.within, f"m{column}", counts)
        return reading

    def _values(self, taken: EventValue) -> str:
        """The values of a row, as an array: Decimal256, JSON texts, or (currency, Decimal256)."""
        if taken.by_currency:
            return "if(currency = '', [], [(toString(currency), toDecimal256(amount, 6))])"
        zone = self._binder.bind(taken.zone, "String")
        if taken.of == ("hour",):
            return f"[toString(toHour(time, {zone}))]"
        if taken.of == ("weekday",):
            return f"[toString(toDayOfWeek(time, 0, {zone}))]"
        if taken.take in NUMBERS:
            return values_at(self._binder, taken.of or (), NUMBER)
        too_long = f"startsWith(x, '\"') AND lengthUTF8(JSONExtractString(x)) > {MOST_TEXT}"
        return values_at(self._binder, taken.of or (), f"if({too_long}, NULL, {distinct_key('x')})")

    def _aggregate(self, taken: EventValue, counts: str, values: str) -> str:  # noqa: PLR0911
        if taken.by_currency:
            return _by_currency(taken, f"arrayFlatten(groupArrayIf({values}, {counts}))")
        if taken.take == "count":
            return f"nullIf(toInt256(countIf({counts})) * {MICROS}, 0)"
        if taken.by_day:
            return self._by_day(taken, f"arraySort(groupUniqArrayIf({values}, {counts}))")
        if taken.take in NUMBERS:
            total = f"{_REDUCED[taken.take]}ArrayIf({values}, {counts})"
            return _reduced(taken, total, f"sumIf(length({values}), {counts})")
        some = f"({counts} AND notEmpty({values}))"
        match taken.take:
            case "first":
                return f"argMinIf({values}[1], {_PLACE}, {some})"
            case "last":
                return f"argMaxIf({values}[-1], {_PLACE}, {some})"
            case "list" | "unique":
                rows = f"arrayReverseSort(row -> row.1, groupArrayIf(({_PLACE}, {values}), {some}))"
                items = f"arrayFlatten(arrayMap(row -> arrayReverse(row.2), {rows}))"
                return _list(f"arrayDistinct({items})" if taken.take == "unique" else items)
            case "open":
                opens = f"type IN {self._binder.bind(list(taken.opens), 'Array(String)')}"
                rows = f"arrayReverseSort(row -> row.1, groupArrayIf(({_PLACE}, {values}[1], {opens}), {some}))"
                nth = "arrayEnumerateUniq(arrayMap(row -> row.2, rows))"
                count = f"arrayCount((row, n) -> n = 1 AND row.3, rows, {nth})"
                return f"nullIf(arrayMap(rows -> toInt256({count}) * {MICROS}, [{rows}])[1], 0)"
            case _:
                found = f"sumMapIf({values}, arrayMap(x -> toUInt64(1), {values}), {some})"
                return f"arrayMap(f -> f.1[indexOf(f.2, arrayMax(f.2))], [{found}])[1]"

    def _by_day(self, taken: EventValue, days: str) -> str:
        """The counterpart of `lifecycle`. `days`: in order."""
        gaps = f"arrayMap(d -> arrayPopFront(arrayDifference(d)), [{days}])[1]"
        if taken.take == "usual_gap":
            return f"arrayMap(g -> if(length(g) < {lifecycle.OWN_GAPS}, NULL, toInt256({_median('g')})), [{gaps}])[1]"
        usual = self._ms(-1 if taken.usual is None else taken.usual)
        today = self._ms(lifecycle.day_of(self._now, taken.zone))
        stage = f"""multiIf(u < 0, '',
            s <= {lifecycle.NEW_DAYS} AND notEmpty(g) AND b >= 0 AND g[-1] * {MICROS} > 3 * b, '"returned"',
            f <= {lifecycle.NEW_DAYS}, '"new"',
            2 * s * {MICROS} <= 3 * u AND length(g) + 1 >= {lifecycle.LOYAL_DAYS}
                AND f >= {lifecycle.LOYAL_AFTER}, '"loyal"',
            2 * s * {MICROS} <= 3 * u, '"active"', s * {MICROS} <= 3 * u, '"cooling"', '"lapsed"')"""
        staged = (
            f"arrayMap((u, b, s, f) -> {stage}, [{_usual_gap('g', usual)}],"
            f" [{_usual_gap('arrayPopBack(g)', usual)}],"
            f" [{today} - d[-1]], [{today} - d[1]])[1]"
        )
        per_days = f"arrayMap(g -> {staged}, [arrayPopFront(arrayDifference(d))])[1]"
        return f"arrayMap(d -> if(empty(d), '', {per_days}), [{days}])[1]"

    def _ms(self, ms: int) -> str:
        return self._binder.bind(ms, "Int64")


def value_text(column: str, taken: EventValue) -> str:
    """The value as JSON text, of its column."""
    numeric = taken.take in _IN_MILLIONTHS and not taken.by_currency
    return f"ifNull({_number_text(column)}, '')" if numeric else column


def ratio_text(above: str, below: str) -> str:
    """Of two columns of numbers."""
    ratio = f"intDiv(ifNull({above}, toInt256(0)) * {MICROS}, nullIf({below}, 0))"
    return f"ifNull({_number_text(ratio)}, '')"


def balance_text(added: Sequence[str], subtracted: Sequence[str]) -> str:
    """Of columns of numbers."""
    signed = [*(("", one) for one in added), *(("-", one) for one in subtracted)]
    if not signed:
        return "''"
    total = " + ".join(f"{sign}ifNull({one}, toInt256(0))" for sign, one in signed)
    known = " OR ".join(f"isNotNull({one})" for _, one in signed)
    balance = f"if({known}, {total}, NULL)"
    return f"ifNull({_number_text(balance)}, '')"


def _reduced(taken: EventValue, total: str, many: str) -> str:
    """Millionths, NULL if there are no values."""
    number = f"toInt256({total} * {MICROS})"
    if taken.take == "avg":
        number = f"intDiv({number}, toInt256({many}))"
    return f"if({many} > 0, {number}, NULL)"


def _by_currency(taken: EventValue, pairs: str) -> str:
    """A JSON object of numbers."""
    amounts = "arrayMap(one -> one.2, arrayFilter(one -> one.1 = c, pairs))"
    number = f"toInt256(arrayReduce('{_REDUCED[taken.take]}', {amounts}) * {MICROS})"
    if taken.take == "avg":
        number = f"intDiv({number}, toInt256(length({amounts})))"
    members = f"arrayMap(c -> (c, ifNull({_number_text(number)}, '')), arraySort(arrayDistinct(pairs.1)))"
    parts = f"arrayMap(one -> concat('\"', one.1, '\":', one.2), arrayFilter(one -> one.2 != '', {members}))"
    return (
        f"arrayMap(pairs -> if(empty({parts}), '', concat('{{', arrayStringConcat({parts}, ','), '}}')), [{pairs}])[1]"
    )


def _usual_gap(gaps: str, usual: str) -> str:
    return f"if(length({gaps}) < {lifecycle.OWN_GAPS}, {usual}, {_median(gaps)})"


def _median(gaps: str) -> str:
    """In millionths, of an array that is not empty."""
    middle = "sorted[intDiv(length(sorted) + 1, 2)] + sorted[intDiv(length(sorted), 2) + 1]"
    return f"arrayMap(sorted -> ({middle}) * {MICROS // 2}, [arraySort({gaps})])[1]"


def _list(items: str) -> str:
    texts = f"arraySlice({items}, 1, {MOST_ITEMS})"
    return f"arrayMap(l -> if(empty(l), '', concat('[', arrayStringConcat(l, ','), ']')), [{texts}])[1]"


def _number_text(number: str) -> str:
    """Millionths as a JSON number without zeros at its end, NULL if there is none or it is too large."""
    part = f"toString(modulo(abs(n), {MICROS}))"
    digits = f"trim(TRAILING '0' FROM concat('.', leftPad({part}, 6, '0')))"
    shown = f"concat(if(n < 0, '-', ''), toString(intDiv(abs(n), {MICROS})), if({digits} = '.', '', {digits}))"
    return f"arrayMap(n -> if(abs(n) < {_LARGEST}, {shown}, NULL), [{number}])[1]"


def differing(values: str, versions: Mapping[str, int], gone: Sequence[str], only: str, binder: Binder) -> str:
    """A SELECT of the profiles whose rows do not show computed traits as they are.

    `values`: a SELECT of `profile` and `made`, the JSON texts of the traits with these versions, in their order.
    """
    conditions = []
    for i, (name, version) in enumerate(versions.items(), start=1):
        bound, made = binder.bind(name, "String"), f"made[{i}]"
        value = f"if({made} = '', '', JSONExtractRaw(concat('{{\"v\":', {made}, '}}'), 'v'))"
        conditions.append(f"{value} != JSONExtractRaw(shown, {bound})")
        told = f"JSONExtractInt(origins, {bound}, 'computed')"
        conditions.append(f"({made} != '' AND {told} != {binder.bind(version, 'Int64')})")
    for name in gone:
        bound = binder.bind(name, "String")
        conditions += [f"JSONHas(origins, {bound}, '{trace}')" for trace in ("computed", "shadowed")]
    rows = latest.profiles("argMax(traits, ver) AS shown, argMax(provenance, ver) AS origins", only)
    return (
        f"SELECT profile FROM ({values}) AS computed LEFT JOIN ({rows}) AS kept USING profile"
        f" WHERE {' OR '.join(conditions)}"
    )
