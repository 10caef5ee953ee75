"""Writing the audit: who asks hands over an entry and waits until the log has it.

One batch of entries is under way at a time: what comes meanwhile goes together, with one sync, in the next. So an entry
never follows one that the log did not take. Whoever finds nothing under way submits its entry itself, which blocks
nobody; a thread, which ends when nothing comes, begins chains and submits what has gathered.

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

Waiting = list[tuple[AuditEntry, "Future[None]"]]


class Auditor:
    """For any thread. `most`: entries that may wait for the log."""

    def __init__(
        self, log: RecordLog, secret: bytes, *, most: int = 10_000, random: Callable[[int], str] = secrets.token_hex
    ) -> None:
        self._log, self._key, self._most, self._random = log, key_of(secret), most, random
        self._work = threading.Condition()  # guards all that follows
        self._chain: Chain | None = None
        self._waiting: Waiting = []
        self._under_way = False
        self._helping = False

    def record(self, entry: AuditEntry) -> "Future[None]":
        """Done once the entry is durable; fails with `Backpressure` (`audit_unavailable`) where the log does not take
        it. Raises the same where too many wait. Its place in a chain is filled in here. Never blocks."""
        done: Future[None] = Future()
        with self._work:
            if len(self._waiting) >= self._most:
                raise unavailable()
            self._waiting.append((entry, done))
            batch = self._take() if self._chain and not self._under_way else []
            if not batch:
                self._call_helper()
        if batch:
            self._submit(batch)
        return done

    def hashed(self, sought: str) -> str:
        return hashed(self._key, sought)

    def _take(self) -> Waiting:
        """What waits, but for those whom nobody waits for any more; it is under way from here on. Whoever calls holds
        the lock."""
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        wanted = [one for one in batch if one[1].set_running_or_notify_cancel()]
        self._under_way = bool(wanted)
        return wanted

    def _submit(self, batch: Waiting) -> None:
        chain = self._chain
        assert chain is not None
        try:
            key = chain.name.encode()
            stored = self._log.submit([(AUDIT, [(key, chain.next(entry)) for entry, _ in batch])])
        except Exception as error:
            self._ended(batch, error)
        else:
            stored.add_done_callback(lambda done: self._ended(batch, done.exception()))

    def _ended(self, batch: Waiting, error: BaseException | None) -> None:
        with self._work:
            self._under_way = False
            if error is not None:
                self._chain = None
            if self._waiting:
                self._call_helper()
        if error is not None:
            logger.warning("audit: %d entries could not be written, their requests are refused", len(batch))
        for _, done in batch:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(_explained(error))

    # ---- the helper

    def _call_helper(self) -> None:
        if not self._helping:
            self._helping = True
            threading.Thread(target=self._help, name="audit", daemon=True).start()
        self._work.notify()

    def _help(self) -> None:
        while batch := self._next():
            try:
                if self._chain is None:
                    self._chain = Chain.begin(self._log, self._key, self._random(16))
            except Exception as error:
                self._ended(batch, error)
            else:
                self._submit(batch)

    def _next(self) -> Waiting:
        """What waits, once nothing is under way; nothing when it is time to end."""
        with self._work:
            while True:
                if self._work.wait_for(lambda: self._waiting and not self._under_way, _IDLE_SECONDS):
                    if batch := self._take():
                        return batch
                elif not self._waiting:
                    self._helping = False
                    return []


def _explained(error: BaseException) -> Backpressure:
    told = unavailable()
    told.__cause__ = error
    return told


def unavailable() -> Backpressure:
    return Backpressure(
        "audit: wanted the log to take the record of this request, got no such word; try again, since nothing is shown"
        " or changed without it",
        code=UNAVAILABLE,
    )
