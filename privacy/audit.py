"""Writing the audit: who asks hands over an entry and waits until the log has it.

Entries that come together are appended together, as one batch with one sync, by a thread that ends when nothing comes:
a batch under way is the only one, so that an entry never follows one that the log did not take.

Side effects: 1 append the batch; 2 tell those who wait. A crash between the two: the entries are there, nobody was
answered. When an append fails nobody knows what of it is there, so the chain ends and another one begins.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from eventlog.port import RecordLog
from privacy.chain import Chain, hashed, key_of
from schemas.errors import Backpressure
from schemas.records import AuditEntry
from schemas.topics import AUDIT

logger = logging.getLogger(__name__)

_BATCH: Final = 1_000
_IDLE_SECONDS: Final = 5.0

UNAVAILABLE: Final = "audit_unavailable"


class Auditor:
    """For any thread. `most`: entries that may wait for the log."""

    def __init__(
        self, log: RecordLog, secret: bytes, *, most: int = 10_000, random: Callable[[int], str] = secrets.token_hex
    ) -> None:
        self._log, self._key, self._most, self._random = log, key_of(secret), most, random
        self._chain: Chain | None = None
        self._waiting: list[tuple[AuditEntry, Future[None]]] = []
        self._work = threading.Condition()
        self._writing = False

    def record(self, entry: AuditEntry) -> "Future[None]":
        """Done once the entry is durable; fails with `Backpressure` (`audit_unavailable`) where the log does not take
        it. Raises the same where too many wait. Its place in a chain is filled in here."""
        done: Future[None] = Future()
        with self._work:
            if len(self._waiting) >= self._most:
                raise unavailable()
            self._waiting.append((entry, done))
            if not self._writing:
                self._writing = True
                threading.Thread(target=self._write, name="audit", daemon=True).start()
            self._work.notify()
        return done

    def hashed(self, sought: str) -> str:
        return hashed(self._key, sought)

    def _write(self) -> None:
        while batch := self._take():
            try:
                self._append([entry for entry, _ in batch])
            except Exception as error:
                self._chain = None
                logger.warning("audit: %d entries could not be written, their requests are refused", len(batch))
                for _, done in batch:
                    done.set_exception(_explained(error))
            else:
                for _, done in batch:
                    done.set_result(None)

    def _take(self) -> list[tuple[AuditEntry, "Future[None]"]]:
        """What waits, but for those whom nobody waits for any more; nothing once it is time to end."""
        with self._work:
            while True:
                if not self._work.wait_for(lambda: self._waiting, _IDLE_SECONDS):
                    self._writing = False
                    return []
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                if wanted := [one for one in batch if one[1].set_running_or_notify_cancel()]:
                    return wanted

    def _append(self, entries: list[AuditEntry]) -> None:
        if self._chain is None:
            self._chain = Chain.begin(self._log, self._key, self._random(16))
        key, chain = self._chain.name.encode(), self._chain
        self._log.append(AUDIT, [(key, chain.next(entry)) for entry in entries])


def _explained(error: Exception) -> Backpressure:
    told = unavailable()
    told.__cause__ = error
    return told


def unavailable() -> Backpressure:
    return Backpressure(
        "audit: wanted the log to take the record of this request, got no such word; try again, since nothing is shown"
        " or changed without it",
        code=UNAVAILABLE,
    )
