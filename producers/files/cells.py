"""One cell of a file to one value: text, exact number, instant. Raises `ValueError` with a reason code."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from producers.files.mapping import Format, Time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = {".": re.compile(r"[+-]?\d{1,30}(\.\d{1,18})?"), ",": re.compile(r"[+-]?\d{1,30}(,\d{1,18})?")}
_TENTHS_OF_NOTHING = re.compile(r"\d+\.0")


class Cells:
    """The parsed cells of one file, cached for a while, since neighbouring lines repeat values."""

    def __init__(self, form: Format, time: Time) -> None:
        self._blanks = form.blanks
        self._decimal = form.decimal
        self._format = time.format
        self._zone = ZoneInfo(time.zone)
        # typed: 1, 1.0 and True are equal keys but not equal texts
        self.text: Callable[[object], str] = lru_cache(8_192, typed=True)(self._text)
        self.number: Callable[[object], Decimal] = lru_cache(8_192, typed=True)(self._number)
        self.instant: Callable[[object], int] = lru_cache(1_024, typed=True)(self._instant)

    def _text(self, value: object) -> str:
        """Trimmed text; "" for an empty cell. A whole number stored as a float loses its ".0"."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = str(value).strip()
        return "" if text in self._blanks else text

    def identifier(self, value: object) -> tuple[str, bool]:
        """Text of an identifier, and whether it was repaired: pandas makes "17850.0" of card 17850."""
        text = self.text(value)
        if isinstance(value, str) and _TENTHS_OF_NOTHING.fullmatch(text):
            return text[:-2], True
        return text, False

    def _number(self, value: object) -> Decimal:
        """Exact: a float means its printed decimal."""
        if isinstance(value, bool):
            raise ValueError("not_a_number")
        if isinstance(value, (int, Decimal)):
            number = Decimal(value)
        elif isinstance(value, float):
            number = Decimal(repr(value))
        else:
            text = self.text(value)
            if not text:
                raise ValueError("missing")
            if not _NUMBER[self._decimal].fullmatch(text):
                raise ValueError("not_a_number")
            number = Decimal(text.replace(",", "."))
        if not number.is_finite():
            raise ValueError("not_a_number")
        return number

    def _instant(self, value: object) -> int:
        """Milliseconds since 1970 UTC."""
        try:
            moment = self._moment(value)
        except (OverflowError, OSError) as error:
            raise ValueError("not_a_time") from error
        return (moment - _EPOCH) // _MILLISECOND

    def _moment(self, value: object) -> datetime:
        if isinstance(value, datetime):
            return self._zoned(value)
        if isinstance(value, date):
            return self._zoned(datetime(value.year, value.month, value.day))
        text = self.text(value)
        if not text:
            raise ValueError("missing")
        try:
            if self._format in ("epoch_seconds", "epoch_ms"):
                unit = timedelta(seconds=1) if self._format == "epoch_seconds" else _MILLISECOND
                return _EPOCH + float(text) * unit
            return self._zoned(datetime.strptime(text, self._format) if self._format else datetime.fromisoformat(text))
        except ValueError:
            raise ValueError("not_a_time") from None

    def _zoned(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)
