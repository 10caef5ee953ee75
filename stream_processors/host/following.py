"""Stages that follow the live generation: when a replay makes another one live, they continue in that one.

A lane holds partitions, and a stage of one generation processes them. When the pointer has moved, the stage is dropped,
and one of the new generation takes the partitions over, from the positions that the replay noted. The pointer is also
read after each takeover. So a worker that claims a partition of profiles after the move does so for the new generation,
or notices before it publishes.

**Level.** The new holder of profiles must not publish before its tables include everything that its predecessor may
have published about: otherwise profiles would leave segments that they have entered. After its claim the predecessor's
transitions do not count. Their causes are in simorgh.events and simorgh.identity before the ends at this moment. So it
waits until the other stages have passed these ends, records that for the partition, and begins. Nothing is lost
meanwhile: touches wait.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from eventlog.port import EventLog, Record
from schemas import topics
from stream_processors.flow import events, identity
from stream_processors.host import generation
from stream_processors.host.generation import LEVEL, GenerationLog, LiveGeneration
from stream_processors.host.lane import RecordSource, Replaced
from stream_processors.state.stage import Stage

_FIRST: Final = 1
"""The first generation, which has no predecessor."""


class Kind(Protocol):
    """The common parts of all generations' stages of a kind."""

    name: str
    topic: str
    group: str


class Following:
    """See `state.stage.Stage`. The stage of the live generation. One thread, except for `generation`."""

    def __init__(self, kind: Kind, live: LiveGeneration, open: Callable[[int], Stage]) -> None:
        """`open` makes the stage of a generation. It may raise: it is called again at the next takeover."""
        self.name = kind.name
        self.topic = kind.topic
        self.generation = 0
        """The stage's generation; 0 before the first takeover."""
        self._group = kind.group
        self._live = live
        self._open = open
        self._stage: Stage | None = None

    @property
    def group(self) -> str:
        """The name of the group with this generation's positions."""
        return generation.group_of(self._group, self.generation)

    def assign(self, partitions: Collection[int], term: int) -> dict[int, int]:
        live = self._live.look()
        if self._stage is None or live != self.generation:
            self._stage, self.generation = self._open(live), live
        positions = self._stage.assign(partitions, term)
        if self._live.look() != live:
            self._stage.revoke(partitions)
            raise self._replaced()
        return positions

    def revoke(self, partitions: Collection[int]) -> None:
        if self._stage is not None:
            self._stage.revoke(partitions)

    def process(self, records: Sequence[Record]) -> None:
        self._current().process(records)

    def idle(self) -> None:
        self._current().idle()

    def _current(self) -> Stage:
        if self._stage is None or self._live.number != self.generation:
            raise self._replaced()
        return self._stage

    def _replaced(self) -> Replaced:
        return Replaced(
            f"{self.name}: wanted generation {self.generation} to be live, got {self._live.number}; take over again"
        )


class OnceLevel:
    """`lane.RecordSource` of simorgh.touched: gives nothing before the generation of its stage is level."""

    def __init__(self, source: RecordSource, log: EventLog, number: Callable[[], int]) -> None:
        """`log`: with the positions of all generations; `number`: the generation of the lane's stage."""
        self._source = source
        self._log = GenerationLog(log, number)
        self._number = number
        self._of = 0
        self._level: set[int] = set()
        self._goals: dict[int, tuple[list[int], int]] = {}
        """Partition -> the ends of simorgh.events and simorgh.identity after it was claimed."""
        self._never = threading.Event()

    def take(self, positions: Mapping[int, int], limit: int, timeout: float) -> list[Record]:
        if not self._are_level(positions):
            self._never.wait(timeout)
            return []
        return self._source.take(positions, limit, timeout)

    def _are_level(self, partitions: Collection[int]) -> bool:
        if self._of != self._number():
            self._of, self._level, self._goals = self._number(), set(), {}
        waiting = set(partitions) - self._level
        if waiting and self._of > _FIRST:
            on_record = self._log.committed(LEVEL, topics.TOUCHED)
            waiting = {part for part in waiting if not on_record[part]}
            waiting -= self._newly_level(waiting)
            self._level |= set(partitions) - waiting
            return not waiting
        return True

    def _newly_level(self, waiting: Collection[int]) -> set[int]:
        for part in waiting:
            if part not in self._goals:
                self._goals[part] = (self._log.ends(topics.EVENTS), self._log.ends(topics.IDENTITY)[0])
        passed = self._log.committed(events.GROUP, topics.EVENTS)
        folded = self._log.committed(identity.GROUP, topics.IDENTITY)[0]
        level = {
            part
            for part in waiting
            if folded >= self._goals[part][1] and all(map(int.__ge__, passed, self._goals[part][0]))
        }
        if level:
            self._log.commit(LEVEL, {topics.TOUCHED: dict.fromkeys(level, 1)})
        return level
