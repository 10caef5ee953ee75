"""Backup and restore of one box: the log and the secret, from which everything else is rebuilt.

A backup is a folder: `log.sqlite`; `keys.json` (not where SIMORGH_SECRET is set); `master.json`, if there is one; and
`manifest.json` with checksums and positions, which is written last: without it a backup is unfinished. Tables are not
in it, they are rebuilt from the log at the first start after a restore.

Data keys are not in it: a backup from before an erasure must not bring anybody back. They are copied to a file of
their own, which replaces the one before it (`copy_keys`), after the log, so that it has every key that the log needs.

The log is copied by SQLite's online backup within one read transaction, so later events are not in it, and do not delay
it. A running server continues, and need not cooperate.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from schemas.clock import Clock, iso
from schemas.errors import Backpressure, Broken, Conflict, InvalidSettings, NotFound, SimorghError
from simorgh import __version__, data_keys, secret
from simorgh.datadir import DataDir, keep_files_private, sync, taken, write_private
from simorgh.deployment import Progress, require_there
from simorgh.logs import OneBox
from simorgh.settings import Settings
from stream_processors.host import generation

LOG: Final = "log.sqlite"
KEYS: Final = "keys.json"
MASTER: Final = "master.json"
MANIFEST: Final = "manifest.json"

_PAGES: Final = 512  # of 16 KiB in one step: other readers of the disk get their turn between two
_BLOCK: Final = 4 * 1024 * 1024
_READ: Final = 10_000


class File(BaseModel):
    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """The contents of a backup. `positions`: the next offset of each partition of each topic. `secret`: a fingerprint.
    `damage`: unreadable parts of the copied log, a line each."""

    model_config = ConfigDict(frozen=True)

    format: int = 1
    made_at: str
    version: str
    workspace: str
    secret: str
    generation: int
    positions: dict[str, list[int]]
    damage: list[str]
    files: dict[str, File]

    @property
    def events(self) -> int:
        return sum(self.positions[topics.EVENTS])


# ---- making one


def back_up(settings: Settings, target: Path, clock: Clock, progress: Progress = lambda done, total: None) -> Manifest:
    """Make a backup in `target`, a new or an empty folder. `progress` receives bytes. Safe next to a running server.

    1 the log's copy, 2 the secret's, both on disk; 3 the manifest. A crash before 3 leaves a backup that
      `read_manifest` calls unfinished.
    """
    OneBox(settings, "backup")
    if settings.api:
        raise InvalidSettings(
            "backup: wanted a data folder, got a server's address; run it with --data on the machine that has the"
            " folder"
        )
    require_there(settings)
    where, found = secret.given(settings, DataDir(settings.data))
    if found is None:
        raise Conflict(f"{where}: wanted the secret, got no file; put it back, since a backup without it is useless")
    keep_files_private()
    _make_empty(target)
    _require_room(target, settings.log_path.stat().st_size)
    copy = target / LOG
    _copy_log(settings.log_path, copy, progress)
    with _opened(copy) as log:
        secret.require_agreement(log, settings, found, where)
        positions = {topic: log.ends(topic) for topic in topics.ALL}
        live = generation.current(log)
        damage = unreadable(log)
    if settings.secret is None:
        shutil.copyfile(secret.keys_path(DataDir(settings.data)), target / KEYS)
        _sync(target / KEYS)
    master = data_keys.master_path(DataDir(settings.data))
    if master.exists():
        shutil.copyfile(master, target / MASTER)
        _sync(target / MASTER)
    manifest = Manifest(
        made_at=iso(clock()),
        version=__version__,
        workspace=settings.workspace,
        secret=secret.fingerprint(found),
        generation=live,
        positions=positions,
        damage=damage,
        files={path.name: _file(path) for path in sorted(target.iterdir())},
    )
    write_private(target / MANIFEST, manifest.model_dump())
    return manifest


def copy_keys(settings: Settings, target: Path) -> None:
    """Copy the present data keys to a file, which is replaced. Safe next to a running server.

    Raises `Conflict` if there are none.
    """
    source = data_keys.path_of(DataDir(settings.data))
    if not source.exists():
        raise Conflict(f"{source}: wanted the data keys, got no file; put it back: nothing can be read without it")
    keep_files_private()
    draft = target.with_name(target.name + ".new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as read,
        closing(sqlite3.connect(draft)) as written,
    ):
        read.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")
    _sync(draft)
    os.replace(draft, target)
    sync(target.absolute().parent)


def _make_empty(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(target.iterdir()):
        raise Conflict(f"{target}: wanted a new or empty folder, got one with files; name another")
    target.chmod(0o700)


def _require_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target).free
    if free < size:
        raise Backpressure(
            f"{target}: wanted {size / 1e9:.1f} GB for the log, got {free / 1e9:.1f} GB of free space; free some more,"
            " or name a folder on another disk"
        )


def _copy_log(source: Path, target: Path, progress: Progress) -> None:
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        (page,) = read.execute("PRAGMA page_size").fetchone()
        read.execute("BEGIN")
        read.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it is one state of the log

        def told(status: int, remaining: int, total: int) -> None:
            progress((total - remaining) * page, total * page)

        read.backup(written, pages=_PAGES, progress=told, sleep=0.001)
        written.execute("PRAGMA journal_mode = DELETE")  # one file, without a journal beside it
    _sync(target)


@contextmanager
def _opened(copy: Path) -> Iterator[EventLog]:
    """A log that lies in a backup; afterwards it is one file again."""
    log = SqliteEventLog(copy)
    try:
        yield log
    finally:
        log.close()
        with closing(sqlite3.connect(copy)) as db:
            db.execute("PRAGMA journal_mode = DELETE")
        for beside in ("-wal", "-shm", ".lock"):
            copy.with_name(copy.name + beside).unlink(missing_ok=True)
        _sync(copy)


# ---- checking one


def is_backup(folder: Path) -> bool:
    return (folder / MANIFEST).exists()


def read_manifest(folder: Path) -> Manifest:
    """Raises `NotFound` if there is no finished backup, `Broken` for an unreadable manifest."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFound(
            f"{folder}: wanted a finished backup, got a folder without {MANIFEST}; name another folder"
        ) from None
    except ValidationError:
        raise Broken(f"{path}: wanted the manifest of a backup, got a damaged file; use another backup") from None


