"""The rejected stage: `simorgh.rejected` -> the table, and what processors themselves have to reject.

Side effects of `step`: 1 the rows (idempotent: latest version wins)  2 commit (a crash before it writes them again).
"""

import base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from eventlog.port import EventLog, Record, present
from schemas import topics
from schemas.clock import iso
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
    bodies = [(record.offset, orjson.loads(record.value)) for record in present(records)]
    return pa.table(
        {
            "source": pa.array([b["source"] for _, b in bodies], pa.string()),
            "id": pa.array([b["id"] for _, b in bodies], pa.string()),
            "digest": pa.array([b["digest"] for _, b in bodies], pa.uint64()),
            "code": pa.array([b["code"] for _, b in bodies], pa.string()),
            "reason": pa.array([b["reason"] for _, b in bodies], pa.string()),
            "channel": pa.array([b.get("channel", "") for _, b in bodies], pa.string()),
            "received_at": pa.array(_moments([b["received_at"] for _, b in bodies])).cast(pa.timestamp("ms", "UTC")),
            "place": pa.array([b.get("place", 0) for _, b in bodies], pa.uint64()),
            "payload": pa.array([payload_of(b) for _, b in bodies], pa.binary()),
            "resolved": pa.array([int(bool(b.get("resolved"))) for _, b in bodies], pa.uint8()),
            "ver": pa.array([offset for offset, _ in bodies], pa.uint64()),
        }
    )


def _moments(texts: list[str]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    return np.array([text.rstrip("Z") for text in texts], dtype="datetime64[ms]")


def payload_of(body: dict[str, Any]) -> bytes:
    """The original bytes of a rejected event."""
    if "payload_base64" in body:
        return base64.b64decode(body["payload_base64"])
    return str(body["payload"]).encode()


def keep_unreadable(log: EventLog, unreadable: Sequence[tuple[Record, str]]) -> None:
    """Records of simorgh.events that are no envelopes go to simorgh.rejected, under an id made of their place."""
    messages = []
    for record, reason in unreadable:
        place = f"{topics.EVENTS}/{record.partition}/{record.offset}"
        body = {
            "id": place,
            "code": "unreadable",
            "reason": f"{place}: {reason}",
            "source": topics.EVENTS,
            "channel": "",
            "received_at": iso(record.appended_at),
            "payload_base64": base64.b64encode(record.value).decode(),
            "digest": int.from_bytes(blake2b(record.value, digest_size=8).digest(), "big"),
        }
        messages.append((place.encode(), orjson.dumps(body)))
    if messages:
        log.append(topics.REJECTED, messages)
