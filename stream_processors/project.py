"""Rows of what was processed: a batch, or states of profiles -> Arrow tables. Pure: who asks for them writes them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from stream_processors.batch import UNIQUE, UNREADABLE, Batch, Identifier
from stream_processors.bounds import MOST_CURRENCIES, MOST_FREQUENT, largest
from stream_processors.money import decimal, decimal_array
from stream_processors.profiles import NEVER, ORDER, ProfileState
from stream_processors.recent import View
from warehouse.client import fixed16, fixed32

_Value = TypeVar("_Value")

_STAMP = pa.timestamp("ms", "UTC")
_NO_TEXTS = ("{}", "{}", "{}")


def log_rows(batch: Batch, owner: int) -> pa.Table:
    """One row per record, unreadable ones included: their offsets have been seen to."""
    unreadable = [record for record, _ in batch.unreadable]
    records = batch.records + unreadable
    n = len(records)
    return pa.table(
        {
            "part": pa.array([r.partition for r in records], pa.uint16()),
            "off": pa.array([r.offset for r in records], pa.uint64()),
            "gen": pa.array(np.full(n, owner, dtype=np.uint32)),
            "dup": pa.array(batch.state + [UNREADABLE] * len(unreadable), pa.uint8()),
        }
    )


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
            "amount": decimal_array([m[1] if m else 0 for m in money]),
            "currency": pa.array([m[0] if m else "" for m in money], pa.string()),
            "payload": pa.array([r.value for r in records], pa.binary()),
        }
    )


def _picked(column: list[_Value], index: Sequence[int]) -> list[_Value]:
    """The values at some different indices; mostly they are all of them."""
    return column if len(index) == len(column) else [column[i] for i in index]


def trait_rows(batch: Batch) -> pa.Table:
    rows: list[tuple[Any, ...]] = []
    for i in batch.writes:
        if batch.state[i] == UNIQUE and batch.nodes[i]:
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


def json_text(value: msgspec.Raw) -> str | None:
    """A trait's value as it was written; None where it was null."""
    text = bytes(value).decode()
    return None if text == "null" else text


Seen = dict[int, list[Any] | None]
"""Node -> [type, value, first seen, last seen]; None where an alias only guessed at it."""


def seen_identifiers(batch: Batch) -> Seen:
    """Every node of the events that count, and when it was seen."""
    seen: Seen = {}
    together: dict[tuple[int, ...], list[Any]] = {}
    columns = zip(batch.nodes, batch.identifiers, batch.events, batch.state, batch.times, strict=True)
    for nodes, identifiers, event, state, time in columns:
        if state != UNIQUE:
            continue
        if event.alias:
            _see_alias(seen, nodes, identifiers, event.guessed(), time)
            continue
        known = together.get(nodes)  # most come again and again with the same others: one look for all of them
        if known is None:
            together[nodes] = [identifiers, time, time]
            continue
        if time < known[1]:  # noqa: PLR1730 - once per event, where calls of `min` and `max` would take most of the time
            known[1] = time
        if time > known[2]:  # noqa: PLR1730
            known[2] = time
    for nodes, (identifiers, first, last) in together.items():
        for node, identifier in zip(nodes, identifiers, strict=True):
            _see(seen, node, identifier, first, last)
    return seen


def _see_alias(
    seen: Seen, nodes: tuple[int, ...], identifiers: Sequence[Identifier], guessed: str | None, time: int
) -> None:
    for node, identifier in zip(nodes, identifiers, strict=True):
        if identifier.value == guessed and node != nodes[0]:
            seen.setdefault(node, None)
        else:
            _see(seen, node, identifier, time, time)


def _see(seen: Seen, node: int, identifier: Identifier, first: int, last: int) -> None:
    known = seen.get(node)
    if known is None:
        seen[node] = [identifier.type, identifier.normalised, first, last]
        return
    if first < known[2]:  # noqa: PLR1730 - as above
        known[2] = first
    if last > known[3]:  # noqa: PLR1730
        known[3] = last


def merge_seen(into: Seen, other: Seen) -> Seen:
    """`into`, with what another batch saw."""
    for node, value in other.items():
        known = into.get(node)
        if known is None:
            if value is not None or node not in into:
                into[node] = None if value is None else list(value)
        elif value is not None:
            known[2] = min(known[2], value[2])
            known[3] = max(known[3], value[3])
    return into


def identifier_rows(seen: Mapping[int, list[Any] | None]) -> pa.Table:
    nodes = [node for node, value in seen.items() if value is not None]
    values = [value for value in seen.values() if value is not None]
    return pa.table(
        {
            "node": fixed16(nodes),
            "type": pa.array([v[0] for v in values], pa.string()),
            "value": pa.array([v[1] for v in values], pa.string()),
            "first_seen": pa.array([v[2] for v in values], _STAMP),
            "last_seen": pa.array([v[3] for v in values], _STAMP),
        }
    )


def write_traits(state: ProfileState, batch: Batch, i: int) -> tuple[list[str], list[str]]:
    """Fold event i's traits and consent into its profile; the names of those, and of those, that it changed."""
    event = batch.events[i]
    return (
        _write_all(state, "trait", event.traits, batch, i),
        _write_all(state, "consent", event.consent, batch, i),
    )


def _write_all(
    state: ProfileState, kind: str, values: dict[str, msgspec.Raw] | None, batch: Batch, i: int
) -> list[str]:
    if not values:
        return []
    event = batch.events[i]
    ver, source, channel = batch.rank(i), event.source, event.channel
    return [n for n, v in values.items() if state.write(kind, n, (ver, json_text(v), source, channel))]


