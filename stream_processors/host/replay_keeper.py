"""Runs a replay on a cluster, on the worker that holds partition 0 of simorgh.registry.

The request for a replay is in the log (`generation.want`), so it continues until it is done: if its worker ends, or
loses the partition, the next holder finds the request and continues. `POST /v1/replay` requests it, and so does a
worker with unusable tables: those of another version, and those that have lost rows.

It continues during a rebalance, and ends only if the partition was assigned to another worker. While two run at once,
both write the same rows. Only a present member of the group can make a generation live (`lane.Fence`).
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from eventlog.port import EventLog
from privacy.keyring import Names, no_names
from registry.models import Retention
from schemas import topics
from schemas.clock import Clock
from schemas.errors import SimorghError
from schemas.retry import Failures, Pauses
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.host import generation
from stream_processors.host.generation import Wanted
from stream_processors.host.lane import Fence, NotMember
from stream_processors.host.replay import OfGeneration, Replay
from stream_processors.host.retained import KeptSince, RetainedLog
from stream_processors.state.poison import MOST_IN_A_ROW
from warehouse.client import OtherTables, Warehouse

_LOG = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
READERS_SECONDS: Final = 60.0
"""How long old tables are kept after the change: by then every process has noticed, and its longest queries have
ended."""

_PAUSES: Final = Pauses(0.5, 30.0)


class _Ended(Exception):
    """The partition belongs to another worker, or this one ends."""


class ReplayKeeper:
    """`own` and `hold` from Faust's loop; a thread of its own reads requests and performs them."""

    topic = topics.REGISTRY

    def __init__(
        self,
        log: EventLog,
        warehouse: Warehouse,
        clock: Clock,
        fence: Fence,
        *,
        checkpoint: Checkpoint = no_checkpoint,
        keep: float = READERS_SECONDS,
        rest: float = 0.5,
        most_set_aside: int = MOST_IN_A_ROW,
        names: Names = no_names,
        retentions: Callable[[], Iterable[Retention]] = tuple,
    ) -> None:
        """`keep`: seconds for which the tables of an earlier generation are kept. `rest` and `most_set_aside`: see
        `Replay`. `retentions`: what is older when a replay begins is not in its tables."""
        self._retentions = retentions
        self._log = log
        self._warehouse = warehouse
        self._clock = clock
        self._fence = fence
        self._checkpoint = checkpoint
        self._keep = keep
        self._rest = rest
        self._most_set_aside = most_set_aside
        self._names = names
        self._ours = False
        self._stopping = False
        self._told = threading.Condition()
        self._live_since: tuple[int, float] = (0, 0.0)
        """The live generation, and the time at which this process learned of it."""
        self._failures = Failures(_PAUSES)
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    # ---- from Faust's loop

    def start(self) -> None:
        self._thread.start()

    def own(self, partitions: Iterable[int], generation: int) -> None:
        with self._told:
            self._ours = 0 in partitions
            self._told.notify_all()

    def hold(self, timeout: float) -> bool:
        return True

    def stop(self, timeout: float) -> bool:
        """End at the next batch; the next holder continues."""
        with self._told:
            self._stopping = True
            self._told.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # ---- the thread

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while self._waits(pause):
            try:
                self.look()
                self._failures.clear()
                pause = LOOK_SECONDS
            except (_Ended, NotMember):
                pause = LOOK_SECONDS
            except Exception as error:
                pause = self._failed(error)

    def _waits(self, seconds: float) -> bool:
        """Wait until it is time to check, as the holder; False to stop."""
        with self._told:
            self._told.wait_for(lambda: self._stopping, seconds)
            self._told.wait_for(lambda: self._stopping or self._ours)
            return not self._stopping

    def look(self) -> None:
        """Perform the request, as the holder; then drop unused tables."""
        stands = generation.wanted(self._log)
        if stands.is_under_way:
            self._replay(stands)
        self._drop_earlier(generation.current(self._log))

    def _replay(self, stands: Wanted) -> None:
        number = stands.wanted
        try:
            self._warehouse.migrate(number)
        except OtherTables:  # begun by another version
            number = generation.want_anew(self._log, stands)
            self._warehouse.migrate(number)
        standing = OfGeneration(self._log, stands.live, number)
        _LOG.info("replay: builds generation %d", number)
        since = KeptSince(self._retentions(), self._clock())
        replay = Replay(
            RetainedLog(self._log, since) if since else self._log,
            self._warehouse,
            self._clock,
            standing,
            number,
            rest=self._rest,
            checkpoint=self._checkpoint,
            most_set_aside=self._most_set_aside,
            names=self._names,
        )
        try:
            replay.catch_up(self._go_on)
            replay.finish(self._confirm)
        finally:
            replay.close()
        _LOG.info("replay: done, generation %d is live", number)

    def _go_on(self, done: int, total: int) -> None:
        if self._stopping or not self._ours:
            raise _Ended

    def _confirm(self) -> None:
        """Raises unless this worker is still the holder, according to the group."""
        self._go_on(0, 0)
        self._fence(self.topic, {0: 0})

    def _failed(self, error: Exception) -> float:
        self._failures.add(error)
        said = error.message if isinstance(error, SimorghError) else type(error).__name__
        if not self._failures.is_final:
            _LOG.warning("replay: failure %d in a row (%s); it goes on from there", self._failures.in_a_row, said)
            return self._failures.pause(random.random())
        _LOG.error("replay: failed; the live generation is untouched", exc_info=error)
        generation.fail(self._log, generation.wanted(self._log).wanted)
        self._failures.clear()
        return LOOK_SECONDS

    def _drop_earlier(self, live: int) -> None:
        if self._live_since[0] != live:
            self._live_since = live, time.monotonic()
        if time.monotonic() - self._live_since[1] >= self._keep:
            for number in self._warehouse.generations():
                if number < live:
                    self._warehouse.drop(number)
                    _LOG.info("replay: dropped generation %d", number)
            self._live_since = live, float("inf")
