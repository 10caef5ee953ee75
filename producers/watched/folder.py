"""A folder into which files are dropped. Each is imported once, and moved to `done/` or `failed/`.

    1  the file is complete: its size and time have not changed between two looks
    2  it is imported                                a crash before 4: imported again, which sends copies
    3  its report is written in `done/` or `failed/` a crash: the file is still here, the report is written again
    4  the file is moved there, beside its report    a crash: the same content, dropped again, is sent as copies
    5  its content is noted in `.simorgh/imported`   from here on, the same content is recognised

One watcher at a time: a lock that goes with its process.
"""

import hashlib
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import orjson

from producers.watched.lock import locked
from producers.watched.port import Arrival, Imported
from schemas.errors import NotFound

DONE: Final = "done"
FAILED: Final = "failed"
SETTLE_S: Final = 5.0
"""Seconds without a change after which a file counts as complete."""

_PARTIAL: Final = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".download", "~")
"""Names that programs give to files which they are still writing."""
_REMEMBERED: Final = 10_000
_EMPTY_WAITS: Final = 12
"""Times the usual pause: a program has opened the file and may still write."""


class _Look(NamedTuple):
    size: int
    changed_ns: int
    inode: int


class WatchedFolder:
    """See `producers.watched.port.WatchedSource`."""

    def __init__(self, folder: Path, settle_s: float = SETTLE_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `NotFound` if there is no such folder, `Conflict` if somebody watches it."""
        if not folder.is_dir():
            raise NotFound(f"{folder}: wanted a folder, got a path where there is none; create it, or fix the path")
        self._folder = folder
        self._settle = settle_s
        self._clock = clock
        self._seen: dict[str, tuple[_Look, float]] = {}
        """Name -> how it looked, and since when."""
        self._handed_out: dict[str, _Look] = {}
        self._own = folder / ".simorgh"
        self._lock = locked(self._own, str(folder))
        self._imported = self._remembered()

    def close(self) -> None:
        self._lock.close()

    def arrivals(self) -> list[Arrival]:
        now = self._clock()
        there = {entry.name: look for entry in os.scandir(self._folder) if (look := _look(entry)) is not None}
        self._seen = {
            name: before if (before := self._seen.get(name)) is not None and before[0] == look else (look, now)
            for name, look in there.items()
        }
        found = []
        for name, (look, since) in sorted(self._seen.items(), key=lambda one: (one[1][0].changed_ns, one[0])):
            if now - since < self._settle * (1 if look.size else _EMPTY_WAITS) or since == now:
                continue
            path = self._folder / name
            self._handed_out[name] = look
            found.append(Arrival(path, name, digest_of(path)))
        return found

    def was_imported(self, arrival: Arrival, mapping: str) -> str | None:
        return self._imported.get(f"{arrival.digest} {mapping}")

    def put_away(self, arrival: Arrival, outcome: Imported) -> Path | None:
        if self._changed(arrival):
            self._seen.pop(arrival.name, None)
            return None
        folder = self._folder / (DONE if outcome.done else FAILED)
        folder.mkdir(exist_ok=True)
        target = _free(folder, arrival.name)
        report = target.with_name(f"{target.name}.report.json")
        _write(report, orjson.dumps(outcome.report, option=orjson.OPT_INDENT_2))
        arrival.path.rename(target)
        self._seen.pop(arrival.name, None)
        if outcome.done:
            self._forget_former(arrival, outcome.mapping)
            self._remember(f"{arrival.digest} {outcome.mapping}", target.name)
        return report

    def _changed(self, arrival: Arrival) -> bool:
        """Whether somebody has written to the file, replaced or removed it since it was handed out."""
        try:
            there = arrival.path.lstat()
        except FileNotFoundError:
            return True
        return _look_of(there) != self._handed_out.get(arrival.name)

    # --- what was imported

    def _remembered(self) -> OrderedDict[str, str]:
        found: OrderedDict[str, str] = OrderedDict()
        try:
            lines = (self._own / "imported").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return found
        for line in lines[-_REMEMBERED:]:
            digest, _, rest = line.partition(" ")
            mapping, _, name = rest.partition(" ")
            if name:  # else a torn line
                found[f"{digest} {mapping}"] = name
        return found

    def _forget_former(self, arrival: Arrival, mapping: str) -> None:
        """A file of this name was corrected: if it comes again as it was before, that is news."""
        name = Path(arrival.name)
        same = re.compile(rf"{re.escape(name.stem)}(-[0-9]+)?{re.escape(name.suffix)}")
        former = [key for key, put in self._imported.items() if key.endswith(f" {mapping}") and same.fullmatch(put)]
        for key in former:
            del self._imported[key]

    def _remember(self, key: str, name: str) -> None:
        self._imported[key] = name
        while len(self._imported) > _REMEMBERED:
            self._imported.popitem(last=False)
        lines = "".join(f"{key} {name}\n" for key, name in self._imported.items())
        _write(self._own / "imported", lines.encode(errors="backslashreplace"))


def _look(entry: os.DirEntry[str]) -> _Look | None:
    """None for anything that must not be imported: folders, links, hidden files, files that a program is still
    writing."""
    if entry.name.startswith(".") or entry.name.casefold().endswith(_PARTIAL):
        return None
    try:
        there = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return _look_of(there) if stat.S_ISREG(there.st_mode) else None


def _look_of(there: os.stat_result) -> _Look:
    return _Look(there.st_size, there.st_mtime_ns, there.st_ino)


def _free(folder: Path, name: str) -> Path:
    """A path that no file has. A report without its file, which a crash may leave, is written again."""
    target, number = folder / name, 1
    while target.exists():
        number += 1
        target = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return target


def _write(path: Path, content: bytes) -> None:
    """As a whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content; that of an empty file if it cannot be read, which its import will report."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256().hexdigest()
