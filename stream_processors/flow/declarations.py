"""What people declare, made effective: segments come alive and are back-filled, stewards' commands are applied.

Follows `simorgh.registry` record by record, between two micro-batches. Side effects per record, and what a crash after
each means:

  1 what it does        again: memberships are made equal to a query's answer, a command is applied once by its offset
  2 where it cannot be put into effect, the record that says so    it is tried again, and said again, to no effect
  3 the commit
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from eventlog.port import EventLog, Message, Record
from registry.models import SET_ASIDE
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Backpressure
from stream_processors.flow import backfill
from stream_processors.state import cold, declared
from stream_processors.state.declared import Change
from stream_processors.state.judge import Judge
from warehouse.client import Writer
from warehouse.reader import Reader

_READ = 1_000


class BoxOfStages(Protocol):
    """What declarations are put into effect on: see `host.box`, which says what each does."""

    registry_position: int

    @property
    def judge(self) -> Judge: ...

    def pass_registry(self, position: int) -> None: ...

    def commit(self) -> None: ...

    def apply(self, orders: Sequence[Message]) -> None: ...

    def publish(self, segment: str, members: set[int], before: Mapping[int, int], cause: str) -> None: ...

    def show(self, segment: str) -> None: ...

    def refresh(self, profiles: Iterable[int], cause: str) -> None: ...

    def live_profiles(self) -> list[int]: ...

    def forget_states(self) -> list[int]: ...


_SWEEP_CHUNK = 200


class Declarations:
    """Keeps projections in step with `simorgh.registry`. One thread, theirs."""

    def __init__(self, log: EventLog, projections: BoxOfStages, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._log = log
        self._projections = projections
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._segments = declared.Segments()
        self._sweep: list[int] = []
        """Profiles still to look at: a new rule says when time will change them, or emptied the cache of them."""
        self._swept = 0

    def restore(self, upto: int) -> None:
        """Make the segments that were declared before offset `upto` live, without back-fill: it was done then."""
        position = 0
        while records := self._log.read(topics.REGISTRY, 0, position, min(_READ, max(0, upto - position))):
            for record in records:
                found = declared.read(record)
                if found and found.kind in ("segment", SET_ASIDE):
                    self._segments.fold(found, record.offset)
            position = records[-1].offset + 1
        self._projections.registry_position = position
        self._projections.judge.set_segments(self._segments.written)

    def resume(self) -> None:
        """After a start: begin the sweep again that an earlier process did not end, and put on record what this version
        cannot put into effect."""
        self._segments.record_asides(self._log, self._clock)
        self._swept = self._log.committed(declared.SWEEP, topics.REGISTRY)[0]
        if self._swept < self._projections.registry_position:
            self._sweep = self._projections.live_profiles()

    def step(self) -> int:
        """Apply what was declared since, and sweep on; returns how many records and profiles."""
        done = self._apply_new()
        if self._sweep:
            chunk, self._sweep = self._sweep[:_SWEEP_CHUNK], self._sweep[_SWEEP_CHUNK:]
            self._projections.refresh(chunk, "time")
            self._projections.commit()
            done += len(chunk)
        if not self._sweep and self._projections.registry_position > self._swept:
            self._swept = self._projections.registry_position
            self._log.commit(declared.SWEEP, {topics.REGISTRY: {0: self._swept}})
        return done

    def _apply_new(self) -> int:
        records = self._log.read(topics.REGISTRY, 0, self._projections.registry_position, _READ)
        if records:
            self._projections.commit()  # a back-fill's query must see all that came before
        for record in records:
            self._apply(record)
            self._projections.pass_registry(record.offset + 1)
        return len(records)

    def _apply(self, record: Record) -> None:
        found = declared.read(record)
        if found is None:
            return
        if found.kind in ("segment", SET_ASIDE):
            if change := self._segments.fold(found, record.offset):
                self._put_into_effect(change)
            self._segments.record_asides(self._log, self._clock)
        elif said := declared.identity_record(found, record.offset):
            self._projections.apply([declared.order(said)])

    # ---- segments

    def _put_into_effect(self, change: Change) -> None:
        """Make the change, or set its declaration aside and make what that comes to."""
        try:
            self._make(change)
        except Exception as error:
            if not self._is_at_fault(change, error):
                raise
            undone = self._segments.set_aside(change.segment, change.offset, declared.reason_of(error))
            if undone is None:
                raise
            self._put_into_effect(undone)

    def _make(self, change: Change) -> None:
        self._projections.judge.set_segments(self._segments.written)
        held = self._projections.forget_states()
        for segment in change.filled:
            self.fill(segment, change.cause or declared.EDITED)
        for segment in change.gone:
            self._empty(segment)
        self._see_again(held)  # so that their states are loaded before their next events come

    def _is_at_fault(self, change: Change, error: Exception) -> bool:
        """Whether the declaration fails alone, too, while the warehouse is well."""
        if isinstance(error, Backpressure) or not change.filled:
            return False
        try:
            backfill.count(self._reader)
        except Exception:  # the warehouse is not well
            return False
        return any(backfill.fails(self._reader, self._segments.rule, one, self._clock) for one in change.filled)

    def fill(self, segment: str, cause: str) -> None:
        """Compute a segment's members in full and tell the difference. When time will change them is left to the
        sweep.
        """
        resolve = self._segments.rule
        for page, members in backfill.members_by_page(self._reader, resolve(segment), resolve, self._clock):
            before = cold.members(self._writer, segment, page)
            self._projections.publish(segment, members, before, cause)
        self._projections.show(segment)
        if self._projections.judge.live.changes_with_time(segment):
            self._see_again(self._projections.live_profiles())

    def _empty(self, segment: str) -> None:
        """Let all members go."""
        for page in backfill.whole(backfill.count(self._reader)):
            self._projections.publish(segment, set(), cold.members(self._writer, segment, page), "deleted")
        self._projections.show(segment)

    def _see_again(self, profiles: Iterable[int]) -> None:
        waiting = set(self._sweep)
        self._sweep += [profile for profile in profiles if profile not in waiting]
