"""Identity, profiles and segments of one generation, run together on each micro-batch: the embedded path.

Side effects, in order, and what a crash after each means. `recover` reads again all that was not committed, as one
batch that holds at least what was under way: then what is told is what would have been told.

  1 simorgh.rejected   what cannot be read is kept, and copies with other content; the same again is the same rejected
                       event
  2 simorgh.identity   the graph is folded from the topic: known links are not appended again
  3 simorgh.segments   what was told is in the topic: it is folded before anything is evaluated again

Then views show it, from memory (`stream_processors.recent`), and triggers may call. After a crash they show it again
when `recover` has ended, and triggers start after that. Rows of several small batches are written together, in any
order of their tables:

  4 log_rows           idempotent to write again: latest version
  5 ids, events        `recover` asks which rows are there, and writes those that are missing
  6 traits, identifiers  as 4: latest version, min, max
  7 identity, members, decisions  as 4; from the topic
  8 transitions, memberships  as 7
  9 views, profile_rows  the same states are computed and written again, under a version at least as high
 10 commit             of all batches whose rows have landed
"""

from collections.abc import Iterable, Mapping, Sequence

from eventlog.port import EventLog, Record
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken
from segments.sql import Page
from segments.tree import Rule
from stream_processors import conflicts, project, rejections
from stream_processors.batch import COPY, Batch, parse
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.conflicts import First
from stream_processors.dedupe import SeenIds
from stream_processors.evaluate import Evaluator, members
from stream_processors.gathered import Recorded, Shown, Tables
from stream_processors.graphs import Graphs
from stream_processors.inserts import Inserts
from stream_processors.outbox import Linger, Outbox, Positions
from stream_processors.profiles import CACHED_PROFILES
from stream_processors.recent import RecentViews
from stream_processors.resolve import Resolution, Resolver
from stream_processors.showing import show_members
from stream_processors.states import States, Touched
from stream_processors.stored import stored_end
from warehouse.client import Writer

GROUP = "projections"
_CHUNK = 2_000
_MOST_UNCOMMITTED = 50_000
"""Records that are not committed: what a start after a crash reads again, of each partition, as one batch."""


class Pipeline:
    """One owner, one thread. `recover` first, then `process` for each batch, in log order per partition."""

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
    ) -> None:
        """`recent`: where views are shown before their rows are in the warehouse. `graphs`: where the identity graph
        is kept across starts; without it the topic is folded from its beginning, as a replay has to."""
        self._log = log
        self._writer = writer
        self._clock = clock
        self._checkpoint = checkpoint
        self._owner = clock() // 1000 & 0xFFFFFFFF
        self._outbox = Outbox(self, Inserts(writer, checkpoint), linger)
        self._graphs = graphs or Graphs()
        graph, position = self._graphs.restore(log, log.committed(GROUP, topics.IDENTITY)[0])
        self.resolver = Resolver(graph, log, position)
        self.evaluator = Evaluator(log, clock)
        self._seen = SeenIds(writer)
        self._recent = recent or RecentViews()
        self._states = States(writer, self.resolver.graph, self.evaluator, cached_profiles, self._outbox.have_landed)
        self.positions: dict[int, int] = {}
        """Next offset of simorgh.events, by partition."""
        self.registry_position = 0

    # ---- start

    def recover(self) -> None:
        """Fold what the log holds, process again what was not committed, and commit it. Blocks until done.

        Raises `WarehouseBehind` where rows that were committed are gone from `log_rows` (a power cut: the warehouse is
        not synced).
        """
        self.evaluator.tick()
        late = self._catch_up_identity()
        self.evaluator.catch_up(self._writer, GROUP)
        self.positions = dict(enumerate(self._log.committed(GROUP, topics.EVENTS)))
        if any(stored_end(self._writer, partition) < offset for partition, offset in self.positions.items()):
            raise WarehouseBehind("warehouse: rows that were committed are gone; rebuild it from the log")
        self._finish(late)
        self._outbox.changed()
        self.commit()
        self._recent.position = self.evaluator.position

    def _finish(self, late: Resolution) -> None:
        """Process again what was not committed, writing only what is missing.

        `late`: the identity records that came of it, or of a command.
        """
        records = self._uncommitted_records()
        if not records:
            if late.moved:
                self._settle(self._states.touch(late, self.positions), late.cause())
            return
        batch = parse(records)
        rejections.keep_unreadable(self._log, batch.unreadable)
        ids, firsts = self._mark_again(batch)
        conflicts.keep(self._log, self._writer, batch, firsts)
        events = self._missing_events(batch)
        before = self._pass(records)
        self._derive(batch, (ids, events), before, late)

    def _uncommitted_records(self) -> list[Record]:
        """All that an earlier process may have begun to process, and perhaps some more."""
        records: list[Record] = []
        for partition, position in self.positions.items():
            records += self._log.read(topics.EVENTS, partition, position, _MOST_UNCOMMITTED)
        return records

    def _pass(self, records: Sequence[Record]) -> dict[int, int]:
        """Move the positions beyond these; returns where they were."""
        before = dict(self.positions)
        for record in records:
            self.positions[record.partition] = record.offset + 1
        return before

    def _mark_again(self, batch: Batch) -> tuple[list[int], dict[int, First]]:
        """Find the copies in a batch some of whose keys may be in the table. Returns the indices of keys that are not,
        and the first one of each copy, by the copy's index."""
        sql = "SELECT key, part, off FROM ids WHERE key IN {keys:Array(UInt128)}"
        stored = {key: (part, off) for key, part, off in self._writer.rows(sql, {"keys": batch.keys})}
        missing: dict[int, int] = {}
        firsts: dict[int, First] = {}
        for i, (key, record) in enumerate(zip(batch.keys, batch.records, strict=True)):
            first = stored.get(key)
            if first is None and missing.setdefault(key, i) != i:
                firsts[i] = batch.records[missing[key]]
            elif first is not None and first != (record.partition, record.offset):
                firsts[i] = first
        for i in firsts:
            batch.state[i] = COPY
        self._seen.remember({key: batch.records[i] for key, i in missing.items()})
        return list(missing.values()), firsts

    def _missing_events(self, batch: Batch) -> list[int]:
        """Indices of unique events whose row is not in the table."""
        unique = batch.unique()
        nodes = list({batch.nodes[i][0] if batch.nodes[i] else 0 for i in unique})
        low = min((r.offset for r in batch.records), default=0)
        there = set(
            self._writer.rows(
                "SELECT part, off FROM events WHERE node IN {n:Array(UInt128)} AND off >= {low:UInt64}",
                {"n": nodes, "low": low},
            )
        )
        return [i for i in unique if (batch.records[i].partition, batch.records[i].offset) not in there]

    def _catch_up_identity(self) -> Resolution:
        """Fold what the graph has not; write the rows of what was appended after the last commit, and return that."""
        committed = self._log.committed(GROUP, topics.IDENTITY)[0]
        late = Resolution()
        for offset, record, changes in self.resolver.fold_log():
            if offset >= committed:
                late.hear(offset, record, changes)
                late.note_passed(changes.left)
        self._add_identity(late)
        return late

    # ---- one batch

    def process(self, records: Sequence[Record]) -> int:
        """One micro-batch, through all the projections. Returns how many records it held.

        Rows may be on their way on return: later calls, `idle` or `commit` see them landed and commit.
        """
        batch = parse(records)
        if self._outbox.records + len(records) > _MOST_UNCOMMITTED:
            self.commit()
        before = self._pass(records)
        rejections.keep_unreadable(self._log, batch.unreadable)
        conflicts.keep(self._log, self._writer, batch, self._seen.mark(batch))
        unique = batch.unique()
        self._derive(batch, (unique, unique), before, Resolution())
        self._outbox.write_when_due()
        return len(records)

    def _derive(
        self, batch: Batch, missing: tuple[list[int], list[int]], before: dict[int, int], late: Resolution
    ) -> None:
        self.evaluator.tick()
        seen = project.seen_identifiers(batch)
        self._outbox.recorded.add(batch, *missing, seen)
        self._outbox.changed(len(batch))
        self._outbox.hurry()
        resolution = self.resolver.links(batch)
        if late.records:  # what these links part may have been told of before the crash
            resolution.note_passed(resolution.left)
        self._checkpoint("links")
        self._add_identity(resolution)
        self._settle(self._states.touch(late.then(resolution), before, batch, seen), "event")
        self._outbox.recorded.keys.update(seen)  # not before: rows of the batch itself are not what a load waits for

    def _settle(self, touched: Touched, cause: str) -> None:
        """Evaluate what was touched, tell the transitions, and see to the rows."""
        told = self.evaluator.evaluate(touched, cause)
        self._checkpoint("segments")
        self._outbox.recorded.told += told
        self._outbox.recorded.keys.update(touched.states, touched.gone)
        views = project.views_of(touched.states, touched.gone.keys() - touched.states.keys(), self.version())
        self._outbox.shown.add(touched.states, views)
        self._outbox.changed()
        self._recent.show(touched.owners, views)
        self._recent.position = self.evaluator.position

    def set_segments(self, segments: Mapping[str, tuple[Rule, int]]) -> None:
        """The live segments: id -> (rule, version). States in memory get what new rules ask for when they are next
        used."""
        read = self.evaluator.kept
        self.evaluator.set_segments(segments)
        self._states.rules_changed(read)

    def tell(
        self, page: Page, segments: Mapping[str, tuple[set[int], str]], due: Mapping[int, int] | None = None
    ) -> None:
        """Make the memberships in a page of profiles equal to these members, with the cause for each segment, and wait
        until tables and views say so. `due`: profile -> the moment, in ms, by which it is to be looked at."""
        self.evaluator.tick()
        for told in self.evaluator.tell(segments, members(self._writer, segments, page)):
            self._states.hear(told)
            self._outbox.recorded.told += told
            self._outbox.write_all()
        self._outbox.changed()
        self._outbox.write_all()
        # one more: rows that are there may have this version, and those after the declaration have at least that
        show_members(self._writer, list(segments), page, self.version() + 1, due)
        self._recent.forget(owners=False)
        self._recent.position = self.evaluator.position

    def version(self) -> int:
        """Of profile rows: grows whenever anything that they are made from has grown."""
        return sum(self.positions.values()) + self.registry_position + self.resolver.position + self.evaluator.position

    # ---- rows on their way, and the commit once they have landed

    def commit(self) -> None:
        """Write all rows, wait for them and commit, unless nothing has happened since the last time."""
        self._outbox.commit()

    def idle(self, seconds: float) -> bool:
        """There is nothing to read: see to the rows. Blocks up to `seconds`; False where there was nothing to do."""
        return self._outbox.write_when_due(seconds)

    def shown_tables(self, shown: Shown) -> Tables:
        """Its rows, which are written from here on."""
        self._recent.landing()
        return shown.tables(self.version(), self.resolver.position)

    def recorded_tables(self, recorded: Recorded) -> Tables:
        """Its rows, which are written from here on."""
        self._seen.writing()
        return recorded.tables(self._owner, self.resolver.position)

    def positions_now(self) -> Positions:
        return {
            topics.EVENTS: dict(self.positions),
            topics.REGISTRY: {0: self.registry_position},
            topics.IDENTITY: {0: self.resolver.position},
            topics.SEGMENTS: {0: self.evaluator.position},
        }

    def landed(self, positions: Positions) -> None:
        """Rows of all that lies before these positions are in the warehouse."""
        self._seen.landed()
        self._recent.landed()
        self._log.commit(GROUP, positions)
        self._checkpoint("commit")
        self._graphs.note(self._log, self.resolver.graph, self.resolver.position, positions[topics.IDENTITY][0])
        self._states.trim()

    def pass_registry(self, position: int) -> None:
        """Commit that simorgh.registry is taken in up to `position`, with everything that came of it."""
        self.registry_position = position
        self._outbox.changed()
        self.commit()

    # ---- replay: the same rows, from the log and its records alone

    def rebuild(self, records: Sequence[Record]) -> None:
        """Write the rows of a batch of events. Identity and segments are folded from their own topics."""
        batch = parse(records)
        self._seen.mark(batch)
        unique = batch.unique()
        self._outbox.recorded.add(batch, unique, unique, project.seen_identifiers(batch))
        self._outbox.write_all()
        self._seen.landed()

    def fold_identity(self) -> Resolution:
        """Fold all of simorgh.identity and write its rows; returns what was appended after the last commit."""
        committed = self._log.committed(GROUP, topics.IDENTITY)[0]
        folded, late = Resolution(), Resolution()
        for offset, record, changes in self.resolver.fold_log():
            folded.hear(offset, record, changes)
            if offset >= committed:
                late.hear(offset, record, changes)
                late.note_passed(changes.left)
        self._add_identity(folded)
        self._outbox.write_all()
        return late

    def fold_transitions(self) -> None:
        """Write the rows of all of simorgh.segments."""
        self.evaluator.position = 0
        self.evaluator.mirror(self._writer)

    def finish_begun(self, late: Resolution) -> None:
        """Where an earlier process told of events and did not commit, process them as `recover` does.

        Evaluated without them, profiles would leave again what they were told to have entered, and enter it once more.
        """
        told = self._log.ends(topics.SEGMENTS)[0] > self._log.committed(GROUP, topics.SEGMENTS)[0]
        if told or late.records:
            self.evaluator.tick()
            self._finish(late)

    # ---- commands, declarations, time

    def apply_identity(self, resolution: Resolution) -> None:
        """What a steward's command or a rule change did, through to the profiles' rows."""
        self.evaluator.tick()
        self._checkpoint("links")
        self._add_identity(resolution)
        self._outbox.changed()
        self._settle(self._states.touch(resolution, self.positions), resolution.cause())

    def refresh(self, profiles: Iterable[int], cause: str) -> None:
        """Evaluate profiles anew, whether or not anything happened to them."""
        self.commit()  # states are loaded from rows
        self.evaluator.tick()
        wanted = [p for p in profiles if self.resolver.graph.profile_of(p) == p]
        for start in range(0, len(wanted), _CHUNK):
            touched = Touched()
            for profile, state in self._states.of(wanted[start : start + _CHUNK], self.positions).items():
                touched.states[profile] = state
                touched.changes[profile] = None
            self._settle(touched, cause)
            self._outbox.write_all()  # without a commit, which would tell the caches
            self._recent.landed()
            self._states.trim()

    def due_profiles(self, now: int) -> list[int]:
        """Profiles whose next change by the passing of time has come."""
        sql = """WITH fromUnixTimestamp64Milli({now:Int64}, 'UTC') AS now
            SELECT profile FROM profile_rows WHERE profile IN (SELECT profile FROM profile_rows WHERE due <= now)
            GROUP BY profile HAVING argMax(live, ver) = 1 AND argMax(due, (ver, due)) <= now LIMIT 20000"""
        return [row[0] for row in self._writer.rows(sql, {"now": now})]

    def live_profiles(self) -> list[int]:
        sql = "SELECT DISTINCT profile FROM identity WHERE profile != 0"
        return [p for (p,) in self._writer.rows(sql) if self.resolver.graph.profile_of(p) == p]

    def forget_states(self) -> list[int]:
        """Empty the cache: it is rebuilt from rows. Returns the profiles that it held, those used last at the end."""
        return self._states.forget()

    def _add_identity(self, resolution: Resolution) -> None:
        if resolution.records:
            self._outbox.shown.moved |= resolution.moved
            self._outbox.recorded.resolution = self._outbox.recorded.resolution.then(resolution)

    def close(self) -> None:
        """Wait for the inserts under way; one that fails is for the next try, which finds it missing."""
        self._outbox.close()


class WarehouseBehind(Broken):
    default_code = "warehouse_behind"
