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

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from eventlog.port import EventLog, Record
from identity.graph import IdentityGraph
from identity.rules import DEFAULT_RULES
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken
from stream_processors import coldload, project, rejections
from stream_processors.batch import UNIQUE, Batch, parse
from stream_processors.dedupe import SeenIds
from stream_processors.evaluate import Evaluator, Told
from stream_processors.profiles import ProfileCache, ProfileState
from stream_processors.resolve import Resolution, Resolver, decision_rows, identity_rows, member_rows
from warehouse.client import Writer

GROUP = "projections"
CACHED_PROFILES = 100_000
_RECOVER = 20_000
_CHUNK = 2_000
Checkpoint = Callable[[str], None]
"""Called after each numbered side effect, by name: tests kill the process there. From any thread."""

CHECKPOINTS = (
    "log_rows", "ids", "events", "traits", "identifiers", "links", "identity", "members", "decisions", "segments",
    "transitions", "memberships", "profile_rows", "commit",
)  # fmt: skip
"""The names, in the order of the list above."""


def no_checkpoint(_: str) -> None:
    """Nothing happens at a checkpoint outside of tests."""


@dataclass(slots=True)
class Touched:
    """Profiles that a step reaches: their states, and what about each may have changed.

    `changes[p]`: the leaves of segment rules that may have; None where all may.
    """

    states: dict[int, ProfileState] = field(default_factory=dict)
    changes: dict[int, set[int] | None] = field(default_factory=dict)
    gone: dict[int, dict[str, int]] = field(default_factory=dict)
    """Profiles that are no more -> their memberships."""
    inherited: dict[int, dict[str, int]] = field(default_factory=dict)
    """Survivor -> memberships of the profiles that it absorbed."""
    causes: dict[int, str] = field(default_factory=dict)
    """Why transitions of a profile are told, where the step's cause does not say it: a merge or split reached it."""


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
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="warehouse")
        self._inserts: list[Future[None]] = []
        self.resolver = Resolver(IdentityGraph(DEFAULT_RULES), log)
        self.evaluator = Evaluator(log, clock)
        self._seen = SeenIds(writer)
        self._cache = ProfileCache(cached_profiles)
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
        if late.moved:
            self._settle(self._touch(late, self.positions), late.cause())
        for partition, end in ends.items():
            self._finish(partition, end)
        self._uncommitted = True
        self.commit()

    def _stored_end(self, partition: int) -> int:
        sql = "SELECT off FROM log_rows WHERE part = {p:UInt16} ORDER BY part DESC, off DESC LIMIT 1"
        rows = self._writer.rows(sql, {"p": partition})
        return int(rows[0][0]) + 1 if rows else 0

    def _finish(self, partition: int, end: int) -> None:
        """Derive again what hangs on the log_rows from the commit to `end`, writing only what is missing."""
        while (start := self.positions[partition]) < end:
            records = self._log.read(topics.EVENTS, partition, start, min(_RECOVER, end - start))
            states = dict(
                self._writer.rows(
                    "SELECT off, min(dup) FROM log_rows WHERE part = {p:UInt16} AND off >= {a:UInt64} AND off < {b:UInt64}"
                    " GROUP BY off",
                    {"p": partition, "a": start, "b": end},
                )
            )
            batch = parse(records)
            batch.state = [states[record.offset] for record in batch.records]
            before = dict(self.positions)
            self.positions[partition] = records[-1].offset + 1
            missing = self._missing(batch)
            self._seen.remember({batch.eids[i] for i in missing[0]})
            self._derive(batch, missing, before)
            self.commit()

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
        self._derive(batch, (unique, unique), before)
        return len(records)

    def _derive(self, batch: Batch, missing: tuple[list[int], list[int]], before: dict[int, int]) -> None:
        ids, events = missing
        self.evaluator.tick()
        self._insert("ids", project.id_rows(batch, ids))
        self._insert("events", project.event_rows(batch, events))
        self._insert("traits", project.trait_rows(batch))
        seen = project.seen_identifiers(batch)
        self._insert("identifiers", project.identifier_rows(seen))
        resolution = self.resolver.links(batch)
        self._checkpoint("links")
        self._write_identity(resolution)
        self._settle(self._touch(resolution, before, batch, seen), "event")
        self._uncommitted = True

    def _settle(self, touched: Touched, cause: str) -> None:
        """Evaluate what was touched, tell the transitions, write the rows."""
        told = self.evaluator.evaluate(touched, cause, self._join)
        self._checkpoint("segments")
        self._write_told(told)
        gone = [p for p in touched.gone if p not in touched.states]
        self._insert("profile_rows", project.profile_rows(touched.states, gone, self.version()))

    def tell(self, segment: str, members: set[int], before: Mapping[int, int], cause: str) -> None:
        """Make a segment's memberships equal to `members`, and wait until the tables say so."""
        self.evaluator.tick()
        self._write_told(self.evaluator.tell(segment, members, before, cause))
        self._uncommitted = True
        self._cache.clear()
        self._join()

    def _write_told(self, told: Told) -> None:
        self._insert("transitions", told.transition_rows)
        self._insert("memberships", told.membership_rows)

    def version(self) -> int:
        """Of profile rows: grows whenever anything that they are made from has grown."""
        return sum(self.positions.values()) + self.registry_position + self.resolver.position + self.evaluator.position

    def commit(self) -> None:
        """Wait for the inserts under way and commit, unless nothing has happened since the last time."""
        self._join()
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
        self._cache.trim()

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
        self._insert("ids", project.id_rows(batch, unique))
        self._insert("events", project.event_rows(batch, unique))
        self._insert("traits", project.trait_rows(batch))
        self._insert("identifiers", project.identifier_rows(project.seen_identifiers(batch)))
        self._join()

    def fold_identity(self) -> None:
        """Fold all of simorgh.identity and write its rows."""
        folded = Resolution()
        for offset, record, changes in self.resolver.fold_log():
            folded.records.append((offset, record))
            folded.add(changes)
        self._write_identity(folded)

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
        self._settle(self._touch(resolution, self.positions), resolution.cause())
        self._uncommitted = True

    def refresh(self, profiles: Iterable[int], cause: str) -> None:
        """Evaluate profiles anew, whether or not anything happened to them."""
        self.commit()  # states are loaded from rows
        self.evaluator.tick()
        wanted = [p for p in profiles if self.resolver.graph.profile_of(p) == p]
        for start in range(0, len(wanted), _CHUNK):
            touched = Touched()
            for profile, state in self._states(wanted[start : start + _CHUNK], self.positions).items():
                touched.states[profile] = state
                touched.changes[profile] = None
            self._settle(touched, cause)
            self._uncommitted = True
            self._join()
            self._cache.trim()

    def due_profiles(self, now: int) -> list[int]:
        """Profiles whose next change by the passing of time has come."""
        sql = """SELECT profile FROM profile_rows GROUP BY profile
            HAVING argMax(live, ver) = 1 AND argMax(due, ver) <= fromUnixTimestamp64Milli({now:Int64}, 'UTC') LIMIT 20000"""
        return [row[0] for row in self._writer.rows(sql, {"now": now})]

    def live_profiles(self) -> list[int]:
        sql = "SELECT DISTINCT profile FROM identity WHERE profile != 0"
        return [p for (p,) in self._writer.rows(sql) if self.resolver.graph.profile_of(p) == p]

    def forget_states(self) -> None:
        """Empty the cache: it is rebuilt from rows."""
        self._cache.clear()

    # ---- states

    def _touch(
        self,
        resolution: Resolution,
        before: dict[int, int],
        batch: Batch | None = None,
        seen: Mapping[int, list[Any]] | None = None,
    ) -> Touched:
        """The profiles that a batch or an identity change reaches, with their states up to date.

        `before`: the positions whose rows the warehouse is sure to hold; the batch, with the identifiers `seen` in
        it, begins there.
        """
        touched = Touched()
        profile_of = self.resolver.graph.profile_of
        owners = {node: profile_of(node) for node in seen or ()}
        old = {p for p in resolution.left.values() if p}
        reached = {*owners.values(), *resolution.moved.values(), *(p for p in old if profile_of(p) == p)} - {0}
        self._after_moves(resolution, old, touched, before)
        for profile, state in self._states([p for p in reached if p not in touched.states], before).items():
            touched.states[profile] = state
            touched.changes[profile] = set()
        for node, (kind, value, first, last) in (seen or {}).items():
            if owners[node]:
                touched.states[owners[node]].add_identifier(node, kind, value, first, last)
        if batch:
            self._count(batch, owners, touched)
        return touched

    def _after_moves(self, resolution: Resolution, old: set[int], touched: Touched, before: dict[int, int]) -> None:
        """Add the profiles whose nodes are not what they were: their states made from cached parts, or loaded."""
        if not resolution.moved:
            return
        profile_of = self.resolver.graph.profile_of
        gone = {p for p in old if profile_of(p) != p}
        parts = {p: self._cache.drop(p) for p in gone}
        self._take_leave(gone, parts, touched, resolution.cause())
        sources: dict[int, set[int]] = {p: {p} for p in old - gone}
        for node, profile in resolution.moved.items():
            if profile:
                sources.setdefault(profile, set()).add(resolution.left.get(node) or profile)
        cold: dict[int, Sequence[int]] = {}
        for profile, homes in sources.items():
            nodes = self.resolver.graph.nodes_of(profile)
            if any(node not in resolution.moved for node in nodes):
                homes.add(profile)
            if homes == {profile} and (state := self._grown(profile, nodes, resolution)):
                touched.states[profile] = state
                new = resolution.fresh.intersection(nodes)
                touched.changes[profile] = self.evaluator.leaves_of(
                    identities={self.resolver.graph.type_of(node) for node in new}
                )
                continue
            known = {p: parts.get(p) or self._cache.get(p) for p in homes if p not in resolution.fresh}
            joined = self._joined(profile, nodes, known, resolution)
            if joined is None:
                cold[profile] = nodes
            else:
                touched.states[profile] = joined
        touched.states.update(coldload.load(self._writer, cold, before, self.evaluator))
        for profile in sources:
            touched.changes.setdefault(profile, None)
            self._cache.put(profile, touched.states[profile])

    def _grown(self, profile: int, nodes: Sequence[int], resolution: Resolution) -> ProfileState | None:
        """The cached state of a profile that has only gained nodes never seen before; None where that is not so."""
        state = self._cache.get(profile)
        if state is None or not all(node in state.nodes or node in resolution.fresh for node in nodes):
            return None
        if len(state.nodes) > len(nodes) or not state.nodes <= set(nodes):
            return None
        state.nodes = set(nodes)
        return state

    def _take_leave(self, gone: set[int], parts: dict[int, ProfileState | None], touched: Touched, cause: str) -> None:
        """Note what profiles that are no more were members of, for them and for their heirs."""
        unknown = [p for p in gone if parts[p] is None]
        memberships = self.evaluator.memberships(self._writer, unknown)
        for profile in gone:
            part = parts[profile]
            touched.causes[profile] = cause
            touched.gone[profile] = part.memberships if part else memberships.get(profile, {})
            heir = self.resolver.graph.profile_of(profile)
            if heir:
                touched.causes[heir] = cause
                _inherit(touched.inherited.setdefault(heir, {}), touched.gone[profile])

    def _joined(
        self,
        profile: int,
        nodes: Sequence[int],
        parts: dict[int, ProfileState | None],
        resolution: Resolution,
    ) -> ProfileState | None:
        """The state of `profile` out of cached parts; None where they do not cover its nodes exactly."""
        wanted = set(nodes)
        state = ProfileState()
        for part in parts.values():
            if part is None or not part.nodes <= wanted:
                return None
            state.absorb(part)
            self.evaluator.absorb(state.facts.leaves, part.facts.leaves)
        if not wanted - state.nodes <= resolution.fresh:
            return None
        state.nodes = wanted
        own = parts.get(profile)
        state.memberships = own.memberships if own else {}
        return state

    def _states(self, profiles: Sequence[int], before: dict[int, int]) -> dict[int, ProfileState]:
        """Cached states, and the others loaded."""
        states: dict[int, ProfileState] = {}
        cold: dict[int, Sequence[int]] = {}
        for profile in profiles:
            state = self._cache.get(profile)
            if state is None:
                cold[profile] = self.resolver.graph.nodes_of(profile)
            else:
                states[profile] = state
        for profile, state in coldload.load(self._writer, cold, before, self.evaluator).items():
            states[profile] = state
            self._cache.put(profile, state)
        return states

    def _count(self, batch: Batch, owners: Mapping[int, int], touched: Touched) -> None:
        """Fold the events that count into the states of their anchors' profiles. The hottest loop: once per event."""
        states, changes, fold_event = touched.states, touched.changes, self.evaluator.fold_event
        columns = zip(batch.nodes, batch.types, batch.times, batch.events, batch.money, batch.state, strict=True)
        for nodes, kind, time, event, money, counts in columns:
            if not nodes or counts != UNIQUE or not (profile := owners[nodes[0]]):
                continue
            state = states[profile]
            state.add_event(kind, time, money)
            leaves = fold_event(state.facts.leaves, kind, time, event)
            known = changes[profile]
            if known is not None:
                known |= leaves
        for i in batch.writes:
            if batch.nodes[i] and batch.state[i] == UNIQUE and (profile := owners[batch.nodes[i][0]]):
                leaves = self.evaluator.leaves_of(*project.write_traits(states[profile], batch, i))
                known = changes[profile]
                if known is not None:
                    known |= leaves

    # ---- inserts

    def _write_identity(self, resolution: Resolution) -> None:
        if resolution.records:
            ver = self.resolver.position
            self._insert("identity", identity_rows(resolution.moved, ver))
            self._insert("members", member_rows(resolution.moved, resolution.left, ver))
            self._insert("decisions", decision_rows(resolution.records))

    def _insert(self, table: str, rows: pa.Table) -> None:
        """Begin an insert beside the computing; `commit` waits for it."""
        if rows.num_rows:
            self._inserts.append(self._pool.submit(self._write, table, rows))

    def _write(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)

    def _join(self) -> None:
        inserts, self._inserts = self._inserts, []
        for insert in inserts:
            insert.result()

    def close(self) -> None:
        """Wait for the inserts under way; one that fails is for the next try, which finds it missing."""
        self._pool.shutdown()


class WarehouseBehind(Broken):
    default_code = "warehouse_behind"


def _inherit(into: dict[str, int], memberships: dict[str, int]) -> None:
    for segment, entered in memberships.items():
        into[segment] = min(entered, into.get(segment, entered))
