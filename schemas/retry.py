"""The retry policy of all stages and clients: how long to pause, whose fault it was, and when to give up.

There is no loop and no sleep here. A caller has its own loop, since it can be stopped and shows a state. It gets the
next pause here, and waits in a way that its stop interrupts:

    failures = Failures(Pauses(0.2, 10.0))
    while not stop.is_set():
        try:
            step()
        except Exception as error:
            failures.add(error)
            if failures.is_final:
                raise
            stop.wait(failures.pause(random()))
        else:
            failures.clear()
"""

from dataclasses import dataclass, field
from typing import Final

from schemas.errors import Backpressure, Denied

JITTER: Final = 0.25
"""The largest part of a pause that is dropped at random, so that callers that failed together do not return
together."""

MOST_OF_OURS: Final = 5
"""Failures of our own code in a row before a stage stops, so that a bad deployment does not retry forever."""

_NO_THREAD: Final = "can't start new thread"
"""The text of the bare RuntimeError that Python raises if the machine allows no more threads."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds: `first` after one failure, twice as long after each that follows, `longest` at most."""

    first: float
    longest: float

    def after(self, failures: int, random: float = 0.0) -> float:
        """The pause after so many failures in a row, 1 or more. `random`, in [0, 1), shortens it by up to a quarter."""
        doubled = self.first * 2.0 ** min(failures - 1, 60)
        return min(self.longest, doubled) * (1 - JITTER * random)


def of_the_outside(error: BaseException) -> bool:
    """Whether waiting can help: a store that is away, full, or refuses our user; a disk without room; no descriptors;
    no threads. An operator can fix these while Simorgh runs. Everything else is a fault of our own code or data."""
    if isinstance(error, RuntimeError):
        return str(error) == _NO_THREAD
    return isinstance(error, Backpressure | Denied | OSError)


@dataclass(slots=True, eq=False)
class Failures:
    """Failures in a row of one operation that is retried. One thread changes it; any thread may read it."""

    pauses: Pauses
    most_of_ours: int = MOST_OF_OURS
    in_a_row: int = field(default=0, init=False)
    of_ours: int = field(default=0, init=False)
    """How many of them were not faults of the outside."""
    latest: BaseException | None = field(default=None, init=False)
    """Why the latest attempt failed; None after a success."""

    def add(self, error: BaseException) -> None:
        """An attempt has failed."""
        self.in_a_row += 1
        self.of_ours += not of_the_outside(error)
        self.latest = error

    def clear(self) -> None:
        """An attempt has succeeded."""
        self.in_a_row = self.of_ours = 0
        self.latest = None

    @property
    def is_final(self) -> bool:
        """Whether to stop visibly. Never if all failures were faults of the outside."""
        return self.of_ours >= self.most_of_ours

    def pause(self, random: float = 0.0) -> float:
        """Seconds until the next attempt."""
        return self.pauses.after(self.in_a_row, random)
