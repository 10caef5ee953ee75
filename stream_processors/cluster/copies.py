"""Finding copies of an event on a cluster: by its id and its place in the log.

Copies have one key and so one partition, and the first of them there counts: which one is a copy is a function of the
log alone, the same for a new owner, an earlier one that wakes up, and a second try.
"""

from collections.abc import Collection, Sequence
from typing import Final

from stream_processors.batch import COPY, UNIQUE, Batch
from stream_processors.id_filter import IdFilter, add_stored, capacity_for, halves
from warehouse.client import Writer

MOST_IDS: Final = 1 << 23
"""Ids in memory, 16 bits each: 16 MB, and 6 s at an assignment to load them. With more, every batch is looked up."""

_LOOKED_UP = 20_000
_KNOWN = "SELECT eid, part, off FROM ids WHERE eid IN {eids:Array(UInt128)}"

Place = tuple[int, int]


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

    def mark(self, batch: Batch) -> None:
        """Set `state` to COPY for events that have an earlier copy, in the table or in the batch."""
        places = self._places(batch.eids)
        seen: set[int] = set()
        for i, eid in enumerate(batch.eids):
            record = batch.records[i]
            if batch.state[i] == UNIQUE and (
                eid in seen or _is_copy((record.partition, record.offset), places.get(eid, ()))
            ):
                batch.state[i] = COPY
            seen.add(eid)

    def remember(self, eids: Collection[int]) -> None:
        """These are in the table from now on."""
        self._count += len(eids)
        if self._capacity > self._most or not eids:
            return
        if self._filter is None or self._count > self._capacity:
            self.load()
        else:
            self._filter.add(halves(eids))

    def _places(self, eids: Sequence[int]) -> dict[int, list[Place]]:
        wanted = list(eids) if self._filter is None else [eids[i] for i in self._filter.maybe(halves(eids))]
        places: dict[int, list[Place]] = {}
        for start in range(0, len(wanted), _LOOKED_UP):
            for eid, part, offset in self._writer.look_up(_KNOWN, {"eids": wanted[start : start + _LOOKED_UP]}):
                places.setdefault(eid, []).append((part, offset))
        return places


def _is_copy(own: Place, places: Collection[Place]) -> bool:
    """Whether an event at its `own` place is a copy of one that was counted at another. A row of its own place was
    written by an earlier try. Another partition's can only be from a time with fewer partitions."""
    if own in places:
        return any(part == own[0] and offset < own[1] for part, offset in places)
    return any(part != own[0] or offset < own[1] for part, offset in places)
