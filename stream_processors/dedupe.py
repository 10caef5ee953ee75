"""Finding copies of an event by its id, however late they come: a filter in memory before the `ids` table.

The filter says "surely new" for almost every new event; only its hits are looked up. It is made from the table and from
what is on its way there, takes 16 to 32 bits per id, and grows by being made again at twice the size.
"""

from collections.abc import Sequence

from stream_processors.batch import COPY, UNIQUE, Batch
from stream_processors.id_filter import Halves, IdFilter, add_stored, capacity_for, halves
from warehouse.client import Writer


class SeenIds:
    """The ids that the warehouse holds. One writer; not for use by several threads."""

    def __init__(self, writer: Writer, capacity: int = 1 << 17) -> None:
        self._writer = writer
        self._capacity = capacity
        self._gathered: set[int] = set()
        self._landing: set[int] = set()
        """Remembered, and not sure to be in the table yet: rows gathered, rows being written."""
        self._load()

    def mark(self, batch: Batch) -> None:
        """Set `state` to COPY for events whose id is in the table or earlier in the batch; remember the others."""
        hashes = halves(batch.eids)
        stored = self._stored(batch.eids, hashes)
        in_batch = set(batch.eids)
        if stored or len(in_batch) < len(batch):
            _mark_copies(batch, stored)
        self._remember(in_batch - stored, hashes)

    def remember(self, eids: set[int]) -> None:
        """Know these from now on, whether or not their rows are in the table yet."""
        self._remember(eids, halves(eids))

    def _remember(self, eids: set[int], hashes: Halves) -> None:
        """`hashes`: theirs, and maybe some that the filter has already."""
        self._gathered |= eids
        self._count += len(eids)
        if self._count > self._capacity:
            self._load()
        else:
            self._filter.add(hashes)

    def writing(self) -> None:
        """Rows of all that was remembered are being written; so may others be that were begun before."""
        self._landing |= self._gathered
        self._gathered = set()

    def landed(self) -> None:
        """All rows that were being written are in the table."""
        self._landing = set()

    def _stored(self, eids: Sequence[int], hashes: Halves) -> set[int]:
        """Which of these are in the table: the filter's hits, confirmed."""
        hits = self._filter.maybe(hashes)
        if not hits:
            return set()
        found = {eids[i] for i in hits}
        known = found & self._gathered | found & self._landing
        wanted = list(found - known)
        if not wanted:
            return known
        rows = self._writer.rows("SELECT eid FROM ids WHERE eid IN {eids:Array(UInt128)}", {"eids": wanted})
        return known.union(row[0] for row in rows)

    def _load(self) -> None:
        """Make the filter of what the table holds and of what is on its way there."""
        pending = self._gathered | self._landing
        self._count = len(pending) + self._stored_besides(pending)
        self._capacity = capacity_for(self._count, self._capacity)
        self._filter = IdFilter(self._capacity)
        add_stored(self._filter, self._writer)
        self._filter.add(halves(pending))

    def _stored_besides(self, pending: set[int]) -> int:
        """How many ids the table holds that are not among these."""
        sql = "SELECT count() FROM ids WHERE eid NOT IN {eids:Array(UInt128)}"
        rows = self._writer.rows(sql, {"eids": list(pending)})
        return int(rows[0][0])


def _mark_copies(batch: Batch, stored: set[int]) -> None:
    seen: set[int] = set()
    for i, eid in enumerate(batch.eids):
        if batch.state[i] == UNIQUE and (eid in seen or eid in stored):
            batch.state[i] = COPY
        seen.add(eid)
