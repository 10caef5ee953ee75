"""The identity stage: simorgh.identity -> who is who, and touches. One holder; the coordinator lives with it.

Side effects of `process`, in order, and what a crash, or a loss of the partition, after each means. The next holder
folds the topic up to the last commit and processes the rest again: the fold is a function of the log, and a row's
version is the offset of its record, so what is written again is what is there.

  1 members, identity, decisions, links   in this order: whoever finds a link in `links` finds its nodes in the others
  2 touches                               touched again: nothing will have changed
  – the host commits                      the next batch

A zombie writes the same rows. Its touches are redundant, its commands are copies.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

import orjson

from eventlog.port import EventLog, Record
from identity.nodes import from_hex
from schemas import topics
from schemas.errors import SimorghError
from stream_processors.flow.bus import Bus
from stream_processors.rows.identity import Folded
from stream_processors.rows.writing import Rows
from stream_processors.state.graphs import Graphs
from stream_processors.state.touches import MERGE, SPLIT, Touches

_LOG = logging.getLogger(__name__)
GROUP: Final = "identity"
_READ: Final = 20_000
_LATEST: Final = 10_000_000_000_000
_COMMANDS: Final = (MERGE, SPLIT)
_PARTING: Final = ("shared", "split")


class Beside(Protocol):
    """What the holder of identity does beside it: see `flow.coordinator`."""

    def restore(self) -> None: ...

    def step(self) -> None: ...


class IdentityStage:
    """See `state.stage.Stage`. Its topic has one partition."""

    name = "identity"
    topic = topics.IDENTITY
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        rows: Rows,
        bus: Bus,
        *,
        graphs: Graphs | None = None,
        beside: Callable[["IdentityStage"], Beside] | None = None,
        parted: Callable[[], None] = lambda: None,
        group: str = GROUP,
    ) -> None:
        """`graphs`: where the graph is kept across starts; without it a start folds the topic from its beginning.

        `parted` is called where nodes that were together may be so no more.
        """
        self._log = log
        self._rows = rows
        self._bus = bus
        self._parted = parted
        self._group = group
        self._held = False
        self._graphs = graphs or Graphs()
        self._beside = beside(self) if beside else None
        self._begin(0)

    def _begin(self, committed: int) -> None:
        self.graph, self.position = self._graphs.restore(self._log, committed)
        self.durable = self.position
        """The next offset; everything before it is folded, written and touched."""
        self._folded = Folded()

    # ---- ownership

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        self.revoke(partitions)
        if not partitions:
            return {}
        committed = self._log.committed(self._group, topics.IDENTITY)[0]
        if self.position == 0 or self.position > min(committed, self.durable):
            self._begin(committed)  # else the graph of an earlier time is a beginning: it is a function of the log
        while records := self._log.read(topics.IDENTITY, 0, self.position, min(_READ, committed - self.position)):
            self._fold(records)
            self._folded = Folded()  # what it came to was written before it was committed
        self.durable = self.position
        if self._beside:
            self._beside.restore()
        self._held = True
        return {0: self.position}

    def revoke(self, partitions: Collection[int]) -> None:
        if 0 in partitions:
            self._held = False

    def idle(self) -> None:
        if self._held and self._beside:
            self._beside.step()

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        self.take_in(records)
        self.note(committed=records[0].offset)

    def take_in(self, records: Sequence[Record]) -> None:
        """`process`, without a snapshot of the graph."""
        self._fold(records)
        self._rows.identity(self._folded)
        self._bus.send(self._touches())
        self._folded = Folded()
        self.durable = self.position

    def note(self, committed: int) -> None:
        """Everything before this offset is committed: see to the snapshot of the graph."""
        self._graphs.note(self._log, self.graph, self.position, committed)

    def _fold(self, records: Sequence[Record]) -> None:
        """Fold what was not folded before: after a failure the records come again, and their effects still wait."""
        for record in records:
            if record.offset < self.position:
                continue
            try:
                body = orjson.loads(record.value)
                _check(body)
                self._fold_one(record.offset, body)
            except (ValueError, TypeError, LookupError, AttributeError, SimorghError) as error:
                _LOG.warning("identity record %d is left out: %s", record.offset, type(error).__name__)
            self.position = record.offset + 1

    def _fold_one(self, offset: int, body: dict[str, Any]) -> None:
        nodes = tuple([from_hex(name) for name, _ in body["nodes"]]) if body["kind"] == "link" else ()
        fresh = {node for node in nodes if not self.graph.type_of(node)}
        changes = self.graph.fold(body)
        self._folded.add(offset, body, nodes, fresh, changes)
        if not nodes or any(decision["outcome"] in _PARTING for decision in changes.decisions):
            self._parted()

    def _touches(self) -> Touches:
        """Every profile that a record reached. An absorbed one passes on to its heir, with what it leaves, and with the
        former profiles of the heir's nodes."""
        found = Touches()
        folded, profile_of = self._folded, self.graph.profile_of
        heirs = {profile_of(profile) for profile in folded.absorbed}
        for profile, cause in folded.absorbed.items():
            found.add(profile, cause, former=folded.former.get(profile_of(profile), ()))
        for node, cause in folded.reached.items():
            profile = profile_of(node)
            if profile and profile not in heirs:
                found.add(profile, cause, (node,), former=folded.former.get(profile, ()))
        found.fresh = folded.fresh
        return found


def _check(body: Any) -> None:
    """What the fold relies on before it changes anything; the rest it checks itself."""
    wanted = ("received_at",) if body["kind"] == "link" else ("command", "at") if body["kind"] in _COMMANDS else ()
    if not all(type(body[name]) is int and 0 <= body[name] < _LATEST for name in wanted):
        raise ValueError("moments are milliseconds, from 1970 up to 2286")
