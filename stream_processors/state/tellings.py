"""One fact counts once, by its least telling, however many sources of a book report it and whichever was processed
first.

A *telling* is one event as the report of its fact (the order `o-1`). Of all tellings of a fact the least counts, by
(trust of the source, receipt, place, key): a function of the set of events that does not depend on identity. All others
are *retellings*. **Once a retelling, always one**: more tellings cannot make it the least. So retellings are a set that
only grows. Any process may add to it, in any order, and writing it twice changes nothing.

Rows of a batch's tellings are written before others' are looked up, and each telling ensures two things: it is a
retelling itself if there is a lesser one, and the next greater one is a retelling. That is enough, whatever several
holders do at once: if a telling found no lesser one, the next lesser one was written later, and finds it. A repetition
gives the same result. A retelling's row is written first; then the state of its profile, which may have counted it, is
computed again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from stream_processors.parse.batch import UNIQUE, Batch
from stream_processors.state.id_filter import FACTS
from stream_processors.state.known import KnownKeys
from warehouse.client import Writer

_LOOKED_UP: Final = 20_000
_AROUND: Final = """SELECT fact, (trust, toUnixTimestamp64Milli(received_at), place, key, node, part, off) FROM (
    SELECT *, lagInFrame(key, 1, 0) OVER (PARTITION BY fact ORDER BY trust, received_at, place, key) AS lesser
    FROM tellings WHERE fact IN {facts:Array(UInt128)})
    WHERE key NOT IN {keys:Array(UInt128)} AND (lesser = 0 OR lesser IN {keys:Array(UInt128)})"""
"""Of earlier tellings, the least of all, and those that come next after one of ours."""


class Telling(NamedTuple):
    """An event as the report of a fact. The lesser one counts; no two have one key."""

    trust: int
    received: int
    place: int
    key: int
    node: int
    part: int
    off: int


@dataclass(slots=True)
class Retold:
    """Fact -> tellings of it that do not count."""

    here: list[tuple[int, Telling]] = field(default_factory=list)
    """In the batch."""
    elsewhere: list[tuple[int, Telling]] = field(default_factory=list)
    """Of earlier batches or other partitions: those that come next after one of the batch."""

    def __bool__(self) -> bool:
        return bool(self.here or self.elsewhere)

    def all(self) -> list[tuple[int, Telling]]:
        return self.here + self.elsewhere


def telling_of(batch: Batch, i: int) -> Telling:
    """The telling of an event that reports a fact."""
    event, record = batch.events[i], batch.records[i]
    node = batch.nodes[i][0] if batch.nodes[i] else 0
    trust = event.business.rank if event.business else 0
    return Telling(trust, batch.received[i], event.place, batch.keys[i], node, record.partition, record.offset)


def tellings_of(batch: Batch) -> list[tuple[int, int]]:
    """Index and fact of each event that counts, or may count: copies report nothing."""
    return [(i, fact) for i, fact in batch.facts.items() if batch.state[i] == UNIQUE]


class Tellings(KnownKeys[Telling]):
    """The facts of the table `tellings`, and of rows on their way there. One thread."""

    def __init__(self, writer: Writer, *, alone: bool = False, capacity: int = 1 << 14) -> None:
        """`alone`: no other process writes tellings, and rows of remembered ones may not be in the table yet. Otherwise
        every fact of a batch is looked up, since others may report the same ones."""
        super().__init__(writer, FACTS, None if alone else 0, capacity, lingering=alone)

    def mark(self, batch: Batch) -> Retold:
        """Set `retold` of the batch to the events that do not count; returns their tellings."""
        retold = Retold()
        own: dict[int, dict[Telling, int]] = {}
        for i, fact in tellings_of(batch):
            own.setdefault(fact, {})[telling_of(batch, i)] = i
        if not own:
            return retold
        others = self._others(own)
        for fact, tellings in own.items():
            before: Telling | None = None
            for telling in sorted({*tellings, *others.get(fact, ())}):
                if telling in tellings and before is not None:
                    batch.retold.add(tellings[telling])
                    retold.here.append((fact, telling))
                elif before in tellings:
                    retold.elsewhere.append((fact, telling))
                before = telling
        return retold

    def remember(self, batch: Batch) -> None:
        """The batch's tellings are in the table, or on their way there until `landed`."""
        new: dict[int, Telling] = {}
        for i, fact in tellings_of(batch):
            known = new.get(fact) or self.on_its_way(fact)
            telling = telling_of(batch, i)
            new[fact] = telling if known is None else min(known, telling)
        self.add(new)

    def _others(self, own: Mapping[int, Iterable[Telling]]) -> dict[int, set[Telling]]:
        """Earlier tellings of these facts: the least, and those that come next after one of ours."""
        found: dict[int, set[Telling]] = {}
        wanted = list(self.maybe(list(own)))
        for fact in wanted:
            if on_its_way := self.on_its_way(fact):
                found.setdefault(fact, set()).add(on_its_way)
        for start in range(0, len(wanted), _LOOKED_UP):
            facts = wanted[start : start + _LOOKED_UP]
            keys = [telling.key for fact in facts for telling in own[fact]]
            for fact, telling in self._writer.look_up(_AROUND, {"facts": facts, "keys": keys}):
                found.setdefault(fact, set()).add(Telling(*telling))
        return found
