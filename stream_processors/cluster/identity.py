"""The identity stage: simorgh.identity -> who is who, and touches. One owner; the coordinator lives with it.

Side effects of `process`, in order, and what a crash, or a loss of the partition, after each means. The next owner
folds the topic up to the last commit and processes the rest again: the fold is a function of the log, and a row's
version is the offset of its record, so what is written again is what is there.

  1 members, identity, decisions, links   in this order: who finds a link in `links` finds its nodes in the others
  2 simorgh.touched                       touched again: nothing will have changed
  – the host commits                      the next batch

A zombie writes the same rows. Its touches are redundant, its commands are copies.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pyarrow as pa

from eventlog.port import EventLog, Record
from identity.changes import Changes
from identity.nodes import from_hex
from schemas import topics
from schemas.clock import Clock
from schemas.errors import SimorghError
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.cluster import touches
from stream_processors.cluster.coordinator import Coordinator
from stream_processors.cluster.novelty import links_of
from stream_processors.cluster.touches import Touches
from stream_processors.graphs import Graphs
from stream_processors.resolve import decision_rows
from warehouse.client import Writer, fixed16
from warehouse.reader import Reader

_LOG = logging.getLogger(__name__)
GROUP: Final = "identity"
_READ: Final = 20_000
_LATEST: Final = 10_000_000_000_000
_CAUSES: Final = {"merge": touches.MERGE, "split": touches.SPLIT}


@dataclass(slots=True)
class _Folded:
    """What was folded and is not durable yet, record by record: a row's version is its record's offset + 1."""

    identity: list[tuple[int, int, int]] = field(default_factory=list)
    members: list[tuple[int, int, int, int]] = field(default_factory=list)
    decisions: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    links: list[tuple[int, int, int]] = field(default_factory=list)
    reached: dict[int, str] = field(default_factory=dict)
    """Node -> why its profile is to be looked at."""
    absorbed: dict[int, str] = field(default_factory=dict)
    """Profile that ceased -> why."""

    def add(self, offset: int, record: dict[str, Any], changes: Changes) -> None:
        ver = offset + 1
        for node, profile in changes.moved.items():
            self.identity.append((node, profile, ver))
            left = changes.left[node]
            if profile:
                self.members.append((profile, node, 1, ver))
            if left and left != profile:
                self.members.append((left, node, 0, ver))
        if changes.decisions:
            self.decisions.append((offset, {**record, "decisions": changes.decisions}))
        if record["kind"] == "link":
            self._add_links(record)
        cause = _CAUSES.get(record["kind"], touches.EVENT)
        self._reach(changes.touched, cause)
        for profile in changes.absorbed:
            self.absorbed[profile] = cause if cause != touches.EVENT else touches.MERGE

    def _add_links(self, record: dict[str, Any]) -> None:
        nodes = tuple(from_hex(name) for name, _ in record["nodes"])
        at, alias = record["received_at"], int(bool(record.get("alias")))
        self.links += [(link, at, alias) for link in links_of(nodes)]
        self._reach(nodes, touches.EVENT)

    def _reach(self, nodes: Collection[int], cause: str) -> None:
        for node in nodes:
            self.reached[node] = touches.heavier(self.reached.get(node, cause), cause)


class IdentityStage:
    """See `stream_processors.cluster.stage.Stage`. Its topic has one partition."""

    name = "identity"
    topic = topics.IDENTITY
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        *,
        checkpoint: Checkpoint = no_checkpoint,
        graphs: Graphs | None = None,
    ) -> None:
        """`graphs`: where the graph is kept across starts; without it a start folds the topic from its beginning."""
        self._log = log
        self._writer = writer
        self._checkpoint = checkpoint
        self._coordinator = Coordinator(log, writer, reader, clock, lambda: self._durable, checkpoint)
        self._held = False
        self._graphs = graphs or Graphs()
        self._begin(0)

    def _begin(self, committed: int) -> None:
        self.graph, self._position = self._graphs.restore(self._log, committed)
        self._durable = self._position
        self._folded = _Folded()

    # ---- ownership

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        self.revoke(partitions)
        if not partitions:
            return {}
        committed = self._log.committed(GROUP, topics.IDENTITY)[0]
        if self._position == 0 or self._position > min(committed, self._durable):
            self._begin(committed)  # else the graph of an earlier time is a beginning: it is a function of the log
        while records := self._log.read(topics.IDENTITY, 0, self._position, min(_READ, committed - self._position)):
            self._fold(records)
            self._folded = _Folded()  # what it came to was written before it was committed
        self._durable = self._position
        self._coordinator.restore()
        self._held = True
        return {0: self._position}

    def revoke(self, partitions: Collection[int]) -> None:
        if 0 in partitions:
            self._held = False

    def idle(self) -> None:
        if self._held:
            self._coordinator.step()

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        self._fold(records)
        self._write()
        self._touch()
        self._folded = _Folded()
        self._durable = self._position
        self._graphs.note(self._log, self.graph, self._position, committed=records[0].offset)

    def _fold(self, records: Sequence[Record]) -> None:
        """Fold what was not folded before: after a failure the records come again, and their effects still wait."""
        for record in records:
            if record.offset < self._position:
                continue
            try:
                body = orjson.loads(record.value)
                _check(body)
                self._folded.add(record.offset, body, self.graph.fold(body))
            except (ValueError, TypeError, LookupError, AttributeError, SimorghError) as error:
                _LOG.warning("identity record %d is left out: %s", record.offset, type(error).__name__)
            self._position = record.offset + 1

    def _write(self) -> None:
        folded = self._folded
        self._insert("members", _members_table(folded.members))
        self._insert("identity", _identity_table(folded.identity))
        self._insert("decisions", decision_rows(folded.decisions))
        self._insert("links", _links_table(folded.links))

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)

    def _touch(self) -> None:
        """Touch every profile that a record reached. An absorbed one passes on to its heir, with what it leaves."""
        found = Touches()
        profile_of = self.graph.profile_of
        heirs = {profile_of(profile) for profile in self._folded.absorbed}
        for profile, cause in self._folded.absorbed.items():
            found.add(profile, cause)
        for node, cause in self._folded.reached.items():
            profile = profile_of(node)
            if profile and profile not in heirs:
                found.add(profile, cause, (node,))
        if messages := found.messages():
            self._log.append(topics.TOUCHED, messages)
        self._checkpoint("touched")


def _check(body: Any) -> None:
    """What the fold relies on before it changes anything; the rest it checks itself."""
    wanted = ("received_at",) if body["kind"] == "link" else ("command", "at") if body["kind"] in _CAUSES else ()
    if not all(type(body[name]) is int and 0 <= body[name] < _LATEST for name in wanted):
        raise ValueError("moments are milliseconds, from 1970 up to 2286")


def _identity_table(rows: Sequence[tuple[int, int, int]]) -> pa.Table:
    return pa.table(
        {
            "node": fixed16([r[0] for r in rows]),
            "profile": fixed16([r[1] for r in rows]),
            "ver": pa.array([r[2] for r in rows], pa.uint64()),
        }
    )


def _members_table(rows: Sequence[tuple[int, int, int, int]]) -> pa.Table:
    return pa.table(
        {
            "profile": fixed16([r[0] for r in rows]),
            "node": fixed16([r[1] for r in rows]),
            "live": pa.array([r[2] for r in rows], pa.uint8()),
            "ver": pa.array([r[3] for r in rows], pa.uint64()),
        }
    )


def _links_table(rows: Sequence[tuple[int, int, int]]) -> pa.Table:
    return pa.table(
        {
            "link": fixed16([r[0] for r in rows]),
            "at": pa.array([r[1] for r in rows], pa.timestamp("ms", "UTC")),
            "alias": pa.array([r[2] for r in rows], pa.uint8()),
        }
    )
