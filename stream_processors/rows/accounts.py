"""A batch -> Arrow tables of accounts: events by account, who belongs to one, traits, parents. Pure.

`docs/accounts.md` defines what they mean. Every row is a function of its event, so it may be written again.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from schemas import accounts
from stream_processors.parse.batch import UNIQUE, Batch, ParsedAccount, ParsedEnvelope
from warehouse.client import fixed16, fixed32

_STAMP: Final = pa.timestamp("ms", "UTC")


_ABSENT: Final = msgspec.Raw(b"")


class _Told(msgspec.Struct, gc=False):
    """What properties say of an account."""

    traits: dict[str, msgspec.Raw] | None = None
    account_name: msgspec.Raw = _ABSENT
    role: msgspec.Raw = _ABSENT


_told: Final = msgspec.json.Decoder(_Told).decode
_NOTHING: Final = _Told()


class _Named(NamedTuple):
    """An event that names an account: its index in the batch, itself, and the node of its person, 0 for nobody."""

    i: int
    event: ParsedEnvelope
    account: ParsedAccount
    node: int


def account_rows(batch: Batch) -> dict[str, pa.Table]:
    """All rows about accounts, by table; tables without any are left out."""
    named = [
        _Named(i, event, event.account, batch.nodes[i][0] if batch.nodes[i] else 0)
        for i, event in enumerate(batch.events)
        if event.account is not None and batch.state[i] == UNIQUE
    ]
    if not named:
        return {}
    found = {
        "account_events": _event_rows(batch, named),
        "affiliations": _affiliation_rows(batch, named),
        "account_traits": _trait_rows(batch, named),
        "account_parents": _parent_rows(batch, named),
    }
    return {table: rows for table, rows in found.items() if rows.num_rows}


def _event_rows(batch: Batch, named: list[_Named]) -> pa.Table:
    records = [batch.records[one.i] for one in named]
    return pa.table(
        {
            "account": pa.array([one.account.key for one in named], pa.string()),
            "time": pa.array([batch.times[one.i] for one in named], _STAMP),
            "part": pa.array([record.partition for record in records], pa.uint16()),
            "off": pa.array([record.offset for record in records], pa.uint64()),
            "received_at": pa.array([batch.received[one.i] for one in named], _STAMP),
            "place": pa.array([one.event.place for one in named], pa.uint64()),
            "key": fixed16([batch.keys[one.i] for one in named]),
            "node": fixed16([one.node for one in named]),
            "type": pa.array([one.event.type for one in named], pa.string()),
            "doc": fixed16([batch.documents.get(one.i, 0) for one in named]),
            "states": pa.array([_states(one) for one in named], pa.bool_()).cast(pa.uint8()),
        }
    )


def _states(one: _Named) -> bool:
    """Whether the event says that its person belongs to the account, or not."""
    return one.node != 0 and one.event.type in accounts.STATING


def _affiliation_rows(batch: Batch, named: list[_Named]) -> pa.Table:
    stating = [one for one in named if _states(one) and not one.event.is_stripped]
    joined = [one.event.type in accounts.JOINING for one in stating]
    ties = list(zip(stating, joined, strict=True))
    return pa.table(
        {
            "node": fixed16([one.node for one in stating]),
            "account": pa.array([one.account.key for one in stating], pa.string()),
            "ver": fixed32([batch.rank(one.i) for one in stating]),
            "joined": pa.array(joined, pa.bool_()).cast(pa.uint8()),
            "role": pa.array([_role(one.event) if joins else "" for one, joins in ties], pa.string()),
            "reports_to": _nodes([one.account.reports_to if joins else "" for one, joins in ties]),
            "source": pa.array([batch.sources[one.i] for one in stating], pa.string()),
            "channel": pa.array([one.event.channel for one in stating], pa.string()),
        }
    )


def _nodes(texts: list[str | None]) -> pa.Array:
    """Nodes in hex as UInt128: "" is 0, and None is NULL."""
    values = [None if text is None else int(text or "0", 16).to_bytes(16, "little") for text in texts]
    return pa.array(values, pa.binary(16))


def _role(event: ParsedEnvelope) -> str | None:
    """None where nothing is said of it; "" for none."""
    role = _told_in(event.properties).role
    if not bytes(role):
        return None
    value = msgspec.json.decode(role)
    return value if isinstance(value, str) else "" if value is None else None


def _told_in(properties: msgspec.Raw) -> _Told:
    """What they say; nothing where another program wrote something else."""
    try:
        return _told(properties)
    except msgspec.ValidationError:
        return _NOTHING


_Trait = tuple[str, str, int, str | None, bool, int, str, str]
"""Account, name, node, value as JSON, whether it is a fact, rank, source, channel."""


def _trait_rows(batch: Batch, named: list[_Named]) -> pa.Table:
    rows: list[_Trait] = []
    for one in named:
        if one.event.type not in accounts.DESCRIBING:
            continue
        ver, source, channel = batch.rank(one.i), batch.sources[one.i], one.event.channel
        told, facts = dict(_traits(_told_in(one.event.properties))), dict(_traits(_told_in(one.event.facts)))
        for name, value in told.items():
            text = bytes(value).decode()
            clear = one.event.is_stripped or name in facts
            rows.append(
                (one.account.key, name, one.node, None if text == "null" else text, clear, ver, source, channel)
            )
    keys, names, nodes, values, facts_too, versions, sources, channels = zip(*rows, strict=True) if rows else ((),) * 8
    return pa.table(
        {
            "account": pa.array(keys, pa.string()),
            "name": pa.array(names, pa.string()),
            "node": fixed16(nodes),
            "value": pa.array(values, pa.string()),
            "clear": pa.array(facts_too, pa.bool_()).cast(pa.uint8()),
            "ver": fixed32(versions),
            "source": pa.array(sources, pa.string()),
            "channel": pa.array(channels, pa.string()),
        }
    )


def _traits(told: _Told) -> Iterator[tuple[str, msgspec.Raw]]:
    if bytes(told.account_name):
        yield "name", told.account_name
    yield from (told.traits or {}).items()


def _parent_rows(batch: Batch, named: list[_Named]) -> pa.Table:
    said = [(one, one.account.parent) for one in named if one.account.parent is not None]
    return pa.table(
        {
            "account": pa.array([one.account.key for one, _ in said], pa.string()),
            "ver": fixed32([batch.rank(one.i) for one, _ in said]),
            "parent": pa.array([parent for _, parent in said], pa.string()),
        }
    )
