"""A lane: one thread that drives one stage over this worker's partitions.

Faust's loop gives it partitions (`own`) and pauses it during a rebalance (`hold`); neither waits for the network.
Everything else happens in the lane's thread, in the order that `stream_processors.state.stage` asks for: take over,
read, process, commit. Failures are retried with growing pauses, until they end or the partitions move; if the fault is
ours, a few times, and then the lane stops. Only processed records are committed.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import random
from typing import Final, Protocol

from eventlog.port import EventLog, Record
from schemas.condition import PAUSES, RUNNING, STARTING, Condition, said_of
from schemas.errors import Conflict, SimorghError
from schemas.retry import Failures, Pauses
from stream_processors.host.abreast import Piece, abreast
from stream_processors.state.poison import Stopped
from stream_processors.state.stage import Stage, Superseded

_LOG = logging.getLogger(__name__)

BATCH: Final = 10_000
"""The largest number of records in a batch, over all partitions of a lane."""

IDLE_SECONDS: Final = 0.1
ANEW_EVERY: Final = 5
"""Every n-th failure in a row releases all partitions and takes them over again, from the stored state."""

_NEVER: Final = 2**62


class NotMember(Conflict):
    """The group has moved on without us, or is being rebalanced: the next assignment follows soon."""

    default_code = "not_member"


class Replaced(Conflict):
    """Another generation of the tables is live: take the partitions over again, in that one."""

    default_code = "replaced"


class Fence(Protocol):
    """Commits in the workers' own group, which Kafka refuses unless the worker is a member of its present
    generation."""

    def __call__(self, topic: str, positions: Mapping[int, int]) -> None:
        """Raises `NotMember`; blocks until the broker has answered."""
        ...


class RecordSource(Protocol):
    """The source of a lane's records."""

    def take(self, positions: Mapping[int, int], limit: int, timeout: float) -> list[Record]:
        """Up to `limit` records from these positions on, of each partition a run without gaps; waits for the first
        up to `timeout` seconds."""
        ...


