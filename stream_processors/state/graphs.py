"""The identity graph across starts: a snapshot in a file, so that a start need not fold the whole topic.

The file is a cache. It is used only if the log has the snapshot's last record at the same offset, and only up to the
committed position: a start must repeat the effects of later records. Otherwise the topic is folded from its beginning,
as without a file.
"""

import logging
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from eventlog.port import RecordLog
from identity import snapshot
from identity.graph import IdentityGraph
from identity.rules import DEFAULT_RULES
from schemas import topics

FILE: Final = "identity.snapshot"
_LOG = logging.getLogger(__name__)
_LEAST: Final = 50_000
"""Records of identity between two snapshots at least: some two seconds of folding."""
_SHARE: Final = 4
"""At least a quarter of all records between two snapshots, so that snapshots cost a few per cent of folding, whatever
the size."""


class Graphs:
    """Keeps the graph for its holder. For one thread; a snapshot is encoded and written in another."""

    def __init__(self, folder: Path | None = None, least: int = _LEAST) -> None:
        """`folder`: None keeps nothing. `least`: records between two snapshots."""
        self._path = folder / FILE if folder else None
        self._least = least
        self._latest = 0
        """Records in the latest snapshot, taken or loaded."""
        self._taken: tuple[int, Future[bytes]] | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="graph")

    def restore(self, log: RecordLog, committed: int) -> tuple[IdentityGraph, int]:
        """A graph, and the offset of simorgh.identity to continue from: at most `committed`."""
        self._taken = None
        content = self._read()
        mark = snapshot.mark_of(content) if content else None
        if mark is not None and mark.offset < committed and _is_in(log, mark):
            graph = snapshot.load(content, DEFAULT_RULES)
            if graph is not None:
                self._latest = mark.offset + 1
                _LOG.info("identity: the graph goes on from its snapshot, after %d records", self._latest)
                return graph, self._latest
        self._latest = 0
        return IdentityGraph(DEFAULT_RULES), 0

    def note(self, log: RecordLog, graph: IdentityGraph, position: int, committed: int) -> None:
        """The graph has folded everything before `position`, and everything before `committed` has had its effects.

        Takes a snapshot if it is time, and writes one whose effects are all committed by now.
        """
        if self._path is None:
            return
        if self._taken is not None:
            taken_at, encoded = self._taken
            if taken_at <= committed and encoded.done():
                self._taken = None
                self._beside.submit(self._write, encoded.result())
        elif position - self._latest >= max(self._least, position // _SHARE):
            [last] = log.read(topics.IDENTITY, 0, position - 1, 1)
            taken = snapshot.take(graph, snapshot.Mark.of(last.offset, last.key, last.value))
            self._taken = position, self._beside.submit(taken.encode)
            self._latest = position

    def close(self) -> None:
        """Waits for a running write. Idempotent."""
        self._beside.shutdown()

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes() if self._path else b""
        except FileNotFoundError:
            return b""
        except OSError as error:
            _LOG.warning("identity: its snapshot cannot be read (%s); the topic is folded", error.strerror)
            return b""

    def _write(self, content: bytes) -> None:
        """Whole or not at all."""
        assert self._path is not None
        draft = self._path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:  # a start takes longer then, and nothing else
            draft.unlink(missing_ok=True)
            _LOG.warning("identity: its snapshot cannot be written (%s)", error.strerror)


def _is_in(log: RecordLog, mark: snapshot.Mark) -> bool:
    found = log.read(topics.IDENTITY, 0, mark.offset, 1)
    return [snapshot.Mark.of(record.offset, record.key, record.value) for record in found] == [mark]