def problems(folder: Path, manifest: Manifest) -> list[str]:
    """The faults of a backup's files, a line each; none: it can be restored. Changes nothing."""
    found = []
    for name, wanted in manifest.files.items():
        path = folder / name
        if not path.exists():
            found.append(f"{path} is missing")
        elif _file(path) != wanted:
            found.append(f"{path} is not as it was written: its checksum differs")
    return found


def damage_of(settings: Settings) -> list[str]:
    """The unreadable parts of a free folder's log. Raises `Conflict` if a process has it open."""
    with taken(settings.data):
        log = OneBox(settings, "doctor").open_log()
        try:
            return unreadable(log)
        finally:
            log.close()


def unreadable(log: EventLog) -> list[str]:
    """A line for each partition of a log in which something cannot be read. Reads everything: a million records/s."""
    found = []
    for topic in topics.ALL:
        for partition, end in enumerate(log.ends(topic)):
            offset = 0
            try:
                while offset < end:
                    records = log.read(topic, partition, offset, _READ)
                    if not records:
                        raise Broken(
                            f"{topic}/{partition}: wanted records from offset {offset} on, got none; restore a backup"
                        )
                    offset = records[-1].offset + 1
            except SimorghError as error:
                found.append(error.message)
            except (ValueError, ArithmeticError, LookupError):
                found.append(f"{topic}/{partition}: what follows offset {offset} cannot be read")
    return found


# ---- restoring one


def restore(
    settings: Settings,
    source: Path,
    progress: Progress = lambda done, total: None,
    *,
    keys: Path | None = None,
) -> Manifest:
    """Restore a backup into a data folder without data. Raises `Conflict` if it has data.

    `keys`: the newest file of data keys; None if the folder has it already, or the backup's log was written without
    keys.

    1 the log's copy under a name of its own, 2 the secret and the data keys, 3 the log's name. A crash before 3 leaves
    a folder without a log, on which restore may be run again.
    """
    OneBox(settings, "restore")
    manifest = read_manifest(source)
    wrong = problems(source, manifest)
    if wrong:
        raise Broken(
            f"restore: wanted an intact backup, got a damaged one ({'; '.join(wrong)}); use another backup, nothing was"
            " restored"
        )
    if manifest.workspace != settings.workspace:
        raise InvalidSettings(
            f"SIMORGH_WORKSPACE: wanted {manifest.workspace}, the workspace of the backup, got {settings.workspace};"
            " change the setting, or name another backup"
        )
    _require_secret(settings, manifest)
    keep_files_private()
    with taken(settings.data) as folder:
        _require_empty(settings, source, folder)
        _require_room(settings.log_path.parent, manifest.files[LOG].bytes)
        draft = settings.log_path.with_name(settings.log_path.name + ".restoring")
        _copy(source / LOG, draft, progress)
        _put_keys(draft, folder, keys)
        if KEYS in manifest.files:
            _copy(source / KEYS, secret.keys_path(folder))
        if MASTER in manifest.files:
            _copy(source / MASTER, data_keys.master_path(folder))
        os.replace(draft, settings.log_path)
        sync(settings.log_path.parent)
    return manifest


def _put_keys(log: Path, folder: DataDir, keys: Path | None) -> None:
    """Raises `Conflict` if the log's events are sealed and its keys were not found, and `Broken` for other keys."""
    there = data_keys.path_of(folder)
    if keys is not None and not there.exists():
        _copy(keys, there)
    with _opened(log) as opened:
        data_keys.require_agreement(opened, there)


def _require_secret(settings: Settings, manifest: Manifest) -> None:
    """A backup without a `keys.json` needs the SIMORGH_SECRET that it was made with."""
    given = settings.secret
    if given is None and KEYS not in manifest.files:
        raise InvalidSettings(
            "SIMORGH_SECRET: wanted the secret of this backup, got none; set the same value as before"
        )
    if given is not None and secret.fingerprint(bytes.fromhex(given.get_secret_value())) != manifest.secret:
        raise InvalidSettings("SIMORGH_SECRET: wanted the secret of this backup, got another; fix or unset it")


def _require_empty(settings: Settings, source: Path, folder: DataDir) -> None:
    there = [path for path in (settings.log_path, folder.root / "warehouse") if path.exists()]
    keys, kept = secret.keys_path(folder), source / KEYS
    if keys.exists() and not (kept.exists() and keys.read_bytes() == kept.read_bytes()):
        there.append(keys)
    if there:
        raise Conflict(f"{there[0]}: wanted a folder without data, got one with this file; name another with --data")


# ---- files


def _copy(source: Path, target: Path, progress: Progress = lambda done, total: None) -> None:
    total, done = source.stat().st_size, 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as read, os.fdopen(handle, "wb") as written:
        while block := read.read(_BLOCK):
            written.write(block)
            done += len(block)
            progress(done, total)
    _sync(target)


def _file(path: Path) -> File:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return File(bytes=path.stat().st_size, sha256=digest.hexdigest())


def _sync(path: Path) -> None:
    sync(path)
    sync(path.parent)
