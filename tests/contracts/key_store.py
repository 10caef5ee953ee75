"""What every adapter of `privacy.store.KeyStore` must do. Subclass `KeyStoreContract` and give `open_store`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from privacy.store import KeyStore, StoredKey
from schemas.errors import Conflict

PATIENCE = 60.0


def key(node: int, number: int = 0) -> StoredKey:
    return StoredKey(node, number.to_bytes(8, "big"), b"wrapped %d %d" % (node, number), b"name %d" % node)


class KeyStoreContract:
    @contextmanager
    def open_store(self, folder: Path) -> Iterator[KeyStore]:
        """The same store each time it is opened on the same folder."""
        raise NotImplementedError

    def bytes_in(self, folder: Path) -> list[Path]:
        """The folders in which the store keeps bytes."""
        return [folder]

    def test_keys_are_there_once_they_are_stored_and_stay(self, tmp_path: Path) -> None:
        with self.open_store(tmp_path) as store:
            store.add([key(1), key(2), key(2, 1)]).result(30)
            assert store.of([1, 2, 3]) == {1: [key(1)], 2: [key(2), key(2, 1)]}
        with self.open_store(tmp_path) as store:
            assert store.of([2]) == {2: [key(2), key(2, 1)]}
            assert store.of([]) == {}

    def test_adding_again_changes_nothing(self, tmp_path: Path) -> None:
        with self.open_store(tmp_path) as store:
            store.add([key(1)]).result(30)
            store.add([key(1), key(1)._replace(wrapped=b"another")]).result(30)
            assert store.of([1]) == {1: [key(1)]}

    def test_destroyed_keys_are_gone_and_others_stay(self, tmp_path: Path) -> None:
        with self.open_store(tmp_path) as store:
            store.add([key(node, number) for node in range(700) for number in range(2)]).result(30)
            assert store.destroy(range(1, 700)) == 2 * 699
            assert store.destroy([5]) == 0
            assert store.of(range(700)) == {0: [key(0), key(0, 1)]}
        with self.open_store(tmp_path) as store:
            assert list(store.of(range(700))) == [0]

    def test_no_byte_of_a_destroyed_key_is_left_once_it_is_purged(self, tmp_path: Path) -> None:
        canary, kept = b"canary-of-a-key", b"kept-of-a-key"
        with self.open_store(tmp_path) as store:
            store.add([key(1)._replace(wrapped=canary), key(2)._replace(wrapped=kept)]).result(30)
            store.destroy([1])
            deadline = time.monotonic() + PATIENCE
            while not store.purge():
                assert time.monotonic() < deadline, "it is not purged"
                time.sleep(0.2)
            assert not self.holding(tmp_path, canary)
        assert not self.holding(tmp_path, canary)
        assert self.holding(tmp_path, kept), "else the search would find nothing whatever there is"

    def holding(self, folder: Path, text: bytes) -> list[Path]:
        return [path for place in self.bytes_in(folder) for path in holding(place, text)]

    def test_what_was_destroyed_is_known_in_the_end(self, tmp_path: Path) -> None:
        with self.open_store(tmp_path) as store:
            store.add([key(1)]).result(30)
            store.destroy([1])
            deadline = time.monotonic() + PATIENCE
            while not store.is_known():
                assert time.monotonic() < deadline, "others may still open with it"
                time.sleep(0.1)
            assert store.destroy([1]) == 0
            assert store.is_known(), "nothing new was destroyed"

    def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        with self.open_store(tmp_path) as store:
            store.close()
            store.close()
            with pytest.raises(Conflict) as caught:
                store.add([key(1)])
            assert caught.value.code == "closed"


def holding(folder: Path, text: bytes) -> list[Path]:
    """The files of a folder that hold some bytes."""
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]
