"""Times as programs write them, to milliseconds: all of RFC 3339 and of ISO 8601's dates with times, and epochs.

Also read: week and ordinal dates, the basic form, `24:00`, leap seconds, comma fractions, fractions of hours and
minutes, a small `t` or `z`, offsets without a colon, a zone's name in brackets (RFC 9557), the digits of every
script; seconds, milli-, micro- and nanoseconds since 1970 as a number or as text.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

from schemas.digits import ascii_digits, exact_number, trim

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1000: Final = int(datetime(1000, 1, 1, tzinfo=UTC).timestamp() * 1000)
_YEAR_9999: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)

_SECONDS_BELOW: Final = 100_000_000_000
"""A bare number below this is in seconds: as milliseconds it would lie before March 1973."""
_MICROS_FROM: Final = 10**15
_NANOS_FROM: Final = 10**18
"""As milliseconds these would lie beyond the year 33000."""

LONGEST: Final = 100
_MARKS: Final = str.maketrans({"\u2212": "-", "\u2010": "-", "\u2011": "-", "\u066b": ".", "\u060c": ","})

_MOMENT: Final = re.compile(
    r"""
    (?:\+0{1,2})?(?P<year>[0-9]{4})
    (?: -?W(?P<week>[0-9]{2}) (?: -?(?P<weekday>[1-7]) )?
      | -?(?P<ordinal>[0-9]{3})
      | -?(?P<month>[0-9]{2}) -?(?P<day>[0-9]{2})
      | -(?P<only_month>[0-9]{2})
    )?
    (?: (?: [T ]|[ ]T | (?<=[0-9])[ ]+ )
        (?P<hour>[0-9]{2}) (?: :?(?P<minute>[0-9]{2}) (?: :?(?P<second>[0-9]{2}) )? )?
        (?: [.,](?P<fraction>[0-9]{1,30}) )?
    )?
    (?: [ ]? (?: (?P<utc>Z|UTC|GMT) | (?P<sign>[+-])(?P<off_hour>[0-9]{2}) (?: :?(?P<off_minute>[0-9]{2}) )?
        (?: :?(?P<off_second>[0-9]{2}) )? ) )?
    (?: \[ [^\[\]]{1,60} \] ){0,4}
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


def read_moment(value: object, zone: tzinfo = UTC) -> int | None:
    """Milliseconds since 1970 of a time in the years 1000 to 9999; None for any other value.

    `zone` applies to a text without an offset. The caller handles absent values (None, "").
    """
    ms: int | None = None
    if isinstance(value, str):
        if value[16:17] == ":" and value[10] in "T " and value[4] == "-":  # what nearly every program writes
            try:
                moment = datetime.fromisoformat(value)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=zone)
                ms = round(moment.timestamp() * 1000)
            except (ValueError, OverflowError):
                ms = _from_text(value, zone)
        else:
            ms = _from_text(value, zone)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        ms = _from_number(value)
    return ms if ms is not None and _YEAR_1000 <= ms <= _YEAR_9999 else None


def _from_number(number: float) -> int | None:
    size = abs(number)
    if size < _SECONDS_BELOW:
        return round(number * 1000)
    if size < _MICROS_FROM:
        return round(number)
    if size < _NANOS_FROM:
        return round(number / 1000)
    return round(number / 1_000_000) if size < 10**21 else None  # also False for NaN and what is infinite


def _from_text(text: str, zone: tzinfo) -> int | None:
    if len(text) > LONGEST:
        return None
    plain = ascii_digits(trim(text)).translate(_MARKS)
    if (found := _MOMENT.fullmatch(plain)) is not None:
        try:
            return _from_parts(found, zone)
        except (ValueError, OverflowError):
            pass
    number = exact_number(plain)
    if number is None or not -(10**21) < number < 10**21 or (plain.isdecimal() and len(plain) < 8):
        return None
    return _from_number(int(number) if number == number.to_integral_value() else float(number))


def _from_parts(found: re.Match[str], zone: tzinfo) -> int:
    """Raises `ValueError` or `OverflowError` for a day or hour that does not exist."""
    part = found.groupdict()
    day = datetime.combine(_day(part), datetime.min.time())
    moment = day + _within_day(part)
    ms = round((moment.replace(tzinfo=UTC) - _EPOCH) / timedelta(milliseconds=1))
    if part["utc"]:
        return ms
    if part["sign"]:
        offset = timedelta(
            hours=_two(part["off_hour"], 23), minutes=_two(part["off_minute"]), seconds=_two(part["off_second"])
        )
        shift = offset // timedelta(milliseconds=1)
        return ms - shift if part["sign"] == "+" else ms + shift
    offset_of_zone = moment.replace(tzinfo=zone).utcoffset() or timedelta()
    return ms - offset_of_zone // timedelta(milliseconds=1)


def _day(part: dict[str, str | None]) -> date:
    year = int(part["year"] or 0)
    if part["week"]:
        return date.fromisocalendar(year, int(part["week"]), int(part["weekday"] or 1))
    if part["ordinal"]:
        day = date(year, 1, 1) + timedelta(days=int(part["ordinal"]) - 1)
        if day.year != year:
            raise ValueError("no such day")
        return day
    return date(year, int(part["month"] or part["only_month"] or 1), int(part["day"] or 1))


def _within_day(part: dict[str, str | None]) -> timedelta:
    """Since midnight; 24:00 is the end of the day, the second 60 of a leap minute the first of the next."""
    hour, minute, second = _two(part["hour"], 24), _two(part["minute"]), _two(part["second"], 60)
    fraction = Decimal(f"0.{part['fraction'] or 0}")
    if hour == 24 and (minute or second or fraction):
        raise ValueError("no such hour")
    unit = 3_600_000 if part["minute"] is None else 60_000 if part["second"] is None else 1000
    since = timedelta(hours=hour, minutes=minute, seconds=second)
    return since + timedelta(milliseconds=round(fraction * unit))


def _two(digits: str | None, most: int = 59) -> int:
    number = int(digits or 0)
    if number > most:
        raise ValueError("no such time")
    return number
