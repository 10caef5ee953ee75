"""Positions of a cluster's stages, under the name that one machine's API uses."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventlog.forwarding import ForwardedRecords
from eventlog.port import EventLog
from schemas import topics
from stream_processors.flow.topology import TopologyStage


class StagePositions(ForwardedRecords):
    """An `EventLog` whose group `projections` has, in each topic, the position of the stage that reads it."""

    def __init__(self, log: EventLog, stages: Sequence[TopologyStage]) -> None:
        super().__init__(log)
        self._groups = {topic: stage.group for stage in reversed(stages) for topic in stage.reads}

    def committed(self, group: str, topic: str) -> list[int]:
        return self._log.committed(self._groups.get(topic, group) if group == topics.PROJECTIONS else group, topic)

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        self._log.commit(group, positions)


_FORWARDED: Final = 2
"""How often the end of simorgh.touched has to be passed: touches of that time, and those then passed on to heirs."""


@dataclass(slots=True)
class _Followed:
    """Events that were taken in, on their way into views: first identity has to pass an offset, then profiles some."""

    events: list[int]
    identity: int
    touched: list[int] | None = None
    rounds: int = _FORWARDED


class ViewsHold:
    """The positions up to which views on a cluster are complete: all stages have passed the effects. If nothing is in
    progress, that is the position of events. Under load it follows one state of the log through the stages, a step with
    each call, and returns it once it is through: late, but never too far. For any thread.
    """

    def __init__(self, log: StagePositions) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._known = [0] * len(log.ends(topics.EVENTS))
        self._followed: _Followed | None = None

    def forget(self) -> None:
        """Views belong to another generation: start again."""
        with self._lock:
            self._known, self._followed = [0] * len(self._known), None

    def positions(self) -> list[int]:
        """The offsets of simorgh.events, by partition. Upstream is read first: a stage has passed on everything before
        its position."""
        with self._lock:
            events = self._log.committed(topics.PROJECTIONS, topics.EVENTS)
            identity = self._log.committed(topics.PROJECTIONS, topics.IDENTITY)[0]
            identity_end = self._log.ends(topics.IDENTITY)[0]
            touched = self._log.committed(topics.PROJECTIONS, topics.TOUCHED)
            touched_ends = self._log.ends(topics.TOUCHED)
            if identity >= identity_end and _passed(touched, touched_ends):
                self._known, self._followed = events, None
            elif self._followed is None:
                self._followed = _Followed(events, identity_end)
            elif self._is_through(self._followed, identity, touched, touched_ends):
                self._known, self._followed = self._followed.events, None
            return self._known

    def _is_through(self, followed: _Followed, identity: int, touched: list[int], ends: list[int]) -> bool:
        if followed.touched is None:
            if identity >= followed.identity:
                followed.touched = ends
        elif _passed(touched, followed.touched):
            followed.rounds -= 1
            followed.touched = ends
        return followed.rounds == 0


def _passed(positions: Sequence[int], ends: Sequence[int]) -> bool:
    return all(map(int.__ge__, positions, ends))
