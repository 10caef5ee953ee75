"""What is told of an order from anywhere reaches the profile that its money belongs to.

An order is a document: the fold of all that was told of it (`warehouse.orders`), by nodes of any profile. Its money
belongs to one node. A state holds the sums of its nodes' documents, and nothing of a single one, so two things may
happen to it:

- A document of which nothing was told before gets one telling: what that adds is added. On one box, that is nearly
  every order.
- Anything else: every node that ever told of the document is touched *anew*, after the new row is in the table, and
  the sums are read from the tables again. All of them: the document's money may have moved from one to another.

A batch's rows are written before those of others are looked up. So of two holders that write at once, at least one
finds the other's rows, and touches the nodes after both are there.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final

from schemas.orders import TYPES
from stream_processors.parse.batch import UNIQUE, Batch
from stream_processors.state.id_filter import ORDERS
from stream_processors.state.known import KnownKeys
from warehouse.client import Writer

_LOOKED_UP: Final = 20_000
_TOLD: Final = """SELECT groupUniqArray(node) FROM order_tellings WHERE doc IN {docs:Array(UInt128)}
    GROUP BY doc HAVING uniqExact(key) >= {least:UInt8}"""


def told_of(batch: Batch) -> list[int]:
    """Indices of the events that tell of an order: copies tell nothing."""
    return [i for i in batch.documents if batch.state[i] == UNIQUE and batch.types[i] in TYPES]


class Orders(KnownKeys[bool]):
    """The documents of the table `order_tellings`. One thread."""

    def __init__(self, writer: Writer, *, alone: bool = False, capacity: int = 1 << 14) -> None:
        """`alone`: no other process writes to the table. Otherwise every document of a batch is looked up, and none is
        told once for certain."""
        super().__init__(writer, ORDERS, None if alone else 0, capacity, lingering=False)
        self._alone = alone

    def meet(self, batch: Batch) -> list[int]:
        """Set `told_once` of the batch, before its rows are written. Returns the documents that are not told once."""
        told = told_of(batch)
        if not told:
            return []
        docs = Counter([batch.documents[i] for i in told])
        known = set(self.maybe(list(docs)))
        once = {doc for doc, times in docs.items() if times == 1 and doc not in known} if self._alone else set()
        batch.told_once = {i for i in told if batch.documents[i] in once}
        self.expect(docs)
        return [doc for doc in docs if doc not in once]

    def remember(self, batch: Batch) -> None:
        """The batch's rows are in the table."""
        if self._alone:
            self.add({batch.documents[i]: True for i in batch.told_once})

    def tellers(self, docs: Collection[int]) -> set[int]:
        """The nodes that told of these documents, once the batch's rows are in the table. Without those of a document
        with one telling, if it is certain to be seen as news."""
        found: set[int] = set()
        wanted = list(docs)
        for start in range(0, len(wanted), _LOOKED_UP):
            bound = {"docs": wanted[start : start + _LOOKED_UP], "least": 1 if self._alone else 2}
            for (nodes,) in self._writer.look_up(_TOLD, bound):
                found.update(nodes)
        return found - {0}
