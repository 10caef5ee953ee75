"""What people declare and what time changes, on a cluster: the work of the one who owns identity.

Declarations come into effect in rounds. A round takes all that was declared since the last one, and its phases wait
for the owners of profiles, without blocking: each phase begins when they have passed the ends of simorgh.touched as
they were when the phase before ended.

  1 commands and rules go to simorgh.identity         a copy of a command folds to nothing
  wait: whoever still judges by the old segments has told what it had to, and it is in the tables
  2 segments: the full query's answer against the members told; the difference is touched. One that cannot be filled
    is set aside: a record says so, and the next round brings back what was live before it
  wait: the touched were looked at (and what identity touched for the commands)
  wait: what these passed on to heirs was looked at
  3 the position in simorgh.registry is committed: the API answers 201

Beside the rounds goes the sweep. Once nobody is left to look at, its position (group `sweep`) is committed.

A crash anywhere begins the round again from the last commit, and the sweep that had not ended. A zombie does the same
things as the new owner, and commits only what is true, but may set either position back; the owner sets both again
every two seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from eventlog.port import EventLog, Message, Record
from schemas import topics
from schemas.clock import Clock
from schemas.errors import Backpressure
from segments.live import LiveRules
from segments.sql import Page
from stream_processors.checkpoints import Checkpoint
from stream_processors.flow import backfill
from stream_processors.flow.profiles import GROUP as PROFILES_GROUP
from stream_processors.state import cold, declared, touches
from stream_processors.state.declared import Change
from stream_processors.state.live_segments import REGISTRY_GROUP, LiveSegments
from stream_processors.state.touches import Touch
from warehouse.client import Writer
from warehouse.reader import Reader

DUE_EVERY_MS: Final = 2_000
SET_AGAIN_EVERY_MS: Final = 2_000
_CHUNK: Final = 5_000
_SWEEP_CHUNK: Final = 2_000
_NEXT = """SELECT profile FROM profile_rows WHERE profile > {after:UInt128} GROUP BY profile
    HAVING argMax(live, ver) = 1 ORDER BY profile LIMIT {limit:UInt32}"""

Passed = Callable[[], bool]
Phase = Callable[[], Passed]
"""Does its work; the answer says, whenever asked, whether the next one may begin."""


class Coordinator:
    """One thread, the identity stage's. `restore`, then `step` again and again."""

    def __init__(
        self,
        log: EventLog,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        identity_position: Callable[[], int],
        checkpoint: Checkpoint,
    ) -> None:
        """`identity_position`: the next offset of simorgh.identity; all before it is folded, written, touched."""
        self._log = log
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._identity_position = identity_position
        self._checkpoint = checkpoint

    def restore(self) -> None:
        """Begin where the last round ended, with the sweep that was not."""
        self._segments = LiveSegments(self._log)
        self._committed = self._log.committed(REGISTRY_GROUP, topics.REGISTRY)[0]
        self._segments.read_on(self._committed)
        self._phases: list[Phase] = []
        self._passed: Passed = _at_once
        self._looked_at = self._set_at = 0
        self._due_passed: Passed = _at_once
        self._swept = self._log.committed(declared.SWEEP, topics.REGISTRY)[0]
        self._sweep_after: int | None = 0 if self._swept < self._committed else None
        self._sweep_passed: Passed = _at_once

    def step(self) -> None:
        """Do what there is to do now; never waits."""
        if not self._phases and self._passed():
            self._begin()
        while self._phases and self._passed():
            self._passed = self._phases.pop(0)()
        self._sweep()
        now = self._clock()
        if now - self._looked_at >= DUE_EVERY_MS and self._due_passed():
            self._looked_at = now
            self._look_at_time(now)
        if now - self._set_at >= SET_AGAIN_EVERY_MS:
            self._set_at = now
            self._set_again()

    # ---- rounds of declarations

    def _begin(self) -> None:
        self._segments.segments.record_asides(self._log, self._clock)
        records, changes = self._segments.read_on()
        if not records:
            return
        after = records[-1].offset + 1
        orders = [message for record in records if (message := _order(record))]
        if orders or changes:
            self._phases.append(lambda: self._hand_over(orders))
        if changes:
            self._phases.append(lambda: self._fill(changes))
        if orders or changes:
            self._phases.append(self._owners_passed)
        self._phases.append(lambda: self._finish(after))

    def _hand_over(self, orders: Sequence[Message]) -> Passed:
        """Give commands and rules to identity."""
        if orders:
            self._log.append(topics.IDENTITY, orders)
        self._checkpoint("ordered")
        return self._owners_passed()

    def _fill(self, changes: Sequence[Change]) -> Passed:
        """Touch whoever a segment's declaration lets in or out."""
        rules = LiveRules({name: self._segments.segments.rule(name) for name in self._segments.segments.written})
        wanted: dict[str, Change] = {}
        gone = {segment for change in changes for segment in change.gone}
        for segment in sorted(gone - rules.rules.keys()):
            self._touch_members(segment)
        for change in changes:
            for segment in change.filled:
                if segment in rules.rules:
                    wanted.setdefault(segment, change)
        failed: set[int] = set()
        for segment, change in wanted.items():
            if change.offset not in failed and not self._fill_segment(segment, change):
                failed.add(change.offset)
            if rules.changes_with_time(segment):
                self._sweep_after = 0
        self._checkpoint("filled")
        return self._owners_passed()

    def _fill_segment(self, segment: str, change: Change) -> bool:
        """False where the declaration is to be set aside, which the next round does."""
        resolve = self._segments.segments.rule
        try:
            for page, answer in backfill.members_by_page(self._reader, resolve(segment), resolve, self._clock):
                self._touch(self._members(segment, page) ^ answer, change.cause or touches.EDITED)
        except Exception as error:
            if not self._is_at_fault(segment, error):
                raise
            self._segments.segments.say_aside(
                self._log, self._clock, change.segment, change.offset, declared.reason_of(error)
            )
            return False
        return True

    def _is_at_fault(self, segment: str, error: Exception) -> bool:
        """Whether the segment fails alone, too, while the warehouse is well."""
        if isinstance(error, Backpressure):
            return False
        try:
            backfill.count(self._reader)
        except Exception:  # the warehouse is not well
            return False
        return backfill.fails(self._reader, self._segments.segments.rule, segment, self._clock)

    def _touch_members(self, segment: str) -> None:
        for page in backfill.whole(backfill.count(self._reader)):
            self._touch(self._members(segment, page), touches.DELETED)

    def _members(self, segment: str, page: Page) -> set[int]:
        return set(cold.members(self._writer, segment, page))

    def _finish(self, position: int) -> Passed:
        self._committed = position
        self._log.commit(REGISTRY_GROUP, {topics.REGISTRY: {0: position}})
        self._checkpoint("declared")
        return _at_once

    # ---- time

    def _look_at_time(self, now: int) -> None:
        """Touch the profiles whose next change by the passing of time has come. Not again before they were seen to."""
        due = cold.due(self._writer, now)
        if due:
            self._touch(due, touches.TIME)
            self._due_passed = self._touched_passed()

    def _sweep(self) -> None:
        """After a rule that time changes, look at everybody once: their rows say when time will change them."""
        if self._sweep_after is not None and self._sweep_passed():
            bound = {"after": self._sweep_after, "limit": _SWEEP_CHUNK}
            profiles = [row[0] for row in self._writer.rows(_NEXT, bound)]
            self._touch(profiles, touches.TIME)
            self._sweep_after = profiles[-1] if profiles else None
            self._sweep_passed = self._touched_passed()
        if self._sweep_after is None and self._swept < self._committed and self._sweep_passed():
            self._swept = self._committed
            self._log.commit(declared.SWEEP, {topics.REGISTRY: {0: self._swept}})
            self._checkpoint("swept")

    def _touch(self, profiles: Iterable[int], cause: str) -> None:
        wanted = sorted(profiles)
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            self._log.append(topics.TOUCHED, [touches.message(Touch(profile, cause)) for profile in chunk])

    # ---- positions

    def _set_again(self) -> None:
        """What a zombie may have set back: else a declaration would not be in effect, or the next start would sweep."""
        for group, position in ((REGISTRY_GROUP, self._committed), (declared.SWEEP, self._swept)):
            if self._log.committed(group, topics.REGISTRY)[0] < position:
                self._log.commit(group, {topics.REGISTRY: {0: position}})

    # ---- waiting

    def _owners_passed(self) -> Passed:
        """Identity, and then the owners of profiles, have seen to all that is in their topics now."""
        end = self._log.ends(topics.IDENTITY)[0]
        then: list[Passed] = []

        def passed() -> bool:
            if not then and self._identity_position() >= end:
                then.append(self._touched_passed())
            return bool(then) and then[0]()

        return passed

    def _touched_passed(self) -> Passed:
        ends = self._log.ends(topics.TOUCHED)

        def passed() -> bool:
            committed = self._log.committed(PROFILES_GROUP, topics.TOUCHED)
            return all(done >= end for done, end in zip(committed, ends, strict=True))

        return passed


def _at_once() -> bool:
    return True


def _order(record: Record) -> Message | None:
    """The record of simorgh.identity that a declaration comes to, if it is one for identity."""
    found = declared.read(record)
    said = declared.identity_record(found, record.offset) if found else None
    return None if said is None else declared.order(said)
