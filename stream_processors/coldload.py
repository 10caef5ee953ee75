"""Loading profile states from the warehouse: the same fold, over stored rows instead of a batch."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from stream_processors.money import micros
from stream_processors.profiles import ProfileState
from warehouse.client import Writer

_CHUNK = 4_000
_TRAITS = """SELECT node, kind, name, max(ver), argMax(tuple(value), ver).1, argMax(source, ver), argMax(channel, ver)
    FROM traits WHERE node IN {nodes:Array(UInt128)} GROUP BY node, kind, name"""
_IDENTIFIERS = """SELECT node, type, value,
    toUnixTimestamp64Milli(min(first_seen)), toUnixTimestamp64Milli(max(last_seen))
    FROM identifiers WHERE node IN {nodes:Array(UInt128)} GROUP BY node, type, value"""
_METRICS = """SELECT node, type, currency, count(), sum(toDecimal256(amount, 6)),
    toUnixTimestamp64Milli(min(time)), toUnixTimestamp64Milli(max(time))
    FROM events WHERE node IN {nodes:Array(UInt128)} AND (%s) GROUP BY node, type, currency"""
_ROWS = """SELECT node, type, toUnixTimestamp64Milli(time), %s FROM events
    WHERE node IN {nodes:Array(UInt128)} AND type IN {types:Array(String)} AND (%s)"""
_MEMBERSHIPS = """SELECT profile, segment, argMax(entered_at, off) FROM transitions
    WHERE profile IN {profiles:Array(UInt128)} GROUP BY profile, segment HAVING argMax(kind, off) = 'entered'"""


class LeafFold(Protocol):
    """What the segments' live back end asks of stored rows."""

    def row_types(self) -> Mapping[str, bool]:
        """Event type -> whether its rows are needed with their payload."""
        ...

    def fold_row(self, leaves: dict[int, Any], kind: str, time: int, payload: str) -> None: ...


def load(
    writer: Writer, profiles: Mapping[int, Sequence[int]], before: Mapping[int, int], leaves: LeafFold
) -> dict[int, ProfileState]:
    """States of profiles, given with their nodes, from rows at offsets under `before[partition]`.

    The bound keeps out rows of the batch in hand, which its caller adds itself, wherever their insert stands.
    """
    states = {profile: ProfileState(nodes=set(nodes)) for profile, nodes in profiles.items()}
    if not states:
        return states
    owner = {node: states[profile] for profile, nodes in profiles.items() for node in nodes}
    nodes = list(owner)
    for start in range(0, len(nodes), _CHUNK):
        _load_nodes(writer, owner, nodes[start : start + _CHUNK], before, leaves)
    for profile, held in memberships(writer, states).items():
        states[profile].memberships = held
    return states


def memberships(writer: Writer, profiles: Collection[int]) -> dict[int, dict[str, int]]:
    """Profile -> segment -> entered_at, from what was told; without the profiles that are in none."""
    found: dict[int, dict[str, int]] = {}
    if profiles:
        for profile, segment, entered in writer.rows(_MEMBERSHIPS, {"profiles": list(profiles)}):
            found.setdefault(profile, {})[segment] = milliseconds(entered)
    return found


def _load_nodes(
    writer: Writer,
    owner: Mapping[int, ProfileState],
    nodes: list[int],
    before: Mapping[int, int],
    leaves: LeafFold,
) -> None:
    bound = {"nodes": nodes}
    for node, kind, name, ver, value, source, channel in writer.rows(_TRAITS, bound):
        owner[node].write(kind, name, (ver, value, source, channel))
    for node, kind, value, first, last in writer.rows(_IDENTIFIERS, bound):
        owner[node].add_identifier(node, kind, value, first, last)
    stored = " OR ".join(f"part = {int(p)} AND off < {int(o)}" for p, o in before.items()) or "1"
    for node, kind, currency, count, amount, first, last in writer.rows(_METRICS % stored, bound):
        state = owner[node]
        state.add_events(kind, count, first, last)
        if currency:
            state.add_money(kind, currency, micros(amount))
    _load_leaves(writer, owner, nodes, stored, leaves)


def _load_leaves(
    writer: Writer, owner: Mapping[int, ProfileState], nodes: list[int], stored: str, leaves: LeafFold
) -> None:
    wanted = leaves.row_types()
    for with_payload in (False, True):
        types = [kind for kind, needed in wanted.items() if needed is with_payload]
        if not types:
            continue
        column = "payload" if with_payload else "''"
        rows = writer.rows(_ROWS % (column, stored), {"nodes": nodes, "types": types})
        for node, kind, time, payload in rows:
            leaves.fold_row(owner[node].facts.leaves, kind, time, payload)


def milliseconds(moment: datetime) -> int:
    """The driver answers naive datetimes in UTC."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000 + 0.5)
