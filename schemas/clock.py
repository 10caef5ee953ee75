"""Time and ids come in as arguments, so that no test waits and a replay can be repeated."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Final

Clock = Callable[[], int]
"""Milliseconds since 1970-01-01 UTC."""

LATEST: Final = 10_000_000_000_000
"""All moments in records lie from 1970 up to here, in 2286: ranks are not negative, and "never" is later."""

IdMaker = Callable[[], str]
"""A fresh unique id."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000


class Forward:
    """A clock that never goes back: if the clock that it follows does, it stays where it was. For any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = 0
        self._lock = Lock()

    def __call__(self) -> int:
        with self._lock:
            self._latest = max(self._latest, self._clock())
            return self._latest


def random_id() -> str:
    return str(uuid.uuid4())


def iso(ms: int) -> str:
    """RFC 3339 in UTC with exactly three decimals, as stored in envelopes and answered by the API.

    Assembled from cached parts: `strftime` takes ten times as long, and every event has three times.
    """
    second, milli = divmod(ms, 1000)
    hour, second = divmod(second, 3600)
    return f"{_hour(hour)}{_IN_HOUR[second]}{_DECIMALS[milli]}"


@lru_cache(maxsize=4096)
def _hour(hour: int) -> str:
    """`2026-01-02T03` for the hours since 1970."""
    return datetime.fromtimestamp(hour * 3600, UTC).isoformat()[:13]


_IN_HOUR: Final = tuple(f":{minute:02d}:{second:02d}" for minute in range(60) for second in range(60))
_DECIMALS: Final = tuple(f".{milli:03d}Z" for milli in range(1000))
