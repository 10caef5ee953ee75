"""The log's file: who may open it, its tables, its connections.

Tables: `topics` (topic, partitions), `commits` (grp, topic, partition, next, sum), and for each partition a table
named `<topic>/<partition>` of chunks: (first INTEGER PRIMARY KEY, count, at, sizes, body), `first` being the
offset of the chunk's first record.
"""

import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from zlib import crc32

from eventlog.about import FORMAT, check_format
from eventlog.sqlite_chunks import COLUMNS, FAULTS, ChunkPlace, end_of, is_damage
from eventlog.sqlite_journal import require_journal
from schemas import topics
from schemas.errors import Broken, Conflict

PAGE = 16 * 1024  # fewer, larger pages: appends of 500-byte records are a fifth faster than with 4 KiB
WAL_PAGES = 1024  # checkpoint about every 16 MiB


Committed = tuple[str, str, int, int]
"""Group, topic, partition, next offset."""


class Lock:
    """One writer per file, between processes and within one: flock on `<path>.lock`.

    The kernel releases it when the process ends, however it ends, so a crash leaves nothing to clean up. Children made
    by a bare fork would share it; processes started by exec do not.
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
                f"Event log {path}: wanted a file that no process has open, got one open in process {holder}; stop"
                " that process, or call it instead of opening its file",
                code="log_in_use",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._fd)


def connect(path: Path, mode: Literal["rw", "ro"] = "rw") -> sqlite3.Connection:
    """A connection without implicit transactions that one thread at a time may use. The file must be there."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)
    db.text_factory = _text
    return db


def _text(raw: bytes) -> str:
    """Damage may have changed it: the checksum finds it, not an exception."""
    return raw.decode(errors="replace")


def open_writer(path: Path, partitions: int) -> sqlite3.Connection:
    """The one writing connection. Creates the file and missing tables. Raises `Broken` for a file that is not a log,
    and `InvalidSettings` for a log of a format that we do not read; neither is changed."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # customers' data: readable only by the owner
    with readable(path):
        require_journal(path)
    db = connect(path)
    try:
        with readable(path):
            prepare(db, path, {name: 1 if name in topics.SINGLE_PARTITION else partitions for name in topics.ALL})
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns SQLite's error about a file that it cannot read into one line."""
    try:
        yield
    except FAULTS as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            came, todo = "another kind of file", "name the log's file"
        elif is_damage(error):
            came, todo = "damaged pages", "restore a backup, or run simorgh doctor --repair"
        else:
            came, todo = "no answer", "check the disk, the limit of open files, and the file's permissions"
        raise Broken(
            f"Event log {path}: wanted a readable log, got {came} (SQLite: {_said(error)}); {todo}", code="log_damaged"
        ) from error


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, sqlite3.Error) else "a message that cannot be read"


def prepare(db: sqlite3.Connection, path: Path, wanted: Mapping[str, int]) -> None:
    """Create missing topics (name -> partitions). An existing topic stays as it is."""
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
        " sum INTEGER NOT NULL, PRIMARY KEY (grp, topic, partition)) WITHOUT ROWID"
    )
    known = dict(db.execute("SELECT topic, partitions FROM topics").fetchall())
    if known != partitions_found(db):
        db.execute("ROLLBACK")
        raise Broken(
            f"Event log {path}: wanted its list of topics as written, got a damaged one; restore a backup, or run"
            " simorgh doctor --repair",
            code="log_damaged",
        )
    db.executemany("INSERT OR IGNORE INTO topics VALUES (?, ?)", wanted.items())
    for topic, count in db.execute("SELECT topic, partitions FROM topics").fetchall():
        for partition in range(count):
            db.execute(f"CREATE TABLE IF NOT EXISTS {ChunkPlace(topic, partition).table} ({COLUMNS})")
    db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def partitions_found(db: sqlite3.Connection) -> dict[str, int]:
    """Topic -> number of its tables."""
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '*/*'").fetchall()
    return dict(Counter(name.rpartition("/")[0] for (name,) in names))


def load_ends(db: sqlite3.Connection) -> dict[str, list[int]]:
    """The next offset of every partition of every topic, from the file."""
    return {
        topic: [end_of(db, ChunkPlace(topic, partition)) for partition in range(count)]
        for topic, count in db.execute("SELECT topic, partitions FROM topics").fetchall()
    }


def store_commits(db: sqlite3.Connection, commits: Iterable[Committed]) -> None:
    rows = [(*commit, _checksum(commit)) for commit in commits]
    db.executemany("INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?, ?)", rows)


def load_commits(db: sqlite3.Connection) -> tuple[list[Committed], list[Committed]]:
    """All positions of consumer groups: sound ones, and damaged ones."""
    sound: list[Committed] = []
    damaged: list[Committed] = []
    for *commit, sum_ in db.execute("SELECT grp, topic, partition, next, sum FROM commits").fetchall():
        (sound if _checksum(tuple(commit)) == sum_ else damaged).append(tuple(commit))
    return sound, damaged


def require_commits(db: sqlite3.Connection, path: Path) -> list[Committed]:
    """The committed positions. Raises `Broken` if one is damaged: its group would miss or repeat records."""
    sound, damaged = load_commits(db)
    if damaged:
        raise Broken(
            f"Event log {path}: wanted committed positions as written, got {len(damaged)} damaged ones; restore a"
            " backup, or run simorgh doctor --repair",
            code="log_damaged",
        )
    return sound


def _checksum(commit: Committed) -> int:
    return crc32("\0".join(map(str, commit)).encode())
