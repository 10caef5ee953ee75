"""What people declare, made effective: segments come alive and are back-filled, stewards' commands are applied.

Follows `simorgh.registry` between two micro-batches. Segments that were declared one after the other are filled
together, by one query over history, unless one concerns what another does. Side effects for each such group, or for
one command, and what a crash after each means:

  1 what it does        again: memberships are made equal to a query's answer, a command is applied once by its offset
  2 for each that cannot be put into effect, the record that says so    it is tried again, and said again, to no effect
  3 the commit
"""

from collections.abc import Sequence

from eventlog.port import EventLog, Record
from registry.models import SET_ASIDE
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Backpressure
from stream_processors import backfill, declared
from stream_processors.declared import Change
from stream_processors.filling import Progress, filling
from stream_processors.pipeline import Pipeline
from warehouse.client import Writer
from warehouse.reader import Reader

_READ = 1_000


class Declarations:
    """Keeps a pipeline in step with `simorgh.registry`. One thread, the pipeline's."""

    def __init__(
        self,
        log: EventLog,
        pipeline: Pipeline,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        progress: Progress | None = None,
    ) -> None:
        """`progress`: where it is noted how far a filling is."""
        self._log = log
        self._pipeline = pipeline
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._segments = declared.Segments()
        self._progress = progress or Progress()

    def restore(self, upto: int) -> None:
        """Make the segments that were declared before offset `upto` live, without back-fill: it was done then."""
        position = 0
        while records := self._log.read(topics.REGISTRY, 0, position, min(_READ, max(0, upto - position))):
            for record in records:
                found = declared.read(record)
                if found and found.kind in ("segment", SET_ASIDE):
                    self._segments.fold(found, record.offset)
            position = records[-1].offset + 1
        self._pipeline.registry_position = position
        self._pipeline.set_segments(self._segments.live)

    def resume(self) -> None:
        """After a start: put on record what this version cannot put into effect."""
        self._segments.record_asides(self._log, self._clock)

    def step(self) -> int:
        """Apply what was declared since; returns how many records."""
        records = self._log.read(topics.REGISTRY, 0, self._pipeline.registry_position, _READ)
        if records:
            self._pipeline.commit()  # a back-fill's query must see all that came before
        done = 0
        while done < len(records):
            done += self._apply_some(records[done:])
            self._pipeline.pass_registry(records[done - 1].offset + 1)
        return len(records)

    def _apply_some(self, records: Sequence[Record]) -> int:
        """Apply the records at the front that go together; returns how many these are."""
        changes: list[Change] = []
        concerned: set[str] = set()
        done = 0
        for record in records:
            found = declared.read(record)
            if found and found.kind in ("segment", SET_ASIDE):
                if not concerned.isdisjoint(self._segments.with_users(found.id)):
                    break
                concerned.add(found.id)
                if change := self._segments.fold(found, record.offset):
                    changes.append(change)
                    concerned.update(change.filled, change.gone)
            elif found and (said := declared.identity_record(found, record.offset)):
                if done:
                    break
                self._pipeline.apply_identity(self._pipeline.resolver.apply(said))
                return 1
            done += 1
        self._put_into_effect(changes)
        self._segments.record_asides(self._log, self._clock)
        return done

    # ---- segments

    def _put_into_effect(self, changes: Sequence[Change]) -> None:
        """Make the changes, or find out whose declaration is at fault, set it aside and make what that comes to."""
        try:
            self._make(changes)
        except Backpressure:
            raise
        except Exception as error:
            if len(changes) > 1:
                self._put_each_into_effect(changes)
                return
            [change] = changes
            if not self._is_at_fault(change):
                raise
            undone = self._segments.set_aside(change.segment, change.offset, declared.reason_of(error))
            if undone is None:
                raise
            self._put_into_effect([undone])

    def _put_each_into_effect(self, changes: Sequence[Change]) -> None:
        """One by one, each with its own commit: rows that are written for the next have a higher version."""
        for change in changes:
            self._put_into_effect([change])
            self._segments.record_asides(self._log, self._clock)
            self._pipeline.pass_registry(change.offset + 1)

    def _make(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self._pipeline.set_segments(self._segments.live)
        wanted = filling(changes, self._segments.live)
        try:
            self._fill(wanted.filled)
            self._empty(wanted.gone)
        finally:
            self._progress.note((), 0.0)

    def _is_at_fault(self, change: Change) -> bool:
        """Whether the declaration fails alone, too, while the warehouse is well."""
        try:
            backfill.count(self._reader)
        except Exception:  # the warehouse is not well
            return False
        live = [segment for segment in change.filled if segment in self._segments.live]
        return any(backfill.fails(self._reader, self._segments.rule, one, self._clock) for one in live)

    def _fill(self, causes: dict[str, str]) -> None:
        """Compute members in full and tell the differences. Rows are made due once, when all segments are known."""
        resolve, pipeline = self._segments.rule, self._pipeline
        groups = backfill.together(causes, resolve)
        gathered: dict[int, int] = {}
        for number, group in enumerate(groups):
            self._progress.note(causes, number / len(groups))
            for found in backfill.members_by_page(self._reader, group, resolve, self._clock):
                told = {name: (found.members[name], causes[name]) for name in group}
                pipeline.tell(found.page, told, found.due if len(groups) == 1 else {})
                self._progress.note(causes, (number + found.share) / len(groups))
                if len(groups) > 1:
                    gathered |= {profile: min(at, gathered.get(profile, at)) for profile, at in found.due.items()}
        if gathered:
            pipeline.tell(backfill.EVERYBODY, {}, gathered)

    def _empty(self, segments: Sequence[str]) -> None:
        """Let all members go."""
        for page in backfill.whole(backfill.count(self._reader)) if segments else ():
            self._pipeline.tell(page, {segment: (set(), "deleted") for segment in segments})
