"""The identity stage: simorgh.identity -> who is who, and touches. One holder, which runs the declarations stage, too.

Side effects of `process`, in order, and what a crash, or a loss of the partition, after each means. The next holder
folds the topic up to the last commit and processes the rest again. The fold is a function of the log, and a row's
version is the offset of its record, so the same rows are written again.

  0 simorgh.rejected   what is no record of identity: kept again under the same name
  1 members, identity, decisions, links   in this order: whoever finds a link in `links` finds its nodes in the others
  2 touches                               touched again: nothing will have changed
  – the host commits                      the next batch

A record that the graph cannot fold is set aside (`state.poison`), and the graph is rebuilt without it, since its
partial changes are unknown.

A zombie writes the same rows. Its touches are redundant, its commands are copies.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from eventlog.port import LOST, EventLog, Record
from identity.nodes import from_hex
from schemas import topics
from schemas.clock import LATEST
from schemas.errors import SimorghError
from schemas.records import Erased, IdentityRecord, Link, Parted, Rules, SharedDecision, decode_identity
from stream_processors.flow import rejected
from stream_processors.flow.bus import Bus
from stream_processors.rows.identity import Folded
from stream_processors.rows.writing import IdentityRows
from stream_processors.state.graphs import Graphs
from stream_processors.state.poison import Poison
from stream_processors.state.touches import Touches

GROUP: Final = "identity"
_READ: Final = 20_000
_PARTING: Final = (SharedDecision, Parted, Erased)


class Beside(Protocol):
    """The other work of identity's holder: see `flow.declarations`."""

    def restore(self) -> None: ...

    def step(self) -> bool: ...


