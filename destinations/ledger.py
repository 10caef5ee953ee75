"""The record of all deliveries: outcomes are appended to the log, rows written to the table, positions committed, and
due deliveries read back.

One round at a time and one writer, so a read of the table never misses rows that this stage has written.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from destinations.delivery import PENDING, Delivery, DeliveryRow, from_record, from_row, to_record, to_row
from destinations.queues import CAPACITY
from destinations.retrying import Retrying
from eventlog.port import EventLog, present
from schemas import topics
from schemas.clock import Clock

GROUP: Final = "triggers"

LINGER: Final = 0.2
"""Seconds that a round waits for more outcomes: at most 5 rounds a second, each with one log sync, one insert and one
commit. Attempts in this time before a crash are repeated."""

TICK: Final = 0.25
"""Seconds between looks at the clock when nothing happens."""

LOOK_AHEAD: Final = 60_000
"""Ms: the table is read once in this time, and when a retry in it becomes due."""

FOREVER: Final = 1 << 41
"""Ms, the year 2039: every pending delivery is due by then."""

_BATCH: Final = 1000

WriteRows = Callable[[list[DeliveryRow]], None]
"""Insert rows of table `deliveries` (times in ms), durable on return. May be given the same rows again."""

Pending = Callable[[int, int], list[DeliveryRow]]
"""`(due_by, limit)`: the latest versions in table `deliveries` that are pending with next_at <= due_by
(ms), by (next_at, ver), at most `limit` of each trigger; times in ms. Sees every row written before the
call."""


class Ledger:
    """Used on the loop's thread; blocking steps run in a thread of its own, one at a time."""

    def __init__(
        self,
        log: EventLog,
        write_rows: WriteRows,
        pending: Pending,
        clock: Clock,
        retrying: Retrying,
        reached: Callable[[str], None],
    ) -> None:
        self._log = log
        self._write_rows = write_rows
        self._pending = pending
        self._clock = clock
        self._run = retrying.run
        self._reached = reached
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="triggers-ledger")
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._scheduled: list[Delivery] = []
        self._outcomes: list[Delivery] = []
        self._positions: dict[int, int] = {}
        self._on_record = 0
        self._ahead: set[int] = set()
        self._wakes: set[int] = set()
        self._next_look = 0
        self._sweep = False
        self._busy = False

    # ---- reports of the stage

    def scheduled(self, deliveries: Iterable[Delivery], positions: Mapping[int, int]) -> None:
        """These deliveries are in the log; once their rows are in the table, commit `positions` of simorgh.segments."""
        self._scheduled.extend(deliveries)
        self._positions.update(positions)
        self._work.set()

    def settle(self, outcome: Delivery) -> None:
        """An attempt has ended; the next round records it."""
        self._outcomes.append(outcome)
        self._work.set()

    def look(self, *, sweep: bool = False) -> None:
        """Read the due deliveries back in the next round; with `sweep`, all pending ones."""
        self._next_look = 0
        self._sweep |= sweep
        self._work.set()

    def hurry(self) -> None:
        """From now on rounds begin at once (the stage is stopping)."""
        self._hurry.set()
        self._work.set()

    @property
    def backlog(self) -> int:
        return len(self._scheduled) + len(self._outcomes)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to record, to commit or to read back."""
        return not (self._busy or self.backlog or self._positions or self.look_is_due)

    # ---- rounds

    async def recover(self) -> set[str]:
        """Write the rows of the log's records after the committed position again; returns their ids."""
        return await self._run(self._thread, self._recover)

    async def wait(self) -> None:
        """Wait until there may be work for a round."""
        if not self.look_is_due:
            await _within(TICK, self._work)
        if self._work.is_set():
            await _within(LINGER, self._hurry)
        self._work.clear()

    async def write(self) -> list[str]:
        """One round: steps 3 to 5 of the stage. Returns the ids whose outcomes are recorded now."""
        scheduled, self._scheduled = self._scheduled, []
        outcomes, self._outcomes = self._outcomes, []
        positions, self._positions = self._positions, {}
        if not (scheduled or outcomes or positions):
            return []
        self._busy = True
        outcomes = await self._run(self._thread, self._append, outcomes)
        await self._run(self._thread, self._write, scheduled, outcomes)
        await self._run(self._thread, self._commit, positions, scheduled, outcomes)
        self._wake_for(outcomes)
        self._busy = False
        return [outcome.id for outcome in outcomes]

    @property
    def look_is_due(self) -> bool:
        now = self._clock()
        return now >= self._next_look or any(wake <= now for wake in self._wakes)

    async def due(self) -> tuple[list[Delivery], int]:
        """The pending deliveries to offer, and the offset below which the table held all records."""
        now = self._clock()
        horizon = FOREVER if self._sweep else now + LOOK_AHEAD
        self._next_look, self._sweep = now + LOOK_AHEAD, False
        self._wakes = {wake for wake in self._wakes if wake > now}
        self._busy = True
        rows = await self._run(self._thread, self._pending, horizon, CAPACITY)
        found = [from_row(row) for row in rows]
        self._wake_for(found)
        self._busy = False
        return found, self._on_record

    def close(self) -> None:
        """Blocks until the step that is running has ended."""
        self._thread.shutdown(cancel_futures=True)

    # ---- in the ledger's thread

    def _recover(self) -> set[str]:
        offset = self._log.committed(GROUP, topics.DELIVERIES)[0]
        known: set[str] = set()
        while records := self._log.read(topics.DELIVERIES, 0, offset, _BATCH):
            found = [from_record(record.value, record.offset) for record in present(records)]
            self._write_rows(_newest_rows(found))
            known.update(delivery.id for delivery in found)
            offset = records[-1].offset + 1
        self._on_record = offset
        return known

    def _append(self, outcomes: list[Delivery]) -> list[Delivery]:
        if not outcomes:
            return []
        positions = self._log.append(topics.DELIVERIES, [to_record(outcome) for outcome in outcomes])
        self._reached("settled")
        return [replace(outcome, ver=offset) for outcome, (_, offset) in zip(outcomes, positions, strict=True)]

    def _write(self, scheduled: list[Delivery], outcomes: list[Delivery]) -> None:
        rows = _newest_rows([*scheduled, *outcomes])
        if rows:
            self._write_rows(rows)
            self._reached("written")

    def _commit(self, segments: dict[int, int], scheduled: list[Delivery], outcomes: list[Delivery]) -> None:
        # The intake appends to this topic too: commit only as far as every record has its row.
        self._ahead.update(delivery.ver for delivery in (*scheduled, *outcomes))
        on_record = self._on_record
        while on_record in self._ahead:
            self._ahead.remove(on_record)
            on_record += 1
        self._on_record = on_record
        done = {topics.DELIVERIES: {0: on_record}}
        self._log.commit(GROUP, done | {topics.SEGMENTS: segments} if segments else done)
        self._reached("committed")

    def _wake_for(self, deliveries: Iterable[Delivery]) -> None:
        """Remember, to the second, when the deliveries of the near future are due: at most one entry for each
        second."""
        now = self._clock()
        for delivery in deliveries:
            if delivery.status == PENDING and now < delivery.next_at <= self._next_look:
                self._wakes.add(-(-delivery.next_at // 1000) * 1000)


def _newest_rows(deliveries: Iterable[Delivery]) -> list[DeliveryRow]:
    """One row per delivery: an older version written in the same insert would only be merged away."""
    return [to_row(delivery) for delivery in {delivery.id: delivery for delivery in deliveries}.values()]


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
