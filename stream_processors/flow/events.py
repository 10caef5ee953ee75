"""The events stage: a partition of simorgh.events -> rows, news for identity, touches. Holders by partition.

Side effects of `process`, in order, and what a crash, or a loss of the partition, after each means. The next holder
derives everything again from what was committed, at least up to the highest offset in `log_rows`.

  1 simorgh.rejected   unreadable records, under an id made of their place, and copies with other content, under a
                       digest of that: kept once, however often appended
  2 tellings           which facts are told, before others' tellings of them are looked up (`state.tellings`)
  3 retellings         the same again: who does not count is a function of the log
  4 rows               of events, traits, identifiers, ids, and last of log_rows, whose offsets are the commit point.
                       Written through: rewritten, since their keys are functions of the log and equal rows are one.
                       Lingering: only those that are missing are written again (`host.box`)
  5 simorgh.identity   published again: known evidence folds to nothing
  6 touches            touched again: nothing will have changed
  – the host commits   the next batch

Where rows are written through, the order is the guarantee: rows are in the warehouse before identity or a profile's
holder hears of them, and nobody hears of an event whose offset is not in `log_rows`. Whoever finds an offset there
finds all rows of it and of those before it in the other tables: holders of profiles count on that (`rows.tables`). A
zombie's rows are the ones that the new holder writes, under a lower `gen`, since a function of the log has one value;
what it publishes and touches is redundant.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import orjson

from eventlog.port import EventLog, Record
from schemas import topics
from schemas.errors import Broken
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow import conflicts, rejected
from stream_processors.flow.bus import Bus
from stream_processors.parse.batch import Batch, parse
from stream_processors.rows.events import seen_identifiers
from stream_processors.rows.writing import Rows
from stream_processors.state.copies import Copies
from stream_processors.state.directory import Directory
from stream_processors.state.stored import stored_end
from stream_processors.state.tellings import Retold, Telling, Tellings
from stream_processors.state.touches import EVENT, Touches
from warehouse.client import Writer

GROUP: Final = "events"
_REDO: Final = 5_000


class EventsStage:
    """See `state.stage.Stage`. `positions`: the next offset of each partition that is held."""

    name = "events"
    topic = topics.EVENTS
    group = GROUP

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        rows: Rows,
        copies: Copies,
        tellings: Tellings,
        directory: Directory,
        bus: Bus,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> None:
        self._log = log
        self._writer = writer
        self._rows = rows
        self._copies = copies
        self._tellings = tellings
        self._directory = directory
        self._bus = bus
        self._checkpoint = checkpoint
        self._terms: dict[int, int] = {}
        self._doubtful = False
        """Whether an earlier try failed: what it held may have been counted."""
        self.positions: dict[int, int] = {}

    # ---- ownership

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        self.revoke(partitions)
        wanted = sorted(partitions)
        committed, ends = self._log.committed(GROUP, topics.EVENTS), self._log.ends(topics.EVENTS)
        stored = {part: stored_end(self._writer, part) for part in wanted}
        if any(stored[part] > ends[part] for part in wanted):
            raise Broken("simorgh.events: wanted all that log_rows holds, the log is shorter; restore it, or replay")
        self._copies.load()
        self._tellings.load()
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
        """Derive again what an earlier holder may have left undone."""
        while (start := self.positions[part]) < end:
            records = self._log.read(topics.EVENTS, part, start, min(_REDO, end - start))
            if not records:
                raise Broken("simorgh.events: wanted records that log_rows holds, they are gone; replay")
            self._doubtful = True
            self.process(records)

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        if not records:
            return
        ends = self._checked(records)
        again, self._doubtful = self._doubtful, True
        batch = parse(records)
        retold = self.sift(batch)
        seen = seen_identifiers(batch)
        self._rows.batch(batch, seen, self._terms)
        self._copies.remember(batch, batch.unique())
        self._tellings.remember(batch)
        self.publish(batch, seen, retold.all() if again else retold.elsewhere)
        self.positions.update(ends)
        self._doubtful = False

    def sift(self, batch: Batch) -> Retold:
        """Keep what cannot be read and copies with other content, and mark what does not count."""
        rejected.keep_unreadable(self._log, batch.unreadable)
        conflicts.keep(self._log, self._writer, batch, self._copies.mark(batch))
        self._checkpoint("rejected")
        return self.retell(batch)

    def retell(self, batch: Batch) -> Retold:
        """Mark the events whose fact has a lesser telling."""
        self._rows.tellings(batch)
        retold = self._tellings.mark(batch)
        self._rows.retellings(retold)
        return retold

    def publish(self, batch: Batch, nodes: Collection[int], counted: Sequence[tuple[int, Telling]]) -> None:
        """Tell identity what is new to it, and the holders of profiles the rest. `nodes`: all of the batch; `counted`:
        retellings that their profiles may have counted."""
        news = self._directory.sort(batch, nodes)
        self._take_out(counted, news.touches)
        if news.told:
            self._log.append(topics.IDENTITY, [_link(batch, i) for i in news.told])
        self._checkpoint("links")
        self._directory.told(batch, news)
        self._bus.send(news.touches)

    def _take_out(self, counted: Sequence[tuple[int, Telling]], touches: Touches) -> None:
        """Have the profiles of these made anew. Where identity has not heard of a node, nobody has counted it."""
        nodes = {telling.node for _, telling in counted} - {0}
        for node, home in self._directory.homes(nodes).items() if nodes else ():
            if home:
                touches.add(home, EVENT, (node,), anew=True)

    def idle(self) -> None:
        """Nothing happens here without a record."""

    def _checked(self, records: Sequence[Record]) -> dict[int, int]:
        """The offset after the records, by partition. A gap would stay forever, so it is refused."""
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


def link_record(batch: Batch, i: int) -> dict[str, Any]:
    """What event `i` says about identity. A link record has no decisions: these are for whoever folds it."""
    event = batch.events[i]
    link = {
        "kind": "link",
        "key": event.key,
        "source": batch.sources[i],
        "received_at": batch.received[i],
        "place": event.place,
        "nodes": [[identifier.node, identifier.type] for identifier in batch.identifiers[i]],
    }
    return {**link, "alias": True, "decisions": []} if event.alias else {**link, "decisions": []}


def _link(batch: Batch, i: int) -> tuple[bytes, bytes]:
    link = link_record(batch, i)
    return link["key"].encode(), orjson.dumps(link)
