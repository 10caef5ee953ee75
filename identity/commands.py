"""Stewards' merges and splits as parts of the history that a refold plays again.

The place of a command is right after the latest receipt among the links before it in the topic. So it acts on
everything before it in the topic. A link later in the topic is placed before the command if it was received before that
moment; then the command acts on it too.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from identity.receipt import Receipt

ASIDE, REST = 0, 1
"""The two sides of a split: the listed nodes and those that remained."""


@dataclass(slots=True, eq=False)
class SplitCommand:
    """A lasting constraint: no link joins components with nodes of both sides, whenever it was received.

    `side` maps nodes to ASIDE or REST. `groups` are the listed nodes that the split keeps together by force: none if
    their links connect them (which may change as without the split); else all of them, until a later split separates
    some. `lifted_by` is the merge in force that lifts the constraint.
    """

    after: Receipt  # the latest of the links before it in the topic
    at: int
    number: int  # offset of the command in the registry
    side: dict[int, int]
    groups: list[list[int]] = field(default_factory=list)
    lifted_by: "MergeCommand | None" = None
    order: int = -1  # place among all commands
    mark: int = -1  # even; the mark of a side is mark + side

    def nodes(self) -> Iterable[int]:
        return self.side


@dataclass(slots=True, eq=False)
class MergeCommand:
    """A forced edge. `taken_back` permanently by a split with one end on each side."""

    after: Receipt
    at: int
    number: int
    a: int
    b: int
    taken_back: bool = False
    lifts: list[SplitCommand] = field(default_factory=list)
    order: int = -1

    def nodes(self) -> Iterable[int]:
        return (self.a, self.b)


Command = MergeCommand | SplitCommand


class Commands:
    """Every command that had an effect, in log order, and which of them concern a node."""

    __slots__ = ("_after", "_all", "_by_node", "_splits")

    def __init__(self) -> None:
        self._all: list[Command] = []
        self._after: list[Receipt] = []
        self._splits: list[SplitCommand] = []
        self._by_node: dict[int, list[Command]] = {}

    def all(self) -> Sequence[Command]:
        return self._all

    def add(self, command: Command) -> None:
        command.order = len(self._all)
        self._all.append(command)
        self._after.append(command.after)
        for node in command.nodes():
            self._by_node.setdefault(node, []).append(command)
        if isinstance(command, SplitCommand):
            command.mark = 2 * len(self._splits)
            self._splits.append(command)

    def none_between(self, a: Receipt, b: Receipt) -> bool:
        """Whether links with these receipts are placed before and after the same commands."""
        return bisect_left(self._after, a) == bisect_left(self._after, b)

    def of(self, node: int) -> list[Command]:
        return self._by_node.get(node, [])

    def concerning(self, nodes: Iterable[int]) -> list[Command]:
        """The commands that name any of the nodes, in log order."""
        found = {command.order: command for node in nodes for command in self.of(node)}
        return [found[order] for order in sorted(found)]

    def marks_of(self, node: int) -> list[int]:
        """The sides of splits that a node stands on."""
        return [c.mark + c.side[node] for c in self.of(node) if isinstance(c, SplitCommand)]

    def parting(self, marks: set[int] | None, others: set[int] | None) -> list[SplitCommand]:
        """The splits in force that keep two components with these marks apart, oldest first."""
        if not marks or not others:
            return []
        numbers = sorted({mark >> 1 for mark in marks if mark ^ 1 in others})
        return [self._splits[number] for number in numbers if self._splits[number].lifted_by is None]

    def part(self, side: dict[int, int]) -> None:
        """Takes back every merge, and every tie of an earlier split, that has an end on each side."""
        for command in self.concerning(side):
            if isinstance(command, MergeCommand):
                command.taken_back |= {side.get(command.a), side.get(command.b)} == {ASIDE, REST}
            else:
                command.groups = [part for group in command.groups for part in _parts(group, side)]


def _parts(group: list[int], side: dict[int, int]) -> list[list[int]]:
    aside = [node for node in group if side.get(node) == ASIDE]
    rest = [node for node in group if side.get(node) != ASIDE]
    return [part for part in (aside, rest) if part]
