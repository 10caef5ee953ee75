"""The changes that folding one record makes, computed by comparing profiles before and after."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from identity.nodes import to_hex
from identity.state import State
from schemas.records import Decision, Merged, Parted

_NOBODY: Final = -1
_NEW: Final = -2


@dataclass(frozen=True, slots=True)
class Changes:
    """The effect of one record.

    `decisions`: as in the record formats of simorgh.identity; first refusals in the order of the record, then changes
    of profiles, by profile. `moved`: node -> profile now (0 = nobody), for nodes that are new or whose profile changed.
    `left`: the same nodes -> profile before (0 = none). `absorbed`: a profile that no longer exists -> the profile of
    its founding node now (0 = nobody). `touched`: every profile, old or new, that lost or gained a node.
    """

    decisions: list[Decision] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    absorbed: dict[int, int] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)


class Before:
    """The profiles of nodes before the record; a component is noted as a whole before it is changed."""

    __slots__ = ("_profile", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._profile: dict[int, int] = {}  # node -> founder, _NOBODY or _NEW; dense numbers

    def note_new(self, node: int) -> None:
        self._profile[node] = _NEW

    def note(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            if node not in self._profile:
                self._profile[node] = self._now(node)

    def _now(self, node: int) -> int:
        return _NOBODY if self._state.nodes.shared[node] else self._state.partition.founder(node)

    def changes(self, decisions: list[Decision]) -> Changes:
        """The difference to the present state. Appends the changes of profiles to `decisions`."""
        changes = Changes(decisions)
        became: dict[int, set[int]] = {}
        for node, old in self._profile.items():
            now = self._now(node)
            if old >= 0:
                became.setdefault(old, set()).add(now)
            if now != old:
                changes.moved[self._id(node)] = self._id(now)
                changes.left[self._id(node)] = self._id(old)
                for profile in (old, now):
                    if profile >= 0:
                        changes.touched.add(self._id(profile))
        for profile in sorted(became, key=self._id):
            self._tell(profile, became[profile] - {_NOBODY}, changes)
        return changes

    def _tell(self, profile: int, parts: set[int], changes: Changes) -> None:
        if parts == {profile}:
            return
        now = self._now(profile)
        if profile not in parts:
            changes.absorbed[self._id(profile)] = self._id(now)
        if parts == {now}:
            changes.decisions.append(Merged(survivor=self._hex(now), absorbed=self._hex(profile)))
        elif parts:
            to = sorted(self._hex(part) for part in parts)
            changes.decisions.append(Parted(from_=self._hex(profile), to=to))

    def _id(self, node: int) -> int:
        return self._state.nodes.ids[node] if node >= 0 else 0

    def _hex(self, node: int) -> str:
        return to_hex(self._id(node))
