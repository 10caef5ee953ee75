"""A pool of readers: each follows one partition and reads ahead, so that reading on needs no round trip."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from eventlog.kafka.client import PartitionReader, unavailable
from eventlog.port import Record

MOST_READERS: Final = 48
"""Readers of one log. Each has a connection and reads ahead; beyond this number, the one that was idle longest is
closed."""

MOST_BESIDE: Final = 3
"""Readers of one partition, for callers at different positions. More callers share them, and they jump."""

LONGEST_IDLE: Final = 10.0
"""Seconds after which an unused reader is closed: at a partition's end it asks the broker twenty times a second, for
nothing. When records arrive again, making another one takes some hundredths of a second."""

Spot = tuple[str, int]
"""A topic's name on the broker, and a partition."""


class _Reader:
    """A reader and its position; None: nowhere."""

    def __init__(self, reader: PartitionReader) -> None:
        self.reader = reader
        self.offset: int | None = None
        self.used = 0.0

    def read(self, offset: int, count: int, patience: float) -> list[Record]:
        """Exactly `count` records, which must exist. Raises `Backpressure` if they do not arrive in time."""
        if self.offset != offset:
            self.reader.seek(offset)
        self.offset = None  # until it has succeeded
        records = self.reader.take(count, patience)
        if len(records) < count:
            raise unavailable("reading", f"{len(records)} of {count} records in {patience:g} s")
        self.offset = offset + count
        return records


class Readers:
    """For any thread: a reader is taken out while it is used."""

    def __init__(self, make: Callable[[str, int], PartitionReader], patience: float) -> None:
        self._make = make
        self._patience = patience
        self._lock = threading.Lock()
        self._idle: defaultdict[Spot, list[_Reader]] = defaultdict(list)
        self._closed = False

    def read(self, topic: str, partition: int, offset: int, count: int) -> list[Record]:
        """Records `offset` to `offset + count - 1`: they exist."""
        spot = (topic, partition)
        reader = self._take(spot, offset)
        try:
            records = reader.read(offset, count, self._patience)
        except BaseException:
            reader.reader.close()
            raise
        self._give_back(spot, reader)
        return records

    def _take(self, spot: Spot, offset: int) -> _Reader:
        """A reader at `offset`, else a new one, else the one that was used least recently."""
        with self._lock:
            idle = self._idle[spot]
            there = next((reader for reader in idle if reader.offset == offset), None)
            if there is None and len(idle) >= MOST_BESIDE:
                there = min(idle, key=lambda reader: reader.used)
            if there is not None:
                idle.remove(there)
                return there
        return _Reader(self._make(*spot))

    def _give_back(self, spot: Spot, reader: _Reader) -> None:
        reader.used = time.monotonic()
        with self._lock:
            self._idle[spot].append(reader)
            surplus = self._surplus()
        for each in surplus:
            each.reader.close()

    def _surplus(self) -> list[_Reader]:
        """Removes surplus readers, or all once the pool is closed. The lock is held."""
        idle = sorted(
            ((reader.used, spot, reader) for spot, readers in self._idle.items() for reader in readers),
            key=lambda found: found[0],
        )
        surplus = idle if self._closed else idle[: max(len(idle) - MOST_READERS, 0)]
        for _, spot, reader in surplus:
            self._idle[spot].remove(reader)
        return [reader for _, _, reader in surplus]

    def let_go(self, idle: float = LONGEST_IDLE) -> None:
        """Close readers that were not used for this long. Cheap if there are none, so call it often."""
        before = time.monotonic() - idle
        with self._lock:
            old = [(spot, each) for spot, readers in self._idle.items() for each in readers if each.used <= before]
            for spot, reader in old:
                self._idle[spot].remove(reader)
        for _, reader in old:
            reader.reader.close()

    def close(self) -> None:
        """Those in use are closed when they are given back."""
        with self._lock:
            self._closed = True
            surplus = self._surplus()
        for each in surplus:
            each.reader.close()
