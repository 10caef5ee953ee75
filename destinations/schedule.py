"""When a failed delivery is retried: a pure function of its history and of one random number."""

from typing import Final

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

DELAYS: Final = (
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""Pauses after the first, second, … failed attempt, in ms: the example schedule of Standard Webhooks.

Ten attempts over 75 h 35 min: a receiver that breaks on Friday evening still gets everything on Monday.
"""

MAX_ATTEMPTS: Final = len(DELAYS) + 1
MAX_RETRY_AFTER: Final = 24 * HOUR
JITTER: Final = 0.1
"""Up to a tenth is added, so that deliveries that failed together do not return together."""


def next_attempt(attempts: int, now: int, *, retry_after: int | None = None, random: float = 0.0) -> int | None:
    """The time (ms) of the next attempt after `attempts` failed ones, or None: give up.

    `retry_after` (ms from now) can only postpone: a receiver that asks for seconds must not use up its ten
    attempts in a minute. It is capped at a day. `random` is in [0, 1).
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    scheduled = DELAYS[attempts - 1]
    asked = min(retry_after or 0, MAX_RETRY_AFTER)
    pause = max(scheduled, asked)
    return now + pause + int(pause * JITTER * random)
