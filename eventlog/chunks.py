"""Many records as one row of the file: the storage format of the SQLite adapter.

A row per record would be simpler, but SQLite releases the interpreter lock at each row: with two busy threads, a writer
of rows fell from 240,000 records/s to 600, and a reader from 900,000 to 600. So one row holds all records that a
transaction adds to a partition.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, chain, repeat
from typing import NamedTuple

from eventlog.port import Message, Record

MOST_RECORDS = 500
"""The largest number of records in a chunk: a reader of one record may have to load as many."""

ENOUGH_BYTES = 256 * 1024
"""Small chunks are joined only up to this size; one large record may exceed it."""

MOST_BYTES = 64 * 1024 * 1024
"""A chunk of several records is never larger: SQLite refuses a row of 1 GB."""


class Chunk(NamedTuple):
    """`sizes` are little-endian uint32: key, value, key, value, …; `body` the same bytes without gaps."""

    records: int
    sizes: bytes
    body: bytes


def pack(messages: Sequence[Message]) -> list[Chunk]:
    """The messages in order as chunks within `MOST_RECORDS` and `MOST_BYTES`; none for no messages."""
    packed: list[Chunk] = []
    for start in range(0, len(messages), MOST_RECORDS):
        packed += _pack_some(messages[start : start + MOST_RECORDS])
    return packed


def _pack_some(messages: Sequence[Message]) -> list[Chunk]:
    parts = tuple(chain.from_iterable(messages))
    sizes = tuple(map(len, parts))
    if sum(sizes) > MOST_BYTES and len(messages) > 1:
        middle = len(messages) // 2
        return _pack_some(messages[:middle]) + _pack_some(messages[middle:])
    return [Chunk(len(messages), struct.pack(f"<{len(sizes)}I", *sizes), b"".join(parts))]


def join_small(chunks: Iterable[Chunk]) -> list[Chunk]:
    """The same records in the same order in fewer chunks, within both limits if the input is."""
    joined: list[Chunk] = []
    group: list[Chunk] = []
    count = size = 0
    for chunk in chunks:
        if group and (count + chunk.records > MOST_RECORDS or size + len(chunk.body) > ENOUGH_BYTES):
            joined.append(_join(group))
            group, count, size = [], 0, 0
        group.append(chunk)
        count += chunk.records
        size += len(chunk.body)
    if group:
        joined.append(_join(group))
    return joined


def _join(group: list[Chunk]) -> Chunk:
    if len(group) == 1:
        return group[0]
    counts, sizes, bodies = zip(*group, strict=True)
    return Chunk(sum(counts), b"".join(sizes), b"".join(bodies))


def unpack(partition: int, first: int, chunk: Chunk, appended_at: int, wanted: range) -> Iterable[Record]:
    """The records at the `wanted` offsets of a chunk whose first record is at offset `first`.

    Offsets outside of the chunk are left out.
    """
    low, high = max(wanted.start - first, 0), min(wanted.stop - first, chunk.records)
    edges = list(accumulate(struct.unpack(f"<{2 * chunk.records}I", chunk.sizes), initial=0))
    body = chunk.body
    keys = [body[a:b] for a, b in zip(edges[2 * low : 2 * high : 2], edges[2 * low + 1 :: 2], strict=False)]
    values = [body[a:b] for a, b in zip(edges[2 * low + 1 : 2 * high : 2], edges[2 * low + 2 :: 2], strict=False)]
    columns = zip(repeat(partition), range(first + low, first + high), keys, values, repeat(appended_at), strict=False)
    return map(partial(tuple.__new__, Record), columns)  # like `Record(…)`, but without a Python call for each
