"""A Bloom filter of 128-bit hashes: "surely new" for all but one new hash in some thousands, 16 bits for each."""

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np

from warehouse.client import Writer

_PROBES = 6
_BITS_PER_ID = 16
_SLICES = 16
_ONE_SLICE = 1_000_000
"""Hashes that are read at once: 16 MB."""
_SLICE = """SELECT reinterpretAsUInt64(reinterpretAsString({column})) AS low,
    toUInt64(bitShiftRight({column}, 64)) AS high
    FROM {table} WHERE {column} >= {{a:UInt128}} AND {column} <= {{b:UInt128}}"""

Halves = tuple[np.ndarray, np.ndarray]
"""Low and high 64 bits, as arrays of uint64 of equal length."""


class IdFilter:
    """Never says "new" for a hash that was added. Beyond `capacity`, a power of two, it says "maybe" too often."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._mask = np.uint64(capacity * _BITS_PER_ID - 1)
        self._bits = np.zeros(capacity * _BITS_PER_ID // 8, dtype=np.uint8)

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self._bits.nbytes)

    def add(self, hashes: Halves) -> None:
        probes = self._probes(hashes).ravel()
        np.bitwise_or.at(self._bits, probes >> np.uint64(3), np.uint8(1) << (probes & np.uint64(7)).astype(np.uint8))

    def maybe(self, hashes: Halves) -> list[int]:
        """Indices of the hashes that may have been added."""
        probes = self._probes(hashes)
        found = self._bits[probes >> np.uint64(3)] >> (probes & np.uint64(7)).astype(np.uint8) & 1
        return list(np.flatnonzero(found.all(axis=1)).tolist())

    def _probes(self, hashes: Halves) -> np.ndarray:
        low, high = hashes
        steps = np.arange(_PROBES, dtype=np.uint64)
        return (low[:, None] + steps * (high[:, None] | np.uint64(1))) & self._mask


def halves(hashes: Collection[int]) -> Halves:
    raw = np.frombuffer(b"".join([h.to_bytes(16, "little") for h in hashes]), dtype="<u8").reshape(-1, 2)
    return raw[:, 0], raw[:, 1]


def capacity_for(count: int, capacity: int) -> int:
    """`capacity`, doubled until it is enough for so many hashes."""
    while count > capacity:
        capacity *= 2
    return capacity


class Keys(NamedTuple):
    """Where the hashes of a filter are stored."""

    table: str
    column: str


IDS: Final = Keys("ids", "key")
FACTS: Final = Keys("tellings", "fact")
ORDERS: Final = Keys("order_tellings", "doc")


def add_stored(into: IdFilter, writer: Writer, keys: Keys = IDS) -> None:
    """Add all hashes of a column. Blocks, about 0.8 s per million; if it raises, some are missing."""
    sql = _SLICE.format(table=keys.table, column=keys.column)
    slices = 1 if into.capacity <= _ONE_SLICE else _SLICES  # a slice at a time, so that memory stays flat
    width = 2**128 // slices
    for part in range(slices):
        rows = writer.arrow(sql, {"a": part * width, "b": (part + 1) * width - 1})
        into.add((rows["low"].to_numpy(), rows["high"].to_numpy()))
