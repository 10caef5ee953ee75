"""Which generation of the tables is live, which one is wanted, and the positions of each.

All of it is stored as committed positions of consumer groups, so it is as durable as they are, and every process with
access to the log can read it:

    generation          the live generation: the one pointer that a replay moves
    generation.wanted   the generation that a replay was asked to build; above the live one while it does
    generation.failed   the wanted generation that could not be built

On a cluster each generation has its own positions. `GenerationLog` gives them to the stages, under the groups' names
with `.g2` and so on appended (the first one has the plain names). So the commit that moves the pointer moves all
positions with it, and a worker that still serves the old generation moves only the old positions. One machine stops its
only holder before it swaps, so both generations share its positions.
"""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from destinations.ledger import GROUP as TRIGGERS
from eventlog.forwarding import ForwardedRecords
from eventlog.port import EventLog
from schemas import topics
from schemas.errors import Conflict
from schemas.retry import Failures, Pauses
from stream_processors.flow import events, identity, profiles, rejected
from stream_processors.state.teller import told_group

_LOG = logging.getLogger(__name__)

_LIVE: Final = "generation"
_WANTED: Final = "generation.wanted"
_FAILED: Final = "generation.failed"
_TERMS: Final = "terms"

LEVEL: Final = "profiles.level"
"""The group whose position in a partition of simorgh.touched is 1 if a new generation is level with the one before it:
see `host.following`."""

_OWN: Final = frozenset(
    {events.GROUP, identity.GROUP, profiles.GROUP, rejected.GROUP, topics.PROJECTIONS, LEVEL, TRIGGERS}
)
_TOLD: Final = told_group(0)[:-1]
_SHARED: Final = frozenset({(TRIGGERS, topics.SEGMENTS)})
"""Groups that all generations share: a webhook that was called stays called, whichever tables are live."""

LOOK_SECONDS: Final = 1.0
_PAUSES: Final = Pauses(LOOK_SECONDS, 10.0)


def current(log: EventLog) -> int:
    """The live generation, from 1."""
    return max(1, _read(log, _LIVE))


def swap(log: EventLog, generation: int) -> None:
    """Make `generation` the live one. Atomic and durable."""
    _write(log, _LIVE, generation)


def next_term(log: EventLog) -> int:
    """A number above all earlier ones in this log, from 1."""
    term = log.committed(_TERMS, topics.SEGMENTS)[0] + 1
    log.commit(_TERMS, {topics.SEGMENTS: {0: term}})
    return term


# ---- requests on a cluster


@dataclass(frozen=True, slots=True)
class Wanted:
    """The live generation, and the latest requested one; 0 if none was ever requested."""

    live: int
    wanted: int
    failed: int

    @property
    def is_under_way(self) -> bool:
        return self.wanted > max(self.live, self.failed)


def wanted(log: EventLog) -> Wanted:
    found = Wanted(0, _read(log, _WANTED), _read(log, _FAILED))
    return Wanted(current(log), found.wanted, found.failed)  # last: what is live was wanted before


def want(log: EventLog) -> int:
    """Request a replay; returns the generation to build. Raises `Conflict` (`replay_running`) if one is running."""
    stands = wanted(log)
    if stands.is_under_way:
        raise one_runs()
    return want_anew(log, stands)


def one_runs() -> Conflict:
    return Conflict("replay: wanted none running, got one that runs; wait until it ends", code="replay_running")


def want_anew(log: EventLog, stands: Wanted) -> int:
    """Request a generation under a new number, whether or not one is wanted."""
    number = max(stands.live, stands.wanted) + 1
    _write(log, _WANTED, number)
    return number


def fail(log: EventLog, generation: int) -> None:
    """Record that this wanted generation cannot be built."""
    _write(log, _FAILED, generation)


def _read(log: EventLog, group: str) -> int:
    return log.committed(group, topics.REGISTRY)[0]


def _write(log: EventLog, group: str, number: int) -> None:
    log.commit(group, {topics.REGISTRY: {0: number}})


# ---- positions of a generation's own


def group_of(group: str, generation: int) -> str:
    """The group name for the positions of a generation's stages."""
    return group if generation == 1 else f"{group}.g{generation}"


def _is_own(group: str, topic: str) -> bool:
    return (group in _OWN or group.startswith(_TOLD)) and (group, topic) not in _SHARED


class GenerationLog(ForwardedRecords):
    """A cluster's log for one generation's stages: an `EventLog` with their own positions."""

    def __init__(self, log: EventLog, generation: Callable[[], int]) -> None:
        """`generation` is read at each call."""
        super().__init__(log)
        self._generation = generation

    def committed(self, group: str, topic: str) -> list[int]:
        return self._log.committed(self._named(group, topic), topic)

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        """Shared positions come first: a crash between the two commits leaves positions too low, never too high."""
        shared = {topic: found for topic, found in positions.items() if not _is_own(group, topic)}
        own = {topic: found for topic, found in positions.items() if topic not in shared}
        if shared:
            self._log.commit(group, shared)
        if own:
            self._log.commit(group_of(group, self._generation()), own)

    def _named(self, group: str, topic: str) -> str:
        return group_of(group, self._generation()) if _is_own(group, topic) else group


# ---- following the pointer


class LiveGeneration:
    """The live generation as known by one process of a cluster: at most about a second old. For any thread."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._over = threading.Event()
        self._moving = threading.Lock()
        self.number = current(log)
        self.moved: list[Callable[[], None]] = []
        """Called, in the thread that notices, when another generation is live."""

    def __call__(self) -> int:
        return self.number

    def look(self) -> int:
        """Read the log. If another thread has read a newer number meanwhile, that one stays."""
        number = current(self._log)
        with self._moving:
            moved, self.number = number > self.number, max(number, self.number)
        if moved:
            _LOG.info("generation %d is live", number)
            for tell in self.moved:
                tell()
        return self.number

    def follow(self) -> None:
        """Read it repeatedly, in a thread, until `close`."""
        threading.Thread(target=self._follow, name="generation", daemon=True).start()

    def _follow(self) -> None:
        failures = Failures(_PAUSES)
        pause = LOOK_SECONDS
        while not self._over.wait(pause):
            try:
                self.look()
                failures.clear()
                pause = LOOK_SECONDS
            except Exception as error:  # never the end: this process would read tables that are dropped
                failures.add(error)
                pause = failures.pause(random.random())

    def close(self) -> None:
        self._over.set()
