"""The watchdog: ends a stalled worker, so that its supervisor restarts it and others take over.

A worker may be alive, answer its health checks and do nothing: consumers are known to stop fetching silently, and a
call may never return. A worker is stalled if records wait and no attempt has ended for `patience` seconds, successfully
or not. A worker whose warehouse is down is not stalled: it retries, reports that, and stays in the group.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from eventlog.port import RecordLog
from schemas.errors import SimorghError
from stream_processors.host.lane import Progress

_LOG = logging.getLogger(__name__)

EXIT_CODE: Final = 70
TAKEOVER_FACTOR: Final = 20
"""Taking a partition over may last this many times longer: the identity stage folds its whole topic."""


class Watched(Protocol):
    topic: str
    progress: Progress


def _end(why: str) -> None:
    _LOG.critical("%s", why)
    logging.shutdown()
    os._exit(EXIT_CODE)


class Watchdog:
    """Checks a few times per `patience` (seconds). `end(why)` must not return; tests pass another one."""

    def __init__(
        self,
        log: RecordLog,
        lanes: Sequence[Watched],
        patience: float,
        *,
        end: Callable[[str], None] = _end,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._lanes = lanes
        self._patience = patience
        self._end = end
        self._now = now
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._patience / 5):
            self.look()

    def look(self) -> None:
        """Check every lane once."""
        for lane in self._lanes:
            why = self._why_stuck(lane)
            if why and not self._over.is_set():
                self._end(f"watchdog: {lane.topic}: {why}; this worker ends so that another takes over")

    def _why_stuck(self, lane: Watched) -> str:
        progress = lane.progress
        quiet = self._now() - progress.beat
        allowed = self._patience * (TAKEOVER_FACTOR if progress.doing == "taking over" else 1)
        if quiet <= allowed:
            return ""
        if progress.doing == "waiting":
            return "" if not self._awaits_group(lane) else f"no assignment for {quiet:.0f} s"
        behind = self._behind(progress, lane.topic)
        return f"{behind} records wait and nothing was tried for {quiet:.0f} s while {progress.doing}" if behind else ""

    @staticmethod
    def _awaits_group(lane: Watched) -> bool:
        """A worker may have no partitions forever; a rebalance may not last forever."""
        return bool(getattr(lane, "held", ()))

    def _behind(self, progress: Progress, topic: str) -> int:
        """Waiting records. 0 if the log does not answer, which is not this worker's fault."""
        try:
            ends = self._log.ends(topic)
        except SimorghError:
            return 0
        return sum(max(0, ends[partition] - offset) for partition, offset in progress.positions.items())
