"""Both buses pass the contract of every bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from stream_processors.checkpoints import no_checkpoint
from stream_processors.flow.bus import MemoryBus, TopicBus
from stream_processors.state import touches
from stream_processors.state.touches import Touch, Touches
from tests.contracts.bus import BusContract


class InMemory:
    def __init__(self) -> None:
        self.bus = MemoryBus()

    def received(self) -> dict[int, Touch]:
        return self.bus.take().by_profile


class OverTopic:
    def __init__(self, log: SqliteEventLog) -> None:
        self._log = log
        self._seen = [0] * len(log.ends(topics.TOUCHED))
        self.bus = TopicBus(log, no_checkpoint)

    def received(self) -> dict[int, Touch]:
        found = Touches()
        for part, start in enumerate(self._seen):
            for record in self._log.read(topics.TOUCHED, part, start, 1_000):
                touch = touches.parse(record.value)
                found.add(
                    touch.profile,
                    touch.cause,
                    touch.nodes,
                    touch.inherited,
                    former=touch.former,
                    anew=touch.anew,
                )
        self._seen = self._log.ends(topics.TOUCHED)
        return found.by_profile


class TestMemoryBus(BusContract):
    @pytest.fixture
    def wire(self) -> InMemory:
        return InMemory()


class TestTopicBus(BusContract):
    @pytest.fixture
    def wire(self, tmp_path: Path) -> Iterator[OverTopic]:
        log = SqliteEventLog(tmp_path / "log.sqlite", partitions=3)
        yield OverTopic(log)
        log.close()
