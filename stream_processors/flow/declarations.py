"""The declarations stage: puts declarations into effect, and changes by time.

Declarations come into effect in rounds. A round takes all declarations since the last one, and fills the segments among
them together. Its phases wait, without blocking, until the holders of the affected profiles have processed them; on one
machine that is at once. Side effects, and what a crash after each means:

  1 commands and rules go to identity    a copy of a command folds to nothing
  wait: transitions under the former rules are published, and in the tables
  2 people who asked for it are forgotten (`flow.erasing`); in between, wait: all processes know of the keys'
    destruction
  3 the full query's answer is compared with the members as published, and the difference is taken to the profiles. For
    a segment that cannot be filled, a record says that it is set aside; the next round brings back what was live before
  wait: these profiles, and their heirs, are seen to
  4 the position in simorgh.registry is committed: the declarations are in effect, and the API answers 201

After a crash the round begins again from the last commit. A zombie does the same as the new holder and commits only
true positions, but may set the position back; the holder commits it again every two seconds.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

from eventlog.port import EventLog, Message, Record
from registry.erasures import ERASE
from registry.models import CONSTANT, by_projections
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Backpressure, SimorghError
from segments.computed import trait_of, unit
from segments.sql import Page
from segments.tree import DAY_MS
from stream_processors.flow import backfill
from stream_processors.flow.erasing import Eraser
from stream_processors.flow.filling import Filling, FillingProgress, filling
from stream_processors.state import cold, declared, touches
from stream_processors.state.declared import BACKFILL, Change
from stream_processors.state.live_segments import LiveSegments
from warehouse.client import Writer
from warehouse.reader import Reader

_LOG = logging.getLogger(__name__)
_ASK_AGAIN_MS: Final = 60_000
EVERY_MS: Final = 2_000
"""How often to look for profiles that are due, and at the committed position."""

Passed = Callable[[], bool]
"""Returns whether the next phase may begin. May be called often."""
Phase = Callable[[], Passed]
Answer = Mapping[str, Collection[int]]
"""Segment -> the profiles of a page that satisfy its rule."""


class Effects(Protocol):
    """How declarations and time reach profiles: directly, or through their holders."""

    def order(self, orders: Sequence[Message]) -> Passed:
        """Append records to simorgh.identity. Passed: they, and everything before them, are processed and in the
        tables."""
        ...

    def fill(self, page: Page, answer: Answer, causes: Mapping[str, str], due: Mapping[int, int]) -> None:
        """Make the memberships in a page of profiles equal to the answer, with the cause for each segment. `due`:
        profile -> the latest moment, in ms, for its rows to be due."""
        ...

    def look(self, profiles: Collection[int], cause: str) -> Passed:
        """Have profiles looked at again."""
        ...

    def filled(self) -> Passed:
        """Passed: all profiles of `fill` are processed."""
        ...

    def in_effect(self, position: int) -> None:
        """Commit that simorgh.registry is in effect up to `position`."""
        ...


class Declarations:
    """One thread, its host's. `restore`, then `step` again and again."""

    def __init__(
        self,
        log: EventLog,
        effects: Effects,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        progress: FillingProgress | None = None,
        eraser: Eraser | None = None,
    ) -> None:
        """`reader` finds what is filled, `progress` notes how far that is. `eraser`: forgets people; without one,
        identity does."""
        self._eraser = eraser
        self._log = log
        self._effects = effects
        self._writer = writer
        self.reader = reader
        self._clock = clock
        self.progress = progress or FillingProgress()

    def restore(self) -> None:
        """Start where the last round ended."""
        self._segments = LiveSegments(self._log)
        self._committed = self._log.committed(topics.PROJECTIONS, topics.REGISTRY)[0]
        self._segments.read_on(self._committed)
        self._phases: list[Phase] = []
        self._passed: Passed = at_once
        self._due_passed: Passed = at_once
        self._looked_at = 0
        self._asked: dict[str, int] = {}

    def step(self) -> bool:
        """Do the present work; never waits. Returns whether there was any."""
        done = self._begin() if not self._phases and self._passed() else False
        while self._phases and self._passed():
            self._passed = self._phases.pop(0)()
            done = True
        now = self._clock()
        if now - self._looked_at >= EVERY_MS and self._due_passed():
            self._looked_at = now
            self._look_at_time(now)
            self._commit_again()
            done |= self._record_constants(now)
            done |= self._eraser is not None and self._eraser.step()
        return done

    # ---- rounds

    def _begin(self) -> bool:
        self._segments.segments.record_asides(self._log, self._clock)
        records, changes = self._segments.read_on()
        if not records:
            return False
        after = records[-1].offset + 1
        orders = [message for record in records if (message := _order(record))]
        if orders or changes:
            self._phases.append(lambda: self._effects.order(orders))
        if self._eraser and any(kind == ERASE.encode() for kind, _ in orders):
            self._phases += [self._eraser.begin, self._eraser.destroy, self._forget]
        if changes:
            self._phases.append(lambda: self._fill(changes))
        if orders or changes:
            self._phases.append(self._effects.filled)
        self._phases.append(lambda: self._finish(after))
        return True

    def _forget(self) -> Passed:
        assert self._eraser is not None
        self._eraser.forget()
        return at_once

    def _fill(self, changes: Sequence[Change]) -> Passed:
        """Let profiles enter and leave the segments that these changes concern."""
        live = self._segments.segments
        wanted = filling(changes, live.is_live)
        groups = backfill.together([one for one in wanted.filled if trait_of(one) is None], live.rule)
        try:
            self._fill_traits(wanted, changes)
            self._empty([one for one in wanted.gone if trait_of(one) is None])
            for number, group in enumerate(groups):
                share = number / len(groups), 1 / len(groups)
                self._fill_group(group, wanted.filled, changes, share)
        finally:
            self.progress.note((), 0.0)
        return self._effects.filled()

    def _fill_traits(self, wanted: Filling, changes: Sequence[Change]) -> None:
        """Have the profiles looked at whose computed traits are not what they are from now on."""
        gone = [name for one in wanted.gone if (name := trait_of(one))]
        traits = [name for one in wanted.filled if (name := trait_of(one))]
        anew = {trait for change in changes if change.anew for one in change.filled if (trait := trait_of(one))}
        try:
            self._look_at_traits(traits, gone, anew)
        except Backpressure:
            raise
        except Exception:
            self._look_at_traits([], gone, anew)
            for name in traits:
                self._look_at_trait(name, changes, anew)

    def _look_at_trait(self, name: str, changes: Sequence[Change], anew: Collection[str]) -> None:
        try:
            self._look_at_traits([name], (), anew)
        except Exception as error:
            if isinstance(error, Backpressure) or not self._is_well():
                raise
            change = next(change for change in changes if unit(name) in change.filled)
            reason = declared.reason_of(error)
            self._segments.segments.say_aside(self._log, self._clock, change.segment, change.offset, reason)

    def _look_at_traits(self, traits: Sequence[str], gone: Sequence[str], anew: Collection[str]) -> None:
        """`anew`: traits of which every profile with a value is looked at: it may be due at another moment."""
        live = self._segments.segments
        made = {name: (live.computation(name), 0 if name in anew else live.version(unit(name))) for name in traits}
        for page, profiles in backfill.differing_by_page(self.reader, made, gone, live.rule, self._clock):
            self._effects.look(profiles, BACKFILL)
            self.progress.note(map(unit, traits), backfill.share(page))

    def _fill_group(
        self,
        segments: Sequence[str],
        causes: Mapping[str, str],
        changes: Sequence[Change],
        share: tuple[float, float],
    ) -> None:
        try:
            self._fill_together(segments, causes, share)
        except Backpressure:
            raise
        except Exception:
            self._fill_each(segments, causes, changes, share)

    def _fill_together(self, segments: Sequence[str], causes: Mapping[str, str], share: tuple[float, float]) -> None:
        """`share`: of everything that is being filled, what is done before and what this is."""
        before, this = share
        self.progress.note(causes, before)
        for found in backfill.members_by_page(self.reader, segments, self._segments.segments.rule, self._clock):
            self._effects.fill(found.page, found.members, causes, found.due)
            self.progress.note(causes, before + this * found.share)

    def _fill_each(
        self,
        segments: Iterable[str],
        causes: Mapping[str, str],
        changes: Sequence[Change],
        share: tuple[float, float],
    ) -> None:
        """For segments that cannot be filled together: a record says which declaration is set aside."""
        failed: set[int] = set()
        for segment in segments:
            change = next(change for change in changes if segment in change.filled)
            if change.offset in failed:
                continue
            try:
                self._fill_together([segment], causes, share)
            except Exception as error:
                if not self._is_at_fault(segment, error):
                    raise
                failed.add(change.offset)
                reason = declared.reason_of(error)
                self._segments.segments.say_aside(self._log, self._clock, change.segment, change.offset, reason)

    def _is_at_fault(self, segment: str, error: Exception) -> bool:
        """Whether the segment fails alone, too, while the warehouse is well."""
        if isinstance(error, Backpressure) or not self._is_well():
            return False
        return backfill.fails(self.reader, self._segments.segments.rule, segment, self._clock)

    def _is_well(self) -> bool:
        """Whether the warehouse answers."""
        try:
            backfill.count(self.reader)
        except Exception:
            return False
        return True

    def _empty(self, segments: Sequence[str]) -> None:
        """Let all members go."""
        causes = dict.fromkeys(segments, touches.DELETED)
        for page in backfill.whole(backfill.count(self.reader)) if segments else ():
            self._effects.fill(page, dict.fromkeys(segments, ()), causes, {})

    def _finish(self, position: int) -> Passed:
        self._committed = position
        self._effects.in_effect(position)
        return at_once

    # ---- constants

    def _record_constants(self, now: int) -> bool:
        """Once a day, record what computed traits reckon with that depends on other people. Where there is nothing to
        reckon with yet, it is looked for again after a while. Returns whether there is a new record. A crash before it
        changes nothing; two owners at once record it twice, and the later one counts."""
        recorded = False
        for name in self._segments.segments.without_constant(now // DAY_MS):
            if self._asked.get(name, -_ASK_AGAIN_MS) + _ASK_AGAIN_MS > now:
                continue
            self._asked[name] = now
            trait, version = str(trait_of(name)), self._segments.segments.version(name)
            try:
                usual = backfill.usual_gap(self.reader, self._segments.segments.computation(trait), now)
            except SimorghError as error:
                _LOG.warning("trait %s: its constant is not recorded yet: %s", trait, error.code)
                continue
            if usual is not None:
                body = {"version": version, "day": now // DAY_MS, "usual_gap": usual}
                self._log.append(topics.REGISTRY, [by_projections(CONSTANT, name, body, now)])
                recorded = True
        return recorded

    # ---- time

    def _look_at_time(self, now: int) -> None:
        """Process the profiles that are due, and not again before that is done."""
        if due := cold.due(self._writer, now):
            self._due_passed = self._effects.look(due, touches.TIME)

    def _commit_again(self) -> None:
        """A zombie may have set the position back: a declaration would not be in effect."""
        if self._log.committed(topics.PROJECTIONS, topics.REGISTRY)[0] < self._committed:
            self._effects.in_effect(self._committed)


def at_once() -> bool:
    """Nothing to wait for."""
    return True


def _order(record: Record) -> Message | None:
    """The record of simorgh.identity for a declaration, if it concerns identity."""
    found = declared.read(record)
    return declared.order(found, record.offset) if found else None
