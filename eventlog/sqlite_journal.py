"""The journal of a log that was not closed. SQLite silently ends it at the first checksum that does not match.

After a kill or a power cut, some acknowledged transactions are only in the journal. SQLite recovers those before the
first damaged frame, and would overwrite the rest. So the recovered transactions are compared with the journal before
anything is written. One more transaction may have been in progress and not acknowledged; two cannot.
"""

import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Final

from schemas.errors import Broken

_HEADER, _FRAME_HEADER = 32, 24
_TAKEN_UP_AT: Final = 16  # mxFrame in the index beside the journal, in the machine's own order


def lost_transactions(path: Path) -> int:
    """The number of transactions in the journal of `path` beyond those that SQLite recovers, except for one that may
    not have been acknowledged. Call it before the file is opened for writing, since closing it then merges the
    journal."""
    ends = _transactions(path.with_name(path.name + "-wal"))
    if not ends:
        return 0
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # recovers the journal
        with path.with_name(path.name + "-shm").open("rb") as file:
            taken_up: int = struct.unpack_from("=I", file.read(_TAKEN_UP_AT + 4), _TAKEN_UP_AT)[0]
    return max(0, sum(end > taken_up for end in ends) - 1)


def require_journal(path: Path) -> None:
    """Raises `Broken` if transactions are lost."""
    lost = lost_transactions(path)
    if lost:
        raise Broken(
            f"Event log {path}: wanted the journal {path.name}-wal as written, got a damaged one with at least the last"
            f" {lost} appends; restore a backup, or run simorgh doctor --repair to continue without them",
            code="log_damaged",
        )


def _transactions(journal: Path) -> list[int]:
    """The numbers of the frames, from 1 on, that end a transaction of the journal's present round."""
    if not journal.exists() or journal.stat().st_size < _HEADER:
        return []
    ends = []
    with journal.open("rb") as file:
        header = file.read(_HEADER)
        page: int = struct.unpack_from(">I", header, 8)[0]
        salts = header[16:24]
        number = 0
        while len(frame := file.read(_FRAME_HEADER)) == _FRAME_HEADER and page:
            number += 1
            if frame[8:16] == salts and frame[4:8] != b"\0\0\0\0":
                ends.append(number)
            file.seek(page, 1)
    return ends
