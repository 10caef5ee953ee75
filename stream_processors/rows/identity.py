"""The results of records of simorgh.identity -> Arrow tables. Pure: the caller writes them."""

from collections.abc import Collection, Set
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pyarrow as pa

from identity.changes import Changes
from identity.nodes import from_hex
from stream_processors.state import touches
from stream_processors.state.directory import links_of
from warehouse.client import fixed16

_COMMANDS: Final = {"merge": touches.MERGE, "split": touches.SPLIT}


@dataclass(slots=True)
class Folded:
    """The results of a run of records. The version of a row is its record's offset + 1."""

    identity: list[tuple[int, int, int]] = field(default_factory=list)
    """Node, its profile now (0: nobody), version."""
    members: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Profile, node, whether it is in it, version."""
    decisions: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Offset, record with its decisions."""
    links: list[tuple[tuple[int, ...], int, int]] = field(default_factory=list)
    """Nodes of an event, received at, whether an alias."""
    reached: dict[int, str] = field(default_factory=dict)
    """Node -> the cause for which its profile is touched."""
    absorbed: dict[int, str] = field(default_factory=dict)
    """Profile that no longer exists -> the cause."""
    former: dict[int, set[int]] = field(default_factory=dict)
    """Profile -> the previous profiles of the nodes that it gained."""
    fresh: set[int] = field(default_factory=set)
    """Nodes that no record had named before."""

    def add(
        self, offset: int, record: dict[str, Any], nodes: tuple[int, ...], fresh: Set[int], changes: Changes
    ) -> None:
        """Add the next record. `nodes`: those in a link; `fresh`: those of them that no earlier record named."""
        ver = offset + 1
        for node, profile in changes.moved.items():
            self.identity.append((node, profile, ver))
            left = changes.left[node]
            if profile:
                self.members.append((profile, node, 1, ver))
            if left and left != profile:
                self.members.append((left, node, 0, ver))
        if changes.decisions:
            self.decisions.append((offset, {**record, "decisions": changes.decisions}))
        if nodes:
            self.links.append((nodes, record["received_at"], int(bool(record.get("alias")))))
            self._reach(nodes, touches.EVENT)
        self.fresh |= fresh
        if changes.moved:
            self._move(changes, _COMMANDS.get(record["kind"]), fresh)

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
            "node": fixed16([r[0] for r in rows]),
            "profile": fixed16([r[1] for r in rows]),
            "ver": pa.array([r[2] for r in rows], pa.uint64()),
        }
    )


def member_rows(folded: Folded) -> pa.Table:
    """The nodes that joined and left."""
    rows = folded.members
    return pa.table(
        {
            "profile": fixed16([r[0] for r in rows]),
            "node": fixed16([r[1] for r in rows]),
            "live": pa.array([r[2] for r in rows], pa.uint8()),
            "ver": pa.array([r[3] for r in rows], pa.uint64()),
        }
    )


def link_rows(folded: Folded) -> pa.Table:
    rows = [(link, at, alias) for nodes, at, alias in folded.links for link in links_of(nodes)]
    return pa.table(
        {
            "link": fixed16([r[0] for r in rows]),
            "at": pa.array([r[1] for r in rows], pa.timestamp("ms", "UTC")),
            "alias": pa.array([r[2] for r in rows], pa.uint8()),
        }
    )


def decision_rows(records: list[tuple[int, dict[str, Any]]]) -> pa.Table:
    """Every decision, by each node in it, for `explain`; a steward's has the reason and the steward."""
    rows = [
        (node, offset, n, record.get("received_at") or record.get("at") or 0, decision["outcome"], told)
        for offset, record in records
        for n, decision in enumerate(record["decisions"])
        for told in ({**_context(record), **decision},)
        for node in _named(decision)
    ]
    return pa.table(
        {
            "node": fixed16([r[0] for r in rows]),
            "off": pa.array([r[1] for r in rows], pa.uint64()),
            "n": pa.array([r[2] for r in rows], pa.uint16()),
            "at": pa.array([r[3] for r in rows], pa.timestamp("ms", "UTC")),
            "outcome": pa.array([r[4] for r in rows], pa.string()),
            "detail": pa.array([orjson.dumps(r[5]).decode() for r in rows], pa.string()),
        }
    )


def _context(record: dict[str, Any]) -> dict[str, Any]:
    """The parts of a decision's record that its readers need. `anchor`: the node of the event."""
    if record["kind"] == "link":
        return {"key": record.get("key"), "source": record.get("source"), "anchor": record["nodes"][0][0]}
    return {name: record[name] for name in ("reason", "by") if name in record}


def _named(decision: dict[str, Any]) -> set[int]:
    names = {decision[k] for k in ("survivor", "absorbed", "a", "b", "node", "from") if k in decision}
    names.update(decision.get("to", ()))
    return {from_hex(name) for name in names}
