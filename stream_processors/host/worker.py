"""One worker of a cluster: its stages share partitions with those of other workers.

Here topics and tables replace the memory of `host.box`: touches are a topic, the profile of a node is read from the
tables, rows are written through. `StagesByGeneration` opens the stages on the tables of a generation, if these are
usable.
"""

import logging
import threading
import time
from contextlib import suppress
from typing import Final

from eventlog.port import EventLog
from privacy.keyring import Keyring, no_names, nobody_gone
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Backpressure, Conflict
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow.bus import TopicBus
from stream_processors.flow.declarations import Declarations
from stream_processors.flow.erasing import Eraser
from stream_processors.flow.events import EventsStage
from stream_processors.flow.identity import IdentityStage
from stream_processors.flow.owners import Owners
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.host import generation
from stream_processors.host.generation import GenerationLog
from stream_processors.host.rejected import RejectedStage
from stream_processors.rows.tables import TableHistory
from stream_processors.rows.writing import Through
from stream_processors.state.copies import Copies
from stream_processors.state.directory import TableDirectory
from stream_processors.state.graphs import Graphs
from stream_processors.state.judge import Judge
from stream_processors.state.live_segments import LiveSegments
from stream_processors.state.orders import Orders
from stream_processors.state.poison import MOST_IN_A_ROW, Poison
from stream_processors.state.profile import CACHED_PROFILES
from stream_processors.state.states import States
from stream_processors.state.stored import stored_end
from stream_processors.state.teller import Teller
from stream_processors.state.tellings import Tellings
from warehouse.client import OtherTables, Warehouse, Writer
from warehouse.reader import Reader

_LOG = logging.getLogger(__name__)

_SURE_SECONDS: Final = 5.0
"""How long rows must be missing before they count as lost: a replica may lag."""


class WorkerStages:
    """An object of each stage. Each is driven by a thread of its own, so they share nothing that changes."""

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        *,
        checkpoint: Checkpoint = no_checkpoint,
        graphs: Graphs | None = None,
        cached_profiles: int = CACHED_PROFILES,
        most_set_aside: int = MOST_IN_A_ROW,
        keyring: Keyring | None = None,
    ) -> None:
        """`graphs`: keeps the identity graph across starts. `most_set_aside`: see `Poison`."""

        def poison() -> Poison:
            return Poison(log, clock, most_set_aside)

        bus = TopicBus(log, checkpoint)
        gone = keyring.gone if keyring else nobody_gone
        self.copies = Copies(writer)
        self.directory = TableDirectory(writer, clock)
        self.events = EventsStage(
            log,
            writer,
            Through(writer, checkpoint),
            self.copies,
            Tellings(writer),
            Orders(writer),
            self.directory,
            bus,
            poison(),
            checkpoint,
            keyring.names if keyring else no_names,
            gone,
        )
        self.identity = IdentityStage(
            log,
            Through(writer, checkpoint),
            bus,
            poison(),
            graphs=graphs,
            beside=lambda stage: Declarations(
                log,
                Owners(log, writer, lambda: stage.durable, checkpoint),
                writer,
                reader,
                clock,
                eraser=Eraser(log, writer, keyring, clock, checkpoint) if keyring else None,
            ),
        )
        judge, rows = Judge(clock), Through(writer, checkpoint, gone)
        self.states = States(writer, judge, TableHistory(writer, len(log.ends(topics.EVENTS))), cached_profiles)
        self.profiles = ProfilesStage(
            log,
            rows,
            TableDirectory(writer, clock),
            bus,
            judge,
            self.states,
            Teller(log, rows.published, checkpoint),
            LiveSegments(log),
            poison(),
            clock,
            checkpoint,
        )
        self.rejected = RejectedStage(log, writer)


class StagesByGeneration:
    """The stages on the tables of a given generation. For any thread. Tables of another version, and those without
    committed rows, are unusable: it requests a replay, once in the life of this object, and until another generation is
    live every call raises `Backpressure` (`rebuilding`).
    """

    def __init__(
        self,
        log: EventLog,
        warehouse: Warehouse,
        clock: Clock,
        *,
        checkpoint: Checkpoint,
        graphs: Graphs | None,
        most_set_aside: int,
        keyring: Keyring | None = None,
    ) -> None:
        self._keyring = keyring
        self._log = log
        self._warehouse = warehouse
        self._clock = clock
        self._checkpoint = checkpoint
        self._graphs = graphs
        self._most_set_aside = most_set_aside
        self._lock = threading.Lock()
        self._latest: tuple[int, WorkerStages] | None = None
        self._missed_since: float | None = None
        self._asked = False

    def of(self, number: int) -> WorkerStages:
        with self._lock:
            if self._latest is None or self._latest[0] != number:
                self._latest = number, self._open(number)
            return self._latest[1]

    def _open(self, number: int) -> WorkerStages:
        log, writer = GenerationLog(self._log, lambda: number), self._warehouse.writer(number)
        try:
            self._warehouse.migrate(number)
        except OtherTables as error:
            raise self._of_no_use(f"those of another version in {error.database}") from None
        self._require_rows(log, writer)
        return WorkerStages(
            log,
            writer,
            self._warehouse.reader(lambda: number),
            self._clock,
            checkpoint=self._checkpoint,
            graphs=self._graphs,
            most_set_aside=self._most_set_aside,
            keyring=self._keyring,
        )

    def _require_rows(self, log: EventLog, writer: Writer) -> None:
        """Raises `Backpressure` if committed rows of simorgh.events are missing."""
        committed = log.committed(EventsStage.group, topics.EVENTS)  # first: rows are there before they are committed
        if all(stored_end(writer, part) >= offset for part, offset in enumerate(committed)):
            self._missed_since = None
            return
        now = time.monotonic()
        self._missed_since = self._missed_since or now
        if now - self._missed_since < _SURE_SECONDS:
            raise Backpressure("warehouse: wanted all rows that were committed, got fewer; looking again")
        raise self._of_no_use("fewer rows than were committed")

    def _of_no_use(self, why: str) -> Backpressure:
        if not self._asked:
            with suppress(Conflict):  # one runs
                _LOG.warning("warehouse: got %s: generation %d is built from the log", why, generation.want(self._log))
            self._asked = True
        return Backpressure(
            f"warehouse: wanted whole tables of this version, got {why}; wait until a worker has built others from the"
            " log",
            code="rebuilding",
        )
