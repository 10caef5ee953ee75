"""The resolve stage: who is who. On one box the only writer of `simorgh.identity`.

Every event with something new to say about identity becomes one link record, decided against the graph, appended,
and mirrored in the warehouse. The topic is truth; graph and tables are folds of it.

Side effects of `links` and `apply`, and what a crash after each means:
  1 append to simorgh.identity   the events are read again, the graph knows their links: nothing is appended twice
  2 rows (by the caller)         the topic is ahead of the tables: `Pipeline.recover` writes the rows again at start
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from eventlog.port import EventLog, present
from identity.changes import Changes
from identity.graph import IdentityGraph
from identity.nodes import from_hex
from identity.receipt import Receipt
from schemas import topics
from stream_processors.batch import UNIQUE, Batch
from warehouse.client import fixed16

_READ = 20_000
_RECENT = 200_000
_LATER = Receipt(1 << 62)


@dataclass(slots=True)
class Resolution:
    """What a run of identity records changed.

    `moved`: node -> its profile now (0 = nobody). `left`: node -> its profile before (0 = it had none).
    `fresh`: nodes never seen before. `records`: (offset, record), with decisions.
    """

    records: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    passed: set[tuple[int, int]] = field(default_factory=set)
    """After a crash: (profile, node) for every profile that a node has left on the way, since any may be on record."""

    def hear(self, offset: int, record: dict[str, Any], changes: Changes) -> None:
        """The next record of the topic."""
        self.records.append((offset, record))
        self.add(changes)

    def add(self, changes: Changes) -> None:
        self.moved.update(changes.moved)
        for node, profile in changes.left.items():
            self.left.setdefault(node, profile)

    def note_passed(self, left: Mapping[int, int]) -> None:
        """Remember that these nodes have left these profiles (0: none)."""
        self.passed.update((profile, node) for node, profile in left.items() if profile)

    def then(self, later: "Resolution") -> "Resolution":
        """Both, this one first."""
        if not self.records:
            return later
        return Resolution(
            self.records + later.records,
            self.moved | later.moved,
            later.left | self.left,
            self.fresh | later.fresh,
            self.passed | later.passed,
        )

    def cause(self) -> str:
        """Why profiles changed here, in one word, for transitions."""
        kinds = {record["kind"] for _, record in self.records}
        return "split" if "split" in kinds else "merge"


class Resolver:
    """Owns the graph. One thread."""

    def __init__(self, graph: IdentityGraph, log: EventLog, position: int = 0) -> None:
        self.graph = graph
        self._log = log
        self.position = position
        """The next offset of simorgh.identity to fold."""
        self._recent: dict[tuple[int, ...], Receipt] = {}
        """Identifiers that were seen together and belong together -> when: nothing new after that. Bounded."""

    def fold_log(self) -> Iterable[tuple[int, dict[str, Any], Changes]]:
        """Fold what the topic holds beyond `position`; yields (offset, record, changes)."""
        while records := self._log.read(topics.IDENTITY, 0, self.position, _READ):
            for record in present(records):
                body = orjson.loads(record.value)
                changes = self.graph.fold(body)
                self.position = record.offset + 1
                yield record.offset, {**body, "decisions": changes.decisions}, changes
            self.position = records[-1].offset + 1

    def links(self, batch: Batch) -> Resolution:
        """Link records for the batch's events that count: a copy changes nothing, who is who included.

        They are decided in the order of receipt. The graph would decide them in that order anyway; so it need not go
        back.
        """
        result = Resolution()
        records: list[dict[str, Any]] = []
        recent = self._recent
        for receipt, i in self._by_receipt(batch):
            nodes = batch.nodes[i]
            if recent.get(nodes, _LATER) <= receipt:
                continue
            if not self.graph.knows(nodes, receipt, alias=batch.events[i].alias is True):
                records.append(self._decide(link_record(batch, i), result))
            elif len({self.graph.profile_of(node) for node in nodes}) == 1:
                recent[nodes] = receipt
        if len(recent) > _RECENT:
            self.forget()
        self._append(records, result)
        return result

    def _by_receipt(self, batch: Batch) -> list[tuple[Receipt, int]]:
        """The events that may tell something new, earliest first."""
        seen, found = self._recent.get, list[tuple[Receipt, int]]()
        for i, nodes in enumerate(batch.nodes):
            if nodes and seen(nodes, _LATER).at >= batch.received[i] and batch.state[i] == UNIQUE:
                found.append((Receipt.event(batch.received[i], batch.events[i].place, batch.keys[i]), i))
        found.sort()
        return found

    def apply(self, record: dict[str, Any]) -> Resolution:
        """A steward's merge or split, or other rules (see `declared.identity_record`). A command is applied once."""
        result = Resolution()
        self.forget()  # what belongs together may change
        if record["kind"] == "rules" or record["command"] > self.graph.commands:
            self._append([self._decide(record, result)], result)
        return result

    def forget(self) -> None:
        """Empty the cache of what was seen together: the graph is asked again."""
        self._recent.clear()

    def _decide(self, record: dict[str, Any], result: Resolution) -> dict[str, Any]:
        if record["kind"] == "link":
            for name, _ in record["nodes"]:
                node = from_hex(name)
                if not self.graph.type_of(node):
                    result.fresh.add(node)
        changes = self.graph.fold(record)
        result.add(changes)
        if any(decision["outcome"] in ("shared", "split") for decision in changes.decisions):
            self.forget()
        return {**record, "decisions": changes.decisions}

    def _append(self, records: list[dict[str, Any]], result: Resolution) -> None:
        if not records:
            return
        positions = self._log.append(topics.IDENTITY, [(_key(r), orjson.dumps(r)) for r in records])
        result.records = [(offset, record) for (_, offset), record in zip(positions, records, strict=True)]
        self.position = positions[-1][1] + 1


