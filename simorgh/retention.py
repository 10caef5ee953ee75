"""Retention on one box: what is older than its retention is taken out of the log, and what a replay then makes of the
log knows nothing of it.

Side effects, in order; all may be done again: 1 records are taken out, chunk by chunk; 2 the journal is truncated. The
replay follows. A crash in between leaves tables with rows that the log does not have, until the next replay.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Final

from eventlog.port import Record
from eventlog.sqlite import SqliteEventLog
from registry.models import Retention
from schemas import topics
from stream_processors.host.retained import KeptSince

_LOG: Final = logging.getLogger(__name__)
_READ: Final = 5_000
_PURGES: Final = 50
_PAUSE_SECONDS: Final = 0.1


def expire(log: SqliteEventLog, retentions: Iterable[Retention], now: int) -> int:
    """Take out what is older than its retention. Blocks; returns how many records that were. `now`: ms. Raises
    `Damaged` where the log cannot be read."""
    limits = KeptSince(retentions, now)
    if not limits:
        return 0
    count = 0
    for topic in (topics.EVENTS, topics.REJECTED):
        for partition, end in enumerate(log.ends(topic)):
            for some in _batches(log, topic, partition, end):
                old = [record.offset for record in some if limits.are_passed(topic, record)]
                if old:
                    log.blank(topic, partition, old)
                    count += len(old)
    if count:
        _purge(log)
        _LOG.info("retention: %d records were taken out of the log", count)
    return count


def _batches(log: SqliteEventLog, topic: str, partition: int, end: int) -> Iterator[list[Record]]:
    offset = 0
    while offset < end:
        records = log.read(topic, partition, offset, min(_READ, end - offset))
        if not records:
            return
        yield records
        offset = records[-1].offset + 1


def _purge(log: SqliteEventLog) -> None:
    """Readers hold the journal for moments only."""
    for _ in range(_PURGES):
        if log.purge():
            return
        time.sleep(_PAUSE_SECONDS)
    _LOG.warning("retention: the log's journal is busy; it holds what was taken out until it is truncated at a stop")
