"""Identity, profiles and segments of one generation, run together on each micro-batch: the embedded path.

Side effects of `process`, in order, and what a crash after each means. The batch is read again from the last commit;
`recover` finishes what the log and `log_rows` say was begun.

  1 log_rows           the commit point: the rows' offsets and which are copies. Without it nothing has happened.
  2 ids, events        rewritten where missing: `recover` asks which rows of the range are there
  3 traits, identifiers  idempotent to write again (latest version, min, max)
  4 simorgh.identity   the graph is folded from the topic: known links are not appended again
  5 identity, members, decisions  the topic is ahead of the tables: rewritten from the last commit on
  6 simorgh.segments   what was told is in the topic: it is folded before anything is evaluated again
  7 transitions, memberships  as 5
  8 profile_rows       the same states are computed and written again, under a version at least as high
  9 commit             the next batch
"""

from collections.abc import Iterable, Mapping, Sequence

from eventlog.port import EventLog, Record
from identity.graph import IdentityGraph
from identity.rules import DEFAULT_RULES
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken
from stream_processors import project, rejections
from stream_processors.batch import Batch, parse
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.dedupe import SeenIds
from stream_processors.evaluate import Evaluator, Told
from stream_processors.inserts import Inserts
from stream_processors.resolve import Resolution, Resolver, decision_rows, identity_rows, member_rows
from stream_processors.states import States, Touched
from warehouse.client import Writer

