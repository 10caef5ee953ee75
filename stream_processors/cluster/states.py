"""States of the profiles that an owner looks at: remembered, and brought up to date with the rows since; else loaded.

**A state is the fold of exactly the rows of its nodes below its `ends`, each counted once.** The ends are read from
`log_rows` before the rows are. The events stage writes an offset there after all rows of it and those before it: what
lies below an end is in, and stays. A remembered state gets the rows between its own ends and the present ones; what is
loaded whole is bounded by the latter. Rows beyond are left: their touch comes after their offset is in `log_rows`, so
whoever looks because of it reads ends that include them.

- Rows written twice, by a zombie or by another try, have one place in the log: below a state's ends they do not count
  again, above them they count once (`_read_new`), and what is loaded whole the server shows once (`final = 1`).
- Traits and identifiers have no offsets. They are read whole, and combine by latest, minimum and maximum: what was
  known changes nothing.
- Nodes that a profile has gained are loaded whole: rows of other nodes are other rows. Where it has lost one, its
  state is made anew. What two profiles have at once is being moved by identity, which touches both afterwards: not
  kept. What is no more is dropped before its end is told.
- Memberships are what was told. Nobody else tells for a partition but after a later claim, which the owner notices
  before it keeps a state (`Teller.verify`); whoever takes a partition over, or lets it go, forgets its states.
- A state is taken out while it is looked at, and kept once all that came of it is told and written. A try that failed
  leaves none behind.
- Leaf states belong to the rules that they were made by: other rules, and all is forgotten.

What a replica has not got yet would be missed until the state is forgotten: where the warehouse is replicated, owners
must read what was acknowledged (docs/scaling.md).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stream_processors import coldload
from stream_processors.cluster.judge import Judge
from stream_processors.money import micros
from stream_processors.profiles import CACHED_PROFILES, ProfileCache, ProfileState
from stream_processors.stored import stored_end, stored_ends
from warehouse.client import Writer

_CHUNK = 4_000
_NEW: Final = """SELECT node, type, toUnixTimestamp64Milli(time), part, off, amount, currency,
    if(type IN {types:Array(String)}, payload, '') FROM events PREWHERE """
"""PREWHERE: payloads, which are most of what there is to read, of the few rows that are new."""

Ends = Mapping[int, int]
"""Partition of simorgh.events -> the offset after the last one whose rows are counted."""


@dataclass(slots=True)
class Looked:
    """A profile as it stands. `part`: of simorgh.touched.

    `changes`: the leaves of rules that may have changed since its memberships were decided; None where all may have.
    """

    state: ProfileState
    part: int
    ends: Ends
    changes: set[int] | None = None
    sure: bool = True
    """False: another profile had one of its nodes at the same time."""


class KnownStates:
    """What one owner remembers, within a bound. Emptied at any moment, it gives the same states. One thread."""

    def __init__(self, writer: Writer, judge: Judge, partitions: int, bound: int = CACHED_PROFILES) -> None:
        """`partitions` of simorgh.events."""
        self._writer = writer
        self._judge = judge
        self._partitions = partitions
        self._cache: ProfileCache[Looked] = ProfileCache(bound)
        self._ends: Ends = {}

    def look(self, profiles: Mapping[int, Sequence[int]], parts: Mapping[int, int]) -> dict[int, Looked]:
        """Profiles, given with their nodes today and their partitions, as they stand. To be kept once they are told."""
        if not profiles:
            return {}
        ends = self._read_ends()
        looked: dict[int, Looked] = {}
        for profile, nodes in profiles.items():
            one = self._taken(profile, parts[profile], nodes)
            looked[profile] = one or Looked(ProfileState(), parts[profile], {})
        self._load_memberships({profile: one.state for profile, one in looked.items() if not one.ends})
        self._read(*_sorted(profiles, looked), ends)
        for one in looked.values():
            one.ends = ends
        return looked

    def keep(self, looked: Mapping[int, Looked]) -> None:
        """What was looked at is told and written: these are the states as of now."""
        for profile, one in looked.items():
            if one.sure:
                self._cache.put(profile, one)
        self._cache.trim()

    def drop(self, profiles: Iterable[int]) -> None:
        """These are no more; under their names there may be others one day."""
        for profile in profiles:
            self._cache.drop(profile)

    def forget(self, parts: Collection[int] | None = None) -> None:
        """Empty the cache, or forget what belongs to some partitions."""
        for profile, one in self._cache.items():
            if parts is None or one.part in parts:
                self._cache.drop(profile)

    def _taken(self, profile: int, part: int, nodes: Sequence[int]) -> Looked | None:
        """What is remembered of a profile, unless it is of other circumstances."""
        one = self._cache.drop(profile)
        if one is None or one.part != part or not one.state.nodes.issubset(nodes):
            return None
        one.changes = set()
        return one

    def _read_ends(self) -> Ends:
        known = self._ends or {part: stored_end(self._writer, part) for part in range(self._partitions)}
        self._ends = stored_ends(self._writer, known)
        return self._ends

    # ---- rows

    def _load_memberships(self, states: Mapping[int, ProfileState]) -> None:
        for profile, held in coldload.memberships(self._writer, states).items():
            states[profile].memberships = held

    def _read(self, cold: Mapping[int, Looked], warm: Mapping[int, Looked], ends: Ends) -> None:
        """Bring states up to date, given as the owners of nodes: `cold` ones need all rows, `warm` ones the new."""
        owners = {**cold, **warm}
        for nodes in _chunks(list(owners)):
            self._read_traits(nodes, owners)
        for nodes in _chunks(list(cold)):
            coldload.load_events(self._writer, {node: cold[node].state for node in nodes}, ends, self._judge)
        for nodes in _chunks(list(warm)):
            self._read_new(nodes, ends, warm)

    def _read_traits(self, nodes: list[int], owners: Mapping[int, Looked]) -> None:
        for node, kind, name, *written in coldload.traits(self._writer, nodes, self._judge.kept):
            one = owners[node]
            if one.state.write(kind, name, tuple(written)) and one.changes is not None:
                leaves_of = self._judge.leaves_of
                one.changes |= leaves_of(consent=(name,)) if kind == "consent" else leaves_of(traits=(name,))
        for node, kind, value, first, last in coldload.identifiers(self._writer, nodes):
            one = owners[node]
            if one.state.add_identifier(node, kind, value, first, last) and one.changes is not None:
                one.changes |= self._judge.leaves_of(identities=(kind,))

    def _read_new(self, nodes: list[int], ends: Ends, owners: Mapping[int, Looked]) -> None:
        wanted: dict[str, list[Any]] = {}
        where: list[str] = []
        for age, group in _by_age(nodes, owners, ends).items():
            known = {id(owners[node].ends): owners[node].ends for node in group}
            where.append(f"({_since(known.values(), ends)}) AND node IN {{nodes{age}:Array(UInt128)}}")
            wanted[f"nodes{age}"] = group
        if not where:
            return
        types = [kind for kind, with_payload in self._judge.row_types().items() if with_payload]
        rows = self._writer.look_up(_NEW + " OR ".join(where), {**wanted, "types": types}, once=False)
        places: set[tuple[int, int]] = set()
        for node, kind, time, part, offset, amount, currency, payload in rows:
            one, place = owners[node], (part, offset)
            if offset >= one.ends.get(part, 0) and place not in places:
                places.add(place)
                one.state.add_event(kind, time, (currency, micros(amount)) if currency else None)
                leaves = self._judge.fold_new(one.state.facts, kind, time, payload)
                if one.changes is not None:
                    one.changes |= leaves


def _sorted(
    profiles: Mapping[int, Sequence[int]], looked: Mapping[int, Looked]
) -> tuple[dict[int, Looked], dict[int, Looked]]:
    """The owners of nodes whose rows are in no state yet, and of the others. Their states get the nodes of today."""
    cold: dict[int, Looked] = {}
    warm: dict[int, Looked] = {}
    for profile, nodes in profiles.items():
        one = looked[profile]
        for node in nodes:
            if other := cold.get(node) or warm.get(node):
                one.sure = other.sure = False
            else:
                (warm if node in one.state.nodes else cold)[node] = one
        if len(one.state.nodes) < len(nodes):
            one.state.nodes, one.changes = set(nodes), None
    return cold, warm


def _by_age(nodes: Iterable[int], owners: Mapping[int, Looked], ends: Ends) -> dict[int, list[int]]:
    """Nodes by how much is new since they were looked at, in powers of two; those for whom nothing is are left out.

    Who is looked at often has many rows, of which few are new: what is asked for others must not bring them again.
    """
    now = sum(ends.values())
    ages: dict[int, int] = {}  # states that were looked at together share their ends
    found: dict[int, list[int]] = {}
    for node in nodes:
        known = owners[node].ends
        age = ages.get(id(known))
        if age is None:
            age = ages[id(known)] = (now - sum(known.values())).bit_length()
        if age:
            found.setdefault(age, []).append(node)
    return found


def _since(known: Collection[Ends], ends: Ends) -> str:
    """As SQL: the places from the earliest of the known ends up to `ends`."""
    first = {part: min(one.get(part, 0) for one in known) for part in ends}
    return " OR ".join(f"part = {p} AND off >= {first[p]} AND off < {end}" for p, end in ends.items() if first[p] < end)


def _chunks(nodes: list[Any]) -> Iterable[list[Any]]:
    return (nodes[start : start + _CHUNK] for start in range(0, len(nodes), _CHUNK))
