"""One cell of a file to one value: text, exact number, instant, identifier. The readings of all kinds of files.

Each method raises `ValueError` with a reason code of `producers.files.reasons`.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from identity.normalise import NO_REGION, normalise
from identity.rules import DEFAULT_RULES
from producers.files.dates import Moment, read_time
from producers.files.mapping import Mapping, Read
from producers.files.numbers import Number, read_number, without_noise
from schemas.clock import iso
from schemas.digits import ascii_digits, json_number, trim
from schemas.errors import InvalidIdentifier

PHONE: Final = "phone_written_internationally"
FRACTION: Final = "fraction_removed"

_CLOCK_DIGITS: Final = re.compile(r"[0-9]{1,4}", re.ASCII)
_TENTHS_OF_NOTHING: Final = re.compile(r"\d+\.0")
_ROUNDED: Final = re.compile(r"[0-9](\.[0-9]+)?[eE]\+?[0-9]+", re.ASCII)
_SEPARATES: Final = re.compile(r"[\s().\-/]")
_SHORTEST_PHONE: Final = 9
"""Of + and digits. Short codes, and numbers whose end is missing, are nobody's."""
_YES: Final = frozenset(
    ("yes", "y", "true", "t", "1", "on", "ja", "oui", "si", "بله", "بلی", "آری", "دارد", "فعال", "نعم")
)
_NO: Final = frozenset(["no", "n", "false", "f", "0", "off", "nein", "non", "خیر", "نه", "ندارد", "غیرفعال", "لا"])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """A value as JSON, and how it was repaired."""

    value: object
    repairs: tuple[str, ...] = ()


class Cells:
    """The parsed cells of one file, cached for a while, since neighbouring lines repeat values."""

    def __init__(self, mapping: Mapping) -> None:
        form, when = mapping.format, mapping.when
        self._blanks = form.blanks
        self._decimal = form.decimal
        self._region = mapping.region
        self._pattern = when.format if when else None
        self._calendar = when.calendar if when else "auto"
        self._zone: tzinfo = ZoneInfo((when.zone if when else None) or "UTC")
        # typed: 1, 1.0 and True are equal keys but not equal texts
        self.text: Callable[[object], str] = lru_cache(8_192, typed=True)(self._text)
        self.number: Callable[[object], Number] = lru_cache(8_192, typed=True)(self._number)
        self.instant: Callable[[object], Moment] = lru_cache(1_024, typed=True)(self._instant)
        self._at_clock: Callable[..., Moment] = lru_cache(8_192, typed=True)(self._joined)
        self.identifier: Callable[[str, object], Told] = lru_cache(8_192, typed=True)(self._identifier)
        self.value: Callable[[object, Read], Told] = lru_cache(8_192, typed=True)(self._value)

    def _text(self, value: object) -> str:
        """Trimmed text; "" for an empty cell. A whole number stored as a float loses its ".0"."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = trim(str(value))
        return "" if text in self._blanks else text

    def _number(self, value: object) -> Number:
        """Exact. A float means its decimal of 15 digits, which no program's rounding touches."""
        if isinstance(value, bool):
            raise ValueError("not_a_number")
        if isinstance(value, (int, Decimal)):
            number = Number(Decimal(value))
        elif isinstance(value, float):
            number = without_noise(Decimal(f"{value:.15g}"))
        else:
            text = self.text(value)
            if not text:
                raise ValueError("missing")
            return read_number(text, self._decimal)
        if not number.value.is_finite():
            raise ValueError("missing" if number.value.is_nan() else "not_a_number")
        return number

    def _instant(self, value: object) -> Moment:
        if not isinstance(value, str) and self.text(value):
            return read_time(value, self._zone, self._pattern, self._calendar)
        return read_time(self.text(value), self._zone, self._pattern, self._calendar)

    def moment(self, values: Sequence[object]) -> Moment:
        """The instant in one cell, or in those of the day and of its time."""
        if len(values) == 1:
            return self.instant(values[0])
        return self._at_clock(*values)

    def _joined(self, day: object, clock: object) -> Moment:
        of_day = self._clock_text(clock)
        if not of_day:
            return self.instant(day)
        if isinstance(day, date):  # a cell of a sheet, which holds no text that a pattern could be of
            return read_time(f"{day:%Y-%m-%d} {of_day}", self._zone, None, self._calendar)
        return self.instant(f"{text} {of_day}" if (text := self.text(day)) else "")

    def _clock_text(self, clock: object) -> str:
        """As text: `9:05` and `905` as `09:05` unless a pattern says how it is written; a sheet's share of a day."""
        if isinstance(clock, float) and 0 <= clock < 1:
            return str(time(*divmod(round(clock * 1440) % 1440, 60)))
        if isinstance(clock, datetime):
            return str(clock.time())
        text = ascii_digits(self.text(clock))
        if self._pattern is not None:
            return text
        if _CLOCK_DIGITS.fullmatch(text):
            text = f"{text.zfill(4)[:2]}:{text.zfill(4)[2:]}"
        return f"0{text}" if text[1:2] == ":" else text

    def _identifier(self, type_: str, value: object) -> Told:
        """The text of an identifier, a phone number in E.164; "" for an empty cell."""
        text = self.text(value).removeprefix("'")
        repairs: tuple[str, ...] = ()
        if isinstance(value, str) and _TENTHS_OF_NOTHING.fullmatch(text):
            text, repairs = text[:-2], (FRACTION,)
        if not text:
            return Told("", repairs)
        if _ROUNDED.fullmatch(ascii_digits(text)):
            raise ValueError("digits_lost")
        try:
            normalised = normalise(type_, text, region=self._region if type_ == "phone" else None)
        except InvalidIdentifier as error:
            if type_ == "phone":
                raise ValueError(NO_REGION if error.code == NO_REGION else "not_a_phone") from None
            raise ValueError("not_an_identifier") from None
        if DEFAULT_RULES.is_blocked(type_, normalised):
            raise ValueError("junk_identifier")
        if type_ == "phone":
            if len(normalised) < _SHORTEST_PHONE:
                raise ValueError("not_a_phone")
            if _SEPARATES.sub("", text) != normalised:
                repairs = (*repairs, PHONE)
            return Told(normalised, repairs)
        return Told(text, repairs)

    def _value(self, value: object, read: Read) -> Told:
        """A trait's or property's value; "" for an empty cell."""
        text = self.text(value)
        if not text:
            return Told("")
        if read == "text":
            return Told(text)
        if read == "number":
            number = self.number(value)
            exact = json_number(number.value)
            if exact is None:
                raise ValueError("amount_not_exact")
            return Told(exact, number.repairs)
        if read == "phone":
            return self.identifier("phone", value)
        if read == "yes_no":
            word = text.casefold()
            if word not in _YES | _NO:
                raise ValueError("not_yes_or_no")
            return Told(word in _YES)
        return self._date(value, read)

    def _date(self, value: object, read: Read) -> Told:
        """The time's format of the mapping is of its own column; other dates are read by their form."""
        moment = read_time(value if not isinstance(value, str) else self.text(value), self._zone)
        if read == "time":
            return Told(iso(moment.ms), moment.repairs)
        day = (_EPOCH + timedelta(milliseconds=moment.ms)).astimezone(self._zone).date()
        return Told(day.isoformat(), moment.repairs)
