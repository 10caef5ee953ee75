"""Replay: build the next generation of all tables from the log, next to the live one, and continue with that.

Words. A *generation* is one build of all tables, in a database of its own. The pointer in the log names the *live* one
(`host.generation`). A *cut* is the positions of the live generation at one moment, one in each topic. The next
generation is *level* once it includes everything that the live one includes.

Flow. The log is read up to a cut. The rows of events come first, since they are most. Then identity, transitions and
declarations are folded as they are, and every profile is evaluated. Meanwhile the live generation continues. So further
cuts follow, each with less work: new rows, and the profiles touched in between. When little is left, the last cut
becomes the positions of the next generation, and the pointer moves. The holders then do the same as after any takeover:
they continue from these positions, and derive again what the old generation had beyond them.

No webhook is called. Nothing is published here. Profiles whose memberships differ from the published ones are touched
with the cause `replay`, which calls no trigger, and their next holder publishes the difference.

Side effects, in order, and what a crash after each means. The next one begins with the positions in 2:

  1 the database            found, and filled on
  2 rows of events, then the position up to which they are there     written again from it: equal rows are one
  3 rows of identity, transitions, rejected events, deliveries       written again from the beginning: the same rows
  4 views, profile_rows     written again, under higher versions
  5 simorgh.touched         holders of the old generation look at these profiles: nothing changes by that. Touched again
  6 positions of the next generation     nobody reads them before 7; noted again
  7 the pointer             done. Generations before the live one are dropped later

One machine (`OfOneBox`) starts from nothing each time, since it counts equal rows twice. It stops its holder for the
last cut, so the positions do not change at 7, and there is no 6. Its next start processes the profiles of 5.

A cluster (`OfGeneration`) never stops. Two things make that safe. Positions belong to a generation, so an old holder
moves only the old ones. And a new holder of profiles claims its partition, after which the old holder's transitions do
not count, and waits until the new generation is level (`host.following`): otherwise profiles would leave segments that
they have entered.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from destinations.ledger import GROUP as TRIGGERS
from eventlog.port import EventLog, Record
from privacy.keyring import Names, no_names
from schemas import topics
from schemas.clock import Clock
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow import events, identity, profiles, rejected
from stream_processors.host import generation
from stream_processors.host.generation import GenerationLog
from stream_processors.host.rebuild import READ, Rebuild
from stream_processors.state import touches
from stream_processors.state.poison import MOST_IN_A_ROW
from stream_processors.state.teller import told_group
from stream_processors.state.touches import REPLAY, Touch
from warehouse.client import Warehouse

_FEW: Final = 2_000
"""The number of touched profiles since the previous cut below which another cut does not pay."""
_MOST_CUTS: Final = 10

Progress = Callable[[int, int], None]
"""Called after each step with the events rebuilt so far, and all events. An exception ends the replay."""


def _quiet(done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Cut:
    """The positions of the live generation. Everything that it has published about is in the topics before these
    positions, or is touched at or after `touched`."""

    registry: int
    deliveries: int
    events: list[int]
    identity: int
    touched: list[int] = field(default_factory=list)


class Standing(Protocol):
    """The positions of the live generation, and those at which the next one continues."""

    def cut(self) -> Cut: ...

    def rebuilt(self) -> list[int]:
        """The positions up to which an earlier attempt has written the rows of simorgh.events, by partition."""
        ...

    def move(self, positions: dict[int, int]) -> None:
        """Rows of simorgh.events are written up to these positions."""
        ...

    def note(self, cut: Cut, transitions_end: int, rejected_end: int) -> None:
        """The next generation continues from these positions."""
        ...


class OfOneBox:
    """One holder for everything, which is stopped at the last cut."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def cut(self) -> Cut:
        def committed(topic: str) -> list[int]:
            return self._log.committed(topics.PROJECTIONS, topic)

        return Cut(committed(topics.REGISTRY)[0], 0, committed(topics.EVENTS), committed(topics.IDENTITY)[0])

    def rebuilt(self) -> list[int]:
        return [0] * len(self._log.ends(topics.EVENTS))

    def move(self, positions: dict[int, int]) -> None:
        """The next attempt starts from nothing."""

    def note(self, cut: Cut, transitions_end: int, rejected_end: int) -> None:
        """It continues from its holder's positions."""


class OfGeneration:
    """Holders that never stop, and positions for each generation."""

    def __init__(self, log: EventLog, live: int, next: int) -> None:
        self._live = GenerationLog(log, lambda: live)
        self._next = GenerationLog(log, lambda: next)

    def cut(self) -> Cut:
        """Touches are read first: the effects of earlier touches are published, and in simorgh.segments by now."""
        committed = self._live.committed
        touched = committed(profiles.GROUP, topics.TOUCHED)
        return Cut(
            registry=committed(topics.PROJECTIONS, topics.REGISTRY)[0],
            deliveries=committed(TRIGGERS, topics.DELIVERIES)[0],
            events=committed(events.GROUP, topics.EVENTS),
            identity=committed(identity.GROUP, topics.IDENTITY)[0],
            touched=touched,
        )

    def rebuilt(self) -> list[int]:
        return self._next.committed(events.GROUP, topics.EVENTS)

    def move(self, positions: dict[int, int]) -> None:
        self._next.commit(events.GROUP, {topics.EVENTS: positions})

    def note(self, cut: Cut, transitions_end: int, rejected_end: int) -> None:
        commit = self._next.commit
        commit(identity.GROUP, {topics.IDENTITY: {0: cut.identity}})
        commit(profiles.GROUP, {topics.TOUCHED: dict(enumerate(cut.touched))})
        for part in range(len(cut.touched)):
            commit(told_group(part), {topics.SEGMENTS: {0: transitions_end}})
        commit(rejected.GROUP, {topics.REJECTED: {0: rejected_end}})
        commit(TRIGGERS, {topics.DELIVERIES: {0: cut.deliveries}})
        commit(topics.PROJECTIONS, {topics.REGISTRY: {0: cut.registry}})


