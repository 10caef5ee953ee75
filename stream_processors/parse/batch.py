"""A micro-batch of `simorgh.events`, parsed once for all projections."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from sys import intern
from typing import Annotated, Final

import msgspec
import numpy as np
import orjson
import re2

from eventlog.port import Record
from identity.nodes import from_hex
from schemas import orders, platform
from schemas.clock import LATEST
from schemas.errors import InvalidIdentifier
from schemas.order import MOST_PLACE, rank
from schemas.untyped import JsonObject
from stream_processors.parse import doubts
from stream_processors.parse.lifting import OLD, lifted
from stream_processors.parse.money import micros

HINT: Final = "hint"
"""The trust of an identifier that somebody merely typed: it is shown, and links nobody."""

UNIQUE, COPY, UNREADABLE, OWN = 0, 1, 2, 3
"""The states of a row in `log_rows.dup`: counted, a copy of an earlier event, kept as rejected, or the platform's own
event, whose consent holds and which counts nowhere."""

HEARD: Final = (UNIQUE, OWN)
"""The states of events whose traits and consent hold."""

_MOMENTS: Final = re2.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)*")
_MOMENT_LENGTH: Final = 24

_KEY_LENGTH: Final = 32
_SOURCES: Final = "/sources/"

_PARTS: Final = 16
"""The size of the parts of a batch with an unreadable record; each part is parsed on its own."""

Money = tuple[str, int]
"""Currency and millionths."""


class ParsedIdentifier(msgspec.Struct, gc=False):
    """One identifier of an envelope; `node` is hex. `trust`: "hint" if it links nobody, else empty. The texts are empty
    if they are sealed."""

    type: str
    node: str
    normalised: str = ""
    value: str = ""
    trust: str = ""


class _Money(msgspec.Struct, gc=False):
    amount: str
    currency: str


class _Business(msgspec.Struct, gc=False):
    """The fact that an event reports. `key` is hex; `rank`: the trust of its source, 0 is the highest."""

    key: str
    rank: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class ParsedAccount(msgspec.Struct, gc=False):
    """The account that an event names. `parent`, `reports_to` (hex): None where nothing is said of them, "" for
    none."""

    key: str
    parent: str | None = None
    reports_to: str | None = None


class ParsedEnvelope(msgspec.Struct, gc=False):
    """The parts of an envelope that projections read. Traits, properties and context stay JSON until they are
    needed."""

    key: str
    id: str
    type: str
    time: str
    received_at: str
    place: Annotated[int, msgspec.Meta(ge=0, le=MOST_PLACE)]
    source: str
    channel: str
    identifiers: msgspec.Raw
    traits: dict[str, msgspec.Raw] | None = None
    consent: dict[str, msgspec.Raw] | None = None
    money: _Money | None = None
    business: _Business | None = None
    document: str | None = None
    alias: bool | None = None
    account: ParsedAccount | None = None
    dataschema: str = ""
    original_time: str | None = None
    original: dict[str, msgspec.Raw] | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    facts: msgspec.Raw = msgspec.Raw(b"{}")
    """The properties that are in the clear, of an event that was opened."""

    @property
    def is_stripped(self) -> bool:
        """Whether what was sealed cannot be opened any more: only what is in the clear is left."""
        return self.id == self.key

    def guessed(self) -> str | None:
        """The previous id, if this is an alias. An alias does not name its type, so the door links both possible
        identifiers, and the customer was seen with neither."""
        if not self.alias:
            return None
        previous = orjson.loads(bytes(self.properties)).get("previous_id")
        return None if previous is None else str(previous)

    def payload(self) -> JsonObject:
        """What segment rules and computed traits read of the envelope: properties and context, parsed, and itself."""
        money = self.money
        return {
            "key": self.key,
            "type": self.type,
            "time": self.time,
            "received_at": self.received_at,
            "place": self.place,
            "channel": self.channel,
            "money": None if money is None else {"amount": money.amount, "currency": money.currency},
            "properties": orjson.loads(bytes(self.properties)),
            "context": orjson.loads(bytes(self.context)),
        }


_decode = msgspec.json.Decoder(ParsedEnvelope).decode
_decode_identifiers = msgspec.json.Decoder(tuple[ParsedIdentifier, ...]).decode


@dataclass(slots=True)
class Batch:
    """Columns of equal length, in log order within each partition. Times are ms.

    `keys[i]` is the identity of event i, `sources[i]` the id of its source; `nodes[i]` are the nodes of its
    `identifiers[i]`, anchor first, () where it has none, both without hints; `money[i]` is None where it has none with
    a currency; `state[i]` is UNIQUE, or OWN, until dedupe says otherwise.
    """

    records: list[Record] = field(default_factory=list)
    events: list[ParsedEnvelope] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    nodes: list[tuple[int, ...]] = field(default_factory=list)
    identifiers: list[tuple[ParsedIdentifier, ...]] = field(default_factory=list)
    money: list[Money | None] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    state: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    """Indices of the events that carry traits or consent."""
    facts: dict[int, int] = field(default_factory=dict)
    """Index of each event that reports a fact -> the fact's key."""
    retold: set[int] = field(default_factory=set)
    """Indices of the events that do not count, because their fact has a lesser telling: see `state.tellings`."""
    documents: dict[int, int] = field(default_factory=dict)
    """Index of each event that is about an order, whether it tells of it or continues it -> the order's document."""
    told_once: set[int] = field(default_factory=set)
    """Indices of the events that tell of an order of which nothing else is told: see `state.orders`."""
    own: list[int] = field(default_factory=list)
    """Indices of the platform's own events."""
    unreadable: list[tuple[Record, str]] = field(default_factory=list)
    aside: list[Record] = field(default_factory=list)
    """Records that are set aside: not read, and handled like unreadable ones from here on."""

    def __len__(self) -> int:
        return len(self.records)

    def extend(self, other: "Batch") -> None:
        """Add the rows of another batch at the end."""
        start = len(self)
        self.writes += [start + i for i in other.writes]
        self.own += [start + i for i in other.own]
        self.facts.update((start + i, fact) for i, fact in other.facts.items())
        self.retold.update(start + i for i in other.retold)
        self.documents.update((start + i, doc) for i, doc in other.documents.items())
        self.told_once.update(start + i for i in other.told_once)
        for column in _COLUMNS:
            getattr(self, column).extend(getattr(other, column))

    def unique(self) -> list[int]:
        """Indices of the events that count."""
        return [i for i, state in enumerate(self.state) if state == UNIQUE]

    def all_nodes(self) -> set[int]:
        """Of all identifiers."""
        return {node for nodes in self.nodes for node in nodes}

    def own_nodes(self) -> set[int]:
        """The anchors of the platform's own events."""
        return {self.nodes[i][0] for i in self.own if self.nodes[i]}

    def rank(self, i: int) -> int:
        """The place of event i in the total order of events (`schemas.order`)."""
        return rank(self.times[i], self.received[i], self.events[i].place, self.keys[i])


