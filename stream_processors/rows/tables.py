"""The rows about nodes in the tables, which several holders write: see `state.states.History`.

The ends are read from `log_rows` before the rows. The events stage writes an offset there after all rows of it and of
earlier ones: everything below an end is in the tables, and stays. Rows beyond an end are ignored: their touch comes
after their offset is in `log_rows`, so a read because of it includes them.

- Rows written twice, by a zombie or by another try, have one place in the log: below a state's ends they do not count
  again, above them they count once (`_read_new`), and what is loaded whole the server shows once (`final = 1`).
- Traits and identifiers have no offsets. They are read whole, and combine by latest, minimum and maximum: what was
  known changes nothing.

Rows that a replica does not have yet would be missing until the state is forgotten: if the warehouse is replicated,
holders must read acknowledged rows (docs/scaling.md).
"""

from collections.abc import Collection, Iterable
from typing import Final

from stream_processors.state import cold
from stream_processors.state.judge import Judge
from stream_processors.state.states import Ends, Holders
from stream_processors.state.stored import stored_end, stored_ends
from warehouse.client import Writer

_CHUNK = 4_000
_NEW: Final = """SELECT node, type, toUnixTimestamp64Milli(time), part, off,
    if(type IN {types:Array(String)}, payload, ''), key, fact != 0, doc != 0 FROM events PREWHERE """
"""PREWHERE: reads payloads, which are most of the data, only for the few new rows."""


class TableHistory:
    """One thread."""

    def __init__(self, writer: Writer, partitions: int) -> None:
        """`partitions` of simorgh.events."""
        self._writer = writer
        self._partitions = partitions
        self._ends: Ends = {}

    def ends(self) -> Ends:
        known = self._ends or {part: stored_end(self._writer, part) for part in range(self._partitions)}
        self._ends = stored_ends(self._writer, known)
        return self._ends

    def settle(self, keys: Iterable[int]) -> None:
        """Does nothing: rows are written before any record about them."""

    def read(self, loaded: Holders, renewed: Holders, ends: Ends, judge: Judge) -> None:
        holders = {**loaded, **renewed}
        for nodes in _chunks(list(holders)):
            self._read_traits(nodes, holders, judge)
        for nodes in _chunks(list(loaded)):
            cold.load_events(self._writer, {node: loaded[node].state for node in nodes}, ends, judge)
        about = {id(one) for one in loaded.values()}
        for nodes in _chunks(list(renewed)):
            about |= self._read_new(nodes, ends, renewed, judge)
        self._read_orders({node: one for node, one in holders.items() if id(one) in about})

    def _read_orders(self, holders: Holders) -> None:
        """Read the sums of orders again: whole, as they are now."""
        for one in holders.values():
            one.state.forget_orders()
        for nodes in _chunks(list(holders)):
            cold.load_orders(self._writer, {node: holders[node].state for node in nodes})

    def _read_traits(self, nodes: list[int], holders: Holders, judge: Judge) -> None:
        for node, kind, name, written in cold.traits(self._writer, nodes, judge.kept):
            one = holders[node]
            if one.state.write(kind, name, written) and one.changes is not None:
                one.changes |= judge.leaves_of(consent=(name,)) if kind == "consent" else judge.leaves_of((name,))
        for node, seen in cold.identifiers(self._writer, nodes):
            one = holders[node]
            if one.state.add_identifier(node, seen) and one.changes is not None:
                one.changes |= judge.leaves_of(identities=(seen.type,))

    def _read_new(self, nodes: list[int], ends: Ends, holders: Holders, judge: Judge) -> set[int]:
        """Returns the holders, by identity, with a new event that tells of an order."""
        wanted: dict[str, list[int]] = {}
        where: list[str] = []
        for age, group in _by_age(nodes, holders, ends).items():
            known = {id(holders[node].ends): holders[node].ends for node in group}
            where.append(f"({_since(known.values(), ends)}) AND node IN {{nodes{age}:Array(UInt128)}}")
            wanted[f"nodes{age}"] = group
        if not where:
            return set()
        types = [kind for kind, with_payload in judge.row_types().items() if with_payload]
        rows = self._writer.look_up(_NEW + " OR ".join(where), {**wanted, "types": types}, once=False)
        telling = {node for node, *_, tells, _ in rows if tells}
        retold = cold.retellings(self._writer, telling) if telling else set()
        places: set[tuple[int, int]] = set()
        about: set[int] = set()
        for node, kind, time, part, offset, payload, key, _, tells_of_order in rows:
            one, place = holders[node], (part, offset)
            if tells_of_order:
                about.add(id(one))
            if offset >= one.ends.get(part, 0) and place not in places and key not in retold:
                places.add(place)
                one.state.add_event(kind, time)
                leaves = judge.fold_new(one.state.facts, kind, time, payload)
                if one.changes is not None:
                    one.changes |= leaves
        return about


def _by_age(nodes: Iterable[int], holders: Holders, ends: Ends) -> dict[int, list[int]]:
    """Nodes by the amount of news since their last read, in powers of two, without those that have none. A profile that
    is read often has many rows and few new ones: a read for others must not repeat them.
    """
    now = sum(ends.values())
    ages: dict[int, int] = {}  # states that were looked at together share their ends
    found: dict[int, list[int]] = {}
    for node in nodes:
        known = holders[node].ends
        age = ages.get(id(known))
        if age is None:
            age = ages[id(known)] = (now - sum(known.values())).bit_length()
        if age:
            found.setdefault(age, []).append(node)
    return found


def _since(known: Collection[Ends], ends: Ends) -> str:
    """As SQL: the positions from the earliest of the known ends up to `ends`."""
    first = {part: min(one.get(part, 0) for one in known) for part in ends}
    return " OR ".join(f"part = {p} AND off >= {first[p]} AND off < {end}" for p, end in ends.items() if first[p] < end)


def _chunks(nodes: list[int]) -> Iterable[list[int]]:
    return (nodes[start : start + _CHUNK] for start in range(0, len(nodes), _CHUNK))
