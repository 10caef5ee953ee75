"""How much there is: the numbers of `GET /v1/status`, as functions of what the projections have committed.

What lies before a committed position never changes, so what was counted once is kept: an idle system answers
from memory, a busy one counts what is new. The two caches hold a few numbers each, for one generation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from warehouse.reader import Reader

# FINAL: an offset that a fenced writer wrote again counts once. dup = 2: not readable, so among the rejected.
_EVENTS = "SELECT countIf(dup = 0) AS uniques, countIf(dup = 1) AS copies FROM log_rows FINAL WHERE "
_KNOWN = "SELECT uniqExact(profile) AS profiles, count() AS nodes FROM identity FINAL WHERE profile != 0"
# Without what is among the copies.
_REJECTED = "SELECT uniqExact(source, id, digest) AS n FROM rejected WHERE code != 'conflicting_copy'"


@dataclass(frozen=True, slots=True)
class _Events:
    generation: int
    positions: tuple[int, ...]
    uniques: int = 0
    copies: int = 0


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
        grown = len(known.positions) == len(committed) and all(
            before <= now for before, now in zip(known.positions, committed, strict=True)
        )
        if not grown or known.generation != generation:
            known = _Events(generation, (0,) * len(committed))
        if known.positions != tuple(committed):
            known = self._extended(known, tuple(committed))
            self._events = known
        return known.uniques, known.copies

    def _extended(self, known: _Events, committed: tuple[int, ...]) -> _Events:
        ranges: list[str] = []
        bound: dict[str, int] = {}
        for part, (start, end) in enumerate(zip(known.positions, committed, strict=True)):
            ranges.append(f"part = {part} AND off >= {{a{part}:UInt64}} AND off < {{b{part}:UInt64}}")
            bound |= {f"a{part}": start, f"b{part}": end}
        row = self._reader.rows(_EVENTS + " OR ".join(ranges), bound)[0]
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