_SPARSE: Final = ("writes", "facts", "retold", "documents", "told_once", "own")
_COLUMNS: Final = tuple(each.name for each in fields(Batch) if each.name not in _SPARSE)


def parse(records: Sequence[Record]) -> Batch:
    """Parse envelopes. An unreadable one is listed in `unreadable` and stops none of the others. Everything that later
    steps rely on is checked here, once, since other programs may write to the topic.
    """
    try:
        return _parse_all(records)
    except (msgspec.MsgspecError, InvalidIdentifier, ValueError, ArithmeticError, RecursionError) as error:
        if len(records) == 1:
            return Batch(unreadable=[(records[0], f"not an envelope ({type(error).__name__})")])
    batch = Batch()  # a few bad ones cost some parts of the batch again, many bad ones a few times all of it
    part = -(-len(records) // _PARTS)
    for start in range(0, len(records), part):
        batch.extend(parse(records[start : start + part]))
    return batch


def _parse_all(records: Sequence[Record]) -> Batch:
    """All records, column by column, which is faster than record by record. Raises if one cannot be read."""
    texts = [record.value for record in records]
    doubtful = doubts.look(texts)
    events = [_decode(text) for text in texts]
    for text in doubtful():
        doubts.check(text)
    records, events = _lifted(list(records), events)
    people = _People()
    found = [people[bytes(event.identifiers)] for event in events]
    sources = _sources([event.source for event in events])
    own = [i for i, source in enumerate(sources) if source == platform.SOURCE] if platform.SOURCE in sources else []
    parts = [b"", *[part for event in events for part in (event.properties, event.context)]]
    if doubts.BETWEEN.join(parts).count(doubts.BETWEEN + b"{") < len(parts) - 1:
        raise ValueError("properties and context are objects")
    return Batch(
        records=records,
        events=events,
        keys=_keys([event.key for event in events]),
        sources=sources,
        types=[intern(event.type) for event in events],  # each is a key to many tables
        nodes=[nodes for _, nodes in found],
        identifiers=[identifiers for identifiers, _ in found],
        money=[None if event.money is None else _money(event.money) for event in events],
        times=_moments([event.time for event in events]),
        received=_receipts([event.received_at for event in events]),
        state=_states(len(events), own),
        writes=[i for i, event in enumerate(events) if event.traits or event.consent],
        facts=_facts(events),
        documents=_documents(events),
        own=own,
    )


def _states(count: int, own: list[int]) -> list[int]:
    states = [UNIQUE] * count
    for i in own:
        states[i] = OWN
    return states


def _facts(events: list[ParsedEnvelope]) -> dict[int, int]:
    told = {i: event.business.key for i, event in enumerate(events) if event.business is not None}
    return dict(zip(told, _keys(list(told.values())), strict=True))


def _documents(events: list[ParsedEnvelope]) -> dict[int, int]:
    """Documents of orders. Without a number, an order is a document of its own."""
    told = {
        i: _document(event)
        for i, event in enumerate(events)
        if event.document is not None or event.type in orders.TYPES
    }
    return dict(zip(told, _keys(list(told.values())), strict=True))


def _document(event: ParsedEnvelope) -> str:
    if event.type == orders.PLACED:
        return event.key if event.business is None else event.business.key
    return event.key if event.document is None else event.document


def read_again(record: Record) -> ParsedEnvelope | None:
    """The envelope of a record that was parsed before; None if this version can no longer read it."""
    try:
        _, [event] = _lifted([record], [_decode(record.value)])
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return None
    return event


class _People(dict[bytes, tuple[tuple[ParsedIdentifier, ...], tuple[int, ...]]]):
    """Identifiers as in envelopes -> parsed, and their nodes. A customer who is often in a batch is parsed once."""

    def __missing__(self, text: bytes) -> tuple[tuple[ParsedIdentifier, ...], tuple[int, ...]]:
        identifiers = tuple([one for one in _decode_identifiers(text) if one.trust != HINT])
        nodes = tuple([from_hex(identifier.node) for identifier in identifiers])
        if 0 in nodes:
            raise ValueError("0 is nobody's node")
        found = self[text] = (identifiers, nodes)
        return found


def _lifted(records: list[Record], events: list[ParsedEnvelope]) -> tuple[list[Record], list[ParsedEnvelope]]:
    """Lift events of an older version to the present one."""
    for i in [i for i, event in enumerate(events) if event.dataschema in OLD]:
        records[i] = records[i]._replace(value=lifted(records[i].value))
        events[i] = _decode(records[i].value)
    return records, events


def _money(money: _Money) -> Money | None:
    amount = Decimal(money.amount)
    if not amount.is_finite() or amount.adjusted() >= 30:
        raise ValueError("money is below 1e30")
    return (money.currency, micros(amount)) if money.currency else None


def _keys(texts: list[str]) -> list[int]:
    """Keys as numbers. `ValueError` if a text is not 32 lower-case hex digits, or is 0: in tables, 0 means none."""
    whole = "".join(texts)
    even = {_KEY_LENGTH}.issuperset(map(len, texts))
    # quicker than an expression; what it skips, blanks, leaves too few bytes
    if not even or 2 * len(bytes.fromhex(whole)) != len(whole) or whole != whole.lower():
        raise ValueError("keys are 32 lower-case hex digits")
    found = [int(text, 16) for text in texts]
    if 0 in found:
        raise ValueError("0 is no key")
    return found


def _sources(names: list[str]) -> list[str]:
    """The ids of sources. `ValueError` if a name is invalid."""
    ids = {name: name.removeprefix(_SOURCES) for name in set(names)}
    if any(not id or id == name for name, id in ids.items()):
        raise ValueError(f"sources are {_SOURCES} and an id")
    return [ids[name] for name in names]


def _receipts(texts: list[str]) -> list[int]:
    """The same as `_moments`, faster if many are equal: a request's events share their receipt."""
    distinct = list(set(texts))
    moments = dict(zip(distinct, _moments(distinct), strict=True))
    return [moments[text] for text in texts]


def _moments(texts: list[str]) -> list[int]:
    """Times in ms. `ValueError` if a text is not a time, or outside of our years."""
    whole = "".join(texts)
    if not {_MOMENT_LENGTH}.issuperset(map(len, texts)) or not _MOMENTS.fullmatch(whole):
        raise ValueError("times are RFC 3339 in UTC with three decimals")
    zoned = np.frombuffer(whole.encode(), dtype=f"S{_MOMENT_LENGTH}")
    found = zoned.astype(f"S{_MOMENT_LENGTH - 1}").astype("datetime64[ms]").astype("int64")
    if len(found) and not (found.min() >= 0 and found.max() < LATEST):
        raise ValueError("times lie between 1970 and 2286")
    return list(found.tolist())
