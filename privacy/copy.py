"""A process's own copy of a cluster's keys: a file, since those of 100 million people do not fit into memory.

It is a cache of the topic `simorgh.keys` up to a position. It is thrown away if it may be wrong: if it is damaged,
belongs to another topic, or was unused for so long that it may have missed the destruction of a key. Destroyed keys are
overwritten in their pages, and the journal is truncated.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from eventlog.port import Record
from privacy.sqlite import blob, connect, keys_of
from privacy.store import StoredKey
from schemas.errors import Broken

VERSION: Final = 1
LONGEST_AWAY_MS: Final = 3 * 24 * 3_600_000
"""Well below the week for which the topic keeps the destruction of a key (`eventlog.kafka.compacted`)."""

_GONE: Final = "SELECT off FROM gone WHERE by < ? ORDER BY off LIMIT ?"
_NOTED_MS: Final = 60_000
_MOST_COPIES: Final = 1_000
_KEY_BYTES: Final = 24

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS keys (
    node BLOB NOT NULL, id BLOB NOT NULL, wrapped BLOB NOT NULL, name BLOB NOT NULL, off INTEGER NOT NULL,
    PRIMARY KEY (node, id)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS gone (off INTEGER PRIMARY KEY, by INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS state (topic TEXT NOT NULL, position INTEGER NOT NULL, level_at INTEGER NOT NULL)",
)
_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "secure_delete = ON",
    "temp_store = MEMORY",
    "cache_size = -32768",
    "wal_autocheckpoint = 16384",
)
"""32 MB of pages in memory and up to 64 MB of journal: nodes come in no order, so that a first reading writes to all
places in the file."""

_PUT: Final = """INSERT INTO keys VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (node, id) DO UPDATE SET off = max(off, excluded.off)"""


def encode(key: StoredKey) -> tuple[bytes, bytes]:
    """A key as a record of the topic."""
    return blob(key.node) + key.id, bytes((len(key.wrapped),)) + key.wrapped + key.name


class KeysCopy:
    """All methods may be called from any thread."""

    def __init__(self, folder: Path, topic: str, now: int) -> None:
        """A copy in this folder that no other process has, or a new one. `topic`: identifies the topic; `now`: ms."""
        self._lock = threading.Lock()
        self._path, self._held = _taken(folder)
        self._topic = topic
        try:
            self._open(now)
            if self._is_stale(now):
                self._begin_anew(now)
        except sqlite3.DatabaseError:
            self._begin_anew(now)

    def _open(self, now: int) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = connect(self._path)
        for pragma in _PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        for statement in _SCHEMA:
            self._db.execute(statement)
        if not self._db.execute("SELECT 1 FROM state").fetchone():
            self._db.execute("INSERT INTO state VALUES (?, 0, ?)", (self._topic, now))
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._found_topic, self.position, self._level_at = self._db.execute(
            "SELECT topic, position, level_at FROM state"
        ).fetchone()
        (self._version,) = self._db.execute("PRAGMA user_version").fetchone()

    def _is_stale(self, now: int) -> bool:
        of_ours = self._found_topic == self._topic and self._version == VERSION
        return not of_ours or now - self._level_at > LONGEST_AWAY_MS

    def _begin_anew(self, now: int) -> None:
        self._db.close()
        _remove(self._path)
        self._open(now)

    def forget_if_away(self, now: int) -> None:
        """Start over if the topic may have dropped records that this copy has not read."""
        with self._lock:
            if self._is_stale(now):
                self._begin_anew(now)

    def note_level(self, now: int) -> None:
        """Note that the copy holds everything that was in the topic at `now`, in ms. Stored once a minute."""
        with self._lock:
            if now - self._level_at >= _NOTED_MS:
                self._level_at = now
                self._db.execute("UPDATE state SET level_at = ?", (now,))

    def take_in(self, records: Sequence[Record]) -> set[int]:
        """Take in the records from `position` on. Returns the nodes of which keys were destroyed."""
        puts, deletions, gone = _folded(records)
        with self._lock:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                for node, id, by in deletions:
                    where = self._db.execute("SELECT off FROM keys WHERE node = ? AND id = ?", (node, id)).fetchone()
                    gone += [(offset, by) for offset in where or ()]
                    self._db.execute("DELETE FROM keys WHERE node = ? AND id = ?", (node, id))
                self._db.executemany(_PUT, puts)
                self._db.executemany("INSERT OR IGNORE INTO gone VALUES (?, ?)", gone)
                self._db.execute("UPDATE state SET position = ?", (records[-1].offset + 1,))
            self.position = records[-1].offset + 1
            if deletions:
                self._truncate_journal()
        return {int.from_bytes(node, "big") for node, *_ in deletions}

    def put(self, keys: Sequence[StoredKey], offsets: Sequence[int]) -> None:
        """Add keys that this process wrote, unless they have been read from the topic already."""
        rows = [
            (blob(key.node), key.id, key.wrapped, key.name, offset) for key, offset in zip(keys, offsets, strict=True)
        ]
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_PUT, [row for row in rows if row[-1] >= self.position])

    def of(self, nodes: Collection[int]) -> Mapping[int, Sequence[StoredKey]]:
        with self._lock:
            return keys_of(self._db, nodes)

    # ---- what was destroyed, and is to leave the topic

    def gone(self, most: int, before: int) -> list[int]:
        """Offsets of keys that were destroyed by records before an offset, and that may still be in the topic; lowest
        first."""
        with self._lock:
            return [offset for (offset,) in self._db.execute(_GONE, (before, most))]

    def have_left(self, offsets: Collection[int]) -> None:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM gone WHERE off = ?", [(offset,) for offset in offsets])

    def _truncate_journal(self) -> None:
        """Its older pages still hold destroyed keys."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            self._db.close()
            self._held.close()


def _folded(
    records: Sequence[Record],
) -> tuple[list[tuple[bytes, bytes, bytes, bytes, int]], list[tuple[bytes, bytes, int]], list[tuple[int, int]]]:
    """The keys to put; the keys to delete before that, each with the offset of its deletion; and the offsets of keys
    that were put and destroyed in between, with that of their destruction."""
    latest: dict[bytes, Record] = {}
    destroyed: dict[bytes, int] = {}
    gone: list[tuple[int, int]] = []
    for record in records:
        if len(record.key) != _KEY_BYTES:
            continue
        earlier = latest.get(record.key)
        if not record.value:
            destroyed[record.key] = record.offset
            if earlier is not None and earlier.value:
                gone.append((earlier.offset, record.offset))
        latest[record.key] = record
    puts = [
        (key[:16], key[16:], record.value[1 : 1 + record.value[0]], record.value[1 + record.value[0] :], record.offset)
        for key, record in latest.items()
        if record.value and record.value[0] < len(record.value)  # anybody may write to a topic
    ]
    return puts, [(key[:16], key[16:], by) for key, by in destroyed.items()], gone


def _taken(folder: Path) -> tuple[Path, IO[bytes]]:
    """The first copy in the folder that no process holds, and its lock."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(_MOST_COPIES):
        path = folder / f"keys-{number}.sqlite"
        lock = os.fdopen(os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
        else:
            return path, lock
    raise Broken(
        f"{folder}: wanted at most {_MOST_COPIES} processes with a copy of the keys here, got more; give each machine a"
        " folder of its own (SIMORGH_DATA)",
        code="too_many_copies",
    )


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
