"""From submits to acknowledged positions. The queue is bounded, and a broken publisher is replaced."""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final

from eventlog.kafka.client import Client, Headers, Publisher, headers_of, unavailable
from eventlog.port import Message, Position
from schemas.errors import Backpressure, SimorghError
from schemas.retry import Pauses

_LOG: Final = logging.getLogger(__name__)

Write = tuple[str, Sequence[Message]]
"""The topic's name on the broker, and its messages."""

LOOK: Final = 0.25
"""Seconds between two checks of the publisher's health."""

PAUSES: Final = Pauses(0.5, 5.0)
"""Pauses between two attempts to replace a broken publisher."""

AFTER: Final = 2.0
"""Seconds in addition to the patience for the last outcomes to arrive."""


class Submission:
    """One submit on its way: an `eventlog.kafka.client.Outcome` that ends in one future.

    The future is done when the last message has its outcome; it fails with the first error if there is one.
    """

    def __init__(self, writes: Sequence[Write], done: Callable[["Submission"], None]) -> None:
        self.writes = writes
        self.records = sum(len(messages) for _, messages in writes)
        self.size = sum(len(key) + len(value) for _, messages in writes for key, value in messages)
        self.future: Future[list[list[Position]]] = Future()
        self.future.set_running_or_notify_cancel()  # published messages cannot be recalled
        self._positions: list[Position | None] = [None] * self.records
        self._left = self.records
        self._error: SimorghError | None = None
        self._lock = threading.Lock()
        self._done = done
        self.began = time.monotonic()

    def delivered(self, number: int, partition: int, offset: int) -> None:
        with self._lock:
            self._positions[number] = (partition, offset)
            self._left -= 1
            last = self._left == 0
        if last:
            self._done(self)

    def failed(self, number: int, error: SimorghError) -> None:
        with self._lock:
            self._error = self._error or error
            self._left -= 1
            last = self._left == 0
        if last:
            self._done(self)

    def abandon(self) -> None:
        """Fail because outcomes are missing. Later ones are ignored."""
        with self._lock:
            if self._left <= 0:
                return
            self._left = 0
            self._error = self._error or unavailable("publishing", "no outcome")
        self._done(self)

    def answer(self) -> None:
        """Resolve the future; every message has its outcome."""
        if self._error is not None:
            self.future.set_exception(self._error)
            return
        positions = [position for position in self._positions if position is not None]
        answer, start = [], 0
        for _, messages in self.writes:
            answer.append(positions[start : start + len(messages)])
            start += len(messages)
        self.future.set_result(answer)


class Publishing:
    """Submits, for any thread. `grown` is called with (topic's name, positions) before a future is done. A publisher
    that is broken or reports no outcomes is replaced in the background; until then submits get `Backpressure`. So every
    submit gets an answer, whatever the library does.
    """

    def __init__(
        self,
        client: Client,
        queue_limit: int,
        queue_bytes: int,
        patience: float,
        grown: Callable[[str, Sequence[Position]], None],
    ) -> None:
        self._client = client
        self._queue_limit = queue_limit
        self._queue_bytes = queue_bytes
        self._patience = patience
        self._grown = grown
        self._headers: dict[str, Headers] = {}
        mutex = threading.Lock()  # guards all that follows
        self._changed = threading.Condition(mutex)
        self._waiting_records = 0
        self._waiting_bytes = 0
        self._closed = False
        self._outstanding: dict[Submission, Publisher] = {}  # the oldest first
        self._publisher: Publisher | None = client.publisher()
        self._keeper = threading.Thread(target=self._keep, name="log-keeper", daemon=True)
        self._keeper.start()

    def submit(self, topics: Sequence[str], writes: Sequence[Write]) -> Future[list[list[Position]]]:
        """`topics`: what the log calls the topic of each write. Checks were made."""
        submission = Submission(writes, self._ended)
        if submission.records == 0:
            submission.answer()
            return submission.future
        publisher = self._admit(submission)
        first = 0
        for topic, (name, messages) in zip(topics, writes, strict=True):
            publisher.send(name, messages, self._headers_of(topic), first, submission)
            first += len(messages)
        return submission.future

    def _admit(self, submission: Submission) -> Publisher:
        with self._changed:
            if self._publisher is None or self._publisher.broken:
                raise unavailable("publishing", "none that it would take: reconnecting")
            records = self._waiting_records + submission.records
            size = self._waiting_bytes + submission.size
            if self._waiting_records and (records > self._queue_limit or size > self._queue_bytes):
                raise Backpressure(
                    f"Kafka: wanted at most {self._queue_limit} messages and {self._queue_bytes} bytes to wait for"
                    f" the broker, got {records} and {size}; pause, then send the same again"
                )
            self._waiting_records, self._waiting_bytes = records, size
            self._outstanding[submission] = self._publisher
            return self._publisher

    def _headers_of(self, topic: str) -> Headers:
        headers = self._headers.get(topic)
        if headers is None:
            headers = self._headers[topic] = headers_of(topic)
        return headers

    def _ended(self, submission: Submission) -> None:
        """All messages have their outcome. Room is made before the answer, so that the caller can submit again."""
        with self._changed:
            self._waiting_records -= submission.records
            self._waiting_bytes -= submission.size
            self._outstanding.pop(submission, None)
            self._changed.notify_all()
        submission.answer()
        if submission.future.exception() is None:
            for (name, _), positions in zip(submission.writes, submission.future.result(), strict=True):
                self._grown(name, positions)

    # --- the keeper

    def _keep(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, LOOK)
                sick = self._publisher if self._is_sick() else None
                if sick is None or self._closed:
                    continue
                self._publisher = None
            _LOG.warning("Kafka: the publisher cannot go on; making another")
            failures = 0
            while not self._closed and not self._install():
                failures += 1
                self._abandon_overdue()  # the broker may be away for long, and they must not wait for its return
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, PAUSES.after(failures, random.random()))
            self._retire(sick)

    def _is_sick(self) -> bool:
        """Whether it is broken, or silent for too long. The mutex is held."""
        oldest = next(iter(self._outstanding), None)
        overdue = oldest is not None and self._is_overdue(oldest)
        return self._publisher is not None and (self._publisher.broken or overdue)

    def _is_overdue(self, submission: Submission) -> bool:
        return time.monotonic() - submission.began > self._patience + AFTER

    def _abandon_overdue(self) -> None:
        with self._changed:
            overdue = [submission for submission in self._outstanding if self._is_overdue(submission)]
        for submission in overdue:
            submission.abandon()

    def _install(self) -> bool:
        """Replace the publisher. False if no broker is available."""
        try:
            publisher = self._client.publisher()
        except SimorghError as error:
            _LOG.warning("%s", error.message)
            return False
        with self._changed:
            if not self._closed:
                self._publisher = publisher
                return True
        publisher.close(0)
        return True

    def _retire(self, publisher: Publisher) -> None:
        """Its messages get their outcomes while other submits use the new one; then it is closed."""

        def done() -> bool:
            return publisher not in self._outstanding.values()

        with self._changed:
            self._changed.wait_for(done, self._patience)
            left = [submission for submission, owner in self._outstanding.items() if owner is publisher]
        for submission in left:
            submission.abandon()
        publisher.close(AFTER)

    # --- the end

    def close(self) -> None:
        """Wait for messages in flight, within the patience, then disconnect. Called once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._outstanding, self._patience + AFTER)
            publisher, self._publisher = self._publisher, None
            left = list(self._outstanding)
        for submission in left:
            submission.abandon()
        if publisher is not None:
            publisher.close(AFTER)
        self._keeper.join(self._patience + 2 * AFTER)
