"""Any error as one readable line for the user of a command: where, what happened, what to do.

The one place that turns any exception into that line. Never an errno alone, never a traceback.
"""

import errno
import os
import sqlite3
import traceback
from collections.abc import Mapping
from typing import Final

import httpx

from schemas.errors import SimorghError

ERROR, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes: it failed; it was called wrongly; Ctrl-C."""

_SYSTEM: Final[Mapping[int, str]] = {
    errno.EACCES: "permission denied; run as the owner, or give yourself the right (chmod, chown)",
    errno.EPERM: "not permitted; run as the owner, or give yourself the right (chmod, chown)",
    errno.EROFS: "the file system is read-only; name a place that can be written",
    errno.ENOENT: "no such file or folder; correct the name",
    errno.ENOTDIR: "a part of this path is a file, not a folder; correct the name",
    errno.EISDIR: "this is a folder; name a file in it",
    errno.EEXIST: "there is a file of this name, not a folder; name another",
    errno.ENOTEMPTY: "the folder is not empty; name another",
    errno.ENAMETOOLONG: "the name is too long; use a shorter one",
    errno.ELOOP: "the links go round in a circle; correct them",
    errno.ENOSPC: "the disk is full; free some space, then try again",
    errno.EDQUOT: "the disk quota is used up; free some space, then try again",
    errno.EFBIG: "a file may not grow further (a limit of the shell or the service); raise it: ulimit -f",
    errno.EMFILE: "too many files are open; raise the limit: ulimit -n",
    errno.ENFILE: "the machine has too many files open; close some programs",
    errno.ENOMEM: "there is not enough memory; stop something else, then try again",
    errno.EIO: "the disk does not answer as it should; look at the machine's log, and at your backups",
    errno.EADDRINUSE: "the port is in use by another program; name another: --port",
    errno.EADDRNOTAVAIL: "this is no address of the machine; name one that is: --host",
    errno.ECONNREFUSED: "nobody listens there; is the server running, and is the address right?",
    errno.ECONNRESET: "the other side broke off; try again",
    errno.EPIPE: "the other side broke off; try again",
    errno.EHOSTUNREACH: "the address cannot be reached; is it right, and is the network up?",
    errno.ENETUNREACH: "the network cannot be reached; is it up?",
    errno.ETIMEDOUT: "no answer came in time; try again",
    errno.ENOLCK: "the file system has no locks; put the folder on a local disk",
    errno.EINVAL: "the system refuses it; is the name right?",
}

_SQLITE: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_BUSY: "another process has it open; wait for its end, then try again",
    sqlite3.SQLITE_LOCKED: "another process has it open; wait for its end, then try again",
    sqlite3.SQLITE_FULL: "the disk is full; free some space, then try again",
    sqlite3.SQLITE_READONLY: "it may not be written; run as the owner, or give yourself the right (chmod, chown)",
    sqlite3.SQLITE_PERM: "permission denied; run as the owner, or give yourself the right (chmod, chown)",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; is the folder there, and may you read and write it?",
    sqlite3.SQLITE_IOERR: "the disk does not answer as it should; is it full? Look at the machine's log",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore the backup: simorgh restore",
    sqlite3.SQLITE_NOTADB: "the file is no log of ours, or damaged; restore the backup: simorgh restore",
}


_PLAIN: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (httpx.TransportError, "the server broke off or cannot be reached; is it running? simorgh doctor says more"),
    (UnicodeError, "it is not text in UTF-8; save the file as UTF-8"),
    (MemoryError, "there is not enough memory; stop something else, then try again"),
    (RecursionError, "what came is nested too deeply; make it flatter"),
)


def explain(error: BaseException) -> str:
    """One line, whatever the error is."""
    return " ".join(_explain(error).split())


def _explain(error: BaseException) -> str:
    if isinstance(error, SimorghError):
        return error.message
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) or 0
        return f"the log: {_SQLITE.get(code & 0xFF, 'SQLite refuses it; simorgh doctor says more')}"
    for kind, says in _PLAIN:
        if isinstance(error, kind):
            return says
    return _of_system(error) if isinstance(error, OSError) else _of_ours(error)


def _of_system(error: OSError) -> str:
    known = _SYSTEM.get(error.errno or 0)
    says = known or (os.strerror(error.errno) if error.errno else type(error).__name__)
    return f"{os.fsdecode(error.filename)}: {says}" if error.filename else says


def _of_ours(error: BaseException) -> str:
    """A fault in the program. The exception's text may quote a customer, so only its type and place are shown."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return (
        f"a fault in Simorgh itself: {type(error).__name__}{place}; nothing that was answered is lost. Please report"
        " it with what you did"
    )
