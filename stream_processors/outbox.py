"""Rows on their way into the warehouse: what to write when, and what may be committed once it has landed.

A part costs the engine some 6 ms of CPU whatever it holds, and more to merge: rows of several micro-batches share one.
One writing at a time; meanwhile the next rows are gathered. Nobody waits for them: views show at once what was told
(see `stream_processors.recent`).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stream_processors.gathered import Recorded, Shown, Tables
from stream_processors.inserts import Inserts

_WRITE_AT = 5_000
"""Records whose rows are written without lingering."""


class Linger(NamedTuple):
    """Seconds: without a change, after which rows are written, and between two writings while events keep coming."""

    quiet: float = 0.2
    busy: float = 1.0


Positions = dict[str, dict[int, int]]


@dataclass(frozen=True, slots=True)
class _Landing:
    """A writing under way: what may be committed after it."""

    positions: Positions
    records: int
    recorded: Recorded


class Owner(Protocol):
    """Whose rows these are: the pipeline."""

    def positions_now(self) -> Positions:
        """How far it has come in each topic."""
        ...

    def shown_tables(self, shown: Shown) -> Tables: ...

    def recorded_tables(self, recorded: Recorded) -> Tables: ...

    def landed(self, positions: Positions) -> None:
        """Rows of all that lies before these positions are in the warehouse."""
        ...


class Outbox:
    """Used by one thread; `begin`s are written by a small pool beside it."""

    def __init__(self, owner: Owner, inserts: Inserts, linger: Linger) -> None:
        self._owner = owner
        self._inserts = inserts
        self._linger = linger
        self._began_at = self._changed_at = float("-inf")
        self._landing: _Landing | None = None
        self._hurried: Recorded | None = None
        self.shown = Shown()
        self.recorded = Recorded()
        self._uncommitted = False
        self.records = 0
        """How many of simorgh.events are processed and not committed."""

    def changed(self, records: int = 0) -> None:
        """Positions have moved, by so many events: there is something to commit, with or without rows."""
        self._uncommitted = True
        self._changed_at = time.monotonic()
        self.records += records

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
        if not self._is_due(now):
            return False
        self._begin(now)
        return True

    def _is_due(self, now: float) -> bool:
        many = self._hurried is not None or self.recorded.records >= _WRITE_AT
        return many or now - self._changed_at >= self._linger.quiet or now - self._began_at >= self._linger.busy

    def commit(self) -> None:
        """Write everything, wait for it and commit, unless nothing has happened since the last time."""
        self.write_all()
        if self._uncommitted:
            self._uncommitted = False
            self.records = 0
            self._owner.landed(self._owner.positions_now())

    def write_all(self) -> None:
        """Everything gathered is in the warehouse on return; nothing is committed for that."""
        self._write(self._take_shown() | self._take_recorded())

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

    def _begin(self, now: float) -> None:
        self._began_at = now
        self._uncommitted = False
        self._landing = _Landing(self._owner.positions_now(), self.records, self.recorded)
        self._inserts.begin(self._take_shown() | self._take_recorded())

    def _take_shown(self) -> Tables:
        shown, self.shown = self.shown, Shown()
        return self._owner.shown_tables(shown)

    def _take_recorded(self) -> Tables:
        recorded, self.recorded = self.recorded, Recorded()
        return self._owner.recorded_tables(recorded)

    def _land(self) -> None:
        self._inserts.join()
        self._hurried = None
        landing, self._landing = self._landing, None
        if landing is not None:
            self.records -= landing.records
            self._owner.landed(landing.positions)
