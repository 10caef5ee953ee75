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
from identity.receipt import NEVER, Receipt
from identity.rules import MS_PER_DAY, IdentityRules

ALONE: Final = -1
"""The `joined` of a node that no link has joined with another yet."""


SHARED: Final = 1
"""Too many people use it."""

ERASED: Final = 2
"""Whoever it stood for was forgotten."""


class Nodes:
    """`kind` numbers pairs (type, rank at first mention): new rules do not change who founded an old
    profile."""

    __slots__ = ("_kind_numbers", "birth", "contested", "ids", "index", "joined", "kind", "kinds", "shared")

    COLUMNS: Final = ("birth", "joined", "shared", "contested", "kind")
    """The columns in a snapshot, apart from `ids` and `kinds`."""

    def __init__(self) -> None:
        self.index: dict[int, int] = {}  # node -> dense number
        self.ids: list[int] = []  # dense number -> node
        self.birth = array("q")  # first received_at of a link record with the node, ms
        self.joined = array("q")  # received_at of the link by which it stopped being alone, ms
        self.shared = bytearray()  # SHARED or ERASED: belongs to nobody
        self.contested = bytearray()  # 1: a link of it was refused once, so a late link may change who is first
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
        self.contested.append(0)
        self.kind.append(kind)
        return number

    def restore(self, ids: list[int], kinds: list[tuple[str, int]]) -> None:
        """Load the parts that are not columns of bytes into a new, empty state."""
        self.ids = ids
        self.index = {node: number for number, node in enumerate(ids)}
        self.kinds = kinds
        self._kind_numbers = {kind: number for number, kind in enumerate(kinds)}

    def type(self, number: int) -> str:
        return self.kinds[self.kind[number]][0]

    def older(self, a: int, b: int) -> int:
        """Which of two nodes founds a profile of both: first seen, then higher priority, then the smaller node."""
        if self.birth[a] != self.birth[b]:
            return a if self.birth[a] < self.birth[b] else b
        return min(a, b, key=self.age)

    def age(self, number: int) -> tuple[int, int, int]:
        """Sorts founders first: first sight, rank, node."""
        return self.birth[number], self.kinds[self.kind[number]][1], self.ids[number]


Order = tuple[int, int, int, int, int, int]
"""The place of a link: its receipt, its anchor, its number in its record, its other end. No two are equal."""


class State:
    """`latest` is the latest receipt of all links so far."""

    __slots__ = (
        "_most",
        "_rule_positions",
        "_rules",
        "commands",
        "evidence",
        "latest",
        "most_nodes",
        "nodes",
        "partition",
        "rules",
    )

    def __init__(self, rules: IdentityRules) -> None:
        self.nodes = Nodes()
        self.evidence = Evidence()
        self.partition = Partition()
        self.commands = Commands()
        self.latest = NEVER
        self.rules = rules
        self._rules = [rules]
        self._rule_positions = [0]
        self._most: dict[str, int | None] = {}
        self.most_nodes = rules.max_nodes
        """The strictest `max_nodes` of all rules so far."""

    def add_node(self, node: int, type: str, birth: int) -> int:
        self.evidence.grow()
        self.partition.grow()
        return self.nodes.add(node, type, self.rules.rank(type), birth)

    def set_rules(self, rules: IdentityRules) -> None:
        """Apply rules to links from now on."""
        self.add_rules(rules, len(self.evidence))

    def add_rules(self, rules: IdentityRules, position: int) -> None:
        """For the entries of evidence from `position` on."""
        self.rules = rules
        self._rules.append(rules)
        self._rule_positions.append(position)
        self._most.clear()
        self.most_nodes = min(self.most_nodes, rules.max_nodes)

    def history_of_rules(self) -> list[tuple[int, IdentityRules]]:
        """(entries of evidence before them, rules), the initial ones first."""
        return list(zip(self._rule_positions, self._rules, strict=True))

    def rules_for(self, entry: int) -> IdentityRules:
        """The rules in force when an entry was logged."""
        return self._rules[bisect_right(self._rule_positions, entry) - 1]

    def most(self, type: str) -> int | None:
        """The strictest limit of a type in all rules so far, whatever its window; None when there is none."""
        try:
            return self._most[type]
        except KeyError:
            limits = [limit.max for limit in (rules.limit(type) for rules in self._rules) if limit]
            return self._most.setdefault(type, min(limits, default=None))

    def order(self, entry: int) -> Order:
        """Sorts entries in the order in which they are decided."""
        a, b = self.evidence.ends(entry)
        return (*self.evidence.receipt(entry), self.nodes.ids[a], self.evidence.nth(entry), self.nodes.ids[b])

    def counted(self, latest: int, anchor: int, receipt: Receipt, *, alias: bool) -> int:
        """The entry that represents a link received at `receipt`, -1 if there is none yet. `latest`: the latest entry
        between the two nodes. Of the links from an anchor to a node only the first of a day counts, under the same
        rules and between the same commands. The others could be accepted only if a window ended within the day; without
        windows, never.
        """
        evidence, rules_since, entry = self.evidence, self._rule_positions[-1], latest
        while entry >= rules_since:
            if evidence.alias[entry] == alias and evidence.anchor(entry) == anchor and self._is_one(entry, receipt):
                return entry
            entry = evidence.before(entry)
        return -1

    def _is_one(self, entry: int, receipt: Receipt) -> bool:
        """Whether these receipts are of one day, with no command between them."""
        evidence = self.evidence
        if self.rules.has_windows and evidence.at[entry] // MS_PER_DAY != receipt.at // MS_PER_DAY:
            return False
        return not self.commands.all() or self.commands.none_between(evidence.receipt(entry), receipt)
