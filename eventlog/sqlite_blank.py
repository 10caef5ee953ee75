"""Taking records out of a log file for good, where a retention says so: the one change that a log ever sees.

Each is replaced by the marker of a lost one (`port.LOST`), so that all offsets stay. The chunks that held them are
written anew, in one transaction for each chunk, beside the log's own writer; SQLite overwrites what they leave
(`secure_delete`), and `purge` truncates the journal. A crash leaves some chunks done and the others as they were: doing
it again changes nothing that is done.
"""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from eventlog.chunks import pack, unpack
from eventlog.latest import Stored
from eventlog.port import LOST
from eventlog.sqlite_chunks import ChunkPlace, insert, load
from eventlog.sqlite_file import connect


def blank(path: Path, place: ChunkPlace, offsets: Collection[int], end: int) -> None:
    """Blocks until these records, all below `end`, are gone from the file but for its journal. Raises `Damaged`."""
    left = sorted(offsets, reverse=True)
    with closing(_connect(path)) as db:
        while left:
            [stored] = load(db, place, range(left[-1], left[-1] + 1), end)
            gone = set()
            while left and left[-1] < stored.end:
                gone.add(left.pop())
            _replace(db, place, stored, gone)


def purge(path: Path) -> bool:
    """Truncate the journal, which has older pages until then. False: somebody reads; ask again later."""
    with closing(_connect(path)) as db:
        (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _connect(path: Path) -> sqlite3.Connection:
    db = connect(path)
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _replace(db: sqlite3.Connection, place: ChunkPlace, stored: Stored, gone: Collection[int]) -> None:
    whole = range(stored.first, stored.end)
    records = unpack(place.partition, stored.first, stored.chunk, stored.appended_at, whole)
    [chunk] = pack([(b"", LOST) if record.offset in gone else (record.key, record.value) for record in records])
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(f"DELETE FROM {place.table} WHERE first = ?", (stored.first,))
        insert(db, place, [Stored(stored.first, stored.appended_at, chunk)])
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
