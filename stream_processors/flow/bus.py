"""The bus of touches: from whoever knows that something is new about profiles to the holders of these profiles.

In memory where one process holds everything: what is lost at a crash is derived again from what was not committed. A
topic where there are several.
"""

from typing import Protocol

from eventlog.port import RecordLog
from schemas import topics
from stream_processors.checkpoints import Checkpoint
from stream_processors.state.touches import Touches


class Bus(Protocol):
    """One thread."""

    def send(self, touches: Touches) -> None:
        """Hand over what identity or events touch. The rows that it is about can be read."""
        ...

    def pass_on(self, touches: Touches) -> Touches:
        """Hand over what a holder of profiles found to be others'. Returns what comes back to it at once."""
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
