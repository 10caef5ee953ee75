"""Rows on their way into the warehouse: what to write when, and what may be committed once it has landed.

A part costs the engine some 6 ms of CPU whatever it holds, and more to merge: rows of several micro-batches share one.
What views are made of (`Shown`) goes often, since triggers wait for it: nobody is called about a change that a view
does not show. The rest (`Recorded`, and the wide rows of `Profiles`) goes less often. One writing at a time; meanwhile
the next rows are gathered.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stream_processors.gathered import Profiles, Recorded, Shown, Tables
from stream_processors.inserts import Inserts
from stream_processors.profiles import ProfileState

_WRITE_AT = 5_000
"""Records whose rows are written without lingering."""


class Linger(NamedTuple):
    """Seconds between two writings while events keep coming. The first after a pause does not wait."""

    shown: float = 0.05
    recorded: float = 1.0


Positions = dict[str, dict[int, int]]


@dataclass(frozen=True, slots=True)
class _Landing:
    """A writing under way: what may be committed after it. `recorded`: None where only views are brought up to date."""

    positions: Positions
    records: int
    recorded: Recorded | None


class Owner(Protocol):
    """Whose rows these are: the pipeline."""

    def positions_now(self) -> Positions:
        """How far it has come in each topic."""
        ...

    def shown_tables(self, shown: Shown) -> Tables: ...

    def recorded_tables(self, recorded: Recorded) -> Tables: ...

    def profile_tables(self, profiles: Profiles) -> Tables: ...

    def landed(self, positions: Positions, *, whole: bool) -> None:
        """Rows have landed up to there: those of views, and with `whole` all of them."""
        ...


class Outbox:
    """Used by one thread; `begin`s are written by a small pool beside it."""

    def __init__(self, owner: Owner, inserts: Inserts, linger: Linger) -> None:
        self._owner = owner
        self._inserts = inserts
        self._linger = linger
        self._showed_at = self._recorded_at = self._changed_at = float("-inf")
        self._landing: _Landing | None = None
        self._hurried: Recorded | None = None
        self.shown = Shown()
        self.recorded = Recorded()
        self._profiles = Profiles()
        self._uncommitted = False
        self.records = 0
        """How many of simorgh.events are processed and not committed."""

    def changed(self, records: int = 0) -> None:
        """Positions have moved, by so many events: there is something to commit, with or without rows."""
        self._uncommitted = True
        self._changed_at = time.monotonic()
        self.records += records

    def profiles_changed(self, states: Mapping[int, ProfileState], gone: set[int]) -> None:
        """These are to be written, as they are then: their views soon, their rows later."""
        self.shown.profiles.add(states, gone)
        self._profiles.add(states, gone)
        self.changed()

    def hurry(self) -> None:
        """Where much was recorded, begin to write it beside the rest of its batch, which will see it landed."""
        if self._landing is None and self._hurried is None and self.recorded.records >= _WRITE_AT:
            self._hurried = self.recorded
            self._inserts.begin(self._take_recorded())

    def write_when_due(self, seconds: float = 0.0) -> bool:
        """Take note of a writing that has landed and begin the next, where it is due. Blocks up to `seconds`.

        Returns whether there was anything to write, or to wait for.
        """
        if self._landing is not None:
            if self._inserts.done(seconds):
                self._land()
            return True
        if not self._uncommitted:
            return False
        now = time.monotonic()
        whole = self._is_whole_due(now)
        if not whole and not (self.shown.profiles.states and now - self._showed_at >= self._linger.shown):
            return False
        self._begin(now, whole=whole)
        return True

    def _is_whole_due(self, now: float) -> bool:
        many = self._hurried is not None or self.recorded.records >= _WRITE_AT
        quiet = now - self._changed_at >= self._linger.shown
        return many or quiet or now - self._recorded_at >= self._linger.recorded

    def commit(self) -> None:
        """Write everything, wait for it and commit, unless nothing has happened since the last time."""
        self.write_all()
        if self._uncommitted:
            self._uncommitted = False
            self.records = 0
            self._owner.landed(self._owner.positions_now(), whole=True)

    def write_all(self) -> None:
        """Everything gathered is in the warehouse on return; nothing is committed for that."""
        self._write(self._take_shown() | self._take_recorded() | self._take_profiles())

    def have_landed(self, keys: Iterable[int]) -> None:
        """Blocks until rows about these nodes or profiles, but those made of states, are in the warehouse.

        In the middle of a batch the states may be half up to date.
        """
        wanted = set(keys)
        under_way = (self._landing.recorded if self._landing else None, self._hurried, self.recorded)
        if any(recorded and not recorded.keys.isdisjoint(wanted) for recorded in under_way):
            self._write(self._take_recorded())

    def _write(self, tables: Tables) -> None:
        self._land()
        self._inserts.begin(tables)
        self._inserts.join()

    def close(self) -> None:
        """Wait for what is under way; one that fails is for the next try, which finds its rows missing."""
        self._inserts.close()

    def _begin(self, now: float, *, whole: bool) -> None:
        self._showed_at = now
        recorded = self.recorded if whole else None
        self._landing = _Landing(self._owner.positions_now(), self.records, recorded)
        tables = self._take_shown()
        if whole:
            self._recorded_at = now
            self._uncommitted = False
            tables |= self._take_recorded() | self._take_profiles()
        self._inserts.begin(tables)

    def _take_shown(self) -> Tables:
        shown, self.shown = self.shown, Shown()
        return self._owner.shown_tables(shown)

    def _take_recorded(self) -> Tables:
        recorded, self.recorded = self.recorded, Recorded()
        return self._owner.recorded_tables(recorded)

    def _take_profiles(self) -> Tables:
        profiles, self._profiles = self._profiles, Profiles()
        return self._owner.profile_tables(profiles)

    def _land(self) -> None:
        self._inserts.join()
        self._hurried = None
        landing, self._landing = self._landing, None
        if landing is None:
            return
        if landing.recorded is not None:
            self.records -= landing.records
        self._owner.landed(landing.positions, whole=landing.recorded is not None)
