"""The events stage: a partition of simorgh.events -> rows, news for identity, touches. Owners by partition.

Side effects of `process`, in order, and what a crash, or a loss of the partition, after each means. The next owner
derives everything again from what was committed up to the highest offset in `log_rows`, then reads on from there.

  1 simorgh.rejected   unreadable records, under an id made of their place, and copies with other content, under a
                       digest of that: kept once, however often appended
  2 events, traits, identifiers, ids   rewritten: their keys are functions of the log, equal rows are one
  3 log_rows           the commit point: offsets and which are copies. Only what is missing after an unknown outcome
  4 simorgh.identity   told again: known evidence folds to nothing
  5 simorgh.touched    touched again: nothing will have changed
  – the host commits   the next batch

The order is the guarantee: rows are in the warehouse before identity or a profile's owner hears of them, and nobody
hears of an event whose offset is not in `log_rows`. Who finds an offset there finds all rows of it and of those before
it in the other tables: owners of profiles count on that (`cluster/states.py`). A zombie's rows are the ones that the
new owner writes, under a lower `gen`, since a function of the log has one value; what it tells and touches is
redundant.
"""

from collections.abc import Collection, Sequence
from typing import Final

import orjson
import pyarrow as pa

from eventlog.port import EventLog, Record
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Broken
from stream_processors import conflicts, project, rejections
from stream_processors.batch import Batch, parse
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.cluster.copies import Copies
from stream_processors.cluster.novelty import News, Novelty
from stream_processors.resolve import link_record
from stream_processors.stored import stored_end
from warehouse.client import Writer

GROUP: Final = "events"
_REDO: Final = 5_000


class EventsStage:
    """See `stream_processors.cluster.stage.Stage`. `positions`: the next offset of each partition that is held."""

    name = "events"
    topic = topics.EVENTS
    group = GROUP

    def __init__(self, log: EventLog, writer: Writer, clock: Clock, *, checkpoint: Checkpoint = no_checkpoint) -> None:
        self._log = log
        self._writer = writer
        self._checkpoint = checkpoint
        self._copies = Copies(writer)
        self._novelty = Novelty(writer, clock)
        self._generations: dict[int, int] = {}
        self._doubtful: set[int] = set()
        """Partitions of which an insert into log_rows had an unknown outcome."""
        self.positions: dict[int, int] = {}

    # ---- ownership

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        self.revoke(partitions)
        wanted = sorted(partitions)
        committed, ends = self._log.committed(GROUP, topics.EVENTS), self._log.ends(topics.EVENTS)
        stored = {part: stored_end(self._writer, part) for part in wanted}
        if any(stored[part] > ends[part] for part in wanted):
            raise Broken("simorgh.events: wanted all that log_rows holds, the log is shorter; restore it, or replay")
        self._copies.load()
        try:
            for part in wanted:
                self._generations[part] = generation
                self.positions[part] = min(committed[part], stored[part])
                self._redo(part, stored[part])
        except BaseException:
            self.revoke(partitions)
            raise
        return {part: self.positions[part] for part in wanted}

    def revoke(self, partitions: Collection[int]) -> None:
        for part in partitions:
            self.positions.pop(part, None)
            self._generations.pop(part, None)
            self._doubtful.discard(part)

    def _redo(self, part: int, end: int) -> None:
        """Derive again what an earlier owner may have left undone."""
        while (start := self.positions[part]) < end:
            records = self._log.read(topics.EVENTS, part, start, min(_REDO, end - start))
            if not records:
                raise Broken("simorgh.events: wanted records that log_rows holds, they are gone; replay")
            self.process(records)

    # ---- one batch

    def process(self, records: Sequence[Record]) -> None:
        if not records:
            return
        ends = self._checked(records)
        batch = parse(records)
        rejections.keep_unreadable(self._log, batch.unreadable)
        conflicts.keep(self._log, self._writer, batch, self._copies.mark(batch))
        self._checkpoint("rejected")
        self._derive(batch)
        self._enter(batch, ends)
        news = self._novelty.sort(batch)
        self._tell(batch, news)
        self._touch(news)
        self.positions.update(ends)
        self._doubtful.difference_update(ends)

    def idle(self) -> None:
        """Nothing happens here without a record."""

    def _checked(self, records: Sequence[Record]) -> dict[int, int]:
        """The offset after the records, by partition. A gap would stay forever, so it is refused."""
        ends: dict[int, int] = {}
        for part, offset, *_ in records:
            expected = ends.get(part)
            first = self.positions.get(part, -1)
            if (offset != expected) if expected is not None else (offset > first):
                raise Broken(
                    f"simorgh.events/{part}: wanted the record at {expected or first}, got {offset};"
                    " read the partition without gaps from where assign says"
                )
            ends[part] = offset + 1
        return {part: max(end, self.positions[part]) for part, end in ends.items()}

    def _derive(self, batch: Batch) -> None:
        unique = batch.unique()
        self._insert("events", project.event_rows(batch, unique))
        self._insert("traits", project.trait_rows(batch))
        self._insert("identifiers", project.identifier_rows(project.seen_identifiers(batch)))
        self._insert("ids", project.id_rows(batch, unique))
        self._copies.remember({batch.keys[i] for i in unique})

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._writer.insert(table, rows)
        self._checkpoint(table)

    def _enter(self, batch: Batch, ends: dict[int, int]) -> None:
        """Write the offsets. An insert that failed may yet be in: then only what is missing is written again."""
        rows = project.log_rows(batch, 0)
        parts, offsets = rows["part"].to_pylist(), rows["off"].to_pylist()
        generations = pa.array([self._generations[part] for part in parts], pa.uint32())
        rows = rows.set_column(rows.schema.get_field_index("gen"), "gen", generations)
        if self._doubtful.intersection(ends):
            there = self._there(parts, offsets)
            rows = rows.filter(pa.array([place not in there for place in zip(parts, offsets, strict=True)]))
        self._doubtful.update(ends)
        self._writer.insert("log_rows", rows)
        self._checkpoint("log_rows")

    def _there(self, parts: list[int], offsets: list[int]) -> set[tuple[int, int]]:
        """Which of these places this owner has entered already."""
        there: set[tuple[int, int]] = set()
        for part in set(parts):
            own = [offset for p, offset in zip(parts, offsets, strict=True) if p == part]
            bounds = {"p": part, "a": min(own), "b": max(own), "g": self._generations[part]}
            sql = """SELECT part, off FROM log_rows
                WHERE part = {p:UInt16} AND off BETWEEN {a:UInt64} AND {b:UInt64} AND gen >= {g:UInt32}"""
            there.update(self._writer.rows(sql, bounds))
        return there

    def _tell(self, batch: Batch, news: News) -> None:
        if news.told:
            self._log.append(topics.IDENTITY, [_link(batch, i) for i in news.told])
        self._checkpoint("links")
        self._novelty.told(batch, news)

    def _touch(self, news: News) -> None:
        if messages := news.touches.messages():
            self._log.append(topics.TOUCHED, messages)
        self._checkpoint("touched")


def _link(batch: Batch, i: int) -> tuple[bytes, bytes]:
    """A link record without decisions: these are for who folds it."""
    link = link_record(batch, i)
    return link["key"].encode(), orjson.dumps({**link, "decisions": []})
