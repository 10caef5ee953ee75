"""Where a cluster's stages stand, under the name by which one box's API asks for them."""

from collections.abc import Sequence
from concurrent.futures import Future

from eventlog.port import EventLog, Message, Position, Record
from stream_processors.topology import Stage

PROJECTIONS = "projections"
"""The one group in which identity, profiles and segments run together on one box."""


class StagePositions:
    """An `EventLog` whose group `projections` stands, in each topic, where the stage that reads it stands."""

    def __init__(self, log: EventLog, stages: Sequence[Stage]) -> None:
        self._log = log
        self._groups = {topic: stage.group for stage in reversed(stages) for topic in stage.reads}

    def committed(self, group: str, topic: str) -> list[int]:
        return self._log.committed(self._groups.get(topic, group) if group == PROJECTIONS else group, topic)

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        return self._log.append(topic, messages)

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> Future[list[list[Position]]]:
        return self._log.submit(writes)

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        return self._log.read(topic, partition, offset, limit)

    def ends(self, topic: str) -> list[int]:
        return self._log.ends(topic)

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        self._log.commit(group, positions)

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        return self._log.wait(topic, beyond, timeout)

    def close(self) -> None:
        self._log.close()
