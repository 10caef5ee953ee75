"""The embedded host: one thread that runs a box over the log, batch after batch, until it is stopped."""

import logging
import threading
from collections.abc import Callable
from random import random
from typing import Final

from eventlog.port import EventLog, Record
from privacy.keyring import Keyring, no_names
from schemas import topics
from schemas.clock import Clock
from schemas.condition import PAUSES, RUNNING, STARTING, Condition, said_of
from schemas.retry import Failures, Pauses
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow import rejected
from stream_processors.flow.declarations import Declarations
from stream_processors.flow.erasing import Eraser
from stream_processors.flow.filling import FillingProgress
from stream_processors.host.abreast import Piece, abreast
from stream_processors.host.box import Box
from stream_processors.rows.lingering import Linger
from stream_processors.state.graphs import Graphs
from stream_processors.state.poison import MOST_IN_A_ROW, Poison, Stopped
from stream_processors.state.profile import CACHED_PROFILES
from stream_processors.views.recent import RecentViews
from warehouse.client import Warehouse

_LOG = logging.getLogger(__name__)
BATCH_PER_PARTITION: Final = 25_000
"""A larger batch evaluates a profile once for more of its events; it takes some 5 KB of memory per event."""
_IDLE_SECONDS: Final = 0.02
_ROWS_SECONDS: Final = 0.005
"""How long to wait for running writes before checking for new events again."""


class Runner:
    """Runs identity, profiles, segments and rejected events of one generation. `recover`, then `start` or `step`."""

    def __init__(
        self,
        log: EventLog,
        warehouse: Warehouse,
        generation: int,
        clock: Clock,
        *,
        checkpoint: Checkpoint = no_checkpoint,
        batch: int = BATCH_PER_PARTITION,
        cached_profiles: int = CACHED_PROFILES,
        linger: Linger = Linger(),
        recent: RecentViews | None = None,
        graphs: Graphs | None = None,
        progress: FillingProgress | None = None,
        most_set_aside: int = MOST_IN_A_ROW,
        keyring: Keyring | None = None,
        pauses: Pauses = PAUSES,
        random: Callable[[], float] = random,
    ) -> None:
        """`recent`: where views are shown before their rows are in the warehouse. `graphs`: see `Box`. `progress`:
        where it is noted how far the filling of segments is. `most_set_aside`: see `Poison`. `pauses` between tries,
        shortened at `random`, which is in [0, 1)."""
        self._log = log
        self._keyring = keyring
        self._clock = clock
        self._checkpoint = checkpoint
        self._batch = batch
        self._cached_profiles = cached_profiles
        self._linger = linger
        self._recent = recent
        self._graphs = graphs
        self._progress = progress
        self._poison = Poison(log, clock, most_set_aside)
        self._random = random
        self.failures = Failures(pauses)
        self._writer = warehouse.writer(generation)
        self._reader = warehouse.reader(lambda: generation)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun: Box | None = None
        self.failure: BaseException | None = None
        """Why the thread ended by itself, if it has."""

    def recover(self) -> None:
        """Finish the work of an earlier process or attempt. Blocks."""
        self._let_go()
        self._begun = self.box = Box(
            self._log,
            self._writer,
            self._clock,
            checkpoint=self._checkpoint,
            cached_profiles=self._cached_profiles,
            linger=self._linger,
            recent=self._recent,
            graphs=self._graphs,
            poison=self._poison,
            careful=self.failures.of_ours > 0,
            names=self._keyring.names if self._keyring else no_names,
        )
        self.declarations = Declarations(
            self._log, self.box, self._writer, self._reader, self._clock, self._progress, self._new_eraser()
        )
        self.declarations.restore()
        self.box.recover()

    def _new_eraser(self) -> Eraser | None:
        if self._keyring is None:
            return None
        return Eraser(self._log, self._writer, self._keyring, self._clock, self._checkpoint)

    def _let_go(self) -> None:
        """End the latest attempt and wait for its inserts: an insert after the next attempt's check for missing rows
        would count twice."""
        if self._begun:
            self._begun.close()

    def step(self) -> int:
        """Do the present work; returns how much there was. Rows may still be waiting to be written."""
        done = int(self.declarations.step())
        records = self.next_records()
        if records:
            done += self.box.process(records)
        else:
            done += self.box.idle(_ROWS_SECONDS)
        return done + rejected.step(self._log, self._writer)

    def drain(self) -> None:
        """Do all work of this instant, and commit it."""
        while self.step():
            pass
        self.box.commit()

    def next_records(self) -> list[Record]:
        """The next micro-batch: the records of all partitions, up to the limit, none further than the others."""
        pieces: list[Piece] = []
        for partition, position in self.box.positions.items():
            if records := self._log.read(topics.EVENTS, partition, position, self._batch):
                pieces.append((records, len(records) == self._batch))
        return abreast(pieces)

    # ---- the thread

    def start(self) -> None:
        """Run in a thread of its own, after `recover`."""
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._thread.start()

    @property
    def condition(self) -> Condition:
        """The condition of the thread; `starting` before there is one."""
        if self.failure is not None:
            return Condition("stopped", said_of(self.failure))
        if self._thread is None:
            return Condition("stopped", "it was told to stop") if self._stop.is_set() else STARTING
        if not self._thread.is_alive():
            return Condition("stopped", "its thread has ended")
        return RUNNING if (failing := self.failures.latest) is None else Condition("failing", said_of(failing))

    def _run(self) -> None:
        """Steps until stopped. A failure is retried from the last commit: a fault of ours a few times in a row, a fault
        of the outside for as long as it lasts."""
        failures = self.failures
        while not self._stop.is_set():
            try:
                if failures.in_a_row:
                    self.recover()
                while not self._stop.is_set():
                    self._step_or_wait()
                    failures.clear()
                self.box.commit()
            except Exception as error:
                failures.add(error)
                _LOG.log(
                    logging.ERROR if failures.of_ours else logging.WARNING,
                    "runner: failure %d in a row",
                    failures.in_a_row,
                    exc_info=error,
                )
                if failures.is_final or isinstance(error, Stopped):
                    self.failure = error
                    _LOG.error("runner: stopped; nothing is lost, fix the cause and restart")
                    return
                self._stop.wait(failures.pause(self._random()))

    def _step_or_wait(self) -> None:
        if not self.step():
            self._log.wait(topics.EVENTS, list(self.box.positions.values()), _IDLE_SECONDS)

    def stop(self) -> None:
        """Finish the current batch and end the thread."""
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._let_go()
