"""The Jalali (Solar Hijri) calendar of Iran and Afghanistan, by arithmetic.

Source: K. M. Borkowski, "The Persian calendar for 3000 years", Earth, Moon and Planets 74 (1996), 223-230. Leap years
come at 33-year cycles that shift at the years in `_BREAKS`. Exact for 1178 to 1633 (1799 to 2255), the years for which
the calendar is in use or published.
"""

from datetime import date, timedelta
from typing import Final

from schemas.digits import ascii_digits

FIRST_YEAR: Final = 1178
LAST_YEAR: Final = 1633

_BREAKS: Final = (-61, 9, 38, 199, 426, 686, 756, 818, 1111, 1181, 1210, 1635, 2060)
_MONTHS: Final = (
    ("فروردین", "farvardin", "حمل"),
    ("اردیبهشت", "ordibehesht", "ثور"),
    ("خرداد", "khordad", "جوزا"),
    ("تیر", "tir", "سرطان"),
    ("مرداد", "mordad", "امرداد", "اسد"),
    ("شهریور", "shahrivar", "سنبله"),
    ("مهر", "mehr", "میزان"),
    ("آبان", "aban", "ابان", "عقرب"),
    ("آذر", "azar", "اذر", "قوس"),
    ("دی", "dey", "جدی"),
    ("بهمن", "bahman", "دلو"),
    ("اسفند", "esfand", "حوت"),
)
MONTHS: Final = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names}
"""Month by its name: Persian, in Latin letters, and as in Afghanistan."""


def to_gregorian(year: int, month: int, day: int) -> date:
    """The Gregorian date of a Jalali one. Raises `ValueError` if there is no such day."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError("no such year")
    if not (1 <= month <= 12 and 1 <= day <= month_length(year, month)):
        raise ValueError("no such day")
    before = (month - 1) * 31 if month <= 7 else (month - 1) * 30 + 6
    return _new_year(year) + timedelta(days=before + day - 1)


def month_length(year: int, month: int) -> int:
    if month <= 6:
        return 31
    return 30 if month < 12 or is_leap(year) else 29


def is_leap(year: int) -> bool:
    return (_new_year(year + 1) - _new_year(year)).days == 366


def _new_year(year: int) -> date:
    """The first of Farvardin."""
    leaps, start = -14, _BREAKS[0]
    for end in _BREAKS[1:]:
        span = end - start
        if year < end:
            break
        leaps += span // 33 * 8 + span % 33 // 4
        start = end
    since = year - start
    leaps += since // 33 * 8 + (since % 33 + 3) // 4
    if span % 33 == 4 and span - since == 4:
        leaps += 1
    gregorian = year + 621
    gregorian_leaps = gregorian // 4 - (gregorian // 100 + 1) * 3 // 4 - 150
    return date(gregorian, 3, 1) + timedelta(days=19 + leaps - gregorian_leaps)


def month_of(name: str) -> int | None:
    """The number of a month; letters of Arabic keyboards are read as Persian ones."""
    plain = ascii_digits(name).casefold().replace("ي", "ی").replace("ى", "ی").replace("ك", "ک").strip()
    return MONTHS.get(plain)
