"""The key store of one box: a file of its own, so that the log and its backups never hold a key.

Adding is a commit of this file, on disk before the log's. Destroyed keys are overwritten in their pages
(`secure_delete`), and `purge` truncates the journal, which holds older pages until then.
"""

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Final

from privacy.store import StoredKey
from schemas.errors import Broken, Conflict

VERSION: Final = 1
_AT_ONCE: Final = 500

_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS keys (
    node BLOB NOT NULL, id BLOB NOT NULL, wrapped BLOB NOT NULL, name BLOB NOT NULL, PRIMARY KEY (node, id)
) WITHOUT ROWID"""
_ABOUT: Final = "CREATE TABLE IF NOT EXISTS about (identity TEXT NOT NULL)"
_ADD: Final = "INSERT INTO keys VALUES (?, ?, ?, ?) ON CONFLICT (node, id) DO NOTHING"
_OF: Final = "SELECT node, id, wrapped, name FROM keys WHERE node IN (%s) ORDER BY node, id"
_DESTROY: Final = "DELETE FROM keys WHERE node IN (%s)"


class SqliteKeys:
    """See `privacy.store.KeyStore`. One process at a time."""

    def __init__(self, path: Path) -> None:
        """Creates the file if there is none. Raises `Broken` if it cannot be read as a key store."""
        self.path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            self._writer = connect(path)
            _prepare(self._writer, path)
            (self.identity,) = self._writer.execute("SELECT identity FROM about").fetchone()
            """Tells key stores apart; a copy has the same."""
            self._reader = connect(path)
        except sqlite3.DatabaseError as error:
            raise Broken(
                f"Key store {path}: wanted a readable file, got damaged pages or another kind of file; restore it"
                " from a backup",
                code="keys_damaged",
            ) from error
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[tuple[Sequence[StoredKey], Future[None]]] = []
        self._turn = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._write, name="keys", daemon=True)
        self._thread.start()

    def add(self, keys: Sequence[StoredKey]) -> "Future[None]":
        done: Future[None] = Future()
        with self._turn:
            self._require_open()
            self._waiting.append((keys, done))
            self._turn.notify()
        return done

    def _write(self) -> None:
        """Commit all waiting keys together: one sync of the disk for those that came during the last one."""
        while True:
            with self._turn:
                while not self._waiting and not self._closed:
                    self._turn.wait()
                waiting, self._waiting = self._waiting, []
                if not waiting:
                    return
            try:
                self._insert([key for keys, _ in waiting for key in keys])
            except Exception as error:
                for _, done in waiting:
                    done.set_exception(_not_stored(self.path, error))
            else:
                for _, done in waiting:
                    done.set_result(None)

    def _insert(self, keys: Sequence[StoredKey]) -> None:
        rows = [(blob(key.node), key.id, key.wrapped, key.name) for key in keys]
        with self._writing, self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(_ADD, rows)

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        with self._reading:
            self._require_open()
            return keys_of(self._reader, nodes)

    def level(self, within: float = 0.0) -> bool:
        """There are no others."""
        return False

    def follow(self, forget: Callable[[Collection[int]], None]) -> None:
        """There are no others."""

    def is_known(self) -> bool:
        return True

    def destroy(self, nodes: Collection[int]) -> int:
        wanted, destroyed = sorted(nodes), 0
        with self._writing, self._writer:
            self._require_open()
            self._writer.execute("BEGIN IMMEDIATE")
            for start in range(0, len(wanted), _AT_ONCE):
                some = [blob(node) for node in wanted[start : start + _AT_ONCE]]
                destroyed += self._writer.execute(_DESTROY % _marks(some), some).rowcount
        return destroyed

    def purge(self) -> bool:
        with self._writing:
            self._require_open()
            (busy, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        with self._turn:
            self._closed = True
            self._turn.notify()
        self._thread.join()
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def _require_open(self) -> None:
        if self._closed:
            raise Conflict("key store: wanted an open one, got a closed one; open it again", code="closed")


def identity_of(path: Path) -> str:
    """The identity of the key store in a file; "" if it is none. Changes nothing."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
            (identity,) = db.execute("SELECT identity FROM about").fetchone()
    except (sqlite3.DatabaseError, TypeError):
        return ""
    return str(identity)


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise Broken(
            f"Key store {path}: wanted version {VERSION}, got {version}; start the version of Simorgh that wrote it",
            code="keys_of_another_version",
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute(_SCHEMA)
    db.execute(_ABOUT)
    db.execute("INSERT INTO about SELECT ? WHERE NOT EXISTS (SELECT 1 FROM about)", (secrets.token_hex(8),))
    db.execute(f"PRAGMA user_version = {VERSION}")


def keys_of(db: sqlite3.Connection, nodes: Collection[int]) -> dict[int, list[StoredKey]]:
    """The keys of these nodes in the table `keys`, in the order of their ids."""
    found: dict[int, list[StoredKey]] = {}
    wanted = sorted(nodes)
    for start in range(0, len(wanted), _AT_ONCE):
        some = [blob(node) for node in wanted[start : start + _AT_ONCE]]
        for node, *rest in db.execute(_OF % _marks(some), some):
            key = StoredKey(int.from_bytes(node, "big"), *rest)
            found.setdefault(key.node, []).append(key)
    return found


def blob(node: int) -> bytes:
    return node.to_bytes(16, "big")


def _marks(some: Sequence[bytes]) -> str:
    return ",".join("?" * len(some))


def _not_stored(path: Path, error: Exception) -> Broken:
    return Broken(
        f"Key store {path}: wanted to store keys, got no room or no answer ({type(error).__name__}); check the disk",
        code="keys_not_stored",
    )
