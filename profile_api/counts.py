"""The counts of `GET /v1/status`, as functions of the committed positions. Rows before a committed position never
change, so counts are kept: an idle system answers from memory, a busy one counts only new rows. The two caches hold a
few numbers each, for one generation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from warehouse.reader import Reader

# FINAL: an offset that a fenced writer wrote again counts once. dup = 2: not readable, so among the rejected.
_EVENTS = "SELECT countIf(dup = 0) AS uniques, countIf(dup = 1) AS copies FROM log_rows FINAL WHERE "
_SOURCE = 'extract(payload, \'"source":"/sources/([^"]+)"\')'
_RECEIVED = "parseDateTime64BestEffortOrZero(JSONExtractString(payload, 'received_at'), 3)"
_BY_SOURCE = f"SELECT {_SOURCE} AS name, count() AS n, toUnixTimestamp64Milli(max({_RECEIVED})) AS last_ms FROM events"
_KNOWN = "SELECT uniqExact(profile) AS profiles, count() AS nodes FROM identity FINAL WHERE profile != 0"
# Without what is among the copies.
_REJECTED = "SELECT uniqExact(source, id, digest) AS n FROM rejected WHERE code != 'conflicting_copy'"


@dataclass(frozen=True, slots=True)
class _Events:
    generation: int
    positions: tuple[int, ...]
    uniques: int = 0
    copies: int = 0


def _between(known: Sequence[int], committed: Sequence[int]) -> tuple[str, dict[str, int]]:
    """What lies between two positions, by partition: a condition on part and off, with its parameters."""
    ranges: list[str] = []
    bound: dict[str, int] = {}
    for part, (start, end) in enumerate(zip(known, committed, strict=True)):
        ranges.append(f"part = {part} AND off >= {{a{part}:UInt64}} AND off < {{b{part}:UInt64}}")
        bound |= {f"a{part}": start, f"b{part}": end}
    return " OR ".join(ranges), bound


def _has_grown(known: Sequence[int], committed: Sequence[int]) -> bool:
    return len(known) == len(committed) and all(map(int.__le__, known, committed))


@dataclass(frozen=True, slots=True)
class _Sources:
    generation: int
    positions: tuple[int, ...]
    found: Mapping[str, tuple[int, int]]


class Tally:
    """Unique events by source. Any thread may ask: the cache is one immutable value, replaced as a whole; it holds two
    numbers for each source."""

    def __init__(self, reader: Reader, generation: Callable[[], int]) -> None:
        self._reader = reader
        self._generation = generation
        self._known = _Sources(0, (), {})

    def by_source(self, committed: Sequence[int]) -> Mapping[str, tuple[int, int]]:
        """Source -> number of unique events below these offsets of `simorgh.events`, and when (ms) the latest of them
        was received."""
        generation, known = self._generation(), self._known
        if known.generation != generation or not _has_grown(known.positions, committed):
            known = _Sources(generation, (0,) * len(committed), {})
        if known.positions != tuple(committed):
            self._known = known = self._extended(known, tuple(committed))
        return known.found

    def _extended(self, known: _Sources, committed: tuple[int, ...]) -> _Sources:
        condition, bound = _between(known.positions, committed)
        found = dict(known.found)
        for row in self._reader.rows(f"{_BY_SOURCE} WHERE {condition} GROUP BY name", bound):
            before, latest = found.get(row["name"], (0, 0))
            found[row["name"]] = (before + row["n"], max(latest, row["last_ms"]))
        return _Sources(known.generation, committed, found)

    def forget(self) -> None:
        """Empty the cache: it is filled again from rows."""
        self._known = _Sources(0, (), {})


class Counts:
    """May be called from any thread: a cache is one immutable value, replaced as a whole."""

    def __init__(self, reader: Reader, generation: Callable[[], int]) -> None:
        self._reader = reader
        self._generation = generation
        self._events = _Events(0, ())
        self._known: tuple[tuple[int, Sequence[int]], tuple[int, int]] | None = None

    def events(self, committed: Sequence[int]) -> tuple[int, int]:
        """Unique events and copies among the offsets below these of `simorgh.events`, by partition."""
        generation, known = self._generation(), self._events
        if not _has_grown(known.positions, committed) or known.generation != generation:
            known = _Events(generation, (0,) * len(committed))
        if known.positions != tuple(committed):
            known = self._extended(known, tuple(committed))
            self._events = known
        return known.uniques, known.copies

    def _extended(self, known: _Events, committed: tuple[int, ...]) -> _Events:
        condition, bound = _between(known.positions, committed)
        row = self._reader.rows(_EVENTS + condition, bound)[0]
        return _Events(known.generation, committed, known.uniques + row["uniques"], known.copies + row["copies"])

    def profiles_and_identities(self, committed: Sequence[int]) -> tuple[int, int]:
        """Live profiles, and nodes of such, at this committed position of `simorgh.identity` or later."""
        key = (self._generation(), tuple(committed))
        known = self._known
        if known is None or known[0] != key:
            row = self._reader.rows(_KNOWN)[0]
            known = (key, (row["profiles"], row["nodes"]))
            self._known = known
        return known[1]

    def rejected(self) -> int:
        """Rejected events, resolved or not: one per source, id and payload. A conflicting copy is a copy."""
        return int(self._reader.rows(_REJECTED)[0]["n"])

    def forget(self) -> None:
        """Empty the caches: they are filled again from rows."""
        self._events, self._known = _Events(0, ()), None
