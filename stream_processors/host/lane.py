"""A lane: one thread that drives one stage over the partitions that this worker owns.

Faust's loop tells it what is owned (`own`) and to hold still while the group is rebalanced (`hold`); neither waits for
the network. Everything else happens in the lane's thread, in the order that `stream_processors.state.stage` asks
for: take over, read, process, commit. What goes wrong is tried again, with growing pauses, until it goes right or the
partitions go elsewhere; where the fault is ours, a few times, and then the lane stops. Nothing is committed that was
not processed.
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
"""Records in hand at most, over all partitions of a lane."""

IDLE_SECONDS: Final = 0.1
ANEW_EVERY: Final = 5
"""Every n-th failure in a row lets go of all partitions and takes them over anew, from what is stored."""

_NEVER: Final = 2**62


class NotMember(Conflict):
    """The group has gone on without us, or is being rebalanced: what is ours now will be told soon."""

    default_code = "not_member"


class Replaced(Conflict):
    """Another generation of the tables is live: what is held is to be taken over anew, in that one."""

    default_code = "replaced"


class Fence(Protocol):
    """Commits in the workers' own group, which Kafka refuses to those who are no members of its present generation."""

    def __call__(self, topic: str, positions: Mapping[int, int]) -> None:
        """Raises `NotMember`; blocks until the broker has answered."""
        ...


class RecordSource(Protocol):
    """Where a lane's records come from."""

    def take(self, positions: Mapping[int, int], limit: int, timeout: float) -> list[Record]:
        """Up to `limit` records from these positions on, of each partition a run without gaps; waits for the first
        up to `timeout` seconds."""
        ...


class LogSource:
    """Reads in big batches through the log's port: the way of the hot topics."""

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
    """What a lane says of itself. Written by its thread, read by any: single values, each right on its own."""

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
    """What failed at the latest try; '' while things go right."""
    doing: str = "waiting"
    """waiting (for an assignment), taking over, working."""
    beat: float = field(default_factory=time.monotonic)
    """When the thread last came to the end of something, well or not."""


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
        """`superseded`: called where a later owner was met, so that the worker joins its group again; `counted`: with
        the stage's name, records and seconds of each batch; `every`: seconds from the beginning of one batch to that
        of the next, at least; the first after a pause does not wait. `pauses` between tries, shortened at `random`."""
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
        """What the group says is ours and since which generation; None while it is being rebalanced."""
        self._still = True
        """The thread does nothing for the partitions until it is told what is owned."""
        self._stopping = False
        self._held: dict[int, int] = {}
        """Partition -> the generation that it was taken over in."""
        self._seen_generation = 0
        self._dropped = 0
        """A generation in which a later owner was met: nothing is done until there is another one."""
        self._failures = Failures(pauses)
        self._random = random
        self._ended_by: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"lane-{stage.name}", daemon=True)

    # ---- from Faust's loop

    def start(self) -> None:
        self._thread.start()

    def own(self, partitions: Iterable[int], generation: int) -> None:
        """These and no others are ours from now on. Does not wait."""
        with self._told:
            self._wanted = (frozenset(partitions), generation)
            self._told.notify_all()

    def hold(self, timeout: float) -> bool:
        """Finish the batch in hand and commit it, then do nothing until `own`. False where that took too long:
        what is still under way then is fenced off, and what follows waits for its end all the same.
        """
        with self._told:
            self._wanted = None
            self._told.notify_all()
            return self._told.wait_for(lambda: self._still or not self._thread.is_alive(), timeout)

    def stop(self, timeout: float) -> bool:
        """Finish the batch in hand, commit, let go, end the thread."""
        with self._told:
            self._wanted = None
            self._stopping = True
            self._told.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def condition(self) -> Condition:
        """How the stage stands in this worker."""
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
        """What is to be done now; waits while the group is rebalanced. None: stop."""
        with self._told:
            while not self._stopping and (self._wanted is None or self._wanted[1] == self._dropped):
                self._still = True
                self.progress.doing = "waiting"
                self._told.notify_all()
                self._told.wait()
            self._still = self._stopping
            return None if self._stopping else self._wanted

    def _follow(self, partitions: frozenset[int], generation: int) -> bool:
        """Whether all that there is to do was tried."""
        if self._seen_generation != generation:
            self._settle(partitions, generation)
        if self._missing(partitions):
            self._take_over(self._missing(partitions), generation)
        self.progress.doing = "working"
        return self._step()

    def _settle(self, partitions: frozenset[int], generation: int) -> None:
        """Let go of what is lost. What was ours in the generation just before this one nobody else has had: it is
        kept as it stands, with all that the stage has in memory."""
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
        """First where Kafka refuses it to those who own nothing any more, then where the stage's position is kept:
        so a position never passes a record that was processed by somebody who did not own it."""
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
        """The group has gone on without us: let go, and wait to be told what is ours."""
        _LOG.warning("%s: lets go of %s: %s", self.stage.name, sorted(self._held), error.message)
        self._let_go(list(self._held))
        self._seen_generation = 0
        self._dropped = generation
        if isinstance(error, Superseded):
            self.progress.superseded += 1
            self._superseded()

    def _failed(self, error: Exception) -> None:
        """Say so, wait (not where another order has come), and every few times begin anew from what is stored. Stop
        where the fault is ours and stays."""
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
