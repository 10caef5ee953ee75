"""The data keys that a process has at hand: drawn for nodes that have none, unwrapped, and kept within a bound.

At rest a data key is wrapped under a key that follows from the master key (HKDF, RFC 5869), which is never stored with
the data keys. Data keys are random, so that each can be destroyed by itself.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from os import urandom
from typing import Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy.store import LEASE, KeyStore, StoredKey
from schemas.errors import Broken
from schemas.recent import Recent

CACHED: Final = 32_768
"""Nodes whose keys are at hand: some 40 MB when full."""

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_MASTER: Final = b"simorgh: master of data keys 1"
_NAME: Final = b"simorgh: name"
_REJECTION: Final = b"simorgh.reject"


class Name(NamedTuple):
    """The identifier that a node stands for."""

    type: str
    value: str
    """As first received."""
    normalised: str


class DataKey(NamedTuple):
    """A data key, ready for use. `id` is hex."""

    node: int
    id: str
    cipher: AESGCM
    name: Name | None

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        """Nonce and ciphertext. It opens only beside what it is `bound_to`."""
        nonce = urandom(_NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, content, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Raises `InvalidTag` for what this key did not seal, or for another event."""
        return self.cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)


class Keyring:
    """All methods may be called from any thread."""

    def __init__(self, store: KeyStore, master: bytes) -> None:
        """`master`: the master key, at least 16 bytes."""
        self._store = store
        self._hashing = master[:64]
        self._master = AESGCM(HKDF(SHA256(), _KEY_BYTES, None, _MASTER).derive(master))
        self._keys: Recent[int, Sequence[DataKey]] = Recent(CACHED)
        self._lock = threading.Lock()
        self._drawn: list[StoredKey] = []
        self._under_way: list[Future[None]] = []
        self._destroyed: set[int] = set()
        """Nodes whose keys this process knows to be destroyed. One may come back into the cache from a thread that was
        about to use it, and must not open anything."""
        self._forgotten: Callable[[], Collection[int]] = tuple
        store.follow(self._forget)

    def leave_out(self, forgotten: Callable[[], Collection[int]]) -> None:
        """From now on, open nothing of these nodes, whatever keys there are: one who does not know yet that somebody
        was forgotten may draw another. Such keys are destroyed later."""
        self._forgotten = forgotten

    # ---- for whoever seals

    def key_of(self, node: int, name: Name | None = None) -> DataKey:
        """The key of a node, drawn if it has none. What it seals may be written once `storing` is done."""
        known = self._keys[node]
        if known is None:
            known = self._at_hand((node,)).get(node)
        return known[0] if known else self._draw(node, name)

    def _draw(self, node: int, name: Name | None) -> DataKey:
        with self._lock:
            known = self._keys[node]
            if known:
                return known[0]  # another thread was quicker
            secret, id = urandom(_KEY_BYTES), urandom(_ID_BYTES)
            key = DataKey(node, id.hex(), AESGCM(secret), name)
            nonce = urandom(_NONCE_BYTES)
            wrapped = nonce + self._master.encrypt(nonce, secret, _place(node, id))
            sealed = b"" if name is None else key.seal(orjson.dumps(list(name)), _NAME)
            self._drawn.append(StoredKey(node, id, wrapped, sealed))
            self._keys.put(node, (key,))
        return key

    def storing(self) -> Sequence["Future[None]"]:
        """What must be done before anything is written that was sealed until now; mostly nothing."""
        if not self._drawn and not self._under_way:
            return ()
        with self._lock:
            self._under_way = [one for one in self._under_way if not one.done() or one.exception()]
            drawn, self._drawn = self._drawn, []
            if drawn:
                self._under_way.append(self._store.add(drawn))
            storing = tuple(self._under_way)
        if drawn:  # without the lock: one that has failed already is told of at once, in this thread
            storing[-1].add_done_callback(lambda done: self._stored(done, drawn))
        return storing

    def _stored(self, done: "Future[None]", drawn: list[StoredKey]) -> None:
        """Keys that could not be stored are in use already, so they are offered again."""
        if done.exception() is None:
            return
        with self._lock:
            self._drawn = drawn + self._drawn
            self._under_way = [one for one in self._under_way if one is not done]

    def node_of_rejection(self, source: str, id: str, digest: int) -> int:
        """The node whose key seals a rejected event, and nothing else."""
        text = f"{source}\x1f{id}\x1f{digest}".encode()
        return int.from_bytes(blake2b(text, digest_size=16, key=self._hashing, person=_REJECTION).digest(), "big")

    # ---- for whoever opens

    def find(self, nodes: Collection[int]) -> dict[int, Sequence[DataKey]]:
        """The keys of these nodes. A node whose keys were destroyed, or that never had one, is left out. Raises
        `Backpressure` where nobody can say whether any were destroyed in the last seconds."""
        self._store.level(LEASE)
        if forgotten := self._forgotten():
            nodes = [node for node in nodes if node not in forgotten]
        found = self._at_hand(nodes)
        missing = set(nodes) - found.keys() - self._destroyed
        if missing and self._store.level():
            found |= self._read(missing - self._destroyed)
        return found

    def _at_hand(self, nodes: Collection[int]) -> dict[int, Sequence[DataKey]]:
        """The keys that this process knows of."""
        wanted = set(nodes) - self._destroyed
        found = {node: keys for node in wanted if (keys := self._keys[node])}
        missing = wanted - found.keys()
        if missing:
            found |= self._read(missing)
        return found

    def find_all(self, wanted: Mapping[int, Collection[str]]) -> dict[int, Sequence[DataKey]]:
        """The same, with at least the keys of these ids (node -> ids) that there are: another process may have drawn
        one since."""
        found, forgotten = self.find(wanted), self._forgotten()
        missing = {
            node
            for node, ids in wanted.items()
            if node not in forgotten and not {key.id for key in found.get(node, ())}.issuperset(ids)
        }
        missing -= self._destroyed
        if missing:
            self._store.level()
            found |= self._read(missing - self._destroyed)
        return found

    def _read(self, nodes: Collection[int]) -> dict[int, Sequence[DataKey]]:
        found: dict[int, Sequence[DataKey]] = {}
        for node, stored in self._store.of(nodes).items():
            keys = [self._unwrapped(key) for key in stored]
            found[node] = keys
            self._keys.put(node, keys)
        with self._lock:
            for drawn in self._drawn:
                if drawn.node in nodes and drawn.node not in found and (keys_at_hand := self._keys[drawn.node]):
                    found[drawn.node] = keys_at_hand
        return found

    def _unwrapped(self, stored: StoredKey) -> DataKey:
        try:
            wrapped = stored.wrapped
            secret = self._master.decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _place(stored.node, stored.id)
            )
            key = DataKey(stored.node, stored.id.hex(), AESGCM(secret), None)
            if not stored.name:
                return key
            return key._replace(name=Name(*orjson.loads(key.open(stored.name, _NAME))))
        except (InvalidTag, ValueError) as error:
            raise Broken(
                "key store: wanted keys of this workspace, got keys wrapped under another secret; restore the key store"
                " and the secret that belong together",
                code="keys_of_another_secret",
            ) from error

    def names(self, nodes: Collection[int]) -> dict[int, Name]:
        """What these nodes stand for, where it can still be read."""
        return {node: keys[0].name for node, keys in self.find(nodes).items() if keys[0].name is not None}

    def last_names(self, nodes: Collection[int]) -> dict[int, Name]:
        """The same, of people who are being forgotten, too: as long as there are keys."""
        return {node: keys[0].name for node, keys in self._at_hand(nodes).items() if keys[0].name is not None}

    def gone(self, nodes: Collection[int]) -> set[int]:
        """Those of these nodes of which nothing may be opened any more. Whoever opened something earlier asks before it
        is written, and afterwards: the process may have stood still meanwhile. Raises `Backpressure` where nobody can
        say."""
        self._store.level(LEASE)
        found = self._destroyed.intersection(nodes)
        if forgotten := self._forgotten():
            found.update(node for node in nodes if node in forgotten)
        return found

    # ---- destruction

    def destroy(self, nodes: Collection[int]) -> int:
        """Destroy the keys of these nodes in the store, and forget them. See `KeyStore.destroy`."""
        destroyed = self._store.destroy(nodes)
        self._forget(nodes)
        return destroyed

    def is_known(self) -> bool:
        """Whether no other process opens anything with what this one destroyed."""
        return self._store.is_known()

    def purge(self) -> bool:
        return self._store.purge()

    def _forget(self, nodes: Collection[int]) -> None:
        with self._lock:
            self._destroyed.update(nodes)
            self._drawn = [key for key in self._drawn if key.node not in self._destroyed]
            self._keys.drop(nodes)

    def ready(self) -> None:
        """Raises `Backpressure` where no events can be sealed or opened now."""
        self._store.level(LEASE)

    def forget_all(self) -> None:
        """Empty the cache."""
        self._keys.clear()

    def close(self) -> None:
        self._store.close()


def _place(node: int, id: bytes) -> bytes:
    return node.to_bytes(16, "big") + id


Names = Callable[[Collection[int]], Mapping[int, Name]]
"""What nodes stand for; those for which nobody can say are left out."""


Gone = Callable[[Collection[int]], Collection[int]]
"""Those of these nodes of which nothing may be written any more; see `Keyring.gone`."""


def nobody_gone(nodes: Collection[int]) -> Collection[int]:
    """Where nobody is forgotten, or what writes is what forgets."""
    return ()


def no_names(nodes: Collection[int]) -> Mapping[int, Name]:
    """Where nothing is sealed."""
    return {}
