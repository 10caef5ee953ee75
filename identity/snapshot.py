"""Saving a graph as bytes and loading it, so that a start need not fold the whole topic.

A snapshot is a cache of simorgh.identity. It names its last record and that record's digest, and is valid only if the
log has the same record at the same offset. In all other cases (another log, another version of the fold, damage)
loading returns None, and the topic is folded from its beginning.

Format: BLAKE2b-256 of what follows, then one MessagePack document (`_Document`). Arrays are the machine's own bytes,
little-endian.
"""

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from identity.commands import Commands, MergeCommand, SplitCommand
from identity.evidence import Evidence
from identity.graph import IdentityGraph
from identity.partition import Partition
from identity.receipt import Receipt
from identity.rules import IdentityRules
from identity.state import Nodes, State

FOLD_VERSION: Final = 2
"""Incremented whenever the fold decides anything differently, or the format changes."""

_DIGEST: Final = 32
_NODE: Final = 16


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The last record of simorgh.identity that a snapshot holds: its offset, and the digest of its key and value."""

    offset: int
    digest: bytes

    @classmethod
    def of(cls, offset: int, key: bytes, value: bytes) -> "Mark":
        return cls(offset, blake2b(len(key).to_bytes(4, "big") + key + value, digest_size=_DIGEST).digest())


class _Command(msgspec.Struct, array_like=True):
    """A merge (`side` is empty) or a split (`ends` is None). `other`: the orders of what it lifts, or of its lifter."""

    after: Receipt
    at: int
    number: int
    ends: tuple[int, int] | None
    taken_back: bool
    side: dict[int, int]
    groups: list[list[int]]
    other: list[int]


class _Document(msgspec.Struct):
    version: int
    byte_order: str
    mark: Mark
    applied: int
    ruled: int
    latest: Receipt
    rules: list[tuple[int, bytes]]
    """(entries of evidence before them, rules as JSON), the initial ones first."""
    kinds: list[tuple[str, bytes]]
    """(type, rank as decimal text): ranks are larger than 64 bits."""
    nodes: dict[str, bytes]
    reasons: list[str]
    evidence: dict[str, bytes]
    partition: dict[str, bytes]
    marks: dict[int, list[int]]
    commands: list[_Command]


@dataclass(frozen=True, slots=True)
class Taken:
    """A copy of a graph at one moment. `encode` may run in another thread while the graph continues."""

    _document: _Document
    _ids: list[int]

    def encode(self) -> bytes:
        self._document.nodes["ids"] = b"".join([node.to_bytes(_NODE, "little") for node in self._ids])
        body = msgspec.msgpack.encode(self._document)
        return blake2b(body, digest_size=_DIGEST).digest() + body


def take(graph: IdentityGraph, mark: Mark) -> Taken:
    """Copy the graph that has folded everything up to and including `mark`. Quick: its columns are copied as they
    are."""
    state = graph.state
    document = _Document(
        version=FOLD_VERSION,
        byte_order=sys.byteorder,
        mark=mark,
        applied=graph.commands,
        ruled=graph.ruled,
        latest=state.latest,
        rules=[(position, rules.model_dump_json().encode()) for position, rules in state.history_of_rules()],
        kinds=[(type, str(rank).encode()) for type, rank in state.nodes.kinds],
        nodes=_columns(state.nodes, Nodes.COLUMNS),
        reasons=state.evidence.reasons,
        evidence=_columns(state.evidence, Evidence.COLUMNS),
        partition=_columns(state.partition, Partition.COLUMNS),
        marks={root: sorted(marks) for root, marks in state.partition.marks.items()},
        commands=[_command(command) for command in state.commands.all()],
    )
    return Taken(document, list(state.nodes.ids))


def mark_of(snapshot: bytes) -> Mark | None:
    """The last record of a snapshot; None if this version cannot use the snapshot."""
    document = _read(snapshot)
    return document.mark if document else None


def load(snapshot: bytes, rules: IdentityRules) -> IdentityGraph | None:
    """The graph of a snapshot; None if it is damaged, of another version, or began with other rules."""
    document = _read(snapshot)
    if document is None or document.rules[0][1] != rules.model_dump_json().encode():
        return None
    state = State(rules)
    state.latest = document.latest
    for position, text in document.rules[1:]:
        state.add_rules(IdentityRules.model_validate_json(text), position)
    _restore_nodes(state.nodes, document)
    state.evidence.restore_reasons(document.reasons)
    _fill(state.evidence, document.evidence)
    state.evidence.index_hubs()
    _fill(state.partition, document.partition)
    state.partition.marks = {root: set(marks) for root, marks in document.marks.items()}
    _restore_commands(state.commands, document.commands)
    return IdentityGraph(rules, state, applied=document.applied, ruled=document.ruled)


def _read(snapshot: bytes) -> _Document | None:
    digest, body = snapshot[:_DIGEST], snapshot[_DIGEST:]
    if blake2b(body, digest_size=_DIGEST).digest() != digest:
        return None
    try:
        document = msgspec.msgpack.decode(body, type=_Document)
    except msgspec.MsgspecError:
        return None
    return document if (document.version, document.byte_order) == (FOLD_VERSION, sys.byteorder) else None


def _columns(owner: object, names: Iterable[str]) -> dict[str, bytes]:
    return {name: bytes(getattr(owner, name)) for name in names}


def _fill(owner: object, columns: dict[str, bytes]) -> None:
    """Into the arrays of a new, empty owner."""
    for name, content in columns.items():
        column: array[int] | bytearray = getattr(owner, name)
        if isinstance(column, array):
            column.frombytes(content)
        else:
            column.extend(content)


def _restore_nodes(nodes: Nodes, document: _Document) -> None:
    columns = dict(document.nodes)
    ids = columns.pop("ids")
    nodes.restore(
        [int.from_bytes(ids[start : start + _NODE], "little") for start in range(0, len(ids), _NODE)],
        [(type, int(rank)) for type, rank in document.kinds],
    )
    _fill(nodes, columns)


def _command(command: MergeCommand | SplitCommand) -> _Command:
    after, at, number = command.after, command.at, command.number
    if isinstance(command, MergeCommand):
        lifts = [split.order for split in command.lifts]
        return _Command(after, at, number, (command.a, command.b), command.taken_back, {}, [], lifts)
    groups = [list(group) for group in command.groups]
    return _Command(after, at, number, None, False, dict(command.side), groups, [])


def _restore_commands(commands: Commands, stored: list[_Command]) -> None:
    """Reads commands in their order, then the references between them, since a merge may lift a split before or after
    it."""
    made: list[MergeCommand | SplitCommand] = []
    for one in stored:
        command: MergeCommand | SplitCommand
        if one.ends is None:
            command = SplitCommand(one.after, one.at, one.number, one.side, one.groups)
        else:
            command = MergeCommand(one.after, one.at, one.number, *one.ends, taken_back=one.taken_back)
        commands.add(command)
        made.append(command)
    for command, one in zip(made, stored, strict=True):
        for order in one.other:
            split = made[order]
            if isinstance(command, MergeCommand) and isinstance(split, SplitCommand):
                command.lifts.append(split)
                split.lifted_by = command
