"""The rejected stage: `simorgh.rejected` -> the table, and what processors themselves have to reject.

Side effects of `step`: 1 the rows (idempotent: latest version wins)  2 commit (a crash before it writes them again).
"""

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from eventlog.port import EventLog, Record, present
from schemas import topics
from schemas.clock import iso
from schemas.records import Rejection, decode_rejection, encode
from warehouse.client import Writer

GROUP = "rejected"
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
    rejections = [(record.offset, decode_rejection(record.value)) for record in present(records)]
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
            "resolved": pa.array([int(one.resolved) for one in every], pa.uint8()),
            "ver": pa.array([offset for offset, _ in rejections], pa.uint64()),
        }
    )


def _moments(texts: list[str]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    return np.array([text.rstrip("Z") for text in texts], dtype="datetime64[ms]")


def payload_of(rejection: Rejection) -> bytes:
    """The original bytes of a rejected event."""
    if rejection.payload_base64 is not None:
        return base64.b64decode(rejection.payload_base64)
    return (rejection.payload or "").encode()


def keep_unreadable(log: EventLog, unreadable: Sequence[tuple[Record, str]]) -> None:
    """Records of simorgh.events that are no envelopes go to simorgh.rejected, under an id made of their place."""
    messages = []
    for record, reason in unreadable:
        place = f"{topics.EVENTS}/{record.partition}/{record.offset}"
        rejection = Rejection(
            id=place,
            code="unreadable",
            reason=f"{place}: {reason}",
            source=topics.EVENTS,
            channel="",
            received_at=iso(record.appended_at),
            payload_base64=base64.b64encode(record.value).decode(),
            digest=int.from_bytes(blake2b(record.value, digest_size=8).digest(), "big"),
        )
        messages.append((place.encode(), encode(rejection)))
    if messages:
        log.append(topics.REJECTED, messages)