def on_one_box(
    log: EventLog,
    warehouse: Warehouse,
    clock: Clock,
    rest: float = 0.0,
    most_set_aside: int = MOST_IN_A_ROW,
    names: Names = no_names,
) -> "Replay":
    """A replay into an empty generation after the live one."""
    number = generation.current(log) + 1
    warehouse.drop(number)
    warehouse.migrate(number)
    return Replay(log, warehouse, clock, OfOneBox(log), number, rest=rest, most_set_aside=most_set_aside, names=names)


class Replay:
    """One rebuild. `catch_up` and `finish` once each; on one box `finish` needs the live holder stopped."""

    def __init__(
        self,
        log: EventLog,
        warehouse: Warehouse,
        clock: Clock,
        standing: Standing,
        number: int,
        *,
        rest: float = 0.0,
        checkpoint: Checkpoint = no_checkpoint,
        most_set_aside: int = MOST_IN_A_ROW,
        names: Names = no_names,
    ) -> None:
        """`number`: of the generation to build, whose tables exist. `rest`: seconds to rest per second of work, so that
        live holders keep their pace. `most_set_aside`: see `Poison`."""
        self._log = log
        self._standing = standing
        self._rest = rest
        self._checkpoint = checkpoint
        self.generation = number
        self._rebuild = Rebuild(log, warehouse.writer(number), clock, checkpoint, most_set_aside, names)
        self._positions = dict(enumerate(standing.rebuilt()))
        self._progress: Progress = _quiet
        self._total = 0

    def catch_up(self, progress: Progress = _quiet) -> None:
        """Write the rows of all events of the live generation, and the tables that are plain copies."""
        self._progress = progress
        self._paced(self._events(self._standing.cut().events))
        self._paced(self._rebuild.copied())

    def finish(self, commit: Callable[[], None] = lambda: None) -> None:
        """Evaluate all profiles, catch up until little is left, and make the new generation the live one. Blocks.
        `commit` is called right before the pointer moves, and raises if another worker has taken over.
        """
        cut = self._standing.cut()
        self._fold(cut)
        self._paced(self._rebuild.evaluate(self._rebuild.everybody()))
        for _ in range(_MOST_CUTS):
            before, cut = cut, self._standing.cut()
            self._fold(cut)
            touched = self._touched(before, cut)
            self._paced(self._rebuild.evaluate(touched))
            if len(touched) < _FEW:
                break
        self._paced(self._rebuild.confirm())
        self._paced(self._rebuild.copied())
        self._touch()
        self._standing.note(cut, self._rebuild.transitions_end, self._rebuild.rejected_end)
        self._checkpoint("noted")
        commit()
        generation.swap(self._log, self.generation)
        self._checkpoint("swapped")

    def copy_on(self) -> None:
        """Write the rows of later rejected events and deliveries, which the live holder wrote to the old tables."""
        for _ in self._rebuild.copied():
            pass

    def close(self) -> None:
        """End running work."""
        self._rebuild.close()

    # ---- steps

    def _fold(self, cut: Cut) -> None:
        self._paced(self._events(cut.events))
        self._paced(self._rebuild.identity(cut.identity))
        self._paced(self._rebuild.transitions())
        self._rebuild.declare(cut.registry)

    def _events(self, ends: list[int]) -> Iterator[None]:
        self._total = sum(ends)
        while records := self._next_events(ends):
            self._rebuild.events(records)
            self._standing.move(self._positions)
            self._checkpoint("rebuilt")
            yield

    def _next_events(self, ends: list[int]) -> list[Record]:
        records: list[Record] = []
        for partition, end in enumerate(ends):
            position = self._positions.get(partition, 0)
            if position < end:
                records += self._log.read(topics.EVENTS, partition, position, min(READ, end - position))
        for record in records:
            self._positions[record.partition] = record.offset + 1
        return records

    def _touched(self, before: Cut, now: Cut) -> set[int]:
        """The profiles touched between two cuts, and those that differed."""
        found = set(self._rebuild.differing)
        for partition, (start, end) in enumerate(zip(before.touched, now.touched, strict=True)):
            for position in range(start, end, READ):
                records = self._log.read(topics.TOUCHED, partition, position, min(READ, end - position))
                found |= self._rebuild.touched(records)
        return found

    def _touch(self) -> None:
        differing = sorted(self._rebuild.differing)
        for start in range(0, len(differing), READ):
            chunk = differing[start : start + READ]
            self._log.append(topics.TOUCHED, [touches.message(Touch(profile, REPLAY)) for profile in chunk])
        self._checkpoint("differing")

    def _paced(self, steps: Iterator[None]) -> None:
        """Take the steps, rest after each, and report progress."""
        started = time.monotonic()
        for _ in steps:
            time.sleep((time.monotonic() - started) * self._rest)
            self._progress(min(self._total, sum(self._positions.values())), self._total)
            started = time.monotonic()
