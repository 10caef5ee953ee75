"""Dates and times as tables hold them: ISO 8601, a stated pattern, epochs, a spreadsheet's serial days, Jalali dates.

`schemas.moments` reads what programs send; here is what people's files add. A year from 1200 to 1499 can only be a
Jalali one in a file of customers (or an Islamic one, which is refused from 1420 on unless the mapping says Jalali).
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Literal, NamedTuple

from schemas import jalali
from schemas.digits import ascii_digits, trim
from schemas.moments import read_moment

Calendar = Literal["auto", "gregorian", "jalali"]

JALALI: Final = "jalali_date_converted"
SERIAL: Final = "spreadsheet_day_converted"

EPOCHS: Final = ("epoch_seconds", "epoch_ms")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_SERIAL_ZERO: Final = datetime(1899, 12, 30)
_SERIAL: Final = re.compile(r"[2-7][0-9]{4}(\.[0-9]+)?", re.ASCII)
_TODAY_IS_NOT: Final = 1420
"""From this year on, a Jalali date would lie in the future, and an Islamic one is of this century."""

_CLOCK: Final = (
    r"(?:[T ,،-]*(?:ساعت)?\s*(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]+)?)?)?"
)
_YEAR_FIRST: Final = re.compile(
    r"(?P<year>1[2-6][0-9]{2})(?P<mark>[/.\-])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})" + _CLOCK, re.ASCII
)
_COMPACT: Final = re.compile(r"(?P<year>1[2-4][0-9]{2})(?P<month>[01][0-9])(?P<day>[0-3][0-9])" + _CLOCK, re.ASCII)
_YEAR_LAST: Final = re.compile(
    r"(?P<day>[0-9]{1,2})(?P<mark>[/.\-])(?P<month>[0-9]{1,2})(?P=mark)(?P<year>1[2-4][0-9]{2})" + _CLOCK, re.ASCII
)
_NAMED: Final = re.compile(
    r"(?:[^0-9\s]+\s+)??(?P<day>[0-9]{1,2})\s+(?P<name>[^0-9\s]+)\s+(?:ماه\s+)?(?P<year>1[2-4][0-9]{2})" + _CLOCK
)
_JALALI_FORMS: Final = (_YEAR_FIRST, _COMPACT, _YEAR_LAST, _NAMED)
_SLASHES: Final = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})(.*)", re.ASCII)

_PARTS: Final = {
    "%Y": r"(?P<year>[0-9]{4})",
    "%m": r"(?P<month>[0-9]{1,2})",
    "%d": r"(?P<day>[0-9]{1,2})",
    "%H": r"(?P<hour>[0-9]{1,2})",
    "%M": r"(?P<minute>[0-9]{2})",
    "%S": r"(?P<second>[0-9]{2})",
    "%B": r"(?P<name>[^0-9\s]+)",
    "%%": "%",
}


class Moment(NamedTuple):
    """A time in ms since 1970, and what was converted to read it."""

    ms: int
    repairs: tuple[str, ...] = ()


def read_time(value: object, zone: tzinfo, pattern: str | None = None, calendar: Calendar = "auto") -> Moment:
    """The time in a cell: a text, a number, or the file's own type. `zone` holds for times without one; `pattern`: of
    strptime, or one of `EPOCHS`. Raises `ValueError`: `missing`, `not_a_time` or `calendar_ambiguous`.
    """
    try:
        if isinstance(value, datetime):
            return _own_type(value, zone, calendar)
        if isinstance(value, date):
            return _own_type(datetime(value.year, value.month, value.day), zone, calendar)
        text = ascii_digits(trim(str(value)))
        if not text:
            raise ValueError("missing")
        if pattern in EPOCHS:
            return _epoch(text, pattern)
        if pattern is not None:
            return _by_pattern(text, pattern, zone, calendar)
        return _by_form(text, value, zone, calendar)
    except (OverflowError, OSError) as error:
        raise ValueError("not_a_time") from error


def _own_type(moment: datetime, zone: tzinfo, calendar: Calendar) -> Moment:
    """A cell of a database or a sheet. One of the year 1403 was written as a Jalali date and taken for another."""
    if _is_jalali(moment.year, calendar):
        return _from_jalali(moment.year, moment.month, moment.day, moment.time(), zone)
    return Moment(_ms(moment if moment.tzinfo else moment.replace(tzinfo=zone)))


def _epoch(text: str, pattern: str) -> Moment:
    try:
        return Moment((float(text) * (timedelta(seconds=1) if pattern == "epoch_seconds" else _MS)) // _MS)
    except ValueError:
        raise ValueError("not_a_time") from None


def _by_pattern(text: str, pattern: str, zone: tzinfo, calendar: Calendar) -> Moment:
    if calendar == "jalali":
        found = jalali_pattern(pattern).fullmatch(text)
        if found is None:
            raise ValueError("not_a_time")
        return _jalali_match(found, zone)
    try:
        moment = datetime.strptime(text, pattern)
    except ValueError:
        raise ValueError("not_a_time") from None
    return _own_type(moment, zone, calendar)


def _by_form(text: str, value: object, zone: tzinfo, calendar: Calendar) -> Moment:
    if isinstance(value, int | float) or _SERIAL.fullmatch(text):
        serial = float(text) if _SERIAL.fullmatch(text) else 0.0
        if serial:
            days = timedelta(milliseconds=round(serial * 86_400_000))
            return Moment(_ms((_SERIAL_ZERO + days).replace(tzinfo=zone)), (SERIAL,))
    if calendar != "gregorian":
        for form in _JALALI_FORMS:
            if (found := form.fullmatch(text)) is not None and _is_jalali(int(found["year"]), calendar):
                return _jalali_match(found, zone)
    if calendar == "jalali":
        raise ValueError("not_a_time")
    if (slashes := _SLASHES.fullmatch(text)) is not None:
        year, month, day, rest = slashes.groups()
        text = f"{year}-{month:0>2}-{day:0>2}{rest}"
    if text.isdecimal() and len(text) != 8:
        raise ValueError("not_a_time")  # seconds or milliseconds: the mapping has to say so
    ms = read_moment(text, zone)
    if ms is None:
        raise ValueError("not_a_time")
    return Moment(ms)


def _is_jalali(year: int, calendar: Calendar) -> bool:
    """Raises `ValueError` for a year that may also be an Islamic one."""
    if calendar != "auto":
        return calendar == "jalali"
    if _TODAY_IS_NOT <= year < 1500:
        raise ValueError("calendar_ambiguous")
    return 1200 <= year < _TODAY_IS_NOT


def _jalali_match(found: re.Match[str], zone: tzinfo) -> Moment:
    part = found.groupdict()
    month = jalali.month_of(part["name"]) if part.get("name") else int(part.get("month") or 1)
    if month is None:
        raise ValueError("not_a_time")
    try:
        clock = time(int(part.get("hour") or 0), int(part.get("minute") or 0), int(part.get("second") or 0))
    except ValueError:
        raise ValueError("not_a_time") from None
    return _from_jalali(int(part["year"] or 0), month, int(part.get("day") or 1), clock, zone)


def _from_jalali(year: int, month: int, day: int, clock: time, zone: tzinfo) -> Moment:
    try:
        there = jalali.to_gregorian(year, month, day)
    except ValueError:
        raise ValueError("not_a_time") from None
    return Moment(_ms(datetime.combine(there, clock.replace(tzinfo=None), clock.tzinfo or zone)), (JALALI,))


def jalali_pattern(pattern: str) -> re.Pattern[str]:
    """A strptime pattern for Jalali dates. Raises `ValueError` for a directive that has no meaning there."""
    pieces = re.split(r"(%.)", pattern)
    try:
        return re.compile("".join(_PARTS[one] if one.startswith("%") else re.escape(one) for one in pieces))
    except (KeyError, re.error):
        raise ValueError("for Jalali dates, wanted only %Y %m %d %H %M %S %B, each once") from None


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS
