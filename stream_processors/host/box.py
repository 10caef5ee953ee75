"""One machine: the stages in one process that holds everything, run together on each micro-batch.

Touches are passed in memory, the graph is in memory, rows linger. Side effects, in order, and what a crash after each
means. `recover` reads all uncommitted records again, as one batch that includes everything in progress. So it publishes
exactly what would have been published.

  1 simorgh.rejected   what cannot be read is kept, and copies with other content; the same again is the same rejected
                       event
    retellings         are written at once, before any state is loaded: a set that only grows; as 4
  2 simorgh.identity   the graph is folded from the topic: known links are not appended again
  3 simorgh.segments   what was published is in the topic: it is folded before anything is evaluated again

Views show it first, from memory (`views.recent`). After a crash they show it again when `recover` has ended, and
triggers start after that. Rows of several small batches are written together, in any order of their tables:

  4 log_rows           idempotent to write again: latest version
  5 ids, events        `recover` asks which rows are there, and writes those that are missing
  6 traits, identifiers, tellings  as 4: latest version, min, max, equal rows are one
  7 identity, members, decisions  as 4; from the topic
  8 transitions, memberships  as 7
  9 views, profile_rows  the same states are computed and written again, under a higher version
 10 commit             of all batches whose rows have landed

simorgh.touched holds the profiles that a replay found to differ (`host.replay`), and nothing else. `recover` looks at
them last, then commits. After a crash before that it looks at them again, and nothing changes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from eventlog.port import EventLog, Message, Record
from identity.graph import IdentityGraph
from privacy.keyring import Names, no_names
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken
from segments.sql import Page
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow.bus import MemoryBus
from stream_processors.flow.declarations import Answer, Passed, at_once
from stream_processors.flow.events import EventsStage
from stream_processors.flow.identity import IdentityStage
from stream_processors.flow.profiles import TERM_BITS, ProfilesStage
from stream_processors.flow.work import Work
from stream_processors.host import generation
from stream_processors.rows.inserts import Inserts
from stream_processors.rows.lingering import Linger, Lingering, Positions
from stream_processors.state import cold, touches
from stream_processors.state.copies import Copies
from stream_processors.state.directory import GraphDirectory
from stream_processors.state.graphs import Graphs
from stream_processors.state.judge import Judge
from stream_processors.state.live_segments import LiveSegments
from stream_processors.state.orders import Orders
from stream_processors.state.poison import Poison
from stream_processors.state.profile import CACHED_PROFILES
from stream_processors.state.states import States
from stream_processors.state.stored import missing, stored_end
from stream_processors.state.teller import Teller, ToPublish
from stream_processors.state.tellings import Tellings
from stream_processors.state.touches import Touch
from stream_processors.views.recent import RecentViews
from stream_processors.views.showing import show_members
from warehouse import latest
from warehouse.client import Writer

_PART: Final = 0
"""One machine has no partitions of touches."""

_CHUNK = 2_000
_READ: Final = 20_000
_MOST_UNCOMMITTED = 50_000
"""The largest number of uncommitted records: a start after a crash reads as many of each partition again, as one
batch."""


class Box:
    """One holder, one thread. `recover` first, then `process` for each batch, in log order per partition."""

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        clock: Clock,
        *,
        checkpoint: Checkpoint = no_checkpoint,
        cached_profiles: int = CACHED_PROFILES,
        linger: Linger = Linger(),
        recent: RecentViews | None = None,
        graphs: Graphs | None = None,
        poison: Poison | None = None,
        careful: bool = False,
        names: Names = no_names,
    ) -> None:
        """`recent`: views whose rows are not in the warehouse yet. `graphs`: keeps the identity graph across starts;
        without it the topic is folded from its beginning, as in a replay. `poison`: the known inputs that are set
        aside; `careful`: an earlier attempt failed; `names`: the identifiers of nodes."""
        self._log = log
        self._writer = writer
        self._checkpoint = checkpoint
        self._term = generation.next_term(log)
        self._version = 0
        self._recent = recent or RecentViews()
        self.copies = Copies(writer, most=None, lingering=True)
        self._poison = poison or Poison(log, clock)
        self.tellings = Tellings(writer, alone=True)
        self.orders = Orders(writer, alone=True)
        self._rows = Lingering(
            writer,
            Inserts(writer, checkpoint),
            (self.copies, self.tellings),
            self._recent,
            linger,
            self._positions_now,
            self._landed,
        )
        self._bus = MemoryBus()
        self.directory = GraphDirectory(lambda: self._identity.graph)
        self.judge = Judge(clock)
        self._rules = LiveSegments(log)
        self.states = States(writer, self.judge, self._rows, cached_profiles)
        self._teller = Teller(log, self._rows.published, checkpoint)
        self._events = EventsStage(
            log,
            writer,
            self._rows,
            self.copies,
            self.tellings,
            self.orders,
            self.directory,
            self._bus,
            self._poison,
            checkpoint,
            names,
        )
        self._identity = IdentityStage(
            log,
            self._rows,
            self._bus,
            self._poison,
            graphs=graphs,
            parted=self.directory.forget,
            group=topics.PROJECTIONS,
        )
        self._profiles = ProfilesStage(
            log,
            self._rows,
            self.directory,
            self._bus,
            self.judge,
            self.states,
            self._teller,
            self._rules,
            self._poison,
            clock,
            checkpoint,
        )
        self._events.careful = self._profiles.careful = careful
        self.registry_position = 0
        self._committed_identity = 0

    @property
    def graph(self) -> IdentityGraph:
        return self._identity.graph

    @property
    def positions(self) -> Mapping[int, int]:
        """Next offset of simorgh.events, by partition."""
        return self._events.positions

    # ---- start

    def recover(self) -> None:
        """Fold the log, process uncommitted records again, and commit. Blocks until done. Raises `WarehouseBehind` if
        committed rows are missing from `log_rows` (after a power cut: the warehouse is not synced).
        """
        positions = dict(enumerate(self._log.committed(topics.PROJECTIONS, topics.EVENTS)))
        if any(stored_end(self._writer, part) < offset for part, offset in positions.items()):
            raise WarehouseBehind(
                "warehouse: wanted all rows that were committed, got fewer; rebuild it with `simorgh replay`"
            )
        self.judge.tick()
        self._poison.read_on()
        self._committed_identity = self._log.committed(topics.PROJECTIONS, topics.IDENTITY)[0]
        self.registry_position = self._log.committed(topics.PROJECTIONS, topics.REGISTRY)[0]
        self._identity.assign([0], self._term)
        self._take_in_identity()
        self.copies.load()
        self.tellings.load()
        self.orders.load()
        self._teller.begin(_PART, self._term, self._log.committed(topics.PROJECTIONS, topics.SEGMENTS)[0])
        self._rows.write_all()  # memberships are loaded from these rows
        self._events.hold(positions, self._term)
        self._profiles.hold([_PART], self._term)
        self._poison.look_again()
        self._redo()
        self._rows.changed()
        self.commit()
        self._look_again()

    def _look_again(self) -> None:
        """Process the profiles in simorgh.touched: those whose memberships a replay found to differ from the published
        ones."""
        for part in range(len(self._log.ends(topics.TOUCHED))):
            while records := self._log.read(topics.TOUCHED, part, self._seen_to(part), _READ):
                found = filter(None, map(touches.parsed, records))
                self.refresh(sorted({touch.profile for touch in found}), touches.REPLAY)
                self.commit()
                self._log.commit(topics.PROJECTIONS, {topics.TOUCHED: {part: records[-1].offset + 1}})

    def _seen_to(self, part: int) -> int:
        """The next offset of a partition of simorgh.touched."""
        return self._log.committed(topics.PROJECTIONS, topics.TOUCHED)[part]

    def _redo(self) -> None:
        """Process uncommitted records again, and write only missing rows."""
        before = dict(self.positions)
        records: list[Record] = []
        for partition, position in before.items():
            records += self._log.read(topics.EVENTS, partition, position, _MOST_UNCOMMITTED)
        ends = before | {record.partition: record.offset + 1 for record in records}
        self._rows.begin(before, ends)
        if records:
            derived = self._events.derive(records)
            self._events.keep_rejected(derived)
            batch = derived.batch
            retold = self._events.retell(batch)
            moved = self._events.tell_of_orders(batch)
            ids, rows = missing(self._writer, batch)
            self._rows.batch_again(batch, ids, rows, derived.seen, dict.fromkeys(ends, self._term))
            self.copies.remember(batch, ids)
            self.tellings.remember(batch)
            self._events.publish(derived, retold.elsewhere, moved)
            self._events.hold(ends, self._term)
        self._take_in_identity()
        self._look(again=True)
        self._rows.end()

    # ---- one batch

    def process(self, records: Sequence[Record]) -> int:
        """One micro-batch, through all the stages. Returns how many records it held.

        On return rows may still be being written: later calls, `idle` or `commit` wait for them and commit.
        """
        if self._rows.records + len(records) > _MOST_UNCOMMITTED:
            self.commit()
        before = dict(self.positions)
        self._rows.begin(before, before | {record.partition: record.offset + 1 for record in records})
        self.judge.tick()
        self._events.process(records)
        self._take_in_identity()
        self._look()
        self._rows.end()
        self._rows.write_when_due()
        return len(records)

    def _take_in_identity(self) -> None:
        """Fold new records of simorgh.identity."""
        while records := self._log.read(topics.IDENTITY, 0, self._identity.position, _READ):
            self._identity.take_in(records)
            if len(records) < _READ:
                break  # nobody else appends to it

    def _look(self, *, again: bool = False) -> None:
        """Process the touched profiles. `again`: transitions of new ones may have been published too."""
        touched = self._bus.take()
        if touched.by_profile:
            version = self._next_version()
            work = {profile: Work(touch, _PART, version) for profile, touch in touched.by_profile.items()}
            self._profiles.see_to(work, frozenset() if again else touched.fresh - self._events.moved)
        self._recent.position = self._teller.position

    def _next_version(self) -> int:
        """The version of profile rows, above all earlier ones."""
        self._version += 1
        return self._term << TERM_BITS | self._version

    # ---- rows on their way, and the commit once they have landed

    def commit(self) -> None:
        """Write all rows, wait for them and commit, unless nothing has happened since the last time."""
        self._rows.commit()

    def idle(self, seconds: float) -> bool:
        """There are no new records: do what no record starts, and write rows. Blocks up to `seconds`. False: there was
        nothing to do."""
        self._profiles.idle()
        if self._bus.is_empty:
            return self._rows.write_when_due(seconds)
        self.commit()
        self._alone()
        self._look()
        self.commit()
        return True

    def _positions_now(self) -> Positions:
        return {
            topics.EVENTS: dict(self.positions),
            topics.REGISTRY: {0: self.registry_position},
            topics.IDENTITY: {0: self._identity.position},
            topics.SEGMENTS: {0: self._teller.position},
        }

    def _landed(self, positions: Positions) -> None:
        self._log.commit(topics.PROJECTIONS, positions)
        self._checkpoint("commit")
        self._committed_identity = positions[topics.IDENTITY][0]
        self._identity.note(self._committed_identity)

    # ---- declarations and time: `flow.declarations.Effects`

    def order(self, orders: Sequence[Message]) -> Passed:
        """Apply records of simorgh.identity from stewards or rules, up to the profiles' rows. Applied once."""
        self.commit()
        if orders:
            self._log.append(topics.IDENTITY, orders)
            self._checkpoint("links")
            self._alone()
            self._take_in_identity()
            self._look()
            self.commit()
        return at_once

    def fill(self, page: Page, answer: Answer, causes: Mapping[str, str], due: Mapping[int, int]) -> None:
        """Tables and views are up to date on return."""
        self.judge.tick()
        self._rules.bring_up(self.judge)
        before = cold.members(self._writer, answer, page)
        transitions = (
            one
            for segment, members in answer.items()
            for one in self.judge.difference(segment, members, before.get(segment, {}), causes[segment])
        )
        while chunk := list(islice(transitions, _READ)):
            published = self._teller.publish([ToPublish(_PART, one) for one in chunk])
            self._checkpoint("segments")
            self._rows.published(published)
            self._rows.write_all()
        self._rows.changed()
        self.states.forget()
        show_members(self._writer, list(answer), page, self._next_version(), due)
        self._recent.forget(owners=False)
        self._recent.position = self._teller.position

    def look(self, profiles: Collection[int], cause: str) -> Passed:
        """Process profiles again, whether or not anything has changed."""
        self.refresh(profiles, cause)
        self.commit()
        return at_once

    def filled(self) -> Passed:
        """`fill` waits."""
        return at_once

    def in_effect(self, position: int) -> None:
        self.registry_position = position
        self._rows.changed()
        self.commit()

    def refresh(self, profiles: Iterable[int], cause: str) -> None:
        """The same, with rows that are not committed yet."""
        self.commit()  # states are loaded from rows
        profile_of = self.graph.profile_of
        for chunk in _chunks([profile for profile in profiles if profile_of(profile) == profile]):
            self._alone()
            version = self._next_version()
            self._profiles.see_to({one: Work(Touch(one, cause), _PART, version) for one in chunk}, frozenset())
            self._recent.position = self._teller.position
            self._rows.write_all()

    def _alone(self) -> None:
        """Begin a step without events."""
        self._rows.begin(dict(self.positions), dict(self.positions))

    def live_profiles(self) -> list[int]:
        return [p for (p,) in self._writer.rows(latest.PROFILES) if self.graph.profile_of(p) == p]

    def forget_states(self) -> list[int]:
        """Empty the cache, which is rebuilt from rows. Returns its profiles, the most recently used ones last."""
        return self.states.forget()

    def close(self, *, begin: bool = True) -> None:
        """See `Inserts.close`."""
        self._rows.close(begin=begin)


def _chunks(profiles: Sequence[int]) -> Iterator[Sequence[int]]:
    return (profiles[start : start + _CHUNK] for start in range(0, len(profiles), _CHUNK))


class WarehouseBehind(Broken):
    default_code = "warehouse_behind"
