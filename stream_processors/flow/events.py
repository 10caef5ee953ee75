"""The events stage: a partition of simorgh.events -> rows, news for identity, touches. Holders by partition.

A batch is computed completely before it has any effect. If that fails, the records that fail alone are set aside
(`state.poison`), and the batch is computed without them.

Side effects of `process`, in order, and what a crash, or a loss of the partition, after each means. The next holder
derives everything again from what was committed, at least up to the highest offset in `log_rows`.

  1 simorgh.rejected   unreadable records, under an id made of their place, those that are set aside, and copies with
                       other content, under a digest of that: kept once, however often appended
  2 tellings           which facts are told, before others' tellings of them are looked up (`state.tellings`)
  3 retellings         the same again: which events do not count is a function of the log
  4 order_tellings     what is told of orders, before others' tellings of them are looked up (`state.orders`): as 2
  5 rows               of events, traits, identifiers, ids, and last of log_rows, whose offsets are the commit point.
                       Written through: rewritten, since their keys are functions of the log and equal rows are one.
                       Lingering: only those that are missing are written again (`host.box`)
  6 simorgh.identity   published again: known evidence folds to nothing
  7 touches            touched again: nothing will have changed
  – the host commits   the next batch

If rows are written through, the order is the guarantee: rows are in the warehouse before identity or a profile's holder
gets a record about them, and nobody gets one about an event whose offset is not in `log_rows`. For an offset there, all
rows of it and of those before it are in the other tables: holders of profiles rely on that (`rows.tables`). A zombie
writes the same rows as the new holder, under a lower `gen`, since they are a function of the log; its records and
touches are redundant.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from eventlog.port import EventLog, Message, Record
from identity.nodes import from_hex
from privacy.keyring import Gone, Names, no_names, nobody_gone
from privacy.sealing import opened_parts, stripped
from schemas import topics
from schemas.errors import Broken
from schemas.records import Link, encode_identity
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow import conflicts, rejected
from stream_processors.flow.bus import Bus
from stream_processors.parse.batch import Batch, parse
from stream_processors.rows.events import Seen, seen_identifiers, tables
from stream_processors.rows.writing import EventRows
from stream_processors.state.copies import Copies
from stream_processors.state.directory import Directory, News
from stream_processors.state.orders import Orders
from stream_processors.state.poison import Poison, may_be_the_inputs, place
from stream_processors.state.stored import stored_end
from stream_processors.state.tellings import Retold, Telling, Tellings
from stream_processors.state.touches import EVENT, Touches
from warehouse import forgetting
from warehouse.client import Writer

GROUP: Final = "events"
_REDO: Final = 5_000


@dataclass(frozen=True, slots=True)
class Derived:
    """The computed batch, before it has any effect."""

    batch: Batch
    seen: Seen
    """Every node of the events that count."""
    rejected: list[Message]
    news: News
    links: list[Message]


class EventsStage:
    """See `state.stage.Stage`. `positions`: the next offset of each partition that is held."""

    name = "events"
    topic = topics.EVENTS
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        rows: EventRows,
        copies: Copies,
        tellings: Tellings,
        orders: Orders,
        directory: Directory,
        bus: Bus,
        poison: Poison,
        checkpoint: Checkpoint = no_checkpoint,
        names: Names = no_names,
        gone: Gone = nobody_gone,
    ) -> None:
        """`names`: what nodes stand for, where their events do not say it in the clear. `gone`: whoever was forgotten
        since the records were read, where another process forgets."""
        self._names = names
        self._gone = gone
        self._log = log
        self._writer = writer
        self._poison = poison
        self._rows = rows
        self._copies = copies
        self._tellings = tellings
        self._orders = orders
        self._directory = directory
        self._bus = bus
        self._checkpoint = checkpoint
        self._terms: dict[int, int] = {}
        self._doubtful = False
        """Whether an earlier attempt failed, so that its events may have been counted."""
        self.moved: set[int] = set()
        """The nodes whose orders of earlier batches are other ones by the latest: their states must be loaded."""
        self.positions: dict[int, int] = {}
        self.careful = False
        """Whether to compute rows in advance too, which are usually made later: after a failed attempt."""

    # ---- ownership

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        self.revoke(partitions)
        wanted = sorted(partitions)
        committed, ends = self._log.committed(GROUP, topics.EVENTS), self._log.ends(topics.EVENTS)
        stored = {part: stored_end(self._writer, part) for part in wanted}
        if any(stored[part] > ends[part] for part in wanted):
            raise Broken("simorgh.events: wanted all that log_rows holds, got a shorter log; restore it, or replay")
        self._copies.load()
        self._poison.read_on()
        self._tellings.load()
        self._orders.load()
        try:
            for part in wanted:
                self.hold({part: min(committed[part], stored[part])}, term)
                self._redo(part, stored[part])
        except BaseException:
            self.revoke(partitions)
            raise
        return {part: self.positions[part] for part in wanted}

    def hold(self, positions: dict[int, int], term: int) -> None:
        """Hold these partitions from these offsets on."""
        self._terms.update(dict.fromkeys(positions, term))
        self.positions.update(positions)

    def revoke(self, partitions: Collection[int]) -> None:
        for part in partitions:
            self.positions.pop(part, None)
            self._terms.pop(part, None)

    def _redo(self, part: int, end: int) -> None:
        """Derive again the effects that an earlier holder may not have completed."""
        while (start := self.positions[part]) < end:
            records = self._log.read(topics.EVENTS, part, start, min(_REDO, end - start))
            if not records:
                raise Broken("simorgh.events: wanted the rows that were committed, got fewer in log_rows; replay")
            self._doubtful = True
            self.process(records)

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        if not records:
            return
        ends = self._checked(records)
        again, self._doubtful = self._doubtful, True
        derived, gone = self._derive_of_present(records)
        self.keep_rejected(derived)
        retold = self.retell(derived.batch)
        moved = self.tell_of_orders(derived.batch)
        self._rows.batch(derived.batch, derived.seen, self._terms)
        self._forget_later(derived.batch, gone)
        self._copies.remember(derived.batch, derived.batch.unique())
        self._tellings.remember(derived.batch)
        self.publish(derived, retold.all() if again else retold.elsewhere, moved)
        self.positions.update(ends)
        self._doubtful = self.careful = False

    def _derive_of_present(self, records: Sequence[Record]) -> tuple[Derived, Collection[int]]:
        """Computed without what the records tell of people who were forgotten since they were read: this process may
        have stood still. Also returns whoever is gone."""
        derived = self.derive(records)
        gone = self._gone(derived.batch.all_nodes())
        if gone and (left := [_without(record, gone) for record in records]) != list(records):
            derived = self.derive(left)
        return derived, gone

    def _forget_later(self, batch: Batch, gone: Collection[int]) -> None:
        """If this process stood still while it wrote: its rows of whoever was forgotten meanwhile go again."""
        if later := set(self._gone(batch.all_nodes())).difference(gone):
            for writer in self._writer.and_later():
                forgetting.forget(writer, later, later)

    def keep_rejected(self, derived: Derived) -> None:
        if derived.rejected:
            self._log.append(topics.REJECTED, derived.rejected)
        self._checkpoint("rejected")

    def retell(self, batch: Batch) -> Retold:
        """Mark the events whose fact has a lesser telling."""
        self._rows.tellings(batch)
        retold = self._tellings.mark(batch)
        self._rows.retellings(retold)
        return retold

    def tell_of_orders(self, batch: Batch) -> set[int]:
        """Write what the batch tells of orders. Returns the nodes whose sums of orders may be other ones."""
        unsure = self._orders.meet(batch)
        self._rows.orders(batch)
        self._orders.remember(batch)
        self.moved = self._orders.tellers(unsure)
        return self.moved

    def publish(self, derived: Derived, counted: Sequence[tuple[int, Telling]], moved: Collection[int]) -> None:
        """Append news to identity, and touch the profiles of the other events. `counted`: retellings that their
        profiles may have counted; `moved`: nodes with other sums of orders."""
        self._take_out({telling.node for _, telling in counted}.union(moved), derived.news.touches)
        if derived.links:
            self._log.append(topics.IDENTITY, derived.links)
        self._checkpoint("links")
        self._directory.told(derived.batch, derived.news)
        self._bus.send(derived.news.touches)

    # ---- computing, without any effect but that what fails alone is set aside

    def derive(self, records: Sequence[Record], *, told: bool = False) -> Derived:
        """Compute records, without those that fail alone. `told`: they were published before, and only rows are
        needed."""
        well = True
        while True:
            try:
                derived = self._derive(records, told)
                if self.careful:
                    _make_rows(derived)
            except Exception as error:
                self._set_aside(records, error, told)
                well = False
            else:
                if well and len(derived.batch):
                    self._poison.went_well(self.name)
                return derived

    def _set_aside(self, records: Sequence[Record], error: Exception, told: bool) -> None:
        """Set aside the records that fail alone. Raises `error` if none does."""
        if not may_be_the_inputs(error):
            raise error
        aside = self._poison.places(topics.EVENTS)
        tried = [record for record in records if (record.partition, record.offset) not in aside]
        self._poison.find(
            self.name,
            tried,
            lambda some: _make_rows(self._derive(some, told)),
            lambda record, reason: rejected.poisoned(topics.EVENTS, record, reason),
            error,
        )

    def _parse(self, records: Sequence[Record]) -> Batch:
        """The records without those that are set aside, which are listed as unreadable."""
        aside = self._poison.places(topics.EVENTS)
        if not aside:
            return parse(records)
        batch = parse([record for record in records if (record.partition, record.offset) not in aside])
        batch.aside = [record for record in records if (record.partition, record.offset) in aside]
        return batch

    def _derive(self, records: Sequence[Record], told: bool) -> Derived:
        batch = self._parse(records)
        firsts = self._copies.mark(batch)
        seen = seen_identifiers(batch, self._names)
        if told:
            return Derived(batch, seen, [], News(), [])
        kept = rejected.unreadable(self.topic, batch.unreadable)
        kept += [self._poisoned(record) for record in batch.aside]
        kept += conflicts.messages(self._log, self._writer, batch, firsts)
        news = self._directory.sort(batch, seen)
        return Derived(batch, seen, kept, news, [link(batch, i) for i in news.told])

    def _poisoned(self, record: Record) -> Message:
        found = rejected.poisoned(topics.EVENTS, record, self._poison.reason(place(topics.EVENTS, record)))
        return rejected.message(found.kept)

    def _take_out(self, nodes: set[int], touches: Touches) -> None:
        """Touch the profiles of these, so that their states are computed again. A node that identity does not know was
        counted by nobody."""
        nodes = nodes - {0}
        for node, home in self._directory.homes(nodes).items() if nodes else ():
            if home:
                touches.add(home, EVENT, (node,), anew=True)

    def idle(self) -> None:
        """Does nothing: this stage has no work without records."""

    def _checked(self, records: Sequence[Record]) -> dict[int, int]:
        """The offset after the records, by partition. A gap would be permanent, so it is refused."""
        ends: dict[int, int] = {}
        part, end = -1, -1
        for record in records:
            if record.partition != part:
                part = record.partition
                end = ends.get(part, min(record.offset, self.positions.get(part, -1)))
            if record.offset != end and (part in ends or record.offset > end):
                raise Broken(
                    f"simorgh.events/{part}: wanted the record at {end}, got {record.offset};"
                    " read the partition without gaps from where assign says"
                )
            end = ends[part] = record.offset + 1
        return {part: max(end, self.positions[part]) for part, end in ends.items()}


def _without(record: Record, gone: Collection[int]) -> Record:
    """The record, without what it tells of these nodes' people."""
    if opened_parts(record.value) is None:
        return record
    anchors = orjson.loads(record.value)["identifiers"][:1]
    told = any(from_hex(one["node"]) in gone for one in anchors)
    return record._replace(value=stripped(record.value)) if told else record


def _make_rows(derived: Derived) -> None:
    """Make the rows, to test whether they can be made."""
    batch = derived.batch
    terms = {record.partition: 0 for record in (*batch.records, *batch.aside, *(one for one, _ in batch.unreadable))}
    tables(batch, derived.seen, terms)


def link(batch: Batch, i: int) -> Message:
    """The link of event `i`. It has no decisions, which follow from folding it."""
    event = batch.events[i]
    said = Link(
        key=event.key,
        source=batch.sources[i],
        received_at=batch.received[i],
        place=event.place,
        nodes=[(identifier.node, identifier.type) for identifier in batch.identifiers[i]],
        alias=event.alias is True,
    )
    return event.key.encode(), encode_identity(said)
