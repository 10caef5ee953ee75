"""A micro-batch of `simorgh.events`, parsed once: what every projection of it reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
import orjson

from eventlog.port import Record
from stream_processors.money import micros

UNIQUE, COPY, UNREADABLE = 0, 1, 2
"""The states of a row in `log_rows.dup`: counted, a copy of an earlier event, kept as rejected."""


_NODES = 1 << 128
_MONEY = 10**36

Money = tuple[str, int]
"""Currency and millionths."""


class Identifier(msgspec.Struct, gc=False):
    """One identifier of an envelope; `node` is hex."""

    type: str
    normalised: str
    node: str


class _Money(msgspec.Struct, gc=False):
    amount: str
    currency: str


class Envelope(msgspec.Struct):
    """What the projections read of an envelope. Traits, properties and context stay JSON until somebody asks."""

    id: str
    type: str
    time: str
    received_at: str
    source: str
    channel: str
    identifiers: list[Identifier]
    traits: dict[str, msgspec.Raw] | None = None
    consent: dict[str, msgspec.Raw] | None = None
    money: _Money | None = None
    alias: bool | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")

    def payload(self) -> dict[str, Any]:
        """Properties and context, parsed: what segment rules may look into."""
        return {
            "properties": orjson.loads(bytes(self.properties)),
            "context": orjson.loads(bytes(self.context)),
        }


_decode = msgspec.json.Decoder(Envelope).decode


@dataclass(slots=True)
class Batch:
    """Columns of equal length, in log order within each partition. Times are ms.

    `nodes[i]` are the nodes of event i's identifiers, anchor first, () where it has none; `money[i]` is None where it
    has none with a currency; `state[i]` is UNIQUE until dedupe says otherwise.
    """

    records: list[Record] = field(default_factory=list)
    events: list[Envelope] = field(default_factory=list)
    eids: list[int] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    nodes: list[tuple[int, ...]] = field(default_factory=list)
    money: list[Money | None] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    state: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    """Indices of the events that carry traits or consent."""
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
    """Parse envelopes. One that cannot be read is listed in `unreadable` and stops none of the others.

    What later steps rely on is checked here, once: anybody may write to the topic.
    """
    batch = Batch()
    times: list[str] = []
    received: list[str] = []
    for record in records:
        try:
            _read(record, batch, times, received)
        except (msgspec.MsgspecError, ValueError, ArithmeticError) as error:
            batch.unreadable.append((record, f"not an envelope ({type(error).__name__})"))
    try:
        batch.times, batch.received = milliseconds(times), milliseconds(received)
    except ValueError:
        return _without_bad_times(batch, times, received)
    batch.state = [UNIQUE] * len(batch.records)
    return batch


def _read(record: Record, batch: Batch, times: list[str], received: list[str]) -> None:
    """Add one record to the columns, or raise before any was touched."""
    event = _decode(record.value)
    nodes = tuple([int(i.node, 16) for i in event.identifiers])
    time, at = event.time, event.received_at
    if not (len(time) == len(at) == 24 and time[23] == at[23] == "Z"):
        raise ValueError("times are RFC 3339 in UTC with three decimals")
    if nodes and not (min(nodes) > 0 and max(nodes) < _NODES):
        raise ValueError("nodes have 128 bits")
    money = _money(event.money) if event.money is not None else None
    eid = event_hash(event.id)
    if event.traits or event.consent:
        batch.writes.append(len(batch.events))
    batch.records.append(record)
    batch.events.append(event)
    batch.eids.append(eid)
    batch.types.append(event.type)
    batch.nodes.append(nodes)
    batch.money.append(money)
    times.append(time[:23])
    received.append(at[:23])


def _money(money: _Money) -> Money | None:
    amount = micros(money.amount)
    if abs(amount) >= _MONEY:
        raise ValueError("money fits Decimal(38, 6)")
    return (money.currency, amount) if money.currency else None


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
