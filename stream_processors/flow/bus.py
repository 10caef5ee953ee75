"""The bus of touches: from stages with news about profiles to the holders of these profiles.

It is in memory if one process holds everything: touches that are lost at a crash are derived again from uncommitted
records. It is a topic if there are several processes.
"""

from typing import Protocol

from eventlog.port import RecordLog
from schemas import topics
from stream_processors.checkpoints import Checkpoint
from stream_processors.state.touches import Touches


class Bus(Protocol):
    """One thread."""

    def send(self, touches: Touches) -> None:
        """Pass on touches of identity or events. Their rows can be read."""
        ...

    def pass_on(self, touches: Touches) -> Touches:
        """Pass on touches of others' profiles. Returns those that come back at once."""
        ...


class TopicBus:
    """`simorgh.touched`: durable on return."""

    def __init__(self, log: RecordLog, checkpoint: Checkpoint) -> None:
        self._log = log
        self._checkpoint = checkpoint

    def send(self, touches: Touches) -> None:
        self._append(touches, "touched")

    def pass_on(self, touches: Touches) -> Touches:
        self._append(touches, "passed_on")
        return Touches()

    def _append(self, touches: Touches, point: str) -> None:
        if messages := touches.messages():
            self._log.append(topics.TOUCHED, messages)
        self._checkpoint(point)


class MemoryBus:
    """Gathers touches until they are taken."""

    def __init__(self) -> None:
        self._waiting = Touches()

    def send(self, touches: Touches) -> None:
        if self._waiting.by_profile or self._waiting.fresh:
            self._waiting.merge(touches)
        else:
            self._waiting = touches

    def pass_on(self, touches: Touches) -> Touches:
        return touches

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._waiting.by_profile

    def take(self) -> Touches:
        taken, self._waiting = self._waiting, Touches()
        return taken
