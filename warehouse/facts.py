"""Views over the tables of facts: the latest state of things, the catalogue by valid time, and the calendar.

Rows are a set of events, in any order. Each field of a state is the one that was said last, by the total order of
events, so a state is a function of that set. Things belong to profiles as these are at the time of asking.
"""

from datetime import date, timedelta
from typing import Final

from schemas.fact_tables import CATALOGUE_ROWS, THINGS, Column, FactTable
from schemas.jalali import FIRST_YEAR, LAST_YEAR, to_gregorian

_RANK: Final = "(time, received_at, place, key)"
_COUNTED: Final = "key NOT IN (SELECT key FROM {database}.retellings)"
_HOMES: Final = "SELECT node, argMax(profile, ver) AS profile FROM {database}.identity GROUP BY node"

_FIRST: Final = date(1900, 1, 1)
_LAST: Final = date(2100, 12, 31)


def views() -> dict[str, str]:
    """Name -> SQL with `{database}`."""
    things = {name: _things(steps) for name, steps in THINGS.items()}
    return {**things, "catalogue": _catalogue(), "calendar": _calendar()}


def _things(steps: FactTable) -> str:
    """One row for each thing of a profile: `profile` (0: nobody's), `id`, the latest of each field, `first_at`,
    `last_at`, the `state` (the last step's type), and all `steps`: (time, type), in the total order."""
    fields = ", ".join(_latest(column) for column in steps.columns if column.name != "id")
    return (
        f"SELECT profile, id, {fields}, min(time) AS first_at, max(time) AS last_at, argMax(type, said) AS state,"
        " arrayMap(one -> (one.1.1, one.2), arraySort(groupArray((said, type)))) AS steps"
        f" FROM (SELECT *, {_RANK} AS said FROM {{database}}.{steps.name} FINAL WHERE id != '' AND {_COUNTED}) AS told"
        f" LEFT JOIN ({_HOMES}) AS who ON told.node = who.node GROUP BY profile, id"
    )


def _latest(column: Column) -> str:
    return f"argMaxIf({column.name}, said, {column.present}) AS {column.name}"


def _catalogue() -> str:
    """One row for each product and moment from which something of it is valid: what was said of it up to then, field by
    field, by valid time. For `ASOF JOIN catalogue ON sku = product AND time >= valid_from`."""
    said = [column for column in CATALOGUE_ROWS.columns if column.name not in ("sku", "valid_from")]
    kept = ", ".join(_latest(column) for column in said)
    carried = ", ".join(_carried(column) for column in said)
    return (
        f"SELECT sku, valid_from, {carried} FROM (SELECT sku, since AS valid_from, {kept} FROM"
        f" (SELECT * EXCEPT valid_from, ifNull(valid_from, time) AS since, {_RANK} AS said"
        f" FROM {{database}}.catalogue_rows FINAL WHERE {_COUNTED}) GROUP BY sku, since)"
    )


def _carried(column: Column) -> str:
    """The last value up to this row: a field that is not said stays as it was."""
    value = f"nullIf({column.name}, '')" if column.kind == "text" else column.name
    held = (
        f"last_value({value}) OVER (PARTITION BY sku ORDER BY valid_from"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )
    return f"{f'ifNull({held}, {chr(39) * 2})' if column.kind == 'text' else held} AS {column.name}"


def _calendar() -> str:
    """One row for each day from 1900 to 2100, in both calendars. The engine knows no Jalali years: their first days
    stand in the text."""
    firsts = [to_gregorian(year, 1, 1) for year in range(FIRST_YEAR, LAST_YEAR + 1)]
    near = [first for first in firsts if _FIRST - timedelta(366) < first <= _LAST]
    first_year = FIRST_YEAR + firsts.index(near[0])
    days = ", ".join(str((first - date(1970, 1, 1)).days) for first in near)
    return (
        (
            "SELECT day, toYear(day) AS year, toQuarter(day) AS quarter, toMonth(day) AS month,"
            " toDayOfMonth(day) AS of_month,"
            " toISOYear(day) AS iso_year, toISOWeek(day) AS iso_week, toDayOfWeek(day) AS weekday,"
            " toUInt16(place + {first} - 1) AS jalali_year,"
            " toUInt8(if(passed < 186, intDiv(passed, 31), 6 + intDiv(passed - 186, 30)) + 1) AS jalali_month,"
            " toUInt8(if(passed < 186, passed % 31, (passed - 186) % 30) + 1) AS jalali_of_month,"
            " toUInt8(intDiv(jalali_month - 1, 3) + 1) AS jalali_quarter,"
            " toUInt16(passed + 1) AS jalali_of_year, toUInt8((weekday + 1) % 7 + 1) AS jalali_weekday"
            " FROM (SELECT toDate32(number + {start}) AS day, number + {start} AS at, [{days}] AS firsts,"
            " arrayLastIndex(one -> one <= at, firsts) AS place, at - firsts[place] AS passed"
            " FROM numbers({count}))"
        )
        .replace("{first}", str(first_year))
        .replace("{start}", str((_FIRST - date(1970, 1, 1)).days))
        .replace("{days}", days)
        .replace("{count}", str((_LAST - _FIRST).days + 1))
    )
