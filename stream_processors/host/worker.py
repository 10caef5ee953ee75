"""One worker of a cluster: the stages as objects that share partitions with those of other workers.

What `host.box` has in memory goes through topics and tables here: touches are a topic, who is who is asked of the
tables, rows are written through.
"""

from eventlog.port import EventLog
from schemas import topics
from schemas.clock import Clock
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow.bus import TopicBus
from stream_processors.flow.declarations import Declarations
from stream_processors.flow.events import EventsStage
from stream_processors.flow.identity import IdentityStage
from stream_processors.flow.owners import Owners
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.rows.tables import TableHistory
from stream_processors.rows.writing import Through
from stream_processors.state.copies import Copies
from stream_processors.state.directory import TableDirectory
from stream_processors.state.graphs import Graphs
from stream_processors.state.judge import Judge
from stream_processors.state.live_segments import LiveSegments
from stream_processors.state.poison import MOST_IN_A_ROW, Poison
from stream_processors.state.profile import CACHED_PROFILES
from stream_processors.state.states import States
from stream_processors.state.teller import Teller
from stream_processors.state.tellings import Tellings
from warehouse.client import Writer
from warehouse.reader import Reader


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
    ) -> None:
        """`graphs`: where the identity graph is kept across starts. `most_set_aside`: see `Poison`."""

        def poison() -> Poison:
            return Poison(log, clock, most_set_aside)

        bus = TopicBus(log, checkpoint)
        self.copies = Copies(writer)
        self.directory = TableDirectory(writer, clock)
        self.events = EventsStage(
            log,
            writer,
            Through(writer, checkpoint),
            self.copies,
            Tellings(writer),
            self.directory,
            bus,
            poison(),
            checkpoint,
        )
        self.identity = IdentityStage(
            log,
            Through(writer, checkpoint),
            bus,
            poison(),
            graphs=graphs,
            beside=lambda stage: Declarations(
                log, Owners(log, writer, lambda: stage.durable, checkpoint), writer, reader, clock
            ),
        )
        judge, rows = Judge(clock), Through(writer, checkpoint)
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
