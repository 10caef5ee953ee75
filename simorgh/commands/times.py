"""Times as people write them on the command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.clock import Clock, iso, system_clock
from schemas.errors import InvalidInput

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_SPAN: Final = re.compile(r"([1-9]\d{0,5})([mhdw])")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def later(text: str, clock: Clock = system_clock) -> str:
    """A time that is to come, in ISO 8601: a span from now (`90d`, `12h`) or a time (UTC where it names no zone).

    Raises `InvalidInput` for what is neither, or has passed.
    """
    now = clock()
    if span := _SPAN.fullmatch(text):
        return iso(now + int(int(span[1]) * _UNITS[span[2]] / timedelta(milliseconds=1)))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            "time: a span such as 90d or 12h, or a time such as 2030-01-31T00:00:00Z was wanted; another text came"
        ) from None
    at = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    if at <= now:
        raise InvalidInput("time: one that is to come was wanted; this one has passed")
    return iso(at)
