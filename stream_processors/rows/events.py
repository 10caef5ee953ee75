"""A batch -> Arrow tables of events, traits, identifiers and log positions. Pure: the caller writes them."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from privacy.keyring import Names, no_names
from stream_processors.parse.batch import HEARD, OWN, UNIQUE, UNREADABLE, Batch, ParsedIdentifier
from stream_processors.parse.money import decimal_array, micros
from stream_processors.rows.accounts import account_rows
from stream_processors.rows.facts import fact_rows
from stream_processors.state.orders import told_of
from stream_processors.state.profile import SeenIdentifier
from stream_processors.state.tellings import Retold, telling_of, tellings_of
from warehouse.client import fixed16, fixed32

_Value = TypeVar("_Value")

_STAMP = pa.timestamp("ms", "UTC")


def log_rows(batch: Batch, terms: Mapping[int, int]) -> pa.Table:
    """One row per record, unreadable ones included: their offsets have been processed.

    `terms`: partition -> the term under which it is held.
    """
    unreadable = [*(record for record, _ in batch.unreadable), *batch.aside]
    records = batch.records + unreadable
    return pa.table(
        {
            "part": pa.array([r.partition for r in records], pa.uint16()),
            "off": pa.array([r.offset for r in records], pa.uint64()),
            "gen": pa.array([terms[r.partition] for r in records], pa.uint32()),
            "dup": pa.array(batch.state + [UNREADABLE] * len(unreadable), pa.uint8()),
        }
    )


def tables(batch: Batch, seen: "Seen", terms: Mapping[int, int]) -> dict[str, pa.Table]:
    """All rows of a batch, by table, in the order of writing."""
    unique = batch.unique()
    return {
        "events": event_rows(batch, unique),
        **fact_rows(batch, unique),
        "traits": trait_rows(batch),
        "consents": consent_rows(batch),
        **account_rows(batch),
        "identifiers": identifier_rows(seen),
        "ids": id_rows(batch, unique),
        "log_rows": log_rows(batch, terms),
    }


def id_rows(batch: Batch, index: Sequence[int]) -> pa.Table:
    records = _picked(batch.records, index)
    return pa.table(
        {
            "key": fixed16(_picked(batch.keys, index)),
            "part": pa.array([r.partition for r in records], pa.uint16()),
            "off": pa.array([r.offset for r in records], pa.uint64()),
        }
    )


def event_rows(batch: Batch, index: Sequence[int]) -> pa.Table:
    records, money = _picked(batch.records, index), _picked(batch.money, index)
    return pa.table(
        {
            "node": fixed16([nodes[0] if nodes else 0 for nodes in _picked(batch.nodes, index)]),
            "time": pa.array(_picked(batch.times, index), _STAMP),
            "type": pa.array(_picked(batch.types, index), pa.string()),
            "part": pa.array([r.partition for r in records], pa.uint16()),
            "off": pa.array([r.offset for r in records], pa.uint64()),
            "received_at": pa.array(_picked(batch.received, index), _STAMP),
            "place": pa.array([event.place for event in _picked(batch.events, index)], pa.uint64()),
            "key": fixed16(_picked(batch.keys, index)),
            "source": pa.array(_picked(batch.sources, index), pa.string()),
            "fact": fixed16([batch.facts.get(i, 0) for i in index]) if batch.facts else _no_facts(len(index)),
            "doc": fixed16([batch.documents.get(i, 0) for i in index]) if batch.documents else _no_facts(len(index)),
            "amount": decimal_array([m[1] if m else 0 for m in money]),
            "currency": pa.array([m[0] if m else "" for m in money], pa.string()),
            "account": pa.array(
                [one.account.key if one.account else "" for one in _picked(batch.events, index)], pa.string()
            ),
            "payload": pa.array([r.value for r in records], pa.binary()),
        }
    )


def _no_facts(count: int) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(bytes(16 * count))])


def telling_rows(batch: Batch) -> pa.Table:
    """One row for each event that reports a fact."""
    told = tellings_of(batch)
    tellings = [telling_of(batch, i) for i, _ in told]
    return pa.table(
        {
            "fact": fixed16([fact for _, fact in told]),
            "trust": pa.array([one.trust for one in tellings], pa.uint64()),
            "received_at": pa.array([one.received for one in tellings], _STAMP),
            "place": pa.array([one.place for one in tellings], pa.uint64()),
            "key": fixed16([one.key for one in tellings]),
            "node": fixed16([one.node for one in tellings]),
            "part": pa.array([one.part for one in tellings], pa.uint16()),
            "off": pa.array([one.off for one in tellings], pa.uint64()),
        }
    )


def order_rows(batch: Batch) -> pa.Table:
    """One row for each event that tells of an order."""
    told = told_of(batch)
    tellings = [telling_of(batch, i) for i in told]
    money = [batch.events[i].money for i in told]
    return pa.table(
        {
            "doc": fixed16([batch.documents[i] for i in told]),
            "kind": pa.array([batch.types[i] for i in told], pa.string()),
            "fact": fixed16([batch.facts.get(i, 0) for i in told]),
            "trust": pa.array([one.trust for one in tellings], pa.uint64()),
            "received_at": pa.array([one.received for one in tellings], _STAMP),
            "place": pa.array([one.place for one in tellings], pa.uint64()),
            "key": fixed16([one.key for one in tellings]),
            "node": fixed16([one.node for one in tellings]),
            "time": pa.array([batch.times[i] for i in told], _STAMP),
            "known": pa.array([one is not None for one in money], pa.bool_()).cast(pa.uint8()),
            "amount": decimal_array([0 if one is None else micros(one.amount) for one in money]),
            "currency": pa.array(["" if one is None else one.currency for one in money], pa.string()),
        }
    )


def retelling_rows(retold: Retold) -> pa.Table:
    rows = retold.all()
    return pa.table(
        {
            "node": fixed16([one.node for _, one in rows]),
            "key": fixed16([one.key for _, one in rows]),
            "fact": fixed16([fact for fact, _ in rows]),
        }
    )


def _picked(column: list[_Value], index: Sequence[int]) -> list[_Value]:
    """The values at some different indices; mostly they are all of them."""
    return column if len(index) == len(column) else [column[i] for i in index]


_Trait = tuple[int, str, str, str | None, int, str, str]
"""Node, kind, name, value as JSON, rank, source, channel."""


def trait_rows(batch: Batch) -> pa.Table:
    rows: list[_Trait] = []
    for i in batch.writes:
        if batch.state[i] in HEARD and batch.nodes[i]:
            event, node = batch.events[i], batch.nodes[i][0]
            ver, source, channel = batch.rank(i), event.source, event.channel
            for kind, values in (("trait", event.traits), ("consent", event.consent)):
                rows += [(node, kind, n, json_text(v), ver, source, channel) for n, v in (values or {}).items()]
    nodes, kinds, names, texts, versions, sources, channels = zip(*rows, strict=True) if rows else ((),) * 7
    return pa.table(
        {
            "node": fixed16(nodes),
            "kind": pa.array(kinds, pa.string()),
            "name": pa.array(names, pa.string()),
            "value": pa.array(texts, pa.string()),
            "ver": fixed32(versions),
            "source": pa.array(sources, pa.string()),
            "channel": pa.array(channels, pa.string()),
        }
    )


_Consent = tuple[int, str, int, str | None, str, str, str]
"""Node, purpose, rank, value as JSON, source, channel, detail."""


def consent_rows(batch: Batch) -> pa.Table:
    """One row for each statement of consent: the history, where `trait_rows` has the latest statement."""
    rows: list[_Consent] = []
    for i in batch.writes:
        event = batch.events[i]
        if event.consent and batch.state[i] in HEARD and batch.nodes[i]:
            node, ver, source = batch.nodes[i][0], batch.rank(i), batch.sources[i]
            detail = bytes(event.properties).decode() if batch.state[i] == OWN else ""
            rows += [(node, n, ver, json_text(v), source, event.channel, detail) for n, v in event.consent.items()]
    nodes, purposes, versions, values, sources, channels, details = zip(*rows, strict=True) if rows else ((),) * 7
    return pa.table(
        {
            "node": fixed16(nodes),
            "purpose": pa.array(purposes, pa.string()),
            "ver": fixed32(versions),
            "value": pa.array(values, pa.string()),
            "source": pa.array(sources, pa.string()),
            "channel": pa.array(channels, pa.string()),
            "detail": pa.array(details, pa.string()),
        }
    )


def json_text(value: msgspec.Raw) -> str | None:
    """A trait's value as it was written; None where it was null."""
    text = bytes(value).decode()
    return None if text == "null" else text


