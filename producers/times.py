"""Clients' clocks: reading timestamps, and bringing them onto the server's clock.

Everything here is in milliseconds since 1970-01-01 UTC.
"""

from datetime import UTC, datetime
from typing import Final

from schemas.errors import InvalidEvent

TRANSIT: Final = 60_000
"""How long a request may have been on the way before its sender's clock is taken for a slow one."""

FAST: Final = "clock_fast"
SLOW: Final = "clock_slow"
CLAMPED: Final = "clock_clamped"
UNREADABLE: Final = "time_unreadable"

_EARLIEST: Final = int(datetime(1971, 1, 1, tzinfo=UTC).timestamp() * 1000)
_LATEST: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)
_YEAR_1000: Final = int(datetime(1000, 1, 1, tzinfo=UTC).timestamp() * 1000)
_YEAR_9999: Final = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp() * 1000)
_SECONDS_BELOW: Final = 100_000_000_000
"""A bare number below this is in seconds: as milliseconds it would lie before March 1973."""


def read_time(value: object, field: str) -> int | None:
    """An RFC 3339 text (UTC where no offset is given) or a number of seconds or milliseconds, as ms.

    None for None and for "". Raises `InvalidEvent` (code `invalid_timestamp`) for anything else.
    """
    ms: int | None = None
    if isinstance(value, str) and value:
        try:
            moment = datetime.fromisoformat(value)
            ms = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            pass
    elif value is None or value == "":
        return None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        ms = _from_number(value)
    if ms is None or not _YEAR_1000 <= ms <= _YEAR_9999:
        raise InvalidEvent(
            f"{field}: wanted an RFC 3339 time such as 2026-01-02T03:04:05.678Z, got something else; "
            "send the time in that form or leave it out",
            code="invalid_timestamp",
        )
    return ms


def _from_number(number: float) -> int | None:
    ms = number * 1000 if abs(number) < _SECONDS_BELOW else number
    return round(ms) if abs(ms) <= _YEAR_9999 else None


def correct(
    original: int | None, sent_at: int | None, received_at: int, trusted: bool, transit: int = TRANSIT
) -> tuple[int, tuple[str, ...]]:
    """The event's time on the server's clock, and a flag for each correction: docs/envelope.md has them as a table.

    `trusted`: the source's clock is right, so what was sent long ago was held up, not misdated. `transit`: how long
    a request may be on the way anyway, in ms.
    """
    if original is None:
        return received_at, ()
    time = original
    flags: tuple[str, ...] = ()
    if sent_at is not None:
        late = received_at - sent_at
        if late < 0:
            time, flags = original + late, (FAST,)
        elif late > transit and not trusted:
            time, flags = original + late, (SLOW,)
    if time > received_at:
        return received_at, (*flags, CLAMPED)
    if not _EARLIEST <= time < _LATEST:
        return received_at, (UNREADABLE,)
    return time, flags
