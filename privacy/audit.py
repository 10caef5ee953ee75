"""Writing the audit: a request hands over its entry, and waits until the log has it or goes on.

One batch of entries is written at a time. Entries that arrive meanwhile go into the next batch, with one sync. So no
entry follows one that the log did not take. An entry that a request waits for is submitted at once if no batch is being
written; this blocks nobody. Other entries wait up to `GATHER_SECONDS` and are submitted together by a thread, which
also begins chains, and ends when no entries come.

Side effects: 1 append the batch; 2 release the requests that wait. A crash between the two: the entries are there, and
no request was answered. A crash before 1 loses the entries that no request waited for. When an append fails, it is
unknown which of its entries the log has, so the chain ends and another one begins.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from eventlog.port import RecordLog
from privacy.chain import Chain, hashed, key_of
from schemas.errors import Backpressure
from schemas.records import AuditEntry
from schemas.topics import AUDIT

logger = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.02
LATE_SECONDS: Final = 0.25
"""After which a batch under way is late: from then on everybody waits."""

_BATCH: Final = 1_000
_IDLE_SECONDS: Final = 5.0

UNAVAILABLE: Final = "audit_unavailable"

Waiting = list[tuple[AuditEntry, "Future[None]"]]


class Auditor:
    """For any thread. `most`: entries that may wait for the log."""

    def __init__(
        self,
        log: RecordLog,
        secret: bytes,
        *,
        most: int = 10_000,
        random: Callable[[int], str] = secrets.token_hex,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._key, self._most, self._random, self._clock = log, key_of(secret), most, random, clock
        self._work = threading.Condition()  # guards all that follows
        self._chain: Chain | None = None
        self._waiting: Waiting = []
        self._last: Future[None] | None = None
        self._urgent = False
        """Whether somebody waits for one of those that wait."""
        self._since: float | None = None
        """When the batch under way was submitted."""
        self._helping = False

    def record(self, entry: AuditEntry) -> "Future[None]":
        """A future that is done once the entry is durable; it fails with `Backpressure` (`audit_unavailable`) if the
        log does not take the entry. Raises the same if too many wait. Fills in the entry's place in a chain. Never
        blocks."""
        with self._work:
            done = self._add(entry)
            self._urgent = True
            batch = self._take() if self._chain and self._since is None else []
            if not batch:
                self._call_helper()
        if batch:
            self._submit(batch)
        return done

    def gather(self, entry: AuditEntry) -> "Future[None] | None":
        """For an answer that need not wait: returns None, and the entry is durable within about `GATHER_SECONDS`; a
        crash before that loses it. If the log did not take the last batch, or is late with it, the same as `record`."""
        with self._work:
            if self._chain is not None and (self._since is None or self._clock() - self._since < LATE_SECONDS):
                self._add(entry)
                if len(self._waiting) == 1 and self._since is None:
                    self._call_helper()
                return None
        return self.record(entry)

    def settled(self) -> "Future[None]":
        """A future that is done once the log has all entries that were handed over before."""
        with self._work:
            if self._last is not None and not self._last.done():
                self._urgent = True
                self._call_helper()
                return self._last
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def hashed(self, sought: str) -> str:
        return hashed(self._key, sought)

    def _add(self, entry: AuditEntry) -> "Future[None]":
        """The caller holds the lock."""
        if len(self._waiting) >= self._most:
            raise unavailable()
        self._last = done = Future[None]()
        self._waiting.append((entry, done))
        return done

    def _take(self) -> Waiting:
        """The waiting entries, without those whose requests have given up; they are the batch from here on. The caller
        holds the lock."""
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        wanted = [one for one in batch if one[1].set_running_or_notify_cancel()]
        self._urgent = bool(self._waiting)
        self._since = self._clock() if wanted else None
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
            self._since = None
            if error is not None:
                self._chain = None
            if self._waiting:
                self._call_helper()
        if error is not None:
            logger.warning("audit: %d entries could not be written; requests that wait are refused", len(batch))
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
        """The waiting entries, once no batch is being written and they are urgent or gathered; none when it is time to
        end."""
        with self._work:
            while True:
                if not self._work.wait_for(self._may_go, _IDLE_SECONDS):
                    if not self._waiting:
                        self._helping = False
                        return []
                    continue
                self._work.wait_for(lambda: self._urgent or not self._may_go(), GATHER_SECONDS)
                if self._may_go() and (batch := self._take()):
                    return batch

    def _may_go(self) -> bool:
        return bool(self._waiting) and self._since is None


def _explained(error: BaseException) -> Backpressure:
    told = unavailable()
    told.__cause__ = error
    return told


def unavailable() -> Backpressure:
    return Backpressure(
        "audit: wanted a record of this request in the log, got none; try again, since nothing is shown or changed"
        " without one",
        code=UNAVAILABLE,
    )
