"""A log that remembers whether it took what it was offered last: while it does not, events are refused."""

from collections.abc import Sequence
from concurrent.futures import Future

from eventlog.port import EventLog, Message, Position, Record
from schemas import topics
from schemas.errors import Backpressure, Broken, SimorghError

_PROBES = "readiness"
"""The consumer group whose position is written to find out whether the log takes anything again. Nobody reads it."""

_REFUSALS = (Backpressure, Broken)
"""What speaks of the log; other errors speak of what it was offered."""


class WatchedLog:
    """Any log. `refusing` is the error of the latest append, None where that was stored. Any thread may read it."""

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
        """Where the latest append failed, try a small write: nobody sends events to a log that is said to refuse them,
        so somebody has to look. Blocks; raises what the log raises."""
        if self.refusing is not None:
            self._log.commit(_PROBES, {topics.REGISTRY: {0: 0}})
            self.refusing = None

    # ---- as the log does

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
