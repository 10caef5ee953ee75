"""Finding copies of an event by its key, however late they arrive, and the place of the first one in the log.

Copies have one key and so one partition, and the first one there counts. So which one is a copy depends on the log
alone, and is the same for a new holder, a zombie and a second attempt.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from eventlog.port import Position, Record
from stream_processors.parse.batch import COPY, Batch
from stream_processors.state.id_filter import IDS
from stream_processors.state.known import KnownKeys
from warehouse.client import Writer

MOST_IDS: Final = 1 << 23
"""Ids in memory of a worker, 16 bits each: 16 MB, and 6 s at an assignment to load them. With more, every batch is
looked up."""

First = Record | Position
"""The first copy of an event: in the batch, or its place in simorgh.events."""

_LOOKED_UP = 20_000
_KNOWN = "SELECT key, part, off FROM ids WHERE key IN {keys:Array(UInt128)}"


class Copies(KnownKeys[Position]):
    """The keys of the table `ids`, and of the rows on their way there. One thread.

    The filter holds the ids of every partition as of the latest `load`, and ids added since. Other holders' later ids
    belong to their partitions, which cannot contain copies of ours. (When the number of partitions grows, all workers
    start again, which loads again.)
    """

    def __init__(
        self, writer: Writer, most: int | None = MOST_IDS, capacity: int = 1 << 17, *, lingering: bool = False
    ) -> None:
        """See `KnownKeys`."""
        super().__init__(writer, IDS, most, capacity, lingering=lingering)

    def mark(self, batch: Batch) -> dict[int, First]:
        """Set `state` to COPY for events that have an earlier copy: in the table, on its way there, or in the batch.

        Returns the first one of each copy, by the copy's index.
        """
        places = self.places(batch.keys)
        if not places and len(set(batch.keys)) == len(batch):
            return {}
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

    def remember(self, batch: Batch, index: Iterable[int]) -> None:
        """The keys of these events are in the table, or on their way there until `landed`."""
        keys, records = batch.keys, batch.records
        self.add({keys[i]: records[i][:2] for i in index})  # a record begins with its place

    def places(self, keys: Sequence[int]) -> Mapping[int, Collection[Position]]:
        """The known places of the events of these keys."""
        places: dict[int, list[Position]] = {}
        unknown: list[int] = []
        for key in self.maybe(keys):
            if on_its_way := self.on_its_way(key):
                places[key] = [on_its_way]
            else:
                unknown.append(key)
        for start in range(0, len(unknown), _LOOKED_UP):
            for key, part, offset in self._writer.look_up(_KNOWN, {"keys": unknown[start : start + _LOOKED_UP]}):
                places.setdefault(key, []).append((part, offset))
        return places


def _first(own: Position, places: Collection[Position]) -> Position | None:
    """The place of the counted event of which the event at its `own` place is a copy; None if it is not a copy. A row
    of its own place was written by an earlier attempt. Another partition's can only be from a time with fewer
    partitions.
    """
    earlier = [place for place in places if place[0] == own[0] and place[1] < own[1]]
    if not earlier and own not in places:
        earlier = [place for place in places if place[0] != own[0]]
    return min(earlier, default=None)
