"""The total order of events: which of two events is earlier, without ties, everywhere.

Events are ordered by `(time, received_at, place, key)`: when it happened, when it was received, its place within its
request, and its key, which no other event has. Traits, timelines and their pages all use this order, so they agree, and
none depends on the order of processing.
"""

from typing import Final

KEY_BITS: Final = 128
PLACE_BITS: Final = 40
MOMENT_BITS: Final = 44
"""Milliseconds up to the year 2527. In all 256 bits, so that a rank is one column of the warehouse (UInt256)."""

_RECEIVED: Final = KEY_BITS + PLACE_BITS
_TIME: Final = _RECEIVED + MOMENT_BITS

MOST_PLACE: Final = (1 << PLACE_BITS) - 1

NEWEST_FIRST: Final = "time DESC, received_at DESC, place DESC, key DESC"
"""The same order for rows of the table `events`, as SQL."""


def rank(time: int, received_at: int, place: int, key: int) -> int:
    """One number that orders as the four do. Times in ms, from 0 to below 2^44."""
    return time << _TIME | received_at << _RECEIVED | place << KEY_BITS | key


def time_of(rank: int) -> int:
    """When the event of a rank happened, in ms."""
    return rank >> _TIME


def received_of(rank: int) -> int:
    """When the event of a rank was received, in ms."""
    return rank >> _RECEIVED & (1 << MOMENT_BITS) - 1
