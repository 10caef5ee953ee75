"""The live segments for a holder of profiles: a fold of simorgh.registry, and which are being filled."""

from typing import Final

from eventlog.port import EventLog, Record
from registry.models import CONSTANT, SET_ASIDE
from schemas import topics
from stream_processors.state import declared
from stream_processors.state.declared import Change
from stream_processors.state.judge import Judge
from stream_processors.state.touches import EDITED

"""The group (without members on a cluster) whose position in simorgh.registry says what is in effect, everywhere."""

_READ: Final = 1_000


class LiveSegments:
    """Follows the declarations of segments. One thread."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.position = 0
        """The next offset of simorgh.registry."""
        self.segments = declared.Segments()
        self._filling: list[Change] = []

    def read_on(self, upto: int | None = None) -> tuple[list[Record], list[Change]]:
        """Fold new declarations, to the end or up to an offset; returns the records, and the changes of segments."""
        found: list[Record] = []
        changes: list[Change] = []
        while records := self._log.read(topics.REGISTRY, 0, self.position, self._step(upto)):
            for record in records:
                if change := self._fold(record):
                    changes.append(change)
            found += records
            self.position = records[-1].offset + 1
        self._filling += [change for change in changes if change.cause]
        return found, changes

    def _step(self, upto: int | None) -> int:
        return _READ if upto is None else max(0, min(_READ, upto - self.position))

    def _fold(self, record: Record) -> Change | None:
        found = declared.read(record)
        if found is None or found.kind not in ("segment", "trait", SET_ASIDE, CONSTANT):
            return None
        return self.segments.fold(found, record.offset)

    def bring_up(self, judge: Judge) -> bool:
        """Fold new declarations, and give them to the judge. Returns whether segments have changed."""
        changed = bool(self.read_on()[1])
        if changed:
            judge.set_segments(self.segments.live, self.segments.traits)
        return changed

    def filling(self) -> dict[str, str]:
        """Segment -> the cause of its transitions, for segments whose declaration is not in effect everywhere yet:
        changes there are caused by the declaration, whatever the touch."""
        if self._filling:
            filled = self._log.committed(topics.PROJECTIONS, topics.REGISTRY)[0]
            self._filling = [change for change in self._filling if change.offset >= filled]
        causes: dict[str, str] = {}
        for change in self._filling:
            for segment in change.filled:
                causes.setdefault(segment, change.cause or EDITED)
        return causes
