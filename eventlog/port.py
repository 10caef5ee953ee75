"""The log as two small ports: records, and positions. Two adapters offer both: embedded (SQLite), and Kafka.

Every adapter passes `tests/contracts/event_log.py`.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple, Protocol


class Record(NamedTuple):
    """One record as read. Offsets are dense from 0 in a partition; `appended_at` is the log's clock, in ms.

    A tuple and not a dataclass: a million of them are made per second.
    """

    partition: int
    offset: int
    key: bytes
    value: bytes
    appended_at: int


Message = tuple[bytes, bytes]
"""Key and value of a record to append."""

Position = tuple[int, int]
"""Partition and offset."""


LOST: Final = b'{"lost":"damage"}'
"""The value, with an empty key, of a record that replaces one that was lost when a damaged log was repaired, so that
offsets stay dense. Readers ignore it; see `present`."""


def present(records: Iterable[Record]) -> list[Record]:
    """The records without those that replace lost ones."""
    return [record for record in records if record.value != LOST]


class RecordLog(Protocol):
    """Append-only topics of partitions. All methods may be called from any thread, and raise `Conflict` with code
    `closed` once the log is closed."""

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        """Append in order and block until all are durable: on the disk, or with the replicas in sync.

        A failed append leaves nothing in the embedded log; on Kafka it may leave some records, which come twice if it
        is retried. A message goes to the partition that its key selects, so equal keys meet in one partition, in order.
        Returns one position per message. Raises `Backpressure` when the log cannot take more now, and `InvalidInput`
        for a topic that `schemas.topics` does not name (so do the other methods).
        """
        ...

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> "Future[list[list[Position]]]":
        """Like `append` to several topics together, without blocking: done means that all of it is durable.

        The result holds a list of positions per write, in the order given. Raises `Backpressure` and `InvalidInput` at
        once; a failing submit fails alone.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on, in order; empty at the end and past it.

        Never blocks for new ones. Returns fewer than `limit` only at the end of the partition, or before damage. Raises
        `Damaged` if the record at `offset` is lost: its bytes have changed.
        """
        ...

    def ends(self, topic: str) -> list[int]:
        """The next offset of each partition, in partition order: 0 for an empty one."""
        ...

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        """Block up to `timeout` seconds until some partition's end is greater than `beyond[partition]`.

        False if it did not happen in time. Any number of threads may wait.
        """
        ...


class PositionStore(Protocol):
    """How far each consumer group has come. All methods may be called from any thread."""

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        """Store durably, for a consumer group, the next offset to read: {topic: {partition: offset}}.

        All or nothing. A smaller offset than before rewinds the group. Other partitions keep theirs. Blocks until
        durable.
        """
        ...

    def committed(self, group: str, topic: str) -> list[int]:
        """The group's next offset of each partition; 0 if none was committed."""
        ...


class EventLog(RecordLog, PositionStore, Protocol):
    """Both ports: an open log."""

    def close(self) -> None:
        """Flush what was submitted and close. Idempotent; from then on the other methods, and a `wait` that
        is under way, raise `Conflict` with code `closed`.
        """
        ...


class LatestRecords(Protocol):
    """A topic of one partition that keeps the latest record of each key, and of a key whose latest value is empty none
    in the end. Offsets have gaps. All methods may be called from any thread, and raise `Conflict` with code `closed`
    once it is closed."""

    def submit(self, messages: Sequence[Message]) -> "Future[list[list[Position]]]":
        """Append in order, without blocking: done means that all of it is durable. See `RecordLog.submit`."""
        ...

    def end(self) -> int:
        """The next offset. Raises `Backpressure` while nobody answers."""
        ...

    def read(self, offset: int, limit: int, end: int) -> list[Record]:
        """Up to `limit` records, from the first one at `offset` or after it on, at least one of them below `end`, an
        answer of `end()`; none where `offset` is not below it."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...
