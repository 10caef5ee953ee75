"""The part of the embedded log's file that is in memory: the newest chunks of each partition, and committed positions.

Readers that keep up with the log, and reads of positions, need no query: a query releases the interpreter lock several
times, and next to busy threads each time costs a wait. One thread changes this data, and any thread reads it: values
are never changed, only replaced.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from eventlog.chunks import Chunk

MOST_CHUNKS: Final = 64
MOST_BYTES: Final = 1024 * 1024
"""The limit for a partition's chunks, except for the newest one, which may be larger."""


class Stored(NamedTuple):
    """A chunk as stored in the file: `first` is the offset of its first record."""

    first: int
    appended_at: int
    chunk: Chunk

    @property
    def end(self) -> int:
        """The offset after its last record."""
        return self.first + self.chunk.records


class Tails:
    """The newest chunks of each partition, without gaps up to its end; none from before the start."""

    def __init__(self) -> None:
        self._tails: dict[tuple[str, int], Sequence[Stored]] = {}

    def add(self, topic: str, partition: int, stored: Iterable[Stored]) -> None:
        """Add the next chunks. The oldest beyond the bounds are dropped."""
        tail = (*self._tails.get((topic, partition), ()), *stored)[-MOST_CHUNKS:]
        size, kept = 0, len(tail)
        while kept and (kept == len(tail) or size + len(tail[kept - 1].chunk.body) <= MOST_BYTES):
            kept -= 1
            size += len(tail[kept].chunk.body)
        self._tails[topic, partition] = tail[kept:]

    def forget(self, topic: str, partition: int) -> None:
        """Have a partition read from the file, until there are newer chunks."""
        self._tails.pop((topic, partition), None)

    def holding(self, topic: str, partition: int, wanted: range) -> Sequence[Stored] | None:
        """The chunks that hold these offsets, as far as they exist; None if they must be read from the file."""
        tail = self._tails.get((topic, partition), ())
        if not tail or tail[0].first > wanted.start:
            return None
        begin = bisect_right(tail, wanted.start, key=lambda stored: stored.first) - 1
        end = bisect_right(tail, wanted.stop - 1, key=lambda stored: stored.first)
        return tail[begin:end]


class Commits:
    """The committed positions of consumer groups."""

    def __init__(self, rows: Iterable[tuple[str, str, int, int]]) -> None:
        """`rows`: group, topic, partition, next offset."""
        self._positions: dict[tuple[str, str], Mapping[int, int]] = {}
        self.set(rows)

    def set(self, rows: Iterable[tuple[str, str, int, int]]) -> None:
        """Replaces the positions of each group and topic at once."""
        changed: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        for group, topic, partition, offset in rows:
            changed[group, topic][partition] = offset
        for key, positions in changed.items():
            self._positions[key] = {**self._positions.get(key, {}), **positions}

    def of(self, group: str, topic: str) -> Mapping[int, int]:
        """Partition -> next offset, for partitions that were ever committed."""
        return self._positions.get((group, topic), {})
