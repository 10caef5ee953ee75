"""What the writing thread of the embedded log stores: requests of submitted batches and positions."""

import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate, count, repeat

from eventlog.chunks import Chunk, join_small
from eventlog.latest import Stored
from eventlog.port import Position
from eventlog.sqlite_file import Committed
from schemas.errors import Backpressure, Broken, SimorghError


@dataclass(slots=True)
class SubmittedBatch:
    """One write of a submit. `order` is the partition of each message, None when all are 0."""

    topic: str
    records: int
    order: list[int] | None
    chunks: dict[int, list[Chunk]]


@dataclass(slots=True)
class StoreRequest:
    """A unit to store, all or nothing: batches, or positions."""

    batches: list[SubmittedBatch]
    commits: list[Committed] = field(default_factory=list)
    future: Future[list[list[Position]]] = field(default_factory=Future)
    records: int = 0
    size: int = 0


def place(batch: SubmittedBatch, ends: list[int]) -> list[Position]:
    """The positions of a batch that is appended at the given ends. Moves the ends."""
    if batch.order is None:
        start = ends[0]
        ends[0] += batch.records
        return list(zip(repeat(0, batch.records), range(start, ends[0]), strict=True))
    counters = [count(end) for end in ends]
    positions = [(partition, next(counters[partition])) for partition in batch.order]
    ends[:] = [next(counter) for counter in counters]
    return positions


def stored_chunks(
    chunks: Mapping[tuple[str, int], list[Chunk]], starts: Mapping[str, tuple[int, ...]], now: int
) -> dict[tuple[str, int], list[Stored]]:
    """The chunks of each partition to append to the file."""
    stored = {}
    for (topic, partition), small in chunks.items():
        joined = join_small(small)
        firsts = accumulate((chunk.records for chunk in joined), initial=starts[topic][partition])
        stored[topic, partition] = [Stored(first, now, chunk) for first, chunk in zip(firsts, joined, strict=False)]
    return stored


def explain(error: Exception) -> SimorghError:
    if isinstance(error, SimorghError):
        return error
    if isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
        return Backpressure("Event log: wanted room on the disk, got none; free some, then send the same again")
    broken = Broken(f"Event log: wanted to store records, got {error}; nothing of this call was kept, check the disk")
    broken.__cause__ = error
    return broken
