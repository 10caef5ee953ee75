"""Loading profile states from the warehouse: the same fold, over stored rows instead of a batch."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from segments.facts import Leaves
from segments.sql import Page
from stream_processors.parse.money import micros
from stream_processors.state.bounds import LATEST, Kept, Written
from stream_processors.state.profile import ProfileState, SeenIdentifier
from warehouse import latest, orders
from warehouse.client import Writer

_CHUNK = 4_000
# Of each node: what is among the latest of a profile is among the latest of one of its nodes.
_TRAITS = """SELECT node, kind, name, max(ver) AS latest, argMax(tuple(value), ver).1, argMax(source, ver),
    argMax(channel, ver) FROM traits WHERE node IN {nodes:Array(UInt128)} GROUP BY node, kind, name
    ORDER BY has({kept:Array(String)}, name) DESC, latest DESC, name LIMIT {most:UInt32} BY node, kind"""
_IDENTIFIERS = """SELECT node, type, value,
    toUnixTimestamp64Milli(min(first_seen)), toUnixTimestamp64Milli(max(last_seen))
    FROM identifiers WHERE node IN {nodes:Array(UInt128)} GROUP BY node, type, value"""
_COUNTS = "key NOT IN (SELECT key FROM retellings WHERE node IN {nodes:Array(UInt128)})"
_METRICS = """SELECT node, type, count(),
    toUnixTimestamp64Milli(min(time)), toUnixTimestamp64Milli(max(time)),
    groupArrayIf(toUnixTimestamp64Milli(time), type IN {types:Array(String)})
    FROM events WHERE node IN {nodes:Array(UInt128)} AND (%s) GROUP BY node, type"""
_DOCUMENTS = "SELECT DISTINCT doc FROM events WHERE node IN {nodes:Array(UInt128)} AND doc != 0"
_ORDERS = orders.totals("doc IN {docs:Array(UInt128)}")
_MOST_DOCUMENTS = 20_000
_PAYLOADS = """SELECT node, type, toUnixTimestamp64Milli(time), payload FROM events
    PREWHERE node IN {nodes:Array(UInt128)} AND type IN {types:Array(String)} AND (%s)"""
_RETELLINGS = "SELECT key FROM retellings WHERE node IN {nodes:Array(UInt128)}"
_ANY_RETELLING = "SELECT 1 FROM retellings LIMIT 1"
_MEMBERSHIPS = """SELECT profile, segment, argMax(entered_at, off) FROM transitions
    WHERE profile IN {profiles:Array(UInt128)} GROUP BY profile, segment HAVING argMax(kind, off) = 'entered'"""


class LeafFold(Protocol):
    """The part of the segments' live back end that reads stored rows."""

    def row_types(self) -> Mapping[str, bool]:
        """Event type -> whether its rows are needed with their payload."""
        ...

    def fold_row(self, leaves: Leaves, kind: str, time: int, payload: str) -> None: ...

    @property
    def kept(self) -> Kept:
        """The names of traits and consent that are always kept."""
        ...


def load(writer: Writer, states: Mapping[int, ProfileState], before: Mapping[int, int], leaves: LeafFold) -> None:
    """Add the rows of nodes, given with their profiles' states, at offsets under `before[partition]`.

    The bound excludes rows of the present batch, which the caller adds itself, whether or not they are inserted.
    """
    nodes = list(states)
    for start in range(0, len(nodes), _CHUNK):
        chunk = nodes[start : start + _CHUNK]
        for node, kind, name, written in traits(writer, chunk, leaves.kept):
            states[node].write(kind, name, written)
        for state in {id(state): state for state in map(states.__getitem__, chunk)}.values():
            state.keep_latest(leaves.kept)
        for node, seen in identifiers(writer, chunk):
            states[node].add_identifier(node, seen)
        load_events(writer, {node: states[node] for node in chunk}, before, leaves)


def memberships(writer: Writer, profiles: Collection[int]) -> dict[int, dict[str, int]]:
    """Profile -> segment -> entered_at, from published transitions; without profiles that are in no segment."""
    found: dict[int, dict[str, int]] = {}
    if profiles:
        for profile, segment, entered in writer.look_up(_MEMBERSHIPS, {"profiles": list(profiles)}):
            found.setdefault(profile, {})[segment] = milliseconds(entered)
    return found


_MEMBERS = latest.memberships("segment IN {s:Array(String)} AND profile BETWEEN {first:UInt128} AND {last:UInt128}")


