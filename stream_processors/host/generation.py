"""Which generation of the projections is live: one pointer, kept beside the consumer groups' positions in the log.

The pointer is the committed position of a group of its own, so that it is as durable as they are and every process
that can reach the log can read it.
"""

from eventlog.port import EventLog
from schemas import topics

_GROUP = "generation"


def current(log: EventLog) -> int:
    """The live generation, from 1."""
    return max(1, log.committed(_GROUP, topics.REGISTRY)[0])


def swap(log: EventLog, generation: int) -> None:
    """Make `generation` the live one. Atomic and durable."""
    log.commit(_GROUP, {topics.REGISTRY: {0: generation}})