GROUP = "projections"
CACHED_PROFILES = 100_000
_RECOVER = 20_000
_CHUNK = 2_000


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
    ) -> None:
        self._log = log
        self._writer = writer
        self._clock = clock
        self._checkpoint = checkpoint
        self._owner = clock() // 1000 & 0xFFFFFFFF
        self._inserts = Inserts(writer, checkpoint)
        self.resolver = Resolver(IdentityGraph(DEFAULT_RULES), log)
        self.evaluator = Evaluator(log, clock)
        self._seen = SeenIds(writer)
        self._states = States(writer, self.resolver.graph, self.evaluator, cached_profiles)
        self._uncommitted = False
        self.positions: dict[int, int] = {}
        """Next offset of simorgh.events, by partition."""
        self.registry_position = 0

    # ---- start

    def recover(self) -> None:
        """Bring every table up to what the log and log_rows say was begun. Blocks until done.

        Raises `WarehouseBehind` where the warehouse has lost rows that it once had (a power cut: it is not synced).
        """
        self.evaluator.tick()
        late = self._catch_up_identity()
        self.evaluator.catch_up(self._writer, GROUP)
        committed = dict(enumerate(self._log.committed(GROUP, topics.EVENTS)))
        ends = {partition: self._stored_end(partition) for partition in committed}
        if any(ends[partition] < offset for partition, offset in committed.items()):
            raise WarehouseBehind("warehouse: rows that were committed are gone; rebuild it from the log")
        self.positions = committed
        self._finish(ends, late)
        self._uncommitted = True
        self.commit()

    def _stored_end(self, partition: int) -> int:
        sql = "SELECT off FROM log_rows WHERE part = {p:UInt16} ORDER BY part DESC, off DESC LIMIT 1"
        rows = self._writer.rows(sql, {"p": partition})
        return int(rows[0][0]) + 1 if rows else 0

    def _finish(self, ends: Mapping[int, int], late: Resolution) -> None:
        """Derive again what hangs on the log_rows from the commit to `ends`, writing only what is missing.

        The batch that was under way is taken as a whole, together with the identity records `late` that came of it
        (or of a command, where there is no batch): what is told now is what would have been told then.
        """
        if late.moved and self.positions == ends:
            self._settle(self._states.touch(late, self.positions), late.cause())
        while records := self._read_up_to(ends):
            batch = parse(records)
            states = self._stored_states(records)
            batch.state = [states[record.partition, record.offset] for record in batch.records]
            before = dict(self.positions)
            for record in records:
                self.positions[record.partition] = record.offset + 1
            missing = self._missing(batch)
            self._seen.remember({batch.eids[i] for i in missing[0]})
            self._derive(batch, missing, before, late)
            self.commit()
            late = Resolution()

    def _read_up_to(self, ends: Mapping[int, int]) -> list[Record]:
        records: list[Record] = []
        for partition, end in ends.items():
            start = self.positions[partition]
            records += self._log.read(topics.EVENTS, partition, start, min(_RECOVER, end - start))
        return records

    def _stored_states(self, records: Sequence[Record]) -> dict[tuple[int, int], int]:
        """Partition and offset -> what log_rows says of the record."""
        offsets: dict[int, list[int]] = {}
        for record in records:
            offsets.setdefault(record.partition, []).append(record.offset)
        ranges = [f"part = {p} AND off BETWEEN {min(found)} AND {max(found)}" for p, found in offsets.items()]
        sql = f"SELECT part, off, min(dup) FROM log_rows WHERE {' OR '.join(ranges)} GROUP BY part, off"
        return {(part, offset): state for part, offset, state in self._writer.rows(sql)}

    def _missing(self, batch: Batch) -> tuple[list[int], list[int]]:
        """Indices of unique events whose id, and whose row, is not in its table."""
        unique = batch.unique()
        ids = {
            row[0]
            for row in self._writer.rows(
                "SELECT eid FROM ids WHERE eid IN {e:Array(UInt128)}", {"e": [batch.eids[i] for i in unique]}
            )
        }
        nodes = list({batch.nodes[i][0] if batch.nodes[i] else 0 for i in unique})
        low = min((r.offset for r in batch.records), default=0)
        events = set(
            self._writer.rows(
                "SELECT part, off FROM events WHERE node IN {n:Array(UInt128)} AND off >= {low:UInt64}",
                {"n": nodes, "low": low},
            )
        )
        return (
            [i for i in unique if batch.eids[i] not in ids],
            [i for i in unique if (batch.records[i].partition, batch.records[i].offset) not in events],
        )

    def _catch_up_identity(self) -> Resolution:
        """Fold the whole topic; write the rows of what was appended after the last commit, and return that."""
        committed = self._log.committed(GROUP, topics.IDENTITY)[0]
        late = Resolution()
        for offset, record, changes in self.resolver.fold_log():
            if offset >= committed:
                late.records.append((offset, record))
                late.add(changes)
        if late.records:
            self._write_identity(late)
        return late

    # ---- one batch

    def process(self, records: Sequence[Record]) -> int:
        """One micro-batch, through all the projections. Returns how many records it held.

        Its last inserts are still under way on return: `commit`, or the next call, waits for them and commits.
        """
        batch = parse(records)
        self.commit()  # of the batch before, whose inserts went on beside the reading and parsing of this one
        before = dict(self.positions)
        for record in records:
            self.positions[record.partition] = record.offset + 1
        rejections.keep_unreadable(self._log, batch.unreadable)
        self._seen.mark(batch)
        self._writer.insert("log_rows", project.log_rows(batch, self._owner))
        self._checkpoint("log_rows")
        unique = batch.unique()
        self._derive(batch, (unique, unique), before, Resolution())
        return len(records)

    def _derive(
        self, batch: Batch, missing: tuple[list[int], list[int]], before: dict[int, int], late: Resolution
    ) -> None:
        ids, events = missing
        self.evaluator.tick()
        self._inserts.begin("ids", project.id_rows(batch, ids))
        self._inserts.begin("events", project.event_rows(batch, events))
        self._inserts.begin("traits", project.trait_rows(batch))
        seen = project.seen_identifiers(batch)
        self._inserts.begin("identifiers", project.identifier_rows(seen))
        resolution = self.resolver.links(batch)
        self._checkpoint("links")
        self._write_identity(resolution)
        self._settle(self._states.touch(late.then(resolution), before, batch, seen), "event")
        self._uncommitted = True

    def _settle(self, touched: Touched, cause: str) -> None:
        """Evaluate what was touched, tell the transitions, write the rows."""
        told = self.evaluator.evaluate(touched, cause, self._inserts.join)
        self._checkpoint("segments")
        self._write_told(told)
        gone = [p for p in touched.gone if p not in touched.states]
        self._inserts.begin("profile_rows", project.profile_rows(touched.states, gone, self.version()))

    def tell(self, segment: str, members: set[int], before: Mapping[int, int], cause: str) -> None:
        """Make a segment's memberships equal to `members`, and wait until the tables say so."""
        self.evaluator.tick()
        self._write_told(self.evaluator.tell(segment, members, before, cause))
        self._uncommitted = True
        self._states.forget()
        self._inserts.join()

    def _write_told(self, told: Told) -> None:
        self._inserts.begin("transitions", told.transition_rows)
        self._inserts.begin("memberships", told.membership_rows)

    def version(self) -> int:
        """Of profile rows: grows whenever anything that they are made from has grown."""
        return sum(self.positions.values()) + self.registry_position + self.resolver.position + self.evaluator.position

    def commit(self) -> None:
        """Wait for the inserts under way and commit, unless nothing has happened since the last time."""
        self._inserts.join()
        if not self._uncommitted:
            return
        self._uncommitted = False
        self._log.commit(
            GROUP,
            {
                topics.EVENTS: dict(self.positions),
                topics.REGISTRY: {0: self.registry_position},
                topics.IDENTITY: {0: self.resolver.position},
                topics.SEGMENTS: {0: self.evaluator.position},
            },
        )
        self._checkpoint("commit")
        self._states.trim()

    def pass_registry(self, position: int) -> None:
        """Commit that simorgh.registry is taken in up to `position`, with everything that came of it."""
        self.registry_position = position
        self._uncommitted = True
        self.commit()

    # ---- replay: the same rows, from the log and its records alone

    def rebuild(self, records: Sequence[Record]) -> None:
        """Write the rows of a batch of events. Identity and segments are folded from their own topics."""
        batch = parse(records)
        self._seen.mark(batch)
        self._writer.insert("log_rows", project.log_rows(batch, self._owner))
        unique = batch.unique()
        self._inserts.begin("ids", project.id_rows(batch, unique))
        self._inserts.begin("events", project.event_rows(batch, unique))
        self._inserts.begin("traits", project.trait_rows(batch))
        self._inserts.begin("identifiers", project.identifier_rows(project.seen_identifiers(batch)))
        self._inserts.join()

    def fold_identity(self) -> None:
        """Fold all of simorgh.identity and write its rows."""
        folded = Resolution()
        for offset, record, changes in self.resolver.fold_log():
            folded.records.append((offset, record))
            folded.add(changes)
        self._write_identity(folded)
        self._inserts.join()

    def fold_transitions(self) -> None:
        """Write the rows of all of simorgh.segments."""
        self.evaluator.position = 0
        self.evaluator.mirror(self._writer)

    # ---- commands, declarations, time

    def apply_identity(self, resolution: Resolution) -> None:
        """What a steward's command or a rule change did, through to the profiles' rows."""
        self.evaluator.tick()
        self._checkpoint("links")
        self._write_identity(resolution)
        self._settle(self._states.touch(resolution, self.positions), resolution.cause())
        self._uncommitted = True

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
            self._uncommitted = True
            self._inserts.join()
            self._states.trim()

    def due_profiles(self, now: int) -> list[int]:
        """Profiles whose next change by the passing of time has come."""
        sql = """SELECT profile FROM profile_rows GROUP BY profile
            HAVING argMax(live, ver) = 1 AND argMax(due, (ver, due)) <= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
            LIMIT 20000"""
        return [row[0] for row in self._writer.rows(sql, {"now": now})]

    def live_profiles(self) -> list[int]:
        sql = "SELECT DISTINCT profile FROM identity WHERE profile != 0"
        return [p for (p,) in self._writer.rows(sql) if self.resolver.graph.profile_of(p) == p]

    def forget_states(self) -> None:
        """Empty the cache: it is rebuilt from rows."""
        self._states.forget()

    def _write_identity(self, resolution: Resolution) -> None:
        if resolution.records:
            ver = self.resolver.position
            self._inserts.begin("identity", identity_rows(resolution.moved, ver))
            self._inserts.begin("members", member_rows(resolution.moved, resolution.left, ver))
            self._inserts.begin("decisions", decision_rows(resolution.records))

    def close(self) -> None:
        """Wait for the inserts under way; one that fails is for the next try, which finds it missing."""
        self._inserts.close()


class WarehouseBehind(Broken):
    default_code = "warehouse_behind"
