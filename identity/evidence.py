"""Evidence: every link in the log, as a graph in flat arrays. Nodes are dense numbers here (see `state`). A link is one
entry. Entries are numbered in the order of their arrival and decided in the order of receipt. They are never removed: a
refused or cut link counts again when its surroundings are refolded.
"""

from array import array
from collections.abc import Iterator
from typing import Final

from identity.receipt import Receipt
from schemas.order import PLACE_BITS

JOINED: Final = 0
"""The outcome of an entry whose two ends are together; any other outcome is the code of a reason."""

# Above this many entries a node gets an index by neighbour, so that a kiosk costs no walk over its million
# links.
HUB: Final = 32

_NTH_BITS: Final = 64 - PLACE_BITS
_NTH: Final = (1 << _NTH_BITS) - 1


class Evidence:
    """Each entry has two halves, 2e and 2e + 1, one in the chain of each end; chains run from newest to
    oldest."""

    __slots__ = (
        "_codes",
        "_head",
        "_hubs",
        "_key",
        "_next",
        "_place",
        "_prior",
        "_target",
        "alias",
        "at",
        "degree",
        "outcome",
    )

    COLUMNS: Final = (
        *("at", "_place", "_key", "alias", "outcome", "_prior"),
        *("_target", "_next", "_head", "degree"),
    )
    """The columns in a snapshot; the index of hubs is derived from them."""

    def __init__(self) -> None:
        self.at = array("q")  # received_at, ms
        self._place = array("Q")  # place of the receipt, then which link of its record it is
        self._key = array("Q")  # key of the receipt
        self._prior = array("i")  # the previous entry between the same two nodes, -1 if there is none
        self.alias = bytearray()
        self.outcome = array("H")
        self._codes = {"": JOINED}  # reason -> its code, in the order of the codes
        self._target = array("i")  # by half: the node at the other end
        self._next = array("i")  # by half: the next half of the same node, -1 at the end
        self._head = array("i")  # by node
        self.degree = array("I")  # by node: entries
        self._hubs: dict[int, dict[int, int]] = {}  # hub -> neighbour -> newest entry

    def __len__(self) -> int:
        return len(self.at)

    def grow(self) -> None:
        """Makes room for the next node."""
        self._head.append(-1)
        self.degree.append(0)

    def add(self, a: int, b: int, receipt: Receipt, nth: int, alias: bool, prior: int) -> int:
        """Appends the link a - b, the `nth` of its record, and returns its entry. `prior`: of `find(a, b)`."""
        at, place, key = receipt
        entry = len(self.at)
        self._prior.append(prior)
        self.at.append(at)
        self._place.append(place << _NTH_BITS | nth)
        self._key.append(key)
        self.alias.append(alias)
        self.outcome.append(JOINED)
        self._attach(a, b, entry)
        self._attach(b, a, entry)
        return entry

    def antedate(self, entry: int, receipt: Receipt, nth: int) -> None:
        """Notes that the link was received earlier than known."""
        self.at[entry], place, self._key[entry] = receipt
        self._place[entry] = place << _NTH_BITS | nth

    def receipt(self, entry: int) -> Receipt:
        return Receipt(self.at[entry], self._place[entry] >> _NTH_BITS, self._key[entry])

    def nth(self, entry: int) -> int:
        """Which link of its record an entry is."""
        return self._place[entry] & _NTH

    def _attach(self, node: int, other: int, entry: int) -> None:
        self._target.append(other)
        self._next.append(self._head[node])
        self._head[node] = len(self._target) - 1
        self.degree[node] += 1
        if self.degree[node] > HUB:
            self._index(node)[other] = entry

    def _index(self, node: int) -> dict[int, int]:
        index = self._hubs.get(node)
        if index is None:
            # Oldest first, so that the newest entry of a neighbour stays.
            index = self._hubs[node] = {self._target[half]: half >> 1 for half in reversed(list(self._halves(node)))}
        return index

    def _halves(self, node: int) -> Iterator[int]:
        half = self._head[node]
        while half >= 0:
            yield half
            half = self._next[half]

    def find(self, a: int, b: int) -> int:
        """The latest entry between two nodes, -1 if there is none."""
        degree = self.degree
        if degree[a] > degree[b]:
            a, b = b, a
        if degree[a] > HUB:
            return self._hubs[a].get(b, -1)
        target, after = self._target, self._next
        half = self._head[a]
        while half >= 0:
            if target[half] == b:
                return half >> 1
            half = after[half]
        return -1

    def between(self, a: int, b: int) -> Iterator[int]:
        """Every entry between two nodes, the latest first."""
        entry = self.find(a, b)
        while entry >= 0:
            yield entry
            entry = self._prior[entry]

    def before(self, entry: int) -> int:
        """The entry before this one between the same two nodes, -1 if there is none."""
        return self._prior[entry]

    def of(self, node: int) -> Iterator[tuple[int, int]]:
        """(entry, other end) of every link at a node, the latest first."""
        for half in self._halves(node):
            yield half >> 1, self._target[half]

    def ends(self, entry: int) -> tuple[int, int]:
        """(anchor, other)"""
        return self._target[2 * entry + 1], self._target[2 * entry]

    def anchor(self, entry: int) -> int:
        return self._target[2 * entry + 1]

    def set_outcome(self, entry: int, reason: str) -> None:
        """`reason` is empty when the link holds."""
        code = self._codes.get(reason)
        if code is None:
            code = self._codes[reason] = len(self._codes)
        self.outcome[entry] = code

    def reason(self, entry: int) -> str:
        return self.reasons[self.outcome[entry]]

    @property
    def reasons(self) -> list[str]:
        """By code."""
        return list(self._codes)

    def index_hubs(self) -> None:
        """Rebuilds the index after the columns were filled."""
        for node, degree in enumerate(self.degree):
            if degree > HUB:
                self._index(node)

    def restore_reasons(self, reasons: list[str]) -> None:
        self._codes = {reason: code for code, reason in enumerate(reasons)}
