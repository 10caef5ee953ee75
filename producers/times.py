"""Clients' clocks: converting their times to the server's clock. `schemas.moments` reads them.

Everything here is in milliseconds since 1970-01-01 UTC.
"""

from datetime import UTC, datetime
from typing import Final

TRANSIT: Final = 60_000
"""How long a request may have been on the way before its sender's clock counts as slow."""

FAST: Final = "clock_fast"
SLOW: Final = "clock_slow"
CLAMPED: Final = "clock_clamped"
UNREADABLE: Final = "time_unreadable"

_EARLIEST: Final = int(datetime(1971, 1, 1, tzinfo=UTC).timestamp() * 1000)
_LATEST: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)


def correct(
    original: int | None, sent_at: int | None, received_at: int, trusted: bool, transit: int = TRANSIT
) -> tuple[int, tuple[str, ...]]:
    """The event's time on the server's clock, and a flag for each correction: docs/envelope.md has them as a table.

    `trusted`: the source's clock is right, so an event that was sent long ago was held up, not misdated. `transit`: how
    long a request may be on the way anyway, in ms.
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
