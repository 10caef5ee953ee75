"""A load that goes on while brokers come and go, and what must have become of it."""

import threading
from collections import Counter
from concurrent.futures import Future
from typing import Final, Self

from eventlog.kafka.log import KafkaEventLog
from eventlog.port import Message, Position
from schemas import topics
from schemas.errors import Backpressure
from tests.contracts.event_log import read_all

LONGEST_PAUSE: Final = 120.0
"""Seconds without any acknowledgement. A busy machine takes half a minute to let a broker that was killed in again."""


class Load:
    """Submits all the time from a thread; what was acknowledged is in `acked`, what failed in `failed`.

    For a `with`: it ends with it, however that is left.
    """

    def __init__(self, log: KafkaEventLog) -> None:
        self.log = log
        self.acked: dict[bytes, Position] = {}
        self.failed: list[BaseException] = []
        self.progress = threading.Semaphore(0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            messages = [(f"{number + n}".encode(), b"v" * 100) for n in range(20)]
            number += 20
            try:
                self._note(messages, self.log.submit([(topics.EVENTS, messages)]))
            except Backpressure as error:
                self.failed.append(error)
                self._stop.wait(0.02)

    def _note(self, messages: list[Message], future: Future[list[list[Position]]]) -> None:
        def done(future: Future[list[list[Position]]]) -> None:
            error = future.exception()
            if error is None:
                self.acked.update(zip((key for key, _ in messages), future.result()[0], strict=True))
                self.progress.release()
            else:
                self.failed.append(error)

        future.add_done_callback(done)

    def wait_for(self, submits: int, seconds: float = LONGEST_PAUSE) -> None:
        """Until so many more were acknowledged, from now on, without a pause of so many seconds."""
        while self.progress.acquire(blocking=False):
            pass
        for n in range(submits):
            told = f"{n} of {submits} submits acknowledged, then none in {seconds:g} s; the last failures:"
            assert self.progress.acquire(timeout=seconds), f"{told} {self.failed[-3:]}"

    def end(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def check_acknowledged(log: KafkaEventLog, load: Load) -> None:
    """All that was acknowledged is there, and nothing twice if nothing failed. `log`: one that has seen none of it."""
    partitions = read_all(log, topics.EVENTS)
    assert load.acked
    assert all(partitions[p][o].key == key for key, (p, o) in load.acked.items())
    for records in partitions:
        assert [r.offset for r in records] == list(range(len(records)))
    assert all(isinstance(error, Backpressure) for error in load.failed)
    if not load.failed:
        assert set(Counter(r.key for records in partitions for r in records).values()) == {1}
