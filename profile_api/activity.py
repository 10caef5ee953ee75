"""Numbers of each source's events, and the time of its latest one, which shows silent sources."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from profile_api.counts import Tally
from profile_api.deps import ApiDeps
from schemas import topics
from schemas.clock import iso
from schemas.errors import Backpressure, Broken

_WAITING = """SELECT source, count() AS n, toUnixTimestamp64Milli(max(received_at)) AS last_ms FROM rejected FINAL
WHERE NOT resolved GROUP BY source"""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """By source; `known` is False if the warehouse does not say."""

    accepted: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    waiting: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    known: bool = True

    def of(self, source: str) -> dict[str, Any]:
        """`last_event_at`: when the latest event that was accepted came. Null: none yet, or not known now."""
        accepted, latest = self.accepted.get(source, (0, None))
        rejected, _ = self.waiting.get(source, (0, None))
        return {
            "events": accepted if self.known else None,
            "rejected": rejected if self.known else None,
            "last_event_at": None if latest is None else iso(latest),
        }


class Activity:
    """For any thread. Unique events are counted once; later calls count only newer ones."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._tally = Tally(deps.reader, deps.generation)

    def of_sources(self) -> Arrivals:
        try:
            accepted = self._tally.by_source(self._deps.log.committed(topics.PROJECTIONS, topics.EVENTS))
            rows = self._deps.reader.rows(_WAITING)
        except (Backpressure, Broken):
            return Arrivals(known=False)
        return Arrivals(accepted, {row["source"]: (row["n"], row["last_ms"]) for row in rows})
