"""A log with the records of another one, for adapters that store positions elsewhere."""

from collections.abc import Sequence
from concurrent.futures import Future

from eventlog.port import EventLog, Message, Position, Record


class ForwardedRecords:
    """The records of `log`, unchanged. See `eventlog.port.RecordLog`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        return self._log.append(topic, messages)

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> Future[list[list[Position]]]:
        return self._log.submit(writes)

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        return self._log.read(topic, partition, offset, limit)

    def ends(self, topic: str) -> list[int]:
        return self._log.ends(topic)

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        return self._log.wait(topic, beyond, timeout)

    def close(self) -> None:
        self._log.close()
