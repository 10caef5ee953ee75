"""Finding copies of an event by its key, however late they come: a filter in memory before the `ids` table.

The filter says "surely new" for almost every new event; only its hits are looked up. It is made from the table and from
what is on its way there, takes 16 to 32 bits per key, and grows by being made again at twice the size.
"""

from collections.abc import Mapping, Sequence

from eventlog.port import Record
from stream_processors.batch import COPY, Batch
from stream_processors.conflicts import First
from stream_processors.id_filter import Halves, IdFilter, add_stored, capacity_for, halves
from warehouse.client import Writer


class SeenIds:
    """The keys that the warehouse holds. One writer; not for use by several threads."""

    def __init__(self, writer: Writer, capacity: int = 1 << 17) -> None:
        self._writer = writer
        self._capacity = capacity
        self._gathered: dict[int, Record] = {}
        self._landing: dict[int, Record] = {}
        """Remembered, and not sure to be in the table yet: rows gathered, rows being written."""
        self._load()

    def mark(self, batch: Batch) -> dict[int, First]:
        """Set `state` to COPY for events whose key is in the table or earlier in the batch; remember the others.

        Returns the first one of each copy, by the copy's index.
        """
        hashes = halves(batch.keys)
        stored = self._stored(batch.keys, hashes)
        new, firsts = dict(zip(batch.keys, batch.records, strict=True)), dict[int, First]()
        if stored or len(new) < len(batch):
            new, firsts = _mark_copies(batch, stored)
        self._remember(new, hashes)
        return firsts

    def remember(self, records: Mapping[int, Record]) -> None:
        """Know these keys from now on, whether or not their rows are in the table yet."""
        self._remember(records, halves(records))

    def _remember(self, records: Mapping[int, Record], hashes: Halves) -> None:
        """`hashes`: theirs, and maybe some that the filter has already."""
        self._gathered.update(records)
        self._count += len(records)
        if self._count > self._capacity:
            self._load()
        else:
            self._filter.add(hashes)

    def writing(self) -> None:
        """Rows of all that was remembered are being written; so may others be that were begun before."""
        self._landing |= self._gathered
        self._gathered = {}

    def landed(self) -> None:
        """All rows that were being written are in the table."""
        self._landing = {}

    def _stored(self, keys: Sequence[int], hashes: Halves) -> dict[int, First]:
        """Which of these are known, and where: the filter's hits, confirmed."""
        hits = self._filter.maybe(hashes)
        if not hits:
            return {}
        found = {keys[i] for i in hits}
        known: dict[int, First] = {}
        for on_its_way in (self._gathered, self._landing):
            known |= {key: on_its_way[key] for key in found & on_its_way.keys()}
        wanted = list(found - known.keys())
        if not wanted:
            return known
        rows = self._writer.rows("SELECT key, part, off FROM ids WHERE key IN {keys:Array(UInt128)}", {"keys": wanted})
        for key, *place in sorted(rows, reverse=True):  # the earliest place comes last
            known[key] = (place[0], place[1])
        return known

    def _load(self) -> None:
        """Make the filter of what the table holds and of what is on its way there."""
        pending = self._gathered.keys() | self._landing.keys()
        self._count = len(pending) + self._stored_besides(pending)
        self._capacity = capacity_for(self._count, self._capacity)
        self._filter = IdFilter(self._capacity)
        add_stored(self._filter, self._writer)
        self._filter.add(halves(pending))

    def _stored_besides(self, pending: set[int]) -> int:
        """How many keys the table holds that are not among these."""
        sql = "SELECT count() FROM ids WHERE key NOT IN {keys:Array(UInt128)}"
        rows = self._writer.rows(sql, {"keys": list(pending)})
        return int(rows[0][0])


def _mark_copies(batch: Batch, stored: Mapping[int, First]) -> tuple[dict[int, Record], dict[int, First]]:
    """The first ones in the batch, by key, and of each copy its first one, by the copy's index."""
    new: dict[int, Record] = {}
    firsts: dict[int, First] = {}
    for i, key in enumerate(batch.keys):
        first = stored.get(key) or new.get(key)
        if first is None:
            new[key] = batch.records[i]
        else:
            batch.state[i] = COPY
            firsts[i] = first
    return new, firsts
