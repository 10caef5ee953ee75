"""What people declare, made effective: segments come alive and are back-filled, stewards' commands are applied.

Follows `simorgh.registry` record by record, between two micro-batches. Side effects per record: what it does
(idempotent: a segment's memberships are made equal to a query's answer, a command is applied once by its offset),
then the commit; a crash before the commit does it again.
"""

from collections.abc import Iterable

from eventlog.port import EventLog, Record
from registry.models import RegistryRecord
from schemas import topics
from schemas.clock import Clock
from stream_processors import declared
from stream_processors.pipeline import Pipeline
from stream_processors.segments.sql import compile_sql
from warehouse.client import Writer
from warehouse.reader import Reader

_READ = 1_000
_SWEEP_CHUNK = 200


class Declarations:
    """Keeps a pipeline in step with `simorgh.registry`. One thread, the pipeline's."""

    def __init__(self, log: EventLog, pipeline: Pipeline, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._log = log
        self._pipeline = pipeline
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
                if found and found.kind == "segment":
                    self._segments.fold(found)
            position = records[-1].offset + 1
        self._pipeline.registry_position = position
        self._pipeline.evaluator.set_segments(self._segments.written)

    def resume(self) -> None:
        """After a start: begin the sweep again that an earlier process did not end."""
        self._swept = self._log.committed(declared.SWEEP, topics.REGISTRY)[0]
        if self._swept < self._pipeline.registry_position:
            self._sweep = self._pipeline.live_profiles()

    def step(self) -> int:
        """Apply what was declared since, and sweep on; returns how many records and profiles."""
        done = self._apply_new()
        if self._sweep:
            chunk, self._sweep = self._sweep[:_SWEEP_CHUNK], self._sweep[_SWEEP_CHUNK:]
            self._pipeline.refresh(chunk, "time")
            self._pipeline.commit()
            done += len(chunk)
        if not self._sweep and self._pipeline.registry_position > self._swept:
            self._swept = self._pipeline.registry_position
            self._log.commit(declared.SWEEP, {topics.REGISTRY: {0: self._swept}})
        return done

    def _apply_new(self) -> int:
        records = self._log.read(topics.REGISTRY, 0, self._pipeline.registry_position, _READ)
        if records:
            self._pipeline.commit()  # a back-fill's query must see all that came before
        for record in records:
            self._apply(record)
            self._pipeline.pass_registry(record.offset + 1)
        return len(records)

    def _apply(self, record: Record) -> None:
        found = declared.read(record)
        if found is None:
            return
        if found.kind == "segment":
            self._apply_segment(found)
        elif said := declared.identity_record(found, record.offset):
            self._pipeline.apply_identity(self._pipeline.resolver.apply(said))

    # ---- segments

    def _apply_segment(self, found: RegistryRecord) -> None:
        name = found.id
        known = name in self._segments.written
        if not self._segments.fold(found):
            return
        self._pipeline.evaluator.set_segments(self._segments.written)
        held = self._pipeline.forget_states()
        if name in self._segments.written:
            for segment in self._segments.with_users(name):
                self.fill(segment, "edited" if known else "backfill")
        else:
            self._make_equal(name, set(), "deleted")
        self._see_again(held)  # so that their states are loaded before their next events come

    def fill(self, segment: str, cause: str) -> None:
        """Compute a segment's members in full and tell the difference. When time will change them is left to the
        sweep.
        """
        query = compile_sql(self._segments.rule(segment), self._clock(), self._segments.rule)
        members = {row["profile"] for row in self._reader.rows(query.sql, query.parameters)}
        self._make_equal(segment, members, cause)
        if self._pipeline.evaluator.live.changes_with_time(segment):
            self._see_again(self._pipeline.live_profiles())

    def _see_again(self, profiles: Iterable[int]) -> None:
        waiting = set(self._sweep)
        self._sweep += [profile for profile in profiles if profile not in waiting]

    def _make_equal(self, segment: str, members: set[int], cause: str) -> None:
        before = self._pipeline.evaluator.members(self._writer, segment)
        self._pipeline.tell(segment, members, before, cause)
