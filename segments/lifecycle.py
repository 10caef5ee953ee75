"""The stage of a customer by the days on which they bought, as a function of these days, today, and the usual gap.

The usual gap is the median of a person's own gaps between such days if there are at least three, else that of all gaps
of the workspace, as it was recorded. With s days since the last purchase and u the usual gap, the first that holds:

    returned   s <= 30, and the last gap was longer than three usual ones as they stood before it
    new        the first purchase is at most 30 days ago
    loyal      s <= 1.5 u, at least four purchases, the first at least 180 days ago
    active     s <= 1.5 u
    cooling    s <= 3 u
    lapsed     else

Days are numbers since 1970, in a time zone; gaps in days, usual gaps in millionths of a day.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from segments.tree import DAY_MS, MICROS

OWN_GAPS: Final = 3
NEW_DAYS: Final = 30
LOYAL_DAYS: Final = 4
LOYAL_AFTER: Final = 180

_HOUR_MS: Final = 3_600_000
_EPOCH: Final = date(1970, 1, 1)
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def gaps(days: Sequence[int]) -> list[int]:
    """Between days that are in order."""
    return [later - earlier for earlier, later in pairwise(days)]


def usual_gap(gaps: Sequence[int], usual: int | None) -> int | None:
    """Of somebody with these gaps; `usual`: the workspace's."""
    if len(gaps) < OWN_GAPS:
        return usual
    ordered = sorted(gaps)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) * (MICROS // 2)


def stage(days: Sequence[int], today: int, usual: int | None) -> str | None:
    """Of days that are in order, at least one. None: the usual gap is not known."""
    between = gaps(days)
    gap, since, first = usual_gap(between, usual), today - days[-1], today - days[0]
    if gap is None:
        return None
    before = usual_gap(between[:-1], usual)
    if since <= NEW_DAYS and between and before is not None and between[-1] * MICROS > 3 * before:
        return "returned"
    if first <= NEW_DAYS:
        return "new"
    if 2 * since * MICROS <= 3 * gap:
        return "loyal" if len(days) >= LOYAL_DAYS and first >= LOYAL_AFTER else "active"
    return "cooling" if since * MICROS <= 3 * gap else "lapsed"


def next_day(days: Sequence[int], today: int, usual: int | None) -> int | None:
    """The next day on which the stage may be another; None: it stays."""
    first, last = days[0], days[-1]
    gap = usual_gap(gaps(days), usual)
    changes = [first + NEW_DAYS + 1, last + NEW_DAYS + 1, first + LOYAL_AFTER, last]
    if gap is not None:
        changes += [last + 3 * gap // (2 * MICROS) + 1, last + 3 * gap // MICROS + 1]
    return min((day for day in changes if day > today), default=None)


def day_of(ms: int, zone: str) -> int:
    return _local(ms, zone) // DAY_MS


def hour_of(ms: int, zone: str) -> int:
    return _local(ms, zone) // _HOUR_MS % 24


def weekday_of(ms: int, zone: str) -> int:
    """1 is Monday."""
    return (_local(ms, zone) // DAY_MS + 3) % 7 + 1


def start_of(day: int, zone: str) -> int:
    """The first moment of a day, in ms since 1970."""
    midnight = datetime.combine(_EPOCH + timedelta(days=day), datetime.min.time(), _zone(zone))
    return int((midnight - _START) / timedelta(milliseconds=1))


def _local(ms: int, zone: str) -> int:
    """What the clocks show, in ms since they showed 1970."""
    if zone == "UTC":
        return ms
    offset = _offset_in(ms // _HOUR_MS, zone)
    return ms + (_offset_at(ms, zone) if offset is None else offset)


@lru_cache(maxsize=20_000)
def _offset_in(hour: int, zone: str) -> int | None:
    """Of the clocks throughout an hour; None if it changes. (Reading a zone takes a microsecond or more each time.)"""
    first, last = (_offset_at(hour * _HOUR_MS + ms, zone) for ms in (0, _HOUR_MS - 1))
    return first if first == last else None


def _offset_at(ms: int, zone: str) -> int:
    offset = (_START + timedelta(milliseconds=ms)).astimezone(_zone(zone)).utcoffset()
    return 0 if offset is None else offset // timedelta(milliseconds=1)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
