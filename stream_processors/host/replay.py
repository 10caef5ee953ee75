"""Replay: build the next generation of all projections from the log, beside the live one, and swap it in.

The topics of identity and segments are folded as they are (they are truth and record), everything else is computed
again from simorgh.events. No webhook is called: what the full computation tells differently from the record becomes
transitions with cause `replay`.

Side effects of `finish`, and what a crash after each means:
  1 what a process that was killed had begun and not committed is processed and committed, where there is such: the old
    generation lacks its rows, which its next start finds, and rebuilds
  2 transitions with cause replay   the old generation mirrors them at its next start
  3 swap                            the new one is live; it mirrors what was not committed yet at its start
  4 commit                          done; generations that are not live are dropped at start
"""

import time
from collections.abc import Callable
from typing import Final

import orjson

from destinations import deliveries
from eventlog.port import EventLog, Record, present
from schemas import topics
from schemas.clock import Clock
from stream_processors.flow import rejected
from stream_processors.host import generation
from stream_processors.host.box import GROUP, Box
from stream_processors.state.touches import REPLAY
from warehouse.client import Warehouse, Writer

_READ: Final = 20_000
Progress = Callable[[int, int], None]
"""Told after each batch: events rebuilt so far, events in all."""


class Replay:
    """One rebuild. `catch_up` may run beside a live pipeline, as often as wanted; `finish` needs it stopped."""

    def __init__(self, log: EventLog, warehouse: Warehouse, clock: Clock, rest: float = 0.0) -> None:
        """`rest`: seconds to rest per second of work, so that a live pipeline beside it keeps its pace."""
        self._log = log
        self._warehouse = warehouse
        self._rest = rest
        self.generation = generation.current(log) + 1
        warehouse.drop(self.generation)
        warehouse.migrate(self.generation)
        self._writer = warehouse.writer(self.generation)
        self._box = Box(log, self._writer, clock)
        self._positions = dict.fromkeys(range(len(log.ends(topics.EVENTS))), 0)
        self._mirrored = {topics.REJECTED: 0, topics.DELIVERIES: 0}

    def catch_up(self, progress: Progress = lambda done, total: None) -> None:
        """Rebuild everything up to what the live pipeline has committed."""
        ends = dict(enumerate(self._log.committed(GROUP, topics.EVENTS)))
        total = sum(ends.values())
        while any(self._positions[p] < end for p, end in ends.items()):
            started = time.monotonic()
            self._box.rebuild(self._next(ends))
            progress(sum(self._positions.values()), total)
            time.sleep((time.monotonic() - started) * self._rest)
        self._mirror_topics()

    def finish(self) -> None:
        """With the live pipeline stopped: reach its exact position, evaluate everything, swap. Blocks."""
        self.catch_up()
        self._box.rebuild_identity()
        position = self._log.committed(GROUP, topics.REGISTRY)[0]
        self._box.rebuild_transitions(self._positions)
        self._box.refresh(self._box.live_profiles(), REPLAY)
        generation.swap(self._log, self.generation)
        self._box.in_effect(position)
        self._mirror_topics()
        self._box.close()

    def abandon(self) -> None:
        """End what is under way, where the rebuild failed. Its generation is dropped at the next start or replay."""
        self._box.close()

    def _next(self, ends: dict[int, int]) -> list[Record]:
        records: list[Record] = []
        for partition, end in ends.items():
            position = self._positions[partition]
            records += self._log.read(topics.EVENTS, partition, position, min(_READ, end - position))
        for record in records:
            self._positions[record.partition] = record.offset + 1
        return records

    def _mirror_topics(self) -> None:
        """Topics whose tables are their plain copies."""
        mirror(self._log, self._writer, self._mirrored)


def mirror(log: EventLog, writer: Writer, positions: dict[str, int]) -> None:
    """Write the rows of rejected events and deliveries from `positions` on, and move these."""
    while records := log.read(topics.REJECTED, 0, positions[topics.REJECTED], _READ):
        writer.insert("rejected", rejected.rows(records))
        positions[topics.REJECTED] = records[-1].offset + 1
    while records := log.read(topics.DELIVERIES, 0, positions[topics.DELIVERIES], _READ):
        writer.insert(
            "deliveries", deliveries.rows([{**orjson.loads(r.value), "ver": r.offset} for r in present(records)])
        )
        positions[topics.DELIVERIES] = records[-1].offset + 1
