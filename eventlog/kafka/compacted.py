"""A compacted topic: the latest record of each key stays, and an empty value lets a key go, bytes included.

It is one partition, so that all its records have one order. Offsets have gaps, which is why it is not among the topics
of the log.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Final

from eventlog.checks import closed
from eventlog.kafka.admin import Admin
from eventlog.kafka.client import ClientName, Connection, Ends, PartitionReader, unavailable
from eventlog.kafka.log import make_client
from eventlog.kafka.publishing import Publishing
from eventlog.port import Message, Position, Record

HOUR_MS: Final = 3_600_000

REQUIRED: Final = {"cleanup.policy": "compact"}
SETTINGS: Final[Mapping[str, str]] = {
    "segment.ms": str(6 * HOUR_MS),
    "max.compaction.lag.ms": str(6 * HOUR_MS),
    "delete.retention.ms": str(7 * 24 * HOUR_MS),
    "file.delete.delay.ms": "1000",
}
"""A segment is closed by the first record that comes six hours after its first one, and is then compacted whatever the
share of what has to go. Deletions stay for a week, for readers that were away."""

HASTY: Final[Mapping[str, str]] = {
    "segment.ms": "1000",
    "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
}
"""While somebody waits for compaction. A crash leaves them: the broker works more, and nothing else changes."""

_WITHOUT_HASTE: Final = {**{key: SETTINGS[key] for key in HASTY if key in SETTINGS}, "min.cleanable.dirty.ratio": "0.5"}
"""After a crash in haste, nobody knows what there was before."""

_QUEUE: Final = 100_000
_QUEUE_BYTES: Final = 64 * 1024 * 1024
_AT_ONCE_SECONDS: Final = 0.002
"""How long to wait for more of what a fetch has brought already."""


class CompactedTopic:
    """See `eventlog.port.LatestRecords`. Opening makes the topic where it is missing, and refuses (`InvalidSettings`)
    one that is not compacted."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        *,
        replication: int = -1,
        min_insync: int = 0,
        client: ClientName = "auto",
    ) -> None:
        self._connection = connection
        self._name = name
        self._admin = Admin(connection)
        try:
            self._admin.ensure_topics({name: 1}, replication, min_insync, REQUIRED, SETTINGS)
            self._client = make_client(client, connection, [name])
            self._ends: Ends = self._client.ends() or self._admin
            self._publishing = Publishing(self._client, _QUEUE, _QUEUE_BYTES, connection.patience, _ignore)
        except BaseException:
            self._admin.close()
            raise
        self._reading = threading.Lock()
        self._reader: PartitionReader | None = None
        self._at = -1
        self._closed = False

    def submit(self, messages: Sequence[Message]) -> "Future[list[list[Position]]]":
        self._require_open()
        return self._publishing.submit([self._name], [(self._name, messages)])

    def end(self) -> int:
        self._require_open()
        return self._ends.ends(self._name, 1)[0]

    def read(self, offset: int, limit: int, end: int) -> list[Record]:
        with self._reading:
            self._require_open()
            if offset >= end:
                return []
            reader, self._reader = self._reader or self._client.reader(self._name, 0), None
            try:
                if self._at != offset:
                    reader.seek(offset)
                records = self._take(reader, limit, end)
            except BaseException:
                reader.close()
                raise
            self._reader, self._at = reader, records[-1].offset + 1
            return records

    def _take(self, reader: PartitionReader, limit: int, end: int) -> list[Record]:
        """The last record before the end is always there: what is written to is not compacted."""
        records: list[Record] = []
        while len(records) < limit and not (records and records[-1].offset >= end - 1):
            first = reader.take(1, self._connection.patience)
            if not first:
                raise unavailable("reading", f"no record in {self._connection.patience:g} s")
            records += first
            if first[-1].offset < end - 1 and len(records) < limit:
                records += reader.take(limit - len(records), _AT_ONCE_SECONDS)
        return records

    @contextmanager
    def in_haste(self) -> Iterator[None]:
        """Meanwhile the topic is compacted as soon as the broker looks at it, every 15 s by its default."""
        before = self._admin.settings(self._name, HASTY)
        self._admin.alter(self._name, HASTY)
        try:
            yield
        finally:
            self._admin.alter(self._name, before if before != HASTY else _WITHOUT_HASTE)

    def close(self) -> None:
        with self._reading:
            if self._closed:
                return
            self._closed = True
            if self._reader is not None:
                self._reader.close()
        self._publishing.close()
        self._ends.close()
        self._admin.close()

    def _require_open(self) -> None:
        if self._closed:
            raise closed(self._connection.bootstrap)


def _ignore(name: str, positions: Sequence[Position]) -> None:
    """Whoever waits for records asks for the end."""
