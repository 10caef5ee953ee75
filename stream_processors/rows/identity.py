"""The results of records of simorgh.identity -> Arrow tables. Pure: the caller writes them."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import orjson
import pyarrow as pa

from identity.changes import Changes
from identity.nodes import from_hex
from schemas.records import (
    Decision,
    Erase,
    Erased,
    IdentityRecord,
    Link,
    Merge,
    Merged,
    Parted,
    RefusedDecision,
    Rules,
    SharedDecision,
    Split,
)
from stream_processors.state import touches
from stream_processors.state.directory import links_of
from warehouse.client import fixed16


class Home(NamedTuple):
    """Where a node is from a version on. `profile`: 0 is nobody."""

    node: int
    profile: int
    ver: int


class ProfileMember(NamedTuple):
    """Whether a node is in a profile, from a version on."""

    profile: int
    node: int
    live: bool
    ver: int


class Decided(NamedTuple):
    """A record with what it came to."""

    offset: int
    record: IdentityRecord
    decisions: list[Decision]


class Heard(NamedTuple):
    """That identity has heard of these nodes together. `at`: of the receipt, in ms."""

    nodes: tuple[int, ...]
    at: int
    alias: bool


@dataclass(slots=True)
class Folded:
    """The results of a run of records. The version of a row is its record's offset + 1."""

    identity: list[Home] = field(default_factory=list)
    members: list[ProfileMember] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    links: list[Heard] = field(default_factory=list)
    reached: dict[int, str] = field(default_factory=dict)
    """Node -> the cause for which its profile is touched."""
    absorbed: dict[int, str] = field(default_factory=dict)
    """Profile that no longer exists -> the cause."""
    former: dict[int, set[int]] = field(default_factory=dict)
    """Profile -> the previous profiles of the nodes that it gained."""
    fresh: set[int] = field(default_factory=set)
    """Nodes that no record had named before."""

    def add(
        self, offset: int, record: IdentityRecord, nodes: tuple[int, ...], fresh: Set[int], changes: Changes
    ) -> None:
        """Add the next record. `nodes`: those in a link; `fresh`: those of them that no earlier record named."""
        ver = offset + 1
        for node, profile in changes.moved.items():
            self.identity.append(Home(node, profile, ver))
            left = changes.left[node]
            if profile:
                self.members.append(ProfileMember(profile, node, True, ver))
            if left and left != profile:
                self.members.append(ProfileMember(left, node, False, ver))
        if changes.decisions:
            self.decisions.append(Decided(offset, record, changes.decisions))
        if isinstance(record, Link) and nodes:
            self.links.append(Heard(nodes, record.received_at, record.alias))
            self._reach(nodes, touches.EVENT)
        self.fresh |= fresh
        if changes.moved:
            self._move(changes, _command(record), fresh)

    def _move(self, changes: Changes, command: str | None, fresh: Set[int]) -> None:
        """Note which profiles a record moved, and the cause. `command`: the cause if it is a steward's."""
        parted = _parted(changes, fresh) if command is None else frozenset()
        for profile in changes.touched:
            self._reach((profile,), command or (touches.SPLIT if profile in parted else touches.EVENT))
        for profile, heir in changes.absorbed.items():
            cause = command or (touches.MERGE if parted.isdisjoint((profile, heir)) else touches.SPLIT)
            self.absorbed[profile] = touches.heavier(cause, self.absorbed.get(profile, cause))
        gained: dict[int, set[int]] = {}
        for node, profile in changes.moved.items():
            if profile and (left := changes.left[node]):
                gained.setdefault(profile, set()).add(left)
        earlier = {profile: [self.former.get(one, ()) for one in profiles] for profile, profiles in gained.items()}
        for profile, profiles in gained.items():
            self.former.setdefault(profile, set()).update(profiles, *earlier[profile])

    def _reach(self, nodes: Collection[int], cause: str) -> None:
        reached = self.reached
        for node in nodes:
            known = reached.get(node)
            reached[node] = cause if known is None else touches.heavier(known, cause)


