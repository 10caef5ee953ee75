"""Where data keys live, as a small port. Two adapters offer it: a file of its own (SQLite), and a compacted topic.

A data key belongs to a node and seals what events say about the person behind it. A node may have several, since two
collectors may draw one at the same time. Destroying all keys of a node makes everything that they sealed unreadable, in
the log and in every copy of it.

Every adapter passes `tests/contracts/key_store.py`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple, Protocol

LEASE: Final = 5.0
"""Seconds for which a process may go by what it knows of the keys without asking whether any were destroyed."""


class StoredKey(NamedTuple):
    """A data key at rest. `id` (8 bytes) distinguishes the keys of one node. `wrapped` is the key, encrypted with the
    workspace's master key. `name` is the identifier that the node stands for, sealed with the key; empty if it stands
    for none."""

    node: int
    id: bytes
    wrapped: bytes
    name: bytes


class KeyStore(Protocol):
    """All methods may be called from any thread, and raise `Conflict` with code `closed` once it is closed."""

    def add(self, keys: Sequence[StoredKey]) -> "Future[None]":
        """Store these keys. The future is done once they are durable: no event that needs one may be written before."""
        ...

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        """The keys of these nodes, in the order of their ids; nodes without a key are left out. Recent changes by other
        processes may be missing: see `level`. Raises `Backpressure` while the store is still being opened."""
        ...

    def level(self, within: float = 0.0) -> bool:
        """Let `of` reflect everything that any process had stored or destroyed `within` seconds ago. Returns whether
        its answers may have changed. Raises `Backpressure` if that cannot be known."""
        ...

    def follow(self, forget: Callable[[Collection[int]], None]) -> None:
        """From now on, call `forget` with nodes whose keys other processes have destroyed, from any thread."""
        ...

    def destroy(self, nodes: Collection[int]) -> int:
        """Destroy all keys of these nodes, and return how many there were. From then on `of` does not return them,
        whatever crashes; their bytes may remain until `purge` returns."""
        ...

    def is_known(self) -> bool:
        """Whether all other processes know what this one destroyed: at most `LEASE` seconds later."""
        ...

    def purge(self) -> bool:
        """Remove the bytes of destroyed keys from the store. False: not done yet, call again later."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...
