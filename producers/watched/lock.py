"""One watcher at a time: a lock that goes with its process, however that ends."""

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from schemas.errors import Conflict


def locked(folder: Path, what: str) -> BinaryIO:
    """The open file that holds the lock; closing it, once or again, releases the lock. `folder` is where its file is
    kept, `what` is watched. Raises `Conflict` if another watcher has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        raise Conflict(
            f"{what}: wanted to watch it alone, got process {holder or 'unknown'} watching it; stop one",
            code="watched_already",
        ) from None
    os.truncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return os.fdopen(lock, "r+b", buffering=0)
