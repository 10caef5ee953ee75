"""Finding copies of an event on a cluster: by its key and its place in the log.

Copies have one key and so one partition, and the first of them there counts: which one is a copy is a function of the
log alone, the same for a new owner, an earlier one that wakes up, and a second try.
"""

from collections.abc import Collection, Sequence
from typing import Final

from eventlog.port import Position
from stream_processors.batch import COPY, Batch
from stream_processors.conflicts import First
from stream_processors.id_filter import IdFilter, add_stored, capacity_for, halves
from warehouse.client import Writer

MOST_IDS: Final = 1 << 23
"""Ids in memory, 16 bits each: 16 MB, and 6 s at an assignment to load them. With more, every batch is looked up."""

_LOOKED_UP = 20_000
_KNOWN = "SELECT key, part, off FROM ids WHERE key IN {keys:Array(UInt128)}"


class Copies:
    """One owner's view of the table `ids`: a filter in memory says "surely new", the table decides the rest.

    The filter holds the ids of every partition as of the latest `load`, and what was remembered since: what others add
    later belongs to their partitions, where no copy of ours can be. (When the number of partitions grows, all workers
    start again, which loads again.)
    """

    def __init__(self, writer: Writer, most: int = MOST_IDS, capacity: int = 1 << 17) -> None:
        self._writer = writer
        self._most = most
        self._capacity = capacity
        self._count = 0
        self._filter: IdFilter | None = None

    def load(self) -> None:
        """Read the ids anew: partitions were taken over."""
        self._count = int(self._writer.rows("SELECT count() FROM ids")[0][0])
        self._capacity = capacity_for(self._count, self._capacity)
        self._filter = None
        if self._capacity <= self._most:
            found = IdFilter(self._capacity)
            add_stored(found, self._writer)
            self._filter = found  # not before it is whole

    def mark(self, batch: Batch) -> dict[int, First]:
        """Set `state` to COPY for events that have an earlier copy, in the table or in the batch.

        Returns the first one of each copy, by the copy's index.
        """
        places = self._places(batch.keys)
        seen: dict[int, First] = {}
        firsts: dict[int, First] = {}
        for i, key in enumerate(batch.keys):
            record = batch.records[i]
            first = seen.get(key) or _first((record.partition, record.offset), places.get(key, ()))
            if first:
                batch.state[i] = COPY
                firsts[i] = first
            seen.setdefault(key, first or record)
        return firsts

    def remember(self, keys: Collection[int]) -> None:
        """These are in the table from now on."""
        self._count += len(keys)
        if self._capacity > self._most or not keys:
            return
        if self._filter is None or self._count > self._capacity:
            self.load()
        else:
            self._filter.add(halves(keys))

    def _places(self, keys: Sequence[int]) -> dict[int, list[Position]]:
        wanted = list(keys) if self._filter is None else [keys[i] for i in self._filter.maybe(halves(keys))]
        places: dict[int, list[Position]] = {}
        for start in range(0, len(wanted), _LOOKED_UP):
            for key, part, offset in self._writer.look_up(_KNOWN, {"keys": wanted[start : start + _LOOKED_UP]}):
                places.setdefault(key, []).append((part, offset))
        return places


def _first(own: Position, places: Collection[Position]) -> Position | None:
    """Of an event at its `own` place, where the one was counted that it is a copy of; None where it is no copy.

    A row of its own place was written by an earlier try. Another partition's can only be from a time with fewer
    partitions.
    """
    earlier = [place for place in places if place[0] == own[0] and place[1] < own[1]]
    if not earlier and own not in places:
        earlier = [place for place in places if place[0] != own[0]]
    return min(earlier, default=None)
