"""States of the profiles that a holder processes: from memory, updated with news, or else loaded.

**A state is the fold of exactly the rows of its nodes below its `ends`, each counted once.** `History` has the news
since: from the tables, or from the present batch before its rows are there.

- Nodes that a profile has gained are loaded whole, unless a profile that was absorbed in the same step is remembered
  with just these: rows of other nodes are other rows. Nodes of which nothing was known before (`fresh`) have only what
  is new. Where a profile has lost a node, its state is made anew.
- Rows of retellings are not counted (`state.tellings`). Where one was that has become one since, the state is made
  anew: whoever found it out touches the profile after the retelling's row is in the table.
- What two profiles have at once is being moved by identity, which touches both afterwards: not kept.
- Memberships are what was published. Nobody else publishes for a partition but after a later claim, which the holder
  notices before it keeps a state (`Teller.verify`); whoever takes a partition over, or lets it go, forgets its states.
- A state is taken out while it is looked at, and kept once all that came of it is published and written. A try that
  failed leaves none behind.
- Leaf states belong to the rules that they were made by: other rules, and all is forgotten.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, Protocol

from stream_processors.state import cold
from stream_processors.state.judge import Judge
from stream_processors.state.profile import CACHED_PROFILES, ProfileCache, ProfileState
from warehouse.client import Writer

Ends = Mapping[int, int]
"""Partition of simorgh.events -> the offset after the last one whose rows are counted."""


@dataclass(slots=True)
class Looked:
    """The state of a profile. `part`: of simorgh.touched. `changes`: the leaves of rules that may have changed since
    its memberships were decided; None: all.
    """

    state: ProfileState
    part: int
    ends: Ends
    changes: set[int] | None = None
    sure: bool = True
    """False: another profile had one of its nodes at the same time."""


Holders = Mapping[int, Looked]
"""Node -> the state that counts its rows."""


class History(Protocol):
    """The rows about nodes, from any place. One thread."""

    def ends(self) -> Ends:
        """The positions up to which rows can be read now."""
        ...

    def settle(self, keys: Iterable[int]) -> None:
        """Blocks until rows about these nodes and profiles that were written earlier can be queried."""
        ...

    def read(self, loaded: Holders, renewed: Holders, ends: Ends, judge: Judge) -> None:
        """Bring the states of holders up to `ends`: of `loaded` nodes with all rows below, of `renewed` ones with those
        from the holder's own ends on."""
        ...


_NONE: Final[Ends] = {}


class States:
    """The states in one holder's memory, within a bound. If it is emptied at any moment, the states are the same. One
    thread."""

    def __init__(self, writer: Writer, judge: Judge, history: History, bound: int = CACHED_PROFILES) -> None:
        self._writer = writer
        self._judge = judge
        self._history = history
        self.held: ProfileCache[Looked] = ProfileCache(bound)
        self._left: dict[int, Looked] = {}
        """Node -> the state of a profile that was absorbed in this step, which has just the rows of that and others."""

    def begin(self) -> None:
        """Begin a step. Drops the leftovers of a failed one."""
        self._left.clear()

    def look(
        self, profiles: Mapping[int, Sequence[int]], parts: Mapping[int, int], fresh: Set[int], anew: Set[int]
    ) -> dict[int, Looked]:
        """The states of profiles, given with their present nodes and their partitions. Call `keep` after publishing.
        `anew`: profiles with a counted event that no longer counts.
        """
        for profile in anew:
            self.held.drop(profile)
        if not profiles:
            return {}
        ends = self._history.ends()
        looked: dict[int, Looked] = {}
        for profile, nodes in profiles.items():
            one = self._taken(profile, parts[profile], nodes)
            looked[profile] = one or Looked(ProfileState(), parts[profile], _NONE)
        self._load_memberships({p: one.state for p, one in looked.items() if one.ends is _NONE and p not in fresh})
        loaded, renewed, joined = self._shared_out(profiles, looked, fresh)
        self._history.read(loaded, renewed, ends, self._judge)
        for one, part in joined:
            one.state.absorb(part.state)
            self._judge.absorb(one.state.facts.leaves, part.state.facts.leaves)
        for profile, one in looked.items():
            one.ends = ends
            if len(one.state.nodes) < len(profiles[profile]):
                one.state.nodes = set(profiles[profile])
        return looked

    def keep(self, looked: Mapping[int, Looked]) -> None:
        """The processed profiles are published and written: keep these states."""
        for profile, one in looked.items():
            if one.sure:
                self.held.put(profile, one)
        self.held.trim()
        self._left.clear()

    def leave(self, profiles: Collection[int], anew: Set[int]) -> dict[int, dict[str, int]]:
        """These profiles no longer exist; returns their memberships. Until `keep`, the state of an heir is made from
        their states, except for those `anew`: see `look`."""
        left: dict[int, dict[str, int]] = {}
        unknown: list[int] = []
        for profile in profiles:
            one = self.held.drop(profile)
            if one is None:
                unknown.append(profile)
                continue
            if one.state.memberships:
                left[profile] = one.state.memberships
            if profile not in anew:
                self._left.update(dict.fromkeys(one.state.nodes, one))
        if unknown:
            self._history.settle(unknown)
            left |= cold.memberships(self._writer, unknown)
        return left

    def forget(self, parts: Collection[int] | None = None) -> list[int]:
        """Empty the cache, or forget the profiles of some partitions. Returns the profiles, the most recently used ones
        last."""
        gone = [profile for profile, one in self.held.items() if parts is None or one.part in parts]
        for profile in gone:
            self.held.drop(profile)
        self._left.clear()
        return gone

    def _taken(self, profile: int, part: int, nodes: Sequence[int]) -> Looked | None:
        """The state of a profile in memory, unless it is outdated."""
        one = self.held.drop(profile)
        if one is None or one.part != part or not one.state.nodes.issubset(nodes):
            return None
        one.changes = set()
        return one

    def _load_memberships(self, states: Mapping[int, ProfileState]) -> None:
        if states:
            self._history.settle(states)
            for profile, held in cold.memberships(self._writer, states).items():
                states[profile].memberships = held

    def _shared_out(
        self, profiles: Mapping[int, Sequence[int]], looked: Mapping[int, Looked], fresh: Set[int]
    ) -> tuple[dict[int, Looked], dict[int, Looked], list[tuple[Looked, Looked]]]:
        """Which state counts the rows of which nodes: nodes to load, nodes to renew, and states that join another."""
        loaded: dict[int, Looked] = {}
        renewed: dict[int, Looked] = {}
        joined: list[tuple[Looked, Looked]] = []
        for profile, nodes in profiles.items():
            one = looked[profile]
            known = one.state.nodes
            gained: list[int] = []
            for node in nodes:
                if other := loaded.get(node) or renewed.get(node):
                    one.sure = other.sure = False
                elif node in known or node in fresh:
                    renewed[node] = one
                else:
                    gained.append(node)
            for part in self._parts_of(gained):
                renewed.update(dict.fromkeys(part.state.nodes, part))
                joined.append((one, part))
            for node in gained:
                if node not in renewed:
                    loaded[node] = one
            if gained:
                one.changes = None
        return loaded, renewed, joined

    def _parts_of(self, gained: Sequence[int]) -> list[Looked]:
        """The states of absorbed profiles of which all nodes are among these."""
        if not self._left:
            return []
        parts = {id(part): part for node in gained if (part := self._left.get(node))}
        return [part for part in parts.values() if part.sure and part.state.nodes.issubset(gained)]
