"""Crash points for tests: SIMORGH_CRASH_AT=name:n kills the process right after the n-th side effect of that name."""

import os
import signal
from collections import Counter

from stream_processors.checkpoints import Checkpoint, no_checkpoint


def checkpoint_from_environment() -> Checkpoint:
    """A checkpoint that kills the process by SIGKILL at the place in the variable, and does nothing if it is not
    set."""
    wanted = os.environ.get("SIMORGH_CRASH_AT")
    if not wanted:
        return no_checkpoint
    name, _, number = wanted.partition(":")
    hits: Counter[str] = Counter()

    def checkpoint(point: str) -> None:
        hits[point] += 1
        if point == name and hits[point] >= int(number or 1):
            os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint
