"""The rejected stage on a cluster, and its source: the volume is low, so Faust reads the topic and an agent passes the
records on.

The agent's records are used if they continue the stage's position. Otherwise (Faust has its own position, and a
rebalance drops an agent's records) the log is read instead, so nothing depends on Faust's delivery.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from eventlog.port import EventLog, Record
from schemas import topics
from stream_processors.flow import rejected as rejections
from warehouse.client import Writer

MOST_WAITING: Final = 5_000
LOOK_EVERY: Final = 5.0
"""Seconds after which the log is read even if the agent has passed nothing."""


class RejectedStage:
    """See `stream_processors.state.stage.Stage`. `simorgh.rejected` -> the table, by the latest offset of each id."""

    name = "rejected"
    topic = topics.REJECTED
    group = rejections.GROUP

    def __init__(self, log: EventLog, writer: Writer) -> None:
        self._log = log
        self._writer = writer

    def assign(self, partitions: Collection[int], generation: int) -> dict[int, int]:
        committed = self._log.committed(self.group, self.topic)
        return {partition: committed[partition] for partition in partitions}

    def revoke(self, partitions: Collection[int]) -> None:
        """Nothing is held."""

    def process(self, records: Sequence[Record]) -> None:
        self._writer.insert("rejected", rejections.rows(records))

    def idle(self) -> None:
        """Does nothing: this stage has no work without records."""


class AgentSource:
    """A lane's source that a Faust agent feeds: `offer` from Faust's loop, `take` from the lane's thread."""

    def __init__(self, log: EventLog, topic: str, opened: Callable[[list[Record]], list[Record]] = list) -> None:
        """`opened`: what the agent brings, as the log would give it: opened."""
        self._opened = opened
        self._log = log
        self._topic = topic
        self._came = threading.Condition()
        self._waiting: list[Record] = []
        self._looked = 0.0

    async def offer(self, records: list[Record]) -> None:
        """Never waits and never raises. Records without room are read from the log later."""
        with self._came:
            self._waiting += records[: MOST_WAITING - len(self._waiting)]
            self._came.notify_all()

    def take(self, positions: Mapping[int, int], limit: int, timeout: float) -> list[Record]:
        with self._came:
            self._came.wait_for(lambda: self._waiting, timeout)
            brought, self._waiting = self._waiting, []
        fitting = _run_from(positions, brought)[:limit]
        if fitting:
            return self._opened(fitting)
        if brought or time.monotonic() > self._looked + LOOK_EVERY:
            self._looked = time.monotonic()
            return self._read(positions, limit)
        return []

    def _read(self, positions: Mapping[int, int], limit: int) -> list[Record]:
        found: list[Record] = []
        for partition, offset in positions.items():
            found += self._log.read(self._topic, partition, offset, limit)
        return found


def _run_from(positions: Mapping[int, int], records: Sequence[Record]) -> list[Record]:
    """The records that continue these positions without a gap; processed ones are omitted."""
    next_ = dict(positions)
    run = []
    for record in records:
        if next_.get(record.partition) == record.offset:
            run.append(record)
            next_[record.partition] += 1
    return run
