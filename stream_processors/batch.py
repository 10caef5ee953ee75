"""A micro-batch of `simorgh.events`, parsed once: what every projection of it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson

from eventlog.port import Record

UNIQUE, COPY, UNREADABLE = 0, 1, 2
"""The states of a row in `log_rows.dup`: counted, a copy of an earlier event, kept as rejected."""


@dataclass(slots=True)
class Batch:
    """Columns of equal length, in log order within each partition.

    `nodes[i]` are the nodes of event i's identifiers, anchor first, () where it has none. Times are ms.
    `state[i]` is UNIQUE until dedupe says otherwise.
    """

    records: list[Record]
    events: list[dict[str, Any]]
    eids: list[int]
    types: list[str]
    nodes: list[tuple[int, ...]]
    times: list[int]
    received: list[int]
    state: list[int]
    unreadable: list[tuple[Record, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records)

    def unique(self) -> list[int]:
        """Indices of the events that count."""
        return [i for i, state in enumerate(self.state) if state == UNIQUE]


def event_hash(event_id: str) -> int:
    """eid: BLAKE2b-128 of the event id."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=16).digest(), "big")


def parse(records: Sequence[Record]) -> Batch:
    """Parse envelopes. One that cannot be read is listed in `unreadable` and stops none of the others."""
    batch = Batch([], [], [], [], [], [], [], [])
    times, received = [], []
    for record in records:
        try:
            event = orjson.loads(record.value)
            nodes = tuple([int(i["node"], 16) for i in event["identifiers"]])
            row = (event["id"], event["type"], event["time"], event["received_at"])
            if not (row[2][-1] == "Z" and row[3][-1] == "Z" and len(row[2]) == len(row[3]) == 24):
                raise ValueError("times must be RFC 3339 in UTC with three decimals")
            eid = event_hash(row[0])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            batch.unreadable.append((record, f"not an envelope ({type(error).__name__})"))
            continue
        batch.records.append(record)
        batch.events.append(event)
        batch.eids.append(eid)
        batch.types.append(row[1])
        batch.nodes.append(nodes)
        times.append(row[2][:-1])
        received.append(row[3][:-1])
    try:
        batch.times, batch.received = milliseconds(times), milliseconds(received)
    except ValueError:
        return _without_bad_times(batch, times, received)
    batch.state = [UNIQUE] * len(batch.records)
    return batch


def milliseconds(texts: list[str]) -> list[int]:
    if not texts:
        return []
    return list(np.array(texts, dtype="datetime64[ms]").astype("int64").tolist())


def _without_bad_times(batch: Batch, times: list[str], received: list[str]) -> Batch:
    """The rare path: some time is no time. Keep the readable ones."""
    good = []
    for record, time, at in zip(batch.records, times, received, strict=True):
        try:
            milliseconds([time, at])
            good.append(record)
        except ValueError:
            batch.unreadable.append((record, "not an envelope (a time that is none)"))
    parsed = parse(good)
    parsed.unreadable.extend(batch.unreadable)
    return parsed
