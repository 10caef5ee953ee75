"""The rejected stage: `simorgh.rejected` -> the table, and what the stages themselves reject.

Side effects of `step`: 1 the rows (idempotent: latest version wins)  2 commit (a crash before it writes them again).
"""

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from eventlog.port import EventLog, Message, Record, present
from schemas import topics
from schemas.clock import iso
from schemas.errors import Broken
from schemas.records import Rejection, decode_rejection, encode
from schemas.untyped import JsonObject
from stream_processors.parse.batch import read_again
from stream_processors.state.poison import CODE, Culprit, place
from warehouse.client import Writer

GROUP = "rejected"
UNREADABLE: Final = (Broken, ValueError, ArithmeticError, pa.ArrowException)
"""The errors of a record that is not a rejected event, or does not fit into a row."""
_LIMIT = 2_000


def step(log: EventLog, writer: Writer) -> int:
    """Write the next rejected events into the table; returns how many. One caller."""
    start = log.committed(GROUP, topics.REJECTED)[0]
    records = log.read(topics.REJECTED, 0, start, _LIMIT)
    if records:
        writer.insert("rejected", rows(records))
        log.commit(GROUP, {topics.REJECTED: {0: records[-1].offset + 1}})
    return len(records)


def rows(records: Sequence[Record]) -> pa.Table:
    """A row for each. A record that is not a rejected event becomes one itself, since other programs may write to the
    topic."""
    found = present(records)
    try:
        return _rows([(record.offset, decode_rejection(record.value)) for record in found])
    except UNREADABLE:
        return _rows([(record.offset, _read(record)) for record in found])


def _read(record: Record) -> Rejection:
    try:
        rejection = decode_rejection(record.value)
        _rows([(record.offset, rejection)])
    except UNREADABLE as error:
        reason = f"{place(topics.REJECTED, record)}: not a rejected event ({type(error).__name__})"
        return _by_place(topics.REJECTED, record, "unreadable", reason)
    return rejection


def _rows(rejections: Sequence[tuple[int, Rejection]]) -> pa.Table:
    every = [rejection for _, rejection in rejections]
    return pa.table(
        {
            "source": pa.array([one.source for one in every], pa.string()),
            "id": pa.array([one.id for one in every], pa.string()),
            "digest": pa.array([one.digest for one in every], pa.uint64()),
            "code": pa.array([one.code for one in every], pa.string()),
            "reason": pa.array([one.reason for one in every], pa.string()),
            "channel": pa.array([one.channel or "" for one in every], pa.string()),
            "received_at": pa.array(_moments([one.received_at for one in every])).cast(pa.timestamp("ms", "UTC")),
            "place": pa.array([one.place or 0 for one in every], pa.uint64()),
            "payload": pa.array([payload_of(one) for one in every], pa.binary()),
            "webhook": pa.array([_json(one.webhook) for one in every], pa.string()),
            "resolved": pa.array([int(one.resolved) for one in every], pa.uint8()),
            "ver": pa.array([offset for offset, _ in rejections], pa.uint64()),
        }
    )


def _moments(texts: list[str]) -> npt.NDArray[np.datetime64]:
    return np.array([text.rstrip("Z") for text in texts], dtype="datetime64[ms]")


def _json(content: JsonObject | None) -> str:
    return orjson.dumps(content).decode() if content else ""


def payload_of(rejection: Rejection) -> bytes:
    """The original bytes of a rejected event."""
    if rejection.payload_base64 is not None:
        return base64.b64decode(rejection.payload_base64)
    return (rejection.payload or "").encode()


def unreadable(topic: str, records: Sequence[tuple[Record, str]]) -> list[Message]:
    """Unreadable records of a topic, for simorgh.rejected, under an id made of their position."""
    found = []
    for record, reason in records:
        where = place(topic, record)
        found.append(message(_by_place(topic, record, "unreadable", f"{where}: {reason}")))
    return found


def poisoned(topic: str, record: Record, reason: str) -> Culprit:
    """A record that fails alone, for simorgh.rejected. An event keeps its own id, so that it can be retried under
    that."""
    where = place(topic, record)
    said = f"{where}: wanted a record that can be processed, got {reason}; retry it once that is fixed"
    event = read_again(record) if topic == topics.EVENTS else None
    kept = _by_place(topic, record, CODE, said)
    if event is not None:
        kept.id, kept.source, kept.channel = event.id, event.source.removeprefix("/sources/"), event.channel
        kept.received_at, kept.place = event.received_at, event.place
    return Culprit(where, kept.source, reason, kept)


def message(rejection: Rejection) -> Message:
    return rejection.id.encode(), encode(rejection)


def _by_place(topic: str, record: Record, code: str, reason: str) -> Rejection:
    return Rejection(
        id=place(topic, record),
        code=code,
        reason=reason,
        source=topic,
        channel="",
        received_at=iso(record.appended_at),
        payload_base64=base64.b64encode(record.value).decode(),
        digest=int.from_bytes(blake2b(record.value, digest_size=8).digest(), "big"),
    )
