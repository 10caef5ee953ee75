"""How far an import has come, so that an interrupted one goes on there. One small file for each import.

A file's events come in the same order each time, so that a count says which are sent. It is only taken for the same
file (path, size, time of change), the same mapping and the same version of this program; otherwise the import begins
at the start, which sends copies.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from producers.files.mapping import Mapping

_EVERY_S: Final = 1.0
_MOST: Final = 100
_VERSION: Final = 1
"""To be raised when the same file would give other events."""


class Checkpoint:
    """`sent`: the events that an earlier, interrupted import has sent."""

    def __init__(
        self, folder: Path, file: Path, mapping: Mapping, more: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`folder` holds the counts of all imports. `more`: what else changes the events, such as the channel."""
        stat = file.stat()
        key = [_VERSION, str(file.resolve()), stat.st_size, stat.st_mtime_ns, mapping.fingerprint(), more]
        self._path = folder / f"{blake2b(orjson.dumps(key), digest_size=16).hexdigest()}.json"
        self._clock = clock
        self._written_at = clock()
        self.sent = self._read()
        self._now = self.sent

    def advance(self, events: int) -> None:
        """So many more are sent. Written about once a second: what is sent after that is sent again as copies."""
        self._now += events
        if self._clock() - self._written_at >= _EVERY_S:
            self.write()

    def write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._path.with_suffix(".new")
        new.write_bytes(orjson.dumps({"sent": self._now}))
        new.replace(self._path)
        self._written_at = self._clock()

    def finish(self) -> None:
        """The file was imported to its end: the next import begins at its start."""
        self._path.unlink(missing_ok=True)
        left = sorted(self._path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in left[:-_MOST]:  # of files that nobody imported again
            path.unlink(missing_ok=True)

    def _read(self) -> int:
        try:
            sent = orjson.loads(self._path.read_bytes())["sent"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return sent if isinstance(sent, int) and sent > 0 else 0
