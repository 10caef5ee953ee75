"""Finding copies of an event by its id, however late they come: a filter in memory before the `ids` table.

The filter (a Bloom filter) says "surely new" for almost every new event; only its hits are looked up. It is a pure
function of the table, bounded by 16 bits per id, and grows by being made again at twice the size.
"""

from collections.abc import Sequence

import numpy as np

from stream_processors.batch import COPY, UNIQUE, Batch
from warehouse.client import Writer

_PROBES = 6
_BITS_PER_ID = 16


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
        in_batch: set[int] = set()
        stored = self._stored(batch.eids)
        for i, eid in enumerate(batch.eids):
            if batch.state[i] == UNIQUE and (eid in in_batch or eid in stored):
                batch.state[i] = COPY
            in_batch.add(eid)
        self.remember(in_batch - stored)

    def remember(self, eids: set[int]) -> None:
        """Know these from now on, whether or not their rows are in the table yet."""
        self._gathered |= eids
        self._count += len(eids)
        if self._count > self._capacity:
            self._capacity *= 2
            self._load()
            eids = self._gathered | self._landing
        self._add(_halves(list(eids)))

    def writing(self) -> None:
        """Rows of all that was remembered are being written; so may others be that were begun before."""
        self._landing |= self._gathered
        self._gathered = set()

    def landed(self) -> None:
        """All rows that were being written are in the table."""
        self._landing = set()

    def _stored(self, eids: Sequence[int]) -> set[int]:
        """Which of these are in the table: the filter's hits, confirmed."""
        hits = np.flatnonzero(self._maybe(_halves(eids))).tolist()
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
        table = self._writer.arrow("SELECT count() AS n FROM ids")
        self._count = table["n"][0].as_py()
        while self._count > self._capacity:
            self._capacity *= 2
        self._size = self._capacity * _BITS_PER_ID  # in bits; a power of two times 16
        self._bits = np.zeros(self._size // 8, dtype=np.uint8)
        for part in range(16):  # a slice at a time, so that memory stays flat
            rows = self._writer.arrow(
                "SELECT reinterpretAsUInt64(reinterpretAsString(eid)) AS low, toUInt64(bitShiftRight(eid, 64)) AS high"
                " FROM ids WHERE eid >= {a:UInt128} AND eid <= {b:UInt128}",
                {"a": part << 124, "b": ((part + 1) << 124) - 1},
            )
            self._add((rows["low"].to_numpy(), rows["high"].to_numpy()))

    def _probes(self, halves: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        low, high = halves
        steps = np.arange(_PROBES, dtype=np.uint64)
        return (low[:, None] + steps * (high[:, None] | np.uint64(1))) & np.uint64(self._size - 1)

    def _maybe(self, halves: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        probes = self._probes(halves)
        found = self._bits[probes >> np.uint64(3)] >> (probes & np.uint64(7)).astype(np.uint8) & 1
        return np.asarray(found.all(axis=1))

    def _add(self, halves: tuple[np.ndarray, np.ndarray]) -> None:
        probes = self._probes(halves).ravel()
        np.bitwise_or.at(self._bits, probes >> np.uint64(3), np.uint8(1) << (probes & np.uint64(7)).astype(np.uint8))


def _halves(eids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    raw = np.frombuffer(b"".join([e.to_bytes(16, "little") for e in eids]), dtype="<u8").reshape(-1, 2)
    return raw[:, 0], raw[:, 1]
