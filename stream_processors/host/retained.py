"""How long events are kept: which records of the log are too old, and a log that does not show them.

On one machine these records are taken out of the log (`simorgh.retention`). Kafka cannot take a single record out of a
topic that is kept forever: there a replay reads the log as if they were gone, so that its tables never have them.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from eventlog.forwarding import ForwardedRecords
from eventlog.port import LOST, EventLog, Record
from registry.models import REJECTED, Retention
from schemas import topics
from schemas.clock import iso

_DAY_MS: Final = 86_400_000


class _Event(msgspec.Struct, gc=False):
    """What is in the clear of an event."""

    type: str
    source: str
    time: str


class _Rejection(msgspec.Struct, gc=False):
    source: str
    received_at: str


_event: Final = msgspec.json.Decoder(_Event).decode
_rejection: Final = msgspec.json.Decoder(_Rejection).decode


class KeptSince:
    """Type and source -> the moment before which what has them is too old. Moments of one form compare as texts. False
    where nothing is."""

    def __init__(self, retentions: Iterable[Retention], now: int) -> None:
        """`now`: ms."""
        self._before: dict[tuple[str, str], str] = {}
        for one in retentions:
            before = iso(now - one.days * _DAY_MS)
            self._before[one.type, one.source] = max(before, self._before.get((one.type, one.source), ""))

    def __bool__(self) -> bool:
        return bool(self._before)

    def are_passed(self, topic: str, record: Record) -> bool:
        """Whether a record of events or rejected events is too old."""
        try:
            if topic == topics.REJECTED:
                rejection = _rejection(record.value)
                return rejection.received_at < self._of((REJECTED,), rejection.source)
            event = _event(record.value)
            return event.time < self._of((event.type, ""), event.source.removeprefix("/sources/"))
        except msgspec.MsgspecError:
            return False  # taken out before, or not ours: whoever reads it says so

    def _of(self, types: Iterable[str], source: str) -> str:
        return max(self._before.get((type, of), "") for type in types for of in (source, ""))


class RetainedLog(ForwardedRecords):
    """A log that shows what is too old as lost. See `eventlog.port.EventLog`."""

    def __init__(self, log: EventLog, limits: KeptSince) -> None:
        super().__init__(log)
        self._limits = limits

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        found = self._log.read(topic, partition, offset, limit)
        if topic not in (topics.EVENTS, topics.REJECTED):
            return found
        return [record._replace(value=LOST) if self._limits.are_passed(topic, record) else record for record in found]

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        self._log.commit(group, positions)

    def committed(self, group: str, topic: str) -> list[int]:
        return self._log.committed(group, topic)