class IdentityStage:
    """See `state.stage.Stage`. Its topic has one partition."""

    name = "identity"
    topic = topics.IDENTITY
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        rows: IdentityRows,
        bus: Bus,
        poison: Poison,
        *,
        graphs: Graphs | None = None,
        beside: Callable[["IdentityStage"], Beside] | None = None,
        parted: Callable[[], None] = lambda: None,
        group: str = GROUP,
    ) -> None:
        """`graphs`: keeps the graph across starts; without it a start folds the topic from its beginning. `parted` is
        called if nodes that were together may no longer be.
        """
        self._log = log
        self._rows = rows
        self._bus = bus
        self._poison = poison
        self._parted = parted
        self._group = group
        self._held = False
        self._graphs = graphs or Graphs()
        self.beside = beside(self) if beside else None
        self._begin(0)

    def _begin(self, committed: int) -> None:
        self.graph, self.position = self._graphs.restore(self._log, committed)
        self.durable = self.position
        """The next offset; everything before it is folded, written and touched."""
        self._folded = Folded()
        self._unreadable: list[tuple[Record, str]] = []

    # ---- ownership

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        self.revoke(partitions)
        if not partitions:
            return {}
        self._poison.read_on()
        committed = self._log.committed(self._group, topics.IDENTITY)[0]
        if self.position == 0 or self.position > min(committed, self.durable):
            self._begin(committed)  # else the graph of an earlier time is a beginning: it is a function of the log
        self._catch_up(committed)
        self.durable = self.position
        if self.beside:
            self.beside.restore()
        self._held = True
        return {0: self.position}

    def revoke(self, partitions: Collection[int]) -> None:
        if 0 in partitions:
            self._held = False

    def idle(self) -> None:
        if self._held and self.beside:
            self.beside.step()

    def _catch_up(self, upto: int) -> None:
        """Fold up to this offset, where everything has had its effects."""
        while records := self._log.read(topics.IDENTITY, 0, self.position, min(_READ, upto - self.position)):
            self._fold(records)
            self._folded = Folded()  # what it came to was written before it was committed
            self._unreadable = []

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        self.take_in(records)
        self.note(committed=records[0].offset)

    def take_in(self, records: Sequence[Record]) -> None:
        """`process`, without a snapshot of the graph."""
        self._fold_new(records)
        self._keep_unreadable()
        self._rows.identity(self._folded)
        self._bus.send(self._touches())
        self._folded = Folded()
        self.durable = self.position

    def _keep_unreadable(self) -> None:
        if self._unreadable:
            self._log.append(topics.REJECTED, rejected.unreadable(self.topic, self._unreadable))
            self._unreadable = []

    def note(self, committed: int) -> None:
        """Everything before this offset is committed: update the snapshot of the graph."""
        self._graphs.note(self._log, self.graph, self.position, committed)

    def _fold(self, records: Sequence[Record]) -> None:
        """Fold the records that were not folded before. After a failure the same records come again, and their effects
        are still pending."""
        aside = self._poison.places(topics.IDENTITY)
        for record in records:
            if record.offset < self.position:
                continue
            if (0, record.offset) not in aside and (said := self._readable(record)):
                try:
                    self._fold_one(record.offset, said)
                except SimorghError as error:  # the graph has looked at it, and taken nothing in
                    self._leave_out(record, error)
            self.position = record.offset + 1

    def _fold_new(self, records: Sequence[Record]) -> None:
        """`_fold`, and set aside records that cannot be folded."""
        if self.position < records[0].offset:  # an earlier try has not come this far with a graph made anew
            self._catch_up(records[0].offset)
        well = True
        while self.position <= records[-1].offset:
            try:
                self._fold(records)
            except Exception as error:
                [record] = [one for one in records if one.offset == self.position]
                self._set_aside(record, error)
                well = False
        if well:
            self._poison.went_well(self.name)

    def _set_aside(self, record: Record, error: Exception) -> None:
        """Set the record aside, and rebuild the graph without it. Raises `error` if the record is not at fault."""

        def again(some: Sequence[Record]) -> None:
            if some:
                raise error

        try:
            self._poison.find(
                self.name, [record], again, lambda one, reason: rejected.poisoned(self.topic, one, reason), error
            )
        finally:
            self._make_anew(record.offset)

    def _make_anew(self, upto: int) -> None:
        """Rebuild the graph by folding everything before the failed record, whose partial changes are unknown."""
        self._parted()
        waiting, self._folded = self._folded, Folded()
        try:
            self.graph, self.position = self._graphs.restore(self._log, self.durable)
            self._catch_up(upto)
        finally:
            self._folded = waiting

    def _readable(self, record: Record) -> IdentityRecord | None:
        """The record; None if it is not one of identity's, which is kept as rejected."""
        try:
            said = decode_identity(record.value)
            _check(said)
        except (ValueError, SimorghError) as error:
            self._leave_out(record, error)
            return None
        return said

    def _leave_out(self, record: Record, error: Exception) -> None:
        if record.value != LOST:
            self._unreadable.append((record, f"not a record of identity ({type(error).__name__})"))

    def _fold_one(self, offset: int, said: IdentityRecord) -> None:
        nodes = tuple([from_hex(name) for name, _ in said.nodes]) if isinstance(said, Link) else ()
        fresh = {node for node in nodes if not self.graph.type_of(node)}
        changes = self.graph.fold(said)
        self._folded.add(offset, said, nodes, fresh, changes)
        if not nodes or any(isinstance(decision, _PARTING) for decision in changes.decisions):
            self._parted()

    def _touches(self) -> Touches:
        """Touches of every profile that a record changed. An absorbed one is passed on to its heir, with its
        memberships and the former profiles of the heir's nodes."""
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


def _check(said: IdentityRecord) -> None:
    """Check what the fold relies on before it changes anything. The fold checks the rest."""
    match said:
        case Link():
            numbers: tuple[int, ...] = (said.received_at,)
        case Rules():
            numbers = ()
        case _:
            numbers = (said.command, said.at)
    if not all(0 <= number < LATEST for number in numbers):
        raise ValueError("moments are milliseconds, from 1970 up to 2286")