def members(writer: Writer, segments: Iterable[str], page: Page) -> dict[str, dict[int, int]]:
    """Segment -> profile -> entered_at of the members in a page, from published transitions."""
    found: dict[str, dict[int, int]] = {}
    bound = {"s": list(segments), "first": page.first, "last": page.last}
    for segment, profile, entered in writer.rows(_MEMBERS, bound):
        found.setdefault(segment, {})[profile] = milliseconds(entered)
    return found


_DUE = (
    "WITH fromUnixTimestamp64Milli({now:Int64}, 'UTC') AS now "
    + latest.profiles(
        "", "profile IN (SELECT profile FROM profile_rows WHERE due <= now)", "argMax(due, (ver, due)) <= now"
    )
    + " LIMIT 20000"
)


def due(writer: Writer, now: int) -> list[int]:
    """Profiles that are due. Narrowed down first: few are due of many."""
    return [row[0] for row in writer.rows(_DUE, {"now": now})]


def traits(writer: Writer, nodes: list[int], kept: Kept) -> Iterable[tuple[int, str, str, Written]]:
    """Node, kind ('trait', 'consent'), name, and the latest write, for `ProfileState.write`. For each node, all that
    may be among its profile's latest, and kept names.
    """
    names = kept.all()
    rows = writer.look_up(_TRAITS, {"nodes": nodes, "kept": names, "most": LATEST + len(names)})
    return ((node, kind, name, (rank, text, source, channel)) for node, kind, name, rank, text, source, channel in rows)


def identifiers(writer: Writer, nodes: list[int]) -> Iterable[tuple[int, SeenIdentifier]]:
    """What these nodes stand for."""
    return ((node, SeenIdentifier(*seen)) for node, *seen in writer.look_up(_IDENTIFIERS, {"nodes": nodes}))


def load_events(writer: Writer, owner: Mapping[int, ProfileState], before: Mapping[int, int], leaves: LeafFold) -> None:
    """Add all events of some nodes that count, at offsets under `before[partition]`, to their owners' states."""
    nodes = list(owner)
    stored = " OR ".join(f"part = {int(p)} AND off < {int(o)}" for p, o in before.items()) or "1"
    if writer.look_up(_ANY_RETELLING, {}):  # most often there is none at all, and the condition takes a fifth of it all
        stored = f"({stored}) AND {_COUNTS}"
    wanted = leaves.row_types()
    types = [kind for kind, with_payload in wanted.items() if not with_payload]
    rows = writer.look_up(_METRICS % stored, {"nodes": nodes, "types": types})
    for node, kind, count, first, last, times in rows:
        state = owner[node]
        state.add_events(kind, count, first, last)
        for time in times:
            leaves.fold_row(state.facts.leaves, kind, time, "")
    types = [kind for kind, with_payload in wanted.items() if with_payload]
    if types:
        for node, kind, time, payload in writer.look_up(_PAYLOADS % stored, {"nodes": nodes, "types": types}):
            leaves.fold_row(owner[node].facts.leaves, kind, time, payload)


def load_orders(writer: Writer, owner: Mapping[int, ProfileState], more: Collection[int] = ()) -> None:
    """Add what all orders of some nodes add, to their owners' states. `more`: documents of which these nodes tell in
    rows of events that are not in the table yet; those of orders are.

    Without a bound of offsets: like traits, the sums are read whole, and whoever adds a row later touches their nodes.
    """
    nodes = list(owner)
    docs = {doc for (doc,) in writer.look_up(_DOCUMENTS, {"nodes": nodes})}.union(more)
    wanted, ours = sorted(docs), set(nodes)
    for start in range(0, len(wanted), _MOST_DOCUMENTS):
        bound = {"docs": wanted[start : start + _MOST_DOCUMENTS]}
        for node, placed, cancelled, revenue, refunds in writer.look_up(_ORDERS, bound):
            if node in ours:
                owner[node].add_orders(placed, cancelled, _sums(revenue), _sums(refunds))


def _sums(pairs: Collection[tuple[str, Decimal]]) -> dict[str, int]:
    return {currency: micros(amount) for currency, amount in pairs}


def retellings(writer: Writer, nodes: Collection[int]) -> set[int]:
    """The keys of these nodes' events that do not count."""
    return {key for (key,) in writer.look_up(_RETELLINGS, {"nodes": list(nodes)})}


def milliseconds(moment: datetime) -> int:
    """The driver returns naive datetimes in UTC."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000 + 0.5)
