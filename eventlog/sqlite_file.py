"""The log's file: who may open it, its tables, its connections.

Tables: `topics` (topic, partitions), `commits` (grp, topic, partition, next), and for each partition a table
named `<topic>/<partition>` of chunks: (first INTEGER PRIMARY KEY, count, at, sizes, body), `first` being the
offset of the chunk's first record.
"""

import fcntl
import os
import sqlite3
from pathlib import Path

from eventlog.about import FORMAT, check_format
from schemas import topics
from schemas.errors import Broken, Conflict, InvalidSettings

PAGE = 16 * 1024  # fewer, larger pages: appends of 500-byte records are a fifth faster than with 4 KiB
WAL_PAGES = 1024  # checkpoint about every 16 MiB


class Lock:
    """One writer per file, between processes and within one: flock on `<path>.lock`.

    The kernel lets go of it when the process ends in whatever way, so a crash leaves nothing to clean up.
    Children made by a bare fork would share it; processes started by exec do not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise Conflict(
                f"Event log {path}: wanted it to this process alone, but process {holder} has it open; "
                f"stop that process, or talk to it instead of opening its file",
                code="log_in_use",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._fd)


def connect(path: Path) -> sqlite3.Connection:
    """A connection without implicit transactions that one thread at a time may use."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)


def open_writer(path: Path, partitions: int) -> sqlite3.Connection:
    """The one writing connection; makes the file and what it lacks. Raises `Broken` for what is no log,
    `InvalidSettings` for a log of a format that we do not read, and leaves it as it is."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # people's data: only for the owner
    db = connect(path)
    try:
        _prepare(db, path, partitions)
    except sqlite3.DatabaseError as error:
        db.close()
        raise Broken(f"Event log {path}: wanted a log of ours, but SQLite says: {error}") from error
    except InvalidSettings:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, partitions: int) -> None:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found:  # 0: the file is new
        check_format(str(path), found)
    db.execute(f"PRAGMA page_size = {PAGE}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")  # in WAL mode: a sync of the journal at every commit
    db.execute("PRAGMA fullfsync = ON")  # where fsync does not reach the disk (macOS); nothing elsewhere
    db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE IF NOT EXISTS topics (topic TEXT PRIMARY KEY, partitions INTEGER NOT NULL)")
    db.execute(
        "CREATE TABLE IF NOT EXISTS commits (grp TEXT, topic TEXT, partition INTEGER, next INTEGER NOT NULL,"
        " PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID"
    )
    for topic in topics.ALL:
        count = 1 if topic in topics.SINGLE_PARTITION else partitions
        db.execute("INSERT OR IGNORE INTO topics VALUES (?, ?)", (topic, count))
    for topic, count in db.execute("SELECT topic, partitions FROM topics").fetchall():
        for partition in range(count):
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {table(topic, partition)} (first INTEGER PRIMARY KEY,"
                " count INTEGER NOT NULL, at INTEGER NOT NULL, sizes BLOB NOT NULL, body BLOB NOT NULL)"
            )
    db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def table(topic: str, partition: int) -> str:
    """The quoted name of a partition's table. `topic` comes from `schemas.topics`, never from outside."""
    return f'"{topic}/{partition}"'


def load_ends(db: sqlite3.Connection) -> dict[str, list[int]]:
    """The next offset of every partition of every topic, from the file."""
    return {
        topic: [_end(db, topic, partition) for partition in range(count)]
        for topic, count in db.execute("SELECT topic, partitions FROM topics").fetchall()
    }


def load_commits(db: sqlite3.Connection) -> list[tuple[str, str, int, int]]:
    """Group, topic, partition and next offset of all that consumer groups ever committed."""
    return db.execute("SELECT grp, topic, partition, next FROM commits").fetchall()


def _end(db: sqlite3.Connection, topic: str, partition: int) -> int:
    query = f"SELECT first + count FROM {table(topic, partition)} ORDER BY first DESC LIMIT 1"
    row: tuple[int] | None = db.execute(query).fetchone()
    return row[0] if row else 0
