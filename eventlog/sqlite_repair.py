"""A damaged log file: finding lost records, and continuing without them.

`check` only reads, even while another process has the log open. `repair` writes a new file with everything that can
still be read. Each lost record is replaced by a marker (`port.LOST`), so that all offsets stay the same.

Side effects of `repair`, and what a crash after each means:
  1 a file that was cut short is as long again as it says, by zeros     as before
    a damaged journal is copied to `<file>.damaged-<n>-wal`, then what is sound of it is folded in
  2 `<file>.repairing` is whole and on the disk     as before; the next repair writes it again
  3 `<file>.damaged-<n>` is a second name of the damaged file     as before, with one name more
  4 `<file>` is the repaired one                    done
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from eventlog.about import check_format, lost_record
from eventlog.chunks import MOST_RECORDS, pack, unpack
from eventlog.latest import Stored
from eventlog.port import LOST
from eventlog.sqlite_chunks import FAULTS, ChunkPlace, end_of, insert, sound_chunks, walk
from eventlog.sqlite_file import (
    Committed,
    Lock,
    connect,
    load_commits,
    partitions_found,
    prepare,
    readable,
    store_commits,
)
from eventlog.sqlite_journal import lost_transactions
from schemas.topics import ABOUT

_COPIED_AT_ONCE: Final = 64
"""Chunks in one transaction."""


class Loss(NamedTuple):
    """Records of a partition that have changed; `offsets` is never empty."""

    place: ChunkPlace
    offsets: range

    def __str__(self) -> str:
        first, last = self.offsets[0], self.offsets[-1]
        where = f"offset {first}" if first == last else f"offsets {first} to {last}"
        return f"{self.place.topic}, partition {self.place.partition}, {where}: {len(self.offsets)} records are lost"


class Findings(NamedTuple):
    """`positions`: damaged positions (group, topic and partition, as far as they can be read). `transactions`: lost
    with a damaged journal; their records are unknown."""

    losses: list[Loss]
    positions: list[Committed]
    transactions: int

    def lines(self) -> list[str]:
        """One line for each; none if the log is sound."""
        positions = [
            f"position of group {group} in {topic}, partition {n}: lost" for group, topic, n, _ in self.positions
        ]
        journal = [f"the last {self.transactions} appends or more are lost"] if self.transactions else []
        return [*map(str, self.losses), *positions, *journal]


class Repaired(NamedTuple):
    findings: Findings
    kept: Path
    """The damaged file."""


def check(path: Path) -> Findings:
    """Read and verify the whole file. Raises `Broken` if not even its tables can be listed."""
    with readable(path), closing(connect(path, "ro")) as db:
        check_format(str(path), db.execute("PRAGMA user_version").fetchone()[0])
        losses = [
            Loss(place, found)
            for place in _places(db)
            for found in walk(db, place, _end(db, place, []))
            if isinstance(found, range)
        ]
        return Findings(losses, load_commits(db)[1], lost_transactions(path))


def about_of(path: Path) -> dict[str, str]:
    """What the log says about itself, as `eventlog.about.read_about` does, even while another process has it open."""
    found: dict[str, str] = {}
    with readable(path), closing(connect(path, "ro")) as db:
        for stored in sound_chunks(db, ChunkPlace(ABOUT, 0), 0):
            for record in unpack(0, stored.first, stored.chunk, stored.appended_at, range(stored.first, stored.end)):
                found.setdefault(record.key.decode(), record.value.decode())
    return found


def repair(path: Path, now: int) -> Repaired:
    """Continue without the lost records, and record that in `simorgh.about` permanently. `now`: ms. Keeps the damaged
    file next to the new one. The log must be closed, and there must be room for a copy. A lost position becomes the end
    of its partition, so that nothing is processed twice. Raises `Conflict` while another process has the log open, and
    `Broken` if positions or the list of tables cannot be read: restore a backup then.
    """
    lock = Lock(path)
    try:
        _lengthen(path)
        kept = _free_name(path)
        with readable(path):
            transactions = lost_transactions(path)
        if transactions:
            shutil.copy(path.with_name(path.name + "-wal"), kept.with_name(kept.name + "-wal"))
        with readable(path), closing(connect(path)) as damaged:
            check_format(str(path), damaged.execute("PRAGMA user_version").fetchone()[0])
            damaged.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            fresh = path.with_name(path.name + ".repairing")
            for old in path.parent.glob(fresh.name + "*"):
                old.unlink()
            findings = _copy(damaged, fresh, now)._replace(transactions=transactions)
        os.link(path, kept)
        os.replace(fresh, path)
        _sync_folder(path.parent)
        return Repaired(findings, kept)
    finally:
        lock.release()


def _lengthen(path: Path) -> None:
    """SQLite does not read a file that is shorter than its first page says."""
    with path.open("rb") as file:
        header = file.read(100)
    size, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    if header.startswith(b"SQLite format 3\0") and path.stat().st_size < size * pages:
        os.truncate(path, size * pages)


def _copy(damaged: sqlite3.Connection, path: Path, now: int) -> Findings:
    """Write all sound records, and markers for the others, as a new log at `path`."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(connect(path)) as fresh:
        prepare(fresh, path, partitions_found(damaged))
        sound, lost = load_commits(damaged)
        ends = {place: _end(damaged, place, sound) for place in _places(damaged)}
        losses = [loss for place, end in ends.items() for loss in _copy_partition(damaged, fresh, place, end)]
        _write_down(fresh, losses, now)
        with fresh:
            again = [(group, topic, n, ends.get(ChunkPlace(topic, n), 0)) for group, topic, n, _ in lost]
            store_commits(fresh, [*sound, *again])
        return Findings(losses, lost, 0)


