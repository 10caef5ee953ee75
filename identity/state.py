"""The state that the fold keeps: nodes by dense number, evidence, partition, commands and the rules so far.

Flat arrays indexed by the dense number of a node (its place of first mention in the log): millions of nodes
fit.
"""

from array import array
from bisect import bisect_right
from typing import Final

from identity.commands import Commands
from identity.evidence import Evidence
from identity.partition import Partition
from identity.rules import IdentityRules

ALONE: Final = -1
"""`joined` of a node that no link has joined with another yet."""


class Nodes:
    """`kind` numbers pairs (type, rank at first mention): new rules do not change who founded an old
    profile."""

    __slots__ = ("_kind_numbers", "birth", "ids", "index", "joined", "kind", "kinds", "shared")

    def __init__(self) -> None:
        self.index: dict[int, int] = {}  # node -> dense number
        self.ids: list[int] = []  # dense number -> node
        self.birth = array("q")  # first received_at of a link record with the node, ms
        self.joined = array("q")  # received_at of the link by which it stopped being alone, ms
        self.shared = bytearray()  # 1: belongs to nobody
        self.kind = array("H")
        self.kinds: list[tuple[str, int]] = []
        self._kind_numbers: dict[tuple[str, int], int] = {}

    def add(self, node: int, type: str, rank: int, birth: int) -> int:
        kind = self._kind_numbers.setdefault((type, rank), len(self.kinds))
        if kind == len(self.kinds):
            self.kinds.append((type, rank))
        number = self.index[node] = len(self.ids)
        self.ids.append(node)
        self.birth.append(birth)
        self.joined.append(ALONE)
        self.shared.append(0)
        self.kind.append(kind)
        return number

    def restore(self, ids: list[int], kinds: list[tuple[str, int]]) -> None:
        """What is no column of bytes, into a new, empty one."""
        self.ids = ids
        self.index = {node: number for number, node in enumerate(ids)}
        self.kinds = kinds
        self._kind_numbers = {kind: number for number, kind in enumerate(kinds)}

    def type(self, number: int) -> str:
        return self.kinds[self.kind[number]][0]

    def older(self, a: int, b: int) -> int:
        """Which of two founds a profile of both: first seen, then more telling, then the smaller node."""
        if self.birth[a] != self.birth[b]:
            return a if self.birth[a] < self.birth[b] else b
        return min(a, b, key=self.age)

    def age(self, number: int) -> tuple[int, int, int]:
        """Sorts founders first: first sight, rank, node."""
        return self.birth[number], self.kinds[self.kind[number]][1], self.ids[number]


class State:
    __slots__ = ("_rule_positions", "_rules", "commands", "evidence", "nodes", "partition", "rules")

    def __init__(self, rules: IdentityRules) -> None:
        self.nodes = Nodes()
        self.evidence = Evidence()
        self.partition = Partition()
        self.commands = Commands()
        self.rules = rules
        self._rules = [rules]
        self._rule_positions = [0]

    def add_node(self, node: int, type: str, birth: int) -> int:
        self.evidence.grow()
        self.partition.grow()
        return self.nodes.add(node, type, self.rules.rank(type), birth)

    def set_rules(self, rules: IdentityRules) -> None:
        """For the entries of evidence that follow."""
        self.add_rules(rules, len(self.evidence))

    def add_rules(self, rules: IdentityRules, position: int) -> None:
        """For the entries of evidence from `position` on."""
        self.rules = rules
        self._rules.append(rules)
        self._rule_positions.append(position)

    def history_of_rules(self) -> list[tuple[int, IdentityRules]]:
        """(entries of evidence before them, rules), the initial ones first."""
        return list(zip(self._rule_positions, self._rules, strict=True))

    def rules_for(self, entry: int) -> IdentityRules:
        """The rules in force when an entry was logged."""
        return self._rules[bisect_right(self._rule_positions, entry) - 1]
