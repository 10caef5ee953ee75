"""Time and ids come in as arguments, so that no test waits and a replay can be repeated."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Milliseconds since 1970-01-01 UTC."""

IdMaker = Callable[[], str]
"""A fresh unique id."""


def system_clock() -> int:
    return time.time_ns() // 1_000_000


def random_id() -> str:
    return str(uuid.uuid4())


def iso(ms: int) -> str:
    """RFC 3339 in UTC with exactly three decimals, as stored in envelopes and answered by the API."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
