"""The rows of a generation, computed from the log alone, by the same stages as live ones.

One holder, one thread, no links and no transitions: simorgh.identity and simorgh.segments contain what was decided and
published, and are folded as they are. So everything except views is a function of the log up to some positions, and may
be written again. Profiles are evaluated as by their holders, without publishing: those that differ from the published
memberships are remembered, and the next holder processes them again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from destinations import deliveries
from destinations.delivery import from_record, to_row
from eventlog.fences import Fences
from eventlog.port import EventLog, Record, present
from identity.nodes import from_hex
from privacy.keyring import Names, no_names
from schemas import topics
from schemas.clock import Clock
from schemas.records import read_transition
from stream_processors.checkpoints import Checkpoint
from stream_processors.flow import rejected
from stream_processors.flow.bus import MemoryBus
from stream_processors.flow.events import EventsStage
from stream_processors.flow.identity import IdentityStage
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.flow.work import Work
from stream_processors.host import generation
from stream_processors.rows.inserts import Inserts
from stream_processors.rows.tables import TableHistory
from stream_processors.rows.writing import Through
from stream_processors.state import touches
from stream_processors.state.copies import Copies
from stream_processors.state.directory import GraphDirectory
from stream_processors.state.judge import Judge
from stream_processors.state.live_segments import LiveSegments
from stream_processors.state.orders import Orders
from stream_processors.state.poison import Poison
from stream_processors.state.states import States
from stream_processors.state.teller import Published, Teller, ToPublish
from stream_processors.state.tellings import Tellings
from stream_processors.state.touches import REPLAY, Touch
from warehouse import latest
from warehouse.client import Writer

READ: Final = 20_000
PROFILES: Final = 2_000
"""Evaluated together."""

_PART: Final = 0
_TRY_BITS: Final = 24
"""A row's version: the number of the attempt above that of the chunk. Live holders' are above all of these
(`TERM_BITS`)"""
_EARLIER_MS: Final = 10_000
"""A difference must have lasted this long. Live holders publish the changes of these seconds, as changes by time."""


class Rebuild:
    """`positions` of simorgh.events: rows before them are written, and no others. One thread."""

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        clock: Clock,
        checkpoint: Checkpoint,
        most_set_aside: int,
        names: Names = no_names,
    ) -> None:
        self._log = log
        self._writer = writer
        self._checkpoint = checkpoint
        self._rows = _Beside(writer, checkpoint)
        self._copies = Copies(writer, most=None)
        self._bus = MemoryBus()
        self._poison = Poison(log, clock, most_set_aside)
        self._tellings = Tellings(writer)
        orders = Orders(writer)
        directory = GraphDirectory(lambda: self._identity.graph)
        self._events = EventsStage(
            log,
            writer,
            self._rows,
            self._copies,
            self._tellings,
            orders,
            directory,
            self._bus,
            self._poison,
            checkpoint,
            names,
        )
        self._identity = IdentityStage(log, self._rows, self._bus, self._poison)
        self._segments = LiveSegments(log)
        self._now = self._evaluation(clock)
        self._earlier = self._evaluation(lambda: clock() - _EARLIER_MS)
        self._fences = Fences()
        self._version = generation.next_term(log) << _TRY_BITS
        self.transitions_end = self.rejected_end = self.deliveries_end = 0
        """The position up to which each topic's rows are written."""
        self._copies.load()
        self._tellings.load()

    def _evaluation(self, clock: Clock) -> "_Evaluation":
        log, writer = self._log, self._writer
        judge, withheld = Judge(clock), _Withheld(log, self._rows.published, self._checkpoint)
        states = States(writer, judge, TableHistory(writer, len(log.ends(topics.EVENTS))), bound=0)
        directory = GraphDirectory(lambda: self._identity.graph)
        stage = ProfilesStage(
            log,
            self._rows,
            directory,
            self._bus,
            judge,
            states,
            withheld,
            _AsDeclared(),
            self._poison,
            clock,
            self._checkpoint,
        )
        return _Evaluation(judge, stage, withheld.profiles)

    @property
    def differing(self) -> set[int]:
        """The profiles that differed from the published memberships at their latest evaluation."""
        return self._now.differing

    # ---- rows of events

    def events(self, records: Sequence[Record]) -> None:
        """Write the rows of the next events of some partitions."""
        self._poison.read_on()
        derived = self._events.derive(records, told=True)
        self._events.retell(derived.batch)
        self._rows.orders(derived.batch)
        self._rows.batch(derived.batch, derived.seen, dict.fromkeys({record.partition for record in records}, 0))
        self._rows.join()
        self._copies.remember(derived.batch, derived.batch.unique())
        self._tellings.remember(derived.batch)

    # ---- rows of records

    def identity(self, upto: int) -> Iterator[None]:
        """Fold simorgh.identity up to an offset and write who is who, a chunk at each step."""
        self._poison.read_on()
        while records := self._read_on(topics.IDENTITY, self._identity.position, upto):
            self._identity.take_in(records)
            self._rows.join()
            self._bus.take()  # what came of it was published then
            yield

    def transitions(self) -> Iterator[None]:
        """Write the published transitions that count, to the end of simorgh.segments, a chunk at each step."""
        while records := self._read_on(topics.SEGMENTS, self.transitions_end):
            counted = [record for record in present(records) if self._fences.counts(record.value)]
            read = [(record.offset, read_transition(record.value)) for record in counted]
            self._rows.published([Published(offset, transition) for offset, transition in read if transition])
            self._rows.join()
            self.transitions_end = records[-1].offset + 1
            yield

    def copied(self) -> Iterator[None]:
        """Write the tables that are plain copies of their topics, a chunk at each step."""
        while records := self._read_on(topics.REJECTED, self.rejected_end):
            self._writer.insert("rejected", rejected.rows(records))
            self.rejected_end = records[-1].offset + 1
            yield
        while records := self._read_on(topics.DELIVERIES, self.deliveries_end):
            read = [to_row(from_record(record.value, record.offset)) for record in present(records)]
            self._writer.insert("deliveries", deliveries.rows(read))
            self.deliveries_end = records[-1].offset + 1
            yield

    def _read_on(self, topic: str, start: int, upto: int | None = None) -> list[Record]:
        return self._log.read(topic, 0, start, READ if upto is None else max(0, min(READ, upto - start)))

    # ---- profiles

    def declare(self, upto: int) -> None:
        """Judge by the segments that were declared before this offset of simorgh.registry."""
        if self._segments.read_on(upto)[1]:
            for one in (self._now, self._earlier):
                one.judge.set_segments(self._segments.segments.live, self._segments.segments.traits)

    def everybody(self) -> list[int]:
        """All profiles, and those that an earlier attempt has shown and that no longer exist."""
        profile_of = self._identity.graph.profile_of
        founders = [node for (node,) in self._writer.rows(latest.PROFILES)]
        shown = [profile for (profile,) in self._writer.rows("SELECT DISTINCT profile FROM profile_rows")]
        live = {profile for profile in founders if profile_of(profile) == profile}
        return sorted(live.union(shown))

    def touched(self, records: Iterable[Record]) -> set[int]:
        """The present profiles of touches."""
        found: set[int] = set()
        for touch in filter(None, map(touches.parsed, records)):
            found.update(filter(None, map(self._identity.graph.profile_of, (touch.profile, *touch.nodes))))
            found.add(touch.profile)
        return found

    def evaluate(self, profiles: Collection[int]) -> Iterator[None]:
        """Evaluate profiles and write their views and rows, a chunk at each step."""
        return self._evaluate(profiles, self._now)

    def confirm(self) -> Iterator[None]:
        """Evaluate the differing profiles again as of some seconds ago, and drop those that did not differ then."""
        yield from self._evaluate(self.differing, self._earlier)
        self.differing.intersection_update(self._earlier.differing)

    def _evaluate(self, profiles: Collection[int], evaluation: "_Evaluation") -> Iterator[None]:
        wanted = sorted(profiles)
        for start in range(0, len(wanted), PROFILES):
            self._version += 1
            chunk = wanted[start : start + PROFILES]
            evaluation.differing.difference_update(chunk)
            work = {profile: Work(Touch(profile, REPLAY), _PART, self._version) for profile in chunk}
            evaluation.stage.see_to(work, frozenset())
            self._rows.join()
            yield

    def close(self) -> None:
        """Wait for the inserts under way."""
        self._rows.close()


class _AsDeclared:
    """The live segments, if declarations take effect between two steps, and so before every step."""

    def bring_up(self, judge: Judge) -> bool:
        return False

    def filling(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """Profiles at the instants of one clock."""

    judge: Judge
    stage: ProfilesStage
    differing: set[int]


class _Beside(Through):
    """Rows that nobody reads before `join`: written in parallel, in any order."""

    def __init__(self, writer: Writer, checkpoint: Checkpoint) -> None:
        super().__init__(writer, checkpoint)
        self._inserts = Inserts(writer, checkpoint)

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._inserts.begin({table: rows})

    def join(self) -> None:
        self._inserts.join()

    def close(self) -> None:
        self._inserts.close()


class _Withheld(Teller):
    """Publishes nothing, and remembers the profiles of the transitions."""

    def __init__(self, log: EventLog, write: Callable[[Sequence[Published]], None], checkpoint: Checkpoint) -> None:
        super().__init__(log, write, checkpoint)
        self.profiles: set[int] = set()

    def publish(self, transitions: Sequence[ToPublish]) -> list[Published]:
        self.profiles.update(from_hex(one.transition.profile) for one in transitions)
        return []

    def verify(self, parts: Collection[int]) -> None:
        """There are no other holders."""

    def settled(self) -> None:
        """Nothing was published."""