class LogSource:
    """Reads in big batches through the log's port, for the hot topics."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._partitions = 0

    def take(self, positions: Mapping[int, int], limit: int, timeout: float) -> list[Record]:
        self._partitions = self._partitions or len(self._log.ends(self._topic))
        if not self._log.wait(self._topic, [positions.get(p, _NEVER) for p in range(self._partitions)], timeout):
            return []
        ends = self._log.ends(self._topic)  # one request for all partitions, and none for each that has nothing
        waiting = {p: ends[p] - offset for p, offset in positions.items() if ends[p] > offset}
        share = max(1, limit // len(waiting))
        pieces: list[Piece] = []
        for partition, count in waiting.items():
            if records := self._log.read(self._topic, partition, positions[partition], min(share, count)):
                pieces.append((records, len(records) < count))
        return abreast(pieces)


@dataclass
class Progress:
    """The progress of a lane. Written by its thread, read by any: each value is consistent by itself."""

    positions: dict[int, int] = field(default_factory=dict)
    batches: int = 0
    records: int = 0
    seconds: float = 0.0
    """Spent in `process`."""
    largest: int = 0
    retries: int = 0
    takeovers: int = 0
    superseded: int = 0
    failing: str = ""
    """Why the latest attempt failed; '' after a success."""
    doing: str = "waiting"
    """waiting (for an assignment), taking over, working."""
    beat: float = field(default_factory=time.monotonic)
    """When the thread last finished a step, successfully or not."""


class Lane:
    """`start`, then `own` and `hold` as often as the group is rebalanced, then `stop`."""

    def __init__(
        self,
        stage: Stage,
        log: EventLog,
        fence: Fence,
        source: RecordSource | None = None,
        *,
        superseded: Callable[[], None] = lambda: None,
        counted: Callable[[str, int, float], None] = lambda stage, records, seconds: None,
        batch: int = BATCH,
        every: float = 0.0,
        pauses: Pauses = PAUSES,
        random: Callable[[], float] = random,
    ) -> None:
        """`superseded`: called if there is a later holder, so that the worker joins its group again; `counted`: called
        with the stage's name, records and seconds of each batch; `every`: the shortest time in seconds between the
        starts of two batches; the first after a pause does not wait. `pauses` between attempts, shortened at
        `random`."""
        self.stage = stage
        self.topic = stage.topic
        self.progress = Progress()
        self._log = log
        self._fence = fence
        self._source = source or LogSource(log, stage.topic)
        self._superseded = superseded
        self._counted = counted
        self._batch = batch
        self._every = every
        self._next_at = 0.0
        self._told = threading.Condition()
        self._wanted: tuple[frozenset[int], int] | None = None
        """The partitions assigned to us and the generation; None during a rebalance."""
        self._still = True
        """The thread does nothing for the partitions until the next assignment."""
        self._stopping = False
        self._held: dict[int, int] = {}
        """Partition -> the generation that it was taken over in."""
        self._seen_generation = 0
        self._dropped = 0
        """A generation in which there was a later holder: the lane waits for another one."""
        self._failures = Failures(pauses)
        self._random = random
        self._ended_by: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"lane-{stage.name}", daemon=True)

    # ---- from Faust's loop

    def start(self) -> None:
        self._thread.start()

    def own(self, partitions: Iterable[int], generation: int) -> None:
        """These and no others are our partitions from now on. Does not wait."""
        with self._told:
            self._wanted = (frozenset(partitions), generation)
            self._told.notify_all()

    def hold(self, timeout: float) -> bool:
        """Finish and commit the current batch, then do nothing until `own`. False if that takes too long: the rest of
        the batch is fenced off, and later work still waits for its end.
        """
        with self._told:
            self._wanted = None
            self._told.notify_all()
            return self._told.wait_for(lambda: self._still or not self._thread.is_alive(), timeout)

    def stop(self, timeout: float) -> bool:
        """Finish the current batch, commit, release the partitions, end the thread."""
        with self._told:
            self._wanted = None
            self._stopping = True
            self._told.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def condition(self) -> Condition:
        """The condition of the stage in this worker."""
        if self._thread.ident is not None and not self._thread.is_alive():
            return Condition("stopped", said_of(self._ended_by) if self._ended_by else "its thread has ended")
        if self.progress.failing:
            return Condition("failing", self.progress.failing)
        return STARTING if self.progress.doing == "taking over" else RUNNING

    @property
    def held(self) -> frozenset[int]:
        return frozenset(self._held)

    # ---- the thread

    def _run(self) -> None:
        while self._ended_by is None and (wanted := self._next_order()) is not None:
            try:
                if self._follow(*wanted):
                    self._failures.clear()
                    self.progress.failing = ""
            except Replaced:
                self._let_go(list(self._held))
            except (Superseded, NotMember) as error:
                self._drop(wanted[1], error)
            except Exception as error:
                self._failed(error)
            self.progress.beat = time.monotonic()
        self.progress.doing = "waiting"
        self._let_go(list(self._held))

    def _next_order(self) -> tuple[frozenset[int], int] | None:
        """The next order; waits during a rebalance. None: stop."""
        with self._told:
            while not self._stopping and (self._wanted is None or self._wanted[1] == self._dropped):
                self._still = True
                self.progress.doing = "waiting"
                self._told.notify_all()
                self._told.wait()
            self._still = self._stopping
            return None if self._stopping else self._wanted

    def _follow(self, partitions: frozenset[int], generation: int) -> bool:
        """Whether all available work was attempted."""
        if self._seen_generation != generation:
            self._settle(partitions, generation)
        if self._missing(partitions):
            self._take_over(self._missing(partitions), generation)
        self.progress.doing = "working"
        return self._step()

    def _settle(self, partitions: frozenset[int], generation: int) -> None:
        """Release lost partitions. No other worker can have had a partition that was ours in the previous generation:
        it is kept, with the stage's state in memory."""
        unbroken = generation == self._seen_generation + 1
        lost = [p for p in self._held if not unbroken or p not in partitions]
        self._let_go(lost)
        self._seen_generation = generation

    def _let_go(self, partitions: list[int]) -> None:
        if partitions:
            self.stage.revoke(partitions)
        for partition in partitions:
            self._held.pop(partition, None)
            self.progress.positions.pop(partition, None)

    def _missing(self, partitions: frozenset[int]) -> list[int]:
        return sorted(partitions - set(self._held))

    def _take_over(self, partitions: list[int], generation: int) -> None:
        self.progress.doing = "taking over"
        positions = self.stage.assign(partitions, generation)
        self.progress.positions = {**self.progress.positions, **positions}
        self._held.update(dict.fromkeys(partitions, generation))
        self.progress.takeovers += len(partitions)
        _LOG.info("%s: takes over partitions %s of %s", self.stage.name, sorted(partitions), self.topic)
        committed = self._log.committed(self.stage.group, self.topic)
        self._commit({p: offset for p, offset in positions.items() if offset > committed[p]})

    def _step(self) -> bool:
        early = self._next_at - time.monotonic()
        if self._held and early <= 0:
            records = self._source.take(self.progress.positions, self._batch, IDLE_SECONDS)
        else:
            with self._told:
                self._told.wait(min(IDLE_SECONDS, early) if self._held else IDLE_SECONDS)
            records = []
        if records:
            started = time.monotonic()
            self._next_at = started + self._every
            self.stage.process(records)
            self._count(len(records), time.monotonic() - started)
            self._commit({record.partition: record.offset + 1 for record in records})
        if self._held:
            self.stage.idle()
        return early <= 0

    def _commit(self, positions: dict[int, int]) -> None:
        """Commits first in the workers' group, where Kafka refuses it to former holders, then in the stage's own group.
        So a position never passes a record that a former holder processed."""
        if positions:
            self._fence(self.topic, positions)
            self._log.commit(self.stage.group, {self.topic: positions})
            self.progress.positions = {**self.progress.positions, **positions}

    def _count(self, records: int, seconds: float) -> None:
        self.progress.batches += 1
        self.progress.records += records
        self.progress.seconds += seconds
        self.progress.largest = max(self.progress.largest, records)
        self._counted(self.stage.name, records, seconds)

    # ---- what goes wrong

    def _drop(self, generation: int, error: SimorghError) -> None:
        """The group has moved on without us: release everything, and wait for the next assignment."""
        _LOG.warning("%s: lets go of %s: %s", self.stage.name, sorted(self._held), error.message)
        self._let_go(list(self._held))
        self._seen_generation = 0
        self._dropped = generation
        if isinstance(error, Superseded):
            self.progress.superseded += 1
            self._superseded()

    def _failed(self, error: Exception) -> None:
        """Report it, wait (unless a new order arrives), and every few times start again from the stored state. Stop if
        the fault is ours and permanent."""
        failures = self._failures
        failures.add(error)
        self.progress.failing = said_of(error)
        trace = error if not isinstance(error, SimorghError) and failures.in_a_row == 1 else None
        if failures.is_final or isinstance(error, Stopped):
            self._ended_by = error
            _LOG.error("%s: stopped (%s); nothing is lost, fix the cause and restart", self.stage.name, said_of(error))
            return
        self.progress.retries += 1
        pause = failures.pause(self._random())
        _LOG.warning(
            "%s: failure %d in a row (%s); again in %.1f s, nothing is lost",
            self.stage.name,
            failures.in_a_row,
            said_of(error),
            pause,
            exc_info=trace,
        )
        if failures.in_a_row % ANEW_EVERY == 0:
            self._let_go(list(self._held))
        with self._told:
            before = self._wanted
            self._told.wait_for(lambda: self._stopping or self._wanted != before, pause)
