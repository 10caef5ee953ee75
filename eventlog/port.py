"""The log as a small port. Two adapters: embedded (SQLite) and, on a cluster, Kafka.

Every adapter passes `tests/contracts/event_log.py`.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read. `appended_at` is the log's own clock, in ms; offsets are dense from 0 per partition."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    appended_at: int


Message = tuple[bytes, bytes]
"""Key and value of a record to append."""

Position = tuple[int, int]
"""Partition and offset."""


class EventLog(Protocol):
    """Append-only topics of partitions. All methods may be called from any thread."""

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        """Append in order and block until all are on disk. All or nothing.

        A message goes to the partition that its key selects, so equal keys meet in one partition, in order.
        Returns one position per message. Raises `Backpressure` when the log cannot take more now.
        """
        ...

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> "Future[list[list[Position]]]":
        """Like `append` to several topics in one transaction, without blocking: the future is done when durable.

        Concurrent submits share one disk sync (group commit). Raises `Backpressure` at once when the queue is full.
        """
        ...

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on, in order; empty at the end. Never blocks for new ones."""
        ...

    def ends(self, topic: str) -> list[int]:
        """The next offset of each partition, in partition order: 0 for an empty one."""
        ...

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        """Store durably, for a consumer group, the next offset to read: {topic: {partition: offset}}."""
        ...

    def committed(self, group: str, topic: str) -> list[int]:
        """The group's next offset of each partition; 0 where nothing was committed."""
        ...

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        """Block up to `timeout` seconds until some partition's end is greater than `beyond[partition]`."""
        ...

    def close(self) -> None:
        """Flush what was submitted and close. Idempotent."""
        ...
