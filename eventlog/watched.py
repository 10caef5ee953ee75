"""A log that remembers whether its latest append failed: until one succeeds, events are refused."""

from collections.abc import Sequence
from concurrent.futures import Future

from eventlog.port import EventLog, Message, Position, Record
from schemas import topics
from schemas.errors import Backpressure, Broken, SimorghError

_PROBES = "readiness"
"""The consumer group whose position is written to test whether the log accepts writes again. Nobody reads it."""

_REFUSALS = (Backpressure, Broken)
"""Errors of the log itself; other errors are about the submitted records."""


class WatchedLog:
    """Wraps any log. `refusing` is the error of the latest append, None if it was stored. Any thread may read it."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.refusing: SimorghError | None = None

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        return self.submit([(topic, messages)]).result()[0]

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> Future[list[list[Position]]]:
        try:
            stored = self._log.submit(writes)
        except _REFUSALS as error:
            self.refusing = error
            raise
        stored.add_done_callback(self._ended)
        return stored

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        self._log.commit(group, positions)

    def _ended(self, stored: Future[list[list[Position]]]) -> None:
        if not stored.cancelled():
            error = stored.exception()
            self.refusing = error if isinstance(error, _REFUSALS) else None

    def probe(self) -> None:
        """If the latest append failed, try a small write, since no events arrive while the log is reported as refusing.
        Blocks; raises the log's errors."""
        if self.refusing is not None:
            self._log.commit(_PROBES, {topics.REGISTRY: {0: 0}})
            self.refusing = None

    # ---- delegated to the log

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        return self._log.read(topic, partition, offset, limit)

    def ends(self, topic: str) -> list[int]:
        return self._log.ends(topic)

    def committed(self, group: str, topic: str) -> list[int]:
        return self._log.committed(group, topic)

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        return self._log.wait(topic, beyond, timeout)

    def close(self) -> None:
        self._log.close()
