"""States of profiles -> Arrow tables of profile rows and views. Pure: the caller writes them."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import orjson
import pyarrow as pa
from msgspec.structs import astuple

from stream_processors.parse.money import decimal, decimal_array
from stream_processors.state.bounds import MOST_CURRENCIES, MOST_FREQUENT, largest
from stream_processors.state.profile import NEVER, NOTHING_STATED, ProfileState, SeenIdentifier
from stream_processors.views.recent import View
from warehouse.client import fixed16

_STAMP = pa.timestamp("ms", "UTC")
_NO_TEXTS = ("{}", "{}", "{}", NOTHING_STATED)


def profile_rows(states: Mapping[int, ProfileState], gone: Sequence[int], versions: Mapping[int, int]) -> pa.Table:
    """One row per profile; `gone` profiles get a row that says so. `versions`: of each profile's row."""
    rows = [*states.values(), *([ProfileState(first_seen=0, texts=_NO_TEXTS)] * len(gone))]
    texts = [s.texts or _NO_TEXTS for s in rows]
    return pa.table(
        {
            "profile": fixed16([*states, *gone]),
            "ver": pa.array([versions[profile] for profile in (*states, *gone)], pa.uint64()),
            "live": pa.array([1] * len(states) + [0] * len(gone), pa.uint8()),
            "traits": pa.array([t[0] for t in texts], pa.string()),
            "provenance": pa.array([t[1] for t in texts], pa.string()),
            "consent": pa.array([t[2] for t in texts], pa.string()),
            **_identity_columns([s.identifiers.values() for s in rows]),
            "counts": _map([largest(s.counts, MOST_FREQUENT) for s in rows], lambda v: pa.array(v, pa.uint64())),
            "events": pa.array([s.events for s in rows], pa.uint64()),
            "orders": pa.array([s.orders for s in rows], pa.uint64()),
            "orders_placed": pa.array([s.orders_placed for s in rows], pa.uint64()),
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


def views_of(states: Mapping[int, ProfileState], gone: Collection[int], versions: Mapping[int, int]) -> dict[int, View]:
    """The 360° view of each of these profiles now; `gone` ones are marked as no longer existing."""
    views = {
        profile: View(
            versions[profile], True, view_text(state, state.texts or _NO_TEXTS), sorted(state.memberships.items())
        )
        for profile, state in states.items()
    }
    return views | {profile: View(versions[profile], False, "{}", []) for profile in gone}


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


def view_text(state: ProfileState, texts: tuple[str, str, str, str]) -> str:
    """The 360° view without its segments, as one JSON text: reading a view from one column is fast."""
    rest = {
        "counts": largest(state.counts, MOST_FREQUENT),
        "events": state.events,
        "first_seen": state.first_seen,
        "identifiers": sorted(state.identifiers.values()),
        "last_seen": state.last_seen,
        "orders": state.orders,
        "orders_placed": state.orders_placed,
        "refunds": _amounts(state.refunds),
        "revenue": _amounts(state.revenue),
    }
    text = orjson.dumps(rest, astuple, orjson.OPT_SORT_KEYS).decode()
    return f'{{"traits":{texts[0]},"consent":{texts[2]},"stated":{texts[3]},{text[1:]}'


def _amounts(sums: Mapping[str, int]) -> dict[str, str]:
    return {currency: str(decimal(amount)) for currency, amount in largest(sums, MOST_CURRENCIES).items()}


def _offsets(sizes: list[int]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))


def _lists(rows: Sequence[Sequence[str | int]], kind: pa.DataType) -> pa.Array:
    flat = pa.array([value for row in rows for value in row], kind)
    return pa.ListArray.from_arrays(_offsets([len(row) for row in rows]), flat)


def _map(rows: Sequence[Mapping[str, int]], values: Callable[[list[int]], pa.Array]) -> pa.Array:
    keys = pa.array([key for row in rows for key in row], pa.string())
    flat = values([value for row in rows for value in row.values()])
    return pa.MapArray.from_arrays(_offsets([len(row) for row in rows]), keys, flat)


def _identity_columns(rows: Sequence[Collection[SeenIdentifier]]) -> dict[str, pa.Array]:
    """The nested column `identities`, built flat, without converting its times to text."""
    flat = [identifier for row in rows for identifier in row]
    offsets = _offsets([len(row) for row in rows])
    columns = {
        "type": pa.array([one.type for one in flat], pa.string()),
        "value": pa.array([one.value for one in flat], pa.string()),
        "first_seen": pa.array([one.first_seen for one in flat], _STAMP),
        "last_seen": pa.array([one.last_seen for one in flat], _STAMP),
    }
    return {f"identities.{name}": pa.ListArray.from_arrays(offsets, column) for name, column in columns.items()}


def _search_text(state: ProfileState, trait: str) -> str:
    value = state.facts.traits.get(trait) if trait in state.traits else None
    return value.lower() if isinstance(value, str) else ""