def link_record(batch: Batch, i: int) -> dict[str, Any]:
    """What event `i` says about identity, as a record of simorgh.identity but for its decisions."""
    event = batch.events[i]
    link = {
        "kind": "link",
        "key": event.key,
        "source": batch.sources[i],
        "received_at": batch.received[i],
        "place": event.place,
        "nodes": [[identifier.node, identifier.type] for identifier in batch.identifiers[i]],
    }
    return {**link, "alias": True} if event.alias else link


def _key(record: dict[str, Any]) -> bytes:
    return str(record.get("key") or record["kind"]).encode()


def identity_rows(moved: dict[int, int], ver: int) -> pa.Table:
    """Where nodes are now."""
    return pa.table({"node": fixed16(moved), "profile": fixed16(moved.values()), "ver": _constant(ver, len(moved))})


def member_rows(resolution: Resolution, ver: int) -> pa.Table:
    """Who joined and who left."""
    moved = resolution.moved
    departed = resolution.passed | {(profile, node) for node, profile in resolution.left.items() if profile}
    rows = [(profile, node, 1) for node, profile in moved.items() if profile]
    rows += [(profile, node, 0) for profile, node in sorted(departed) if moved.get(node) != profile]
    return pa.table(
        {
            "profile": fixed16([r[0] for r in rows]),
            "node": fixed16([r[1] for r in rows]),
            "live": pa.array([r[2] for r in rows], pa.uint8()),
            "ver": _constant(ver, len(rows)),
        }
    )


def decision_rows(records: list[tuple[int, dict[str, Any]]]) -> pa.Table:
    """Every decision by each node that it names, for explain; a steward's with the reason and by whom."""
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
    """What a reader of a decision wants to know of the record that it belongs to. `anchor`: where the event is."""
    if record["kind"] == "link":
        return {"key": record.get("key"), "source": record.get("source"), "anchor": record["nodes"][0][0]}
    return {name: record[name] for name in ("reason", "by") if name in record}


def _named(decision: dict[str, Any]) -> set[int]:
    names = {decision[k] for k in ("survivor", "absorbed", "a", "b", "node", "from") if k in decision}
    names.update(decision.get("to", ()))
    return {from_hex(name) for name in names}


def _constant(value: int, n: int) -> pa.Array:
    return pa.array([value] * n, pa.uint64())
