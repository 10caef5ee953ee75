"""The keys of a table, and of rows on their way there: "surely new" for almost every new key, without a query.

A filter in memory recognises new keys; the table decides about the others. It takes 16 to 32 bits per key, and is
rebuilt at twice the size when it is full.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from stream_processors.state.id_filter import IdFilter, Keys, add_stored, capacity_for, halves
from warehouse.client import Writer

Value = TypeVar("Value")


class Remembering(Protocol):
    """Keys, of whatever value, that are remembered until their rows are in the table. One thread."""

    def writing(self) -> None: ...

    def landed(self) -> None: ...


class KnownKeys(Generic[Value]):
    """Keys, with a value for each whose row is not in the table yet. One thread."""

    def __init__(self, writer: Writer, keys: Keys, most: int | None, capacity: int, *, lingering: bool) -> None:
        """`most`: keys in memory; None: all of them. With more, every key is looked up. `lingering`: rows of remembered
        keys may not be in the table yet; otherwise they are."""
        self._writer = writer
        self._keys = keys
        self._most = most
        self.capacity = capacity
        self._lingering = lingering
        self.count = 0
        self._filter: IdFilter | None = None
        self._gathered: dict[int, Value] = {}
        self._landing: dict[int, Value] = {}
        """Remembered keys whose rows may not be in the table yet: collected rows, and rows being written."""

    def load(self) -> None:
        """Read the keys again: partitions were taken over, or the filter is full."""
        self._filter = None
        if self._most == 0:
            return
        pending = self._gathered.keys() | self._landing.keys()
        sql = f"SELECT count() FROM {self._keys.table} WHERE {self._keys.column} NOT IN {{keys:Array(UInt128)}}"
        self.count = len(pending) + int(self._writer.rows(sql, {"keys": list(pending)})[0][0])
        self.capacity = capacity_for(self.count, self.capacity)
        if self._fits():
            found = IdFilter(self.capacity)
            add_stored(found, self._writer, self._keys)
            found.add(halves(pending))
            self._filter = found  # not before it is whole

    def add(self, new: Mapping[int, Value]) -> None:
        """These keys are in the table, or on their way there until `landed`."""
        if not new:
            return
        if self._lingering:
            self._gathered.update(new)
        self.count += len(new)
        if self._fits() and (self._filter is None or self.count > self.capacity):
            self.load()
        elif self._filter is not None:
            self._filter.add(halves(new))

    def expect(self, new: Collection[int]) -> None:
        """These keys are about to be written: known from now on, whatever becomes of that. `add` them afterwards."""
        if self._filter is not None and new:
            self._filter.add(halves(new))

    def maybe(self, keys: Sequence[int]) -> Sequence[int]:
        """Those of the keys that may be known."""
        return keys if self._filter is None else [keys[i] for i in self._filter.maybe(halves(keys))]

    def on_its_way(self, key: int) -> Value | None:
        """The latest value of a key whose row may not be in the table yet."""
        return self._gathered.get(key) or self._landing.get(key)

    def writing(self) -> None:
        """All remembered rows are being written now, perhaps with earlier ones."""
        self._landing |= self._gathered
        self._gathered = {}

    def landed(self) -> None:
        """All rows that were being written are in the table."""
        self._landing = {}

    @property
    def filter_bytes(self) -> int:
        """Of the filter; 0 while every key is looked up."""
        return 0 if self._filter is None else self._filter.size

    def _fits(self) -> bool:
        return self._most is None or self.capacity <= self._most