def profile_rows(states: Mapping[int, ProfileState], gone: Sequence[int], ver: int) -> pa.Table:
    """One row per profile; `gone` profiles get a row that says so."""
    rows = [*states.values(), *([ProfileState(first_seen=0, texts=_NO_TEXTS)] * len(gone))]
    texts = [s.texts or _NO_TEXTS for s in rows]
    return pa.table(
        {
            "profile": fixed16([*states, *gone]),
            "ver": pa.array(np.full(len(rows), ver, dtype=np.uint64)),
            "live": pa.array([1] * len(states) + [0] * len(gone), pa.uint8()),
            "traits": pa.array([t[0] for t in texts], pa.string()),
            "provenance": pa.array([t[1] for t in texts], pa.string()),
            "consent": pa.array([t[2] for t in texts], pa.string()),
            **_identity_columns([s.identifiers.values() for s in rows]),
            "counts": _map([largest(s.counts, MOST_FREQUENT) for s in rows], lambda v: pa.array(v, pa.uint64())),
            "events": pa.array([s.events for s in rows], pa.uint64()),
            "orders": pa.array([s.counts.get(ORDER, 0) for s in rows], pa.uint64()),
            "revenue": _map([largest(s.revenue, MOST_CURRENCIES) for s in rows], decimal_array),
            "refunds": _map([largest(s.refunds, MOST_CURRENCIES) for s in rows], decimal_array),
            "first_seen": pa.array([s.first_seen for s in rows], _STAMP),
            "last_seen": pa.array([s.last_seen for s in rows], _STAMP),
            "name": pa.array([_search_text(s, "name") for s in rows], pa.string()),
            "email": pa.array([_search_text(s, "email") for s in rows], pa.string()),
            "segments": _lists([sorted(s.memberships) for s in rows], pa.string()),
            "due": pa.array([s.facts.due or NEVER for s in rows], _STAMP),
        }
    )


def views_of(states: Mapping[int, ProfileState], gone: Collection[int], ver: int) -> dict[int, View]:
    """What a 360° view says of each of these profiles now; of the `gone`, that they are no more."""
    views = {
        profile: View(ver, True, view_text(state, state.texts or _NO_TEXTS), sorted(state.memberships.items()))
        for profile, state in states.items()
    }
    return views | dict.fromkeys(gone, View(ver, False, "{}", []))


def view_rows(views: Mapping[int, View]) -> pa.Table:
    members = [view.memberships for view in views.values()]
    return pa.table(
        {
            "profile": fixed16(views),
            "ver": pa.array([view.ver for view in views.values()], pa.uint64()),
            "live": pa.array([view.live for view in views.values()], pa.bool_()).cast(pa.uint8()),
            "view": pa.array([view.text for view in views.values()], pa.string()),
            "segments": _lists([[segment for segment, _ in held] for held in members], pa.string()),
            "entered": _lists([[entered for _, entered in held] for held in members], _STAMP),
        }
    )


def view_text(state: ProfileState, texts: tuple[str, str, str]) -> str:
    """What a 360° view says, but its segments, as one JSON text: a view is read in one column, and quickly."""
    rest = {
        "counts": largest(state.counts, MOST_FREQUENT),
        "events": state.events,
        "first_seen": state.first_seen,
        "identifiers": sorted(state.identifiers.values()),
        "last_seen": state.last_seen,
        "orders": state.counts.get(ORDER, 0),
        "refunds": _amounts(state.refunds),
        "revenue": _amounts(state.revenue),
    }
    text = orjson.dumps(rest, option=orjson.OPT_SORT_KEYS).decode()
    return f'{{"traits":{texts[0]},"consent":{texts[2]},{text[1:]}'


def _amounts(sums: Mapping[str, int]) -> dict[str, str]:
    return {currency: str(decimal(amount)) for currency, amount in largest(sums, MOST_CURRENCIES).items()}


def _offsets(sizes: list[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))


def _lists(rows: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.Array:
    flat = pa.array([value for row in rows for value in row], kind)
    return pa.ListArray.from_arrays(_offsets([len(row) for row in rows]), flat)


def _map(rows: Sequence[Mapping[str, int]], values: Callable[[list[int]], pa.Array]) -> pa.Array:
    keys = pa.array([key for row in rows for key in row], pa.string())
    flat = values([value for row in rows for value in row.values()])
    return pa.MapArray.from_arrays(_offsets([len(row) for row in rows]), keys, flat)


def _identity_columns(rows: Sequence[Collection[list[Any]]]) -> dict[str, pa.Array]:
    """The nested column `identities`, built flat: no text is made for its times."""
    flat = [identifier for row in rows for identifier in row]
    offsets = _offsets([len(row) for row in rows])
    columns = {
        "type": pa.array([i[0] for i in flat], pa.string()),
        "value": pa.array([i[1] for i in flat], pa.string()),
        "first_seen": pa.array([i[2] for i in flat], _STAMP),
        "last_seen": pa.array([i[3] for i in flat], _STAMP),
    }
    return {f"identities.{name}": pa.ListArray.from_arrays(offsets, column) for name, column in columns.items()}


def _search_text(state: ProfileState, trait: str) -> str:
    value = state.facts.traits.get(trait) if trait in state.traits else None
    return value.lower() if isinstance(value, str) else ""