def _command(record: IdentityRecord) -> str | None:
    """The cause of what a steward's command moves."""
    match record:
        case Merge():
            return touches.MERGE
        case Split():
            return touches.SPLIT
        case Erase():
            return touches.ERASED
    return None


def _parted(changes: Changes, fresh: Set[int]) -> frozenset[int]:
    """The profiles that a link split, and their parts; and those of nodes that belonged to nobody."""
    went: dict[int, set[int]] = {}
    parted: set[int] = set()
    for node, profile in changes.moved.items():
        if left := changes.left[node]:
            went.setdefault(left, set()).add(profile)
        elif node not in fresh:
            parted.add(profile)
    for left, profiles in went.items():
        if left not in changes.absorbed or 0 in profiles or len(profiles) > 1:
            parted |= {left, *profiles}
    return frozenset(parted - {0})


def identity_rows(folded: Folded) -> pa.Table:
    """The present profiles of nodes."""
    rows = folded.identity
    return pa.table(
        {
            "node": fixed16([r.node for r in rows]),
            "profile": fixed16([r.profile for r in rows]),
            "ver": pa.array([r.ver for r in rows], pa.uint64()),
        }
    )


def member_rows(folded: Folded) -> pa.Table:
    """The nodes that joined and left."""
    rows = folded.members
    return pa.table(
        {
            "profile": fixed16([r.profile for r in rows]),
            "node": fixed16([r.node for r in rows]),
            "live": pa.array([r.live for r in rows], pa.bool_()).cast(pa.uint8()),
            "ver": pa.array([r.ver for r in rows], pa.uint64()),
        }
    )


def link_rows(folded: Folded) -> pa.Table:
    rows = [(link, heard) for heard in folded.links for link in links_of(heard.nodes)]
    return pa.table(
        {
            "link": fixed16([link for link, _ in rows]),
            "at": pa.array([heard.at for _, heard in rows], pa.timestamp("ms", "UTC")),
            "alias": pa.array([heard.alias for _, heard in rows], pa.bool_()).cast(pa.uint8()),
        }
    )


def decision_rows(records: Sequence[Decided]) -> pa.Table:
    """Every decision, by each node in it, for `explain`; a steward's has the reason and the steward."""
    rows = [
        (node, decided, n, told)
        for decided in records
        for n, decision in enumerate(decided.decisions)
        for told in (_context(decided.record) | msgspec.to_builtins(decision),)
        for node in _named(decision)
    ]
    return pa.table(
        {
            "node": fixed16([node for node, _, _, _ in rows]),
            "off": pa.array([decided.offset for _, decided, _, _ in rows], pa.uint64()),
            "n": pa.array([n for _, _, n, _ in rows], pa.uint16()),
            "at": pa.array([_at(decided.record) for _, decided, _, _ in rows], pa.timestamp("ms", "UTC")),
            "outcome": pa.array([told["outcome"] for _, _, _, told in rows], pa.string()),
            "detail": pa.array([orjson.dumps(told).decode() for _, _, _, told in rows], pa.string()),
        }
    )


def _at(record: IdentityRecord) -> int:
    return record.received_at if isinstance(record, Link) else record.at


def _context(record: IdentityRecord) -> dict[str, object]:
    """The parts of a decision's record that its readers need. `anchor`: the node of the event."""
    match record:
        case Link():
            return {"key": record.key, "source": record.source, "anchor": record.nodes[0][0]}
        case Rules():
            return {}
        case Erase():
            return {"by": record.by}
        case _:
            return {"reason": record.reason, "by": record.by}


def _named(decision: Decision) -> set[int]:
    match decision:
        case Merged():
            names = [decision.survivor, decision.absorbed]
        case RefusedDecision():
            names = [decision.a, decision.b]
        case SharedDecision():
            names = [decision.node]
        case Parted():
            names = [decision.from_, *decision.to]
        case Erased():
            names = decision.nodes
    return {from_hex(name) for name in names}
