"""The partition of nodes into profiles, with joins, members and founders, in flat arrays.

Joining relabels the smaller side (profiles are small by rule), so that looking up a node's profile is one read. To
revert a join, `refold` resets all nodes concerned and joins them again.
"""

from array import array
from collections.abc import Iterator
from typing import Final


class Partition:
    """Nodes are dense numbers. A component is named by its root, which may be any member.

    `marks` are the sides of standing splits that a component has members of (see `commands`).
    """

    __slots__ = ("_founder", "_next", "_size", "marks", "root")

    COLUMNS: Final = ("root", "_next", "_size", "_founder")
    """The columns in a snapshot, apart from `marks`."""

    def __init__(self) -> None:
        self.root = array("i")
        self._next = array("i")  # the members of a component form a ring
        self._size = array("i")  # by root
        self._founder = array("i")  # by root
        self.marks: dict[int, set[int]] = {}  # by root, only where there are any

    def grow(self) -> None:
        """A new node, alone."""
        node = len(self.root)
        self.root.append(node)
        self._next.append(node)
        self._size.append(1)
        self._founder.append(node)

    def reset(self, node: int) -> None:
        """Makes a node alone and unmarked. All members of its component must be reset together."""
        self.root[node] = self._next[node] = self._founder[node] = node
        self._size[node] = 1
        self.marks.pop(node, None)

    def together(self, a: int, b: int) -> bool:
        return self.root[a] == self.root[b]

    def size(self, node: int) -> int:
        return self._size[self.root[node]]

    def founder(self, node: int) -> int:
        return self._founder[self.root[node]]

    def set_founder(self, node: int, founder: int) -> None:
        self._founder[self.root[node]] = founder

    def members(self, node: int) -> Iterator[int]:
        """The nodes of the component of `node`, in no meaningful order."""
        ring = self._next
        member = node
        while True:
            yield member
            member = ring[member]
            if member == node:
                return

    def mark(self, node: int, mark: int) -> None:
        self.marks.setdefault(self.root[node], set()).add(mark)

    def join(self, a: int, b: int, founder: int) -> None:
        """Makes one component of two different ones, founded by `founder`."""
        root, gone = self.root[a], self.root[b]
        if self._size[root] < self._size[gone]:
            root, gone = gone, root
        for member in self.members(gone):
            self.root[member] = root
        self._next[root], self._next[gone] = self._next[gone], self._next[root]
        self._size[root] += self._size[gone]
        self._founder[root] = founder
        if gone in self.marks:
            self.marks.setdefault(root, set()).update(self.marks.pop(gone))
