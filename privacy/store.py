"""Where data keys live, as a small port. Two adapters offer it: a file of its own (SQLite), and a compacted topic.

A data key belongs to a node and seals what events tell of whoever the node stands for. A node may have several, since
two collectors may draw one at the same time. Destroying all keys of a node makes everything that they sealed
unreadable, in the log and in every copy of it.

Every adapter passes `tests/contracts/key_store.py`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple, Protocol

LEASE: Final = 5.0
"""Seconds for which a process may go by what it knows of the keys without asking whether any were destroyed."""


class StoredKey(NamedTuple):
    """A data key at rest. `id` (8 bytes) tells apart the keys of one node. `wrapped` is the key under the workspace's
    master key. `name` is the identifier that the node stands for, sealed under the key; empty where it stands for
    none."""

    node: int
    id: bytes
    wrapped: bytes
    name: bytes


class KeyStore(Protocol):
    """All methods may be called from any thread, and raise `Conflict` with code `closed` once it is closed."""

    def add(self, keys: Sequence[StoredKey]) -> "Future[None]":
        """Keep these keys. Done means durable: no event that needs one may be written before."""
        ...

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        """The keys of these nodes, in the order of their ids; nodes without a key are left out. What other processes
        did lately may be missing: see `level`. Raises `Backpressure` while the store is still being opened."""
        ...

    def level(self, within: float = 0.0) -> bool:
        """Have `of` answer with what all processes had stored and destroyed until `within` seconds ago. Returns whether
        its answers may differ from those before. Raises `Backpressure` where nobody can say."""
        ...

    def follow(self, forget: Callable[[Collection[int]], None]) -> None:
        """From now on, call `forget` with nodes whose keys other processes have destroyed, from any thread."""
        ...

    def destroy(self, nodes: Collection[int]) -> int:
        """Destroy all keys of these nodes, and return how many there were. From then on `of` does not answer with
        them, after any crash; their bytes may remain until `purge` returns."""
        ...

    def is_known(self) -> bool:
        """Whether all other processes go by what this one destroyed: `LEASE` seconds later at most."""
        ...

    def purge(self) -> bool:
        """Remove the bytes of destroyed keys from wherever the store put them. False: not yet, ask again later."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...