def _copy_partition(damaged: sqlite3.Connection, fresh: sqlite3.Connection, place: ChunkPlace, end: int) -> list[Loss]:
    losses: list[Loss] = []

    def chunks() -> Iterator[Stored]:
        at = 0
        for found in walk(damaged, place, end):
            if isinstance(found, range):
                losses.append(Loss(place, found))
                yield from _stand_ins(found, at)
            else:
                at = found.appended_at
                yield found

    for some in _batched(chunks(), _COPIED_AT_ONCE):
        fresh.execute("BEGIN")
        insert(fresh, place, some)
        fresh.execute("COMMIT")
    return losses


def _stand_ins(offsets: range, at: int) -> Iterator[Stored]:
    for first in range(offsets.start, offsets.stop, MOST_RECORDS):
        [chunk] = pack([(b"", LOST)] * min(MOST_RECORDS, offsets.stop - first))
        yield Stored(first, at, chunk)


def _write_down(fresh: sqlite3.Connection, losses: list[Loss], now: int) -> None:
    about = ChunkPlace(ABOUT, 0)
    chunks = pack([lost_record(*loss.place, loss.offsets, now) for loss in losses])
    with fresh:
        for chunk in chunks:
            insert(fresh, about, [Stored(end_of(fresh, about), now, chunk)])


def _batched(chunks: Iterator[Stored], size: int) -> Iterator[list[Stored]]:
    some: list[Stored] = []
    for chunk in chunks:
        some.append(chunk)
        if len(some) == size:
            yield some
            some = []
    yield some


def _places(db: sqlite3.Connection) -> list[ChunkPlace]:
    return [
        ChunkPlace(topic, partition)
        for topic, partitions in partitions_found(db).items()
        for partition in range(partitions)
    ]


def _end(db: sqlite3.Connection, place: ChunkPlace, commits: Iterable[Committed]) -> int:
    """The end of a partition whose last chunks SQLite may not find: at least the position of its readers."""
    try:
        return end_of(db, place)
    except FAULTS:
        last = max((stored.end for stored in sound_chunks(db, place, 0)), default=0)
        reached = (next_ for _, topic, partition, next_ in commits if place == (topic, partition))
        return max(last, *reached, 0)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    return next(name for name in names if not name.exists())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