Seen = dict[int, SeenIdentifier | None]
"""By node; None if only an alias names it."""


class _Together(msgspec.Struct, gc=False):
    """Identifiers that events named together, and when first and last, in ms."""

    identifiers: tuple[ParsedIdentifier, ...]
    first: int
    last: int


def seen_identifiers(batch: Batch, names: Names = no_names) -> Seen:
    """Every node of the events that count, and when it was seen. The value is empty where nobody can read it."""
    seen: Seen = {}
    together: dict[tuple[int, ...], _Together] = {}
    columns = zip(batch.nodes, batch.identifiers, batch.events, batch.state, batch.times, strict=True)
    for nodes, identifiers, event, state, time in columns:
        if state != UNIQUE:
            continue
        if event.alias:
            _see_alias(seen, nodes, _named(nodes, identifiers, names), event.guessed(), time)
            continue
        known = together.get(nodes)  # most come again and again with the same others: one look for all of them
        if known is None:
            together[nodes] = _Together(identifiers, time, time)
            continue
        if time < known.first:  # noqa: PLR1730 - once per event: calls of `min` and `max` would take most of the time
            known.first = time
        if time > known.last:  # noqa: PLR1730
            known.last = time
    for nodes, one in together.items():
        for node, identifier in zip(nodes, one.identifiers, strict=True):
            _see(seen, node, identifier, one.first, one.last)
    return _with_names(seen, names)


