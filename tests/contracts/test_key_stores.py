"""The key store of one box passes the contract of every key store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from privacy.sqlite import SqliteKeys, identity_of
from privacy.store import KeyStore
from schemas.errors import Broken
from tests.contracts.key_store import KeyStoreContract, key


class TestSqliteKeys(KeyStoreContract):
    @contextmanager
    def open_store(self, folder: Path) -> Iterator[KeyStore]:
        store = SqliteKeys(folder / "keys.sqlite")
        try:
            yield store
        finally:
            store.close()


def test_a_store_knows_itself_and_a_copy_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    store = SqliteKeys(path)
    identity = store.identity
    store.close()
    assert identity_of(path) == identity
    again = SqliteKeys(path)
    assert again.identity == identity
    again.close()
    other = SqliteKeys(tmp_path / "other.sqlite")
    assert other.identity != identity
    other.close()


def test_what_is_no_key_store_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    path.write_bytes(b"something else, and long enough to be no SQLite file" * 100)
    assert identity_of(path) == ""
    with pytest.raises(Broken, match="restore it"):
        SqliteKeys(path)


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    SqliteKeys(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(Broken, match="wanted version 1, got 2"):
        SqliteKeys(path)


def test_what_cannot_be_stored_fails_and_the_next_is_stored(tmp_path: Path) -> None:
    store = SqliteKeys(tmp_path / "keys.sqlite")
    with pytest.raises(Broken, match="check the disk"):
        store.add([key(1)._replace(wrapped=None)]).result(30)  # type: ignore[arg-type]
    store.add([key(2)]).result(30)
    assert list(store.of([1, 2])) == [2]
    store.close()
