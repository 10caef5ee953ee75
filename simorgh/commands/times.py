"""Times as people write them on the command line: a span (`90d`, `12h`), or a time (UTC unless it names a zone)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.clock import Clock, iso, system_clock
from schemas.errors import InvalidInput

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SPAN: Final = re.compile(r"([1-9]\d{0,3})([mhdw])", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def later(text: str, clock: Clock = system_clock) -> str:
    """A time in the future, in ISO 8601; a span counts from now. Raises `InvalidInput` for any other text."""
    now = clock()
    at = _read(text, now, 1)
    if at <= now:
        raise InvalidInput("time: wanted a time in the future, got one that has passed; give a later one")
    return iso(at)


def earlier(text: str, clock: Clock = system_clock) -> str:
    """A time in ISO 8601; a span counts back from now. Raises `InvalidInput` for any other text."""
    return iso(_read(text, clock(), -1))


def _read(text: str, now: int, direction: int) -> int:
    if span := _SPAN.fullmatch(text):
        return now + direction * (int(span[1]) * _UNITS[span[2]] // _MILLISECOND)
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise InvalidInput(
            "time: wanted a span or a time, got another text; write it as in 90d, 12h or 2030-01-31T00:00:00Z"
        ) from None
