"""The data folder of one box: what is in it, who may use it, and who is using it now.

DIR/log.sqlite    the log (truth)
DIR/keys.json     the workspace's secret (back it up with the log: together they rebuild everything)
DIR/warehouse/    the embedded ClickHouse (rebuilt by `simorgh replay`)
DIR/identity.snapshot  the identity graph, so that a start need not fold all of its topic (made again by itself)
DIR/lock          held by the one process that has the folder open
DIR/tables-open   there while the tables may hold what is not on disk yet; says since which start of the machine
DIR/server.json   address and local token of that process, where it is a server

Everything is for its owner only: folders 0700, files 0600.
"""

import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from schemas.errors import Conflict

OTHERS: Final = 0o077
_OURS: Final = (
    "log.sqlite",
    "log.sqlite-wal",
    "log.sqlite-shm",
    "log.sqlite.lock",
    "keys.json",
    "server.json",
    "lock",
    "tables-open",
    "warehouse",
    "identity.snapshot",
)
_SYNC_SECONDS: Final = 5.0
_TRIES, _PAUSE = 10, 0.05  # a process that only checks holds the lock for a moment


def require_log_where_tables_are(root: Path, log: Path) -> None:
    """A missing log is not silently replaced by an empty one: raises `Conflict`."""
    if not log.exists() and (root / "warehouse").exists():
        raise Conflict(
            f"{log}: wanted the log of the tables in {root}, got no file; put it back from a"
            " backup (`simorgh restore` into another folder), or name another folder to start without data",
            code="log_missing",
        )


class ServerInfo(BaseModel):
    """How to reach the process that has the folder open."""

    url: str
    pid: int
    token: str


class DataDir:
    """A lock decides whether a process has the folder. The kernel releases it when that process ends, however it ends.
    `server.json` says how to reach it; left behind by a killed process it means nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: int | None = None

    # ---- having the folder

    def take(self) -> "DataDir":
        """Lock the folder for this process until `release`, and create it if missing. Raises `Conflict` if another
        process has it.
        """
        self._make()
        self._held = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for tries_left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries_left:
                    os.close(self._held)
                    self._held = None
                    raise self._in_use() from None
                time.sleep(_PAUSE)
        os.ftruncate(self._held, 0)
        os.pwrite(self._held, str(os.getpid()).encode(), 0)
        self.withdraw()  # of a process that was killed
        self._tighten()
        return self

    def release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _in_other_hands(self) -> bool:
        """Checks by taking a shared lock for a moment."""
        if self._held is not None:
            return False
        try:
            handle = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def _in_use(self) -> Conflict:
        info = self._announced()
        if info:
            return Conflict(
                f"{self.root}: wanted a folder that is not in use, got one in use by the server at {info.url} (process"
                f" {info.pid}); stop it first"
            )
        holder = ""
        with suppress(OSError):
            holder = self._lock.read_text(encoding="ascii", errors="replace").strip()
        return Conflict(
            f"{self.root}: wanted a folder that is not in use, got one in use by another command (process"
            f" {holder or 'unknown'}); wait until it ends, then try again"
        )

    # ---- the running server

    def announce(self, url: str, token: str) -> None:
        write_private(self._server, {"url": url, "pid": os.getpid(), "token": token})

    def withdraw(self) -> None:
        self._server.unlink(missing_ok=True)

    def server(self) -> ServerInfo | None:
        """The server that has the folder open, if one has."""
        return self._announced() if self._in_other_hands() else None

    def _announced(self) -> ServerInfo | None:
        try:
            return ServerInfo.model_validate_json(self._server.read_text())
        except (FileNotFoundError, ValidationError, UnicodeDecodeError):
            return None

    # ---- tables that are not synced row by row

    def tables_may_lack_rows(self) -> bool:
        """Whether the machine went down while a process had the tables open: unwritten rows are lost, and it is unknown
        which."""
        try:
            return self._tables_open.read_text() != _boot()
        except FileNotFoundError:
            return False

    def tables_opened(self) -> None:
        """Call it before anything is written to the tables, and once they are whole again."""
        write_text(self._tables_open, _boot())

    def tables_closed(self) -> None:
        """Call it when nothing writes any more. If the disk takes too long, the next start of the machine does not
        trust the tables."""
        syncing = threading.Thread(target=os.sync, name="sync", daemon=True)
        syncing.start()
        syncing.join(_SYNC_SECONDS)
        if not syncing.is_alive():
            self._tables_open.unlink(missing_ok=True)

    @property
    def _tables_open(self) -> Path:
        return self.root / "tables-open"

    # ---- files for their owner only

    @property
    def holds_data(self) -> bool:
        """Whether a log or a secret is in it: a new one has neither."""
        return any((self.root / name).exists() for name in ("log.sqlite", "keys.json"))

    def _make(self) -> None:
        existed = self.root.exists()
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if existed and (self.holds_data or not any(self.root.iterdir())):
            _close(self.root)  # do not change other files in a user's folder

    def _tighten(self) -> None:
        """Correct the modes of files that an earlier version, or a copy, left readable."""
        for path in self.too_open():
            _close(path)

    def too_open(self) -> Iterator[Path]:
        """Our files in the folder that others can read. The content of a closed folder is not checked."""
        for name in _OURS:
            path = self.root / name
            if _is_open(path):
                yield path
                yield from (below for below in _below(path) if _is_open(below))

    @property
    def _server(self) -> Path:
        return self.root / "server.json"

    @property
    def _lock(self) -> Path:
        return self.root / "lock"


@contextmanager
def taken(root: Path) -> Iterator[DataDir]:
    folder = DataDir(root).take()
    try:
        yield folder
    finally:
        folder.release()


def keep_files_private() -> None:
    """From here on this process, and the engine in it, makes files that only their owner can read."""
    os.umask(OTHERS)


def _below(path: Path) -> Iterator[Path]:
    """Everything in a folder; parts come and go meanwhile."""
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in (*folders, *files))


def _is_open(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return bool(found.st_mode & OTHERS) and not stat.S_ISLNK(found.st_mode)


def _close(path: Path) -> None:
    with suppress(PermissionError, FileNotFoundError):  # another user's, or deleted meanwhile
        path.chmod(path.stat().st_mode & ~OTHERS)


def _boot() -> str:
    """Names this boot of the machine; empty if the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def write_private(path: Path, body: dict[str, object]) -> None:
    """Write JSON that only the owner may read, whole or not at all, and wait until it is on disk."""
    write_text(path, json.dumps(body))


def write_text(path: Path, text: str) -> None:
    """The same for a text."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
