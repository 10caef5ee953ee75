"""The watchdog ends a worker that stands still while records wait, and no other."""

from dataclasses import dataclass, field
from pathlib import Path

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from stream_processors.host.lane import Progress
from stream_processors.host.watchdog import TAKEOVER_FACTOR, Watchdog


@dataclass
class Watched:
    progress: Progress
    held: frozenset[int] = frozenset({0})
    topic: str = topics.EVENTS
    ends: list[str] = field(default_factory=list)


def look(folder: Path, lane: Watched, records: int, seconds: float) -> list[str]:
    """What the watchdog says of a lane that came to the end of something at 0 and is looked at after `seconds`."""
    log = SqliteEventLog(folder, partitions=1)
    log.append(topics.EVENTS, [(b"k", b"v")] * records)
    ended: list[str] = []
    Watchdog(log, [lane], 10.0, end=ended.append, now=lambda: seconds).look()
    log.close()
    return ended


def test_stuck(tmp_path: Path) -> None:
    lane = Watched(Progress({0: 3}, doing="working", beat=0.0))
    [why] = look(tmp_path / "log", lane, records=5, seconds=11)
    assert why.startswith("watchdog: simorgh.events: 2 records wait and nothing was tried for 11 s while working")


def test_quiet_without_lag_is_no_fault(tmp_path: Path) -> None:
    lane = Watched(Progress({0: 5}, doing="working", beat=0.0))
    assert look(tmp_path / "log", lane, records=5, seconds=11) == []


def test_tries_that_fail_are_no_standing_still(tmp_path: Path) -> None:
    lane = Watched(Progress({0: 3}, doing="working", beat=9.0, failing="Backpressure"))
    assert look(tmp_path / "log", lane, records=5, seconds=11) == []


def test_taking_over_may_last(tmp_path: Path) -> None:
    lane = Watched(Progress({0: 3}, doing="taking over", beat=0.0))
    assert look(tmp_path / "a", lane, records=5, seconds=11) == []
    assert look(tmp_path / "b", lane, records=5, seconds=10 * TAKEOVER_FACTOR + 1)


def test_a_rebalance_that_never_ends(tmp_path: Path) -> None:
    lane = Watched(Progress({0: 5}, doing="waiting", beat=0.0))
    [why] = look(tmp_path / "log", lane, records=5, seconds=11)
    assert why.startswith("watchdog: simorgh.events: no assignment for 11 s")


def test_who_owns_nothing_may_wait_for_ever(tmp_path: Path) -> None:
    lane = Watched(Progress(doing="waiting", beat=0.0), held=frozenset())
    assert look(tmp_path / "log", lane, records=5, seconds=10_000) == []