def _with_names(seen: Seen, names: Names) -> Seen:
    nameless = {node: one for node, one in seen.items() if one is not None and not one.value}
    for node, name in (names(nameless) if nameless else {}).items():
        nameless[node].value = name.normalised
    return seen


def _named(nodes: Sequence[int], identifiers: Sequence[ParsedIdentifier], names: Names) -> list[ParsedIdentifier]:
    """Identifiers with their values, where somebody can say them."""
    found = names([node for node, one in zip(nodes, identifiers, strict=True) if not one.normalised])
    return [
        msgspec.structs.replace(one, normalised=found[node].normalised, value=found[node].value)
        if node in found
        else one
        for node, one in zip(nodes, identifiers, strict=True)
    ]


def _see_alias(
    seen: Seen, nodes: tuple[int, ...], identifiers: Sequence[ParsedIdentifier], guessed: str | None, time: int
) -> None:
    for node, identifier in zip(nodes, identifiers, strict=True):
        if identifier.value == guessed and node != nodes[0]:
            seen.setdefault(node, None)
        else:
            _see(seen, node, identifier, time, time)


def _see(seen: Seen, node: int, identifier: ParsedIdentifier, first: int, last: int) -> None:
    known = seen.get(node)
    if known is None:
        seen[node] = SeenIdentifier(identifier.type, identifier.normalised, first, last)
    else:
        known.see(first, last)


def merge_seen(into: Seen, other: Seen) -> Seen:
    """`into`, with what another batch saw."""
    for node, value in other.items():
        known = into.get(node)
        if known is None:
            if value is not None or node not in into:
                into[node] = None if value is None else replace(value)
        elif value is not None:
            known.see(value.first_seen, value.last_seen)
    return into


def identifier_rows(seen: Mapping[int, SeenIdentifier | None]) -> pa.Table:
    nodes = [node for node, one in seen.items() if one is not None and one.value]
    values = [one for one in seen.values() if one is not None and one.value]
    return pa.table(
        {
            "node": fixed16(nodes),
            "type": pa.array([one.type for one in values], pa.string()),
            "value": pa.array([one.value for one in values], pa.string()),
            "first_seen": pa.array([one.first_seen for one in values], _STAMP),
            "last_seen": pa.array([one.last_seen for one in values], _STAMP),
        }
    )
