"""Every submit has its answer, whatever the library below does."""

import time
from collections.abc import Sequence

import pytest

from eventlog.kafka import publishing
from eventlog.kafka.client import Headers, Outcome, PartitionReader, Publisher, unavailable
from eventlog.kafka.publishing import Publishing
from eventlog.port import Message
from schemas.errors import Backpressure
from schemas.retry import Pauses

PATIENCE = 0.2


class Silent:
    """A library that takes messages and forgets them."""

    broken = False

    def send(self, topic: str, messages: Sequence[Message], headers: Headers, first: int, outcome: Outcome) -> None:
        self.broken = True  # from now on

    def close(self, timeout: float) -> None:
        """Nothing is on its way."""


class Away:
    """Connects once; then the broker is gone."""

    name = "away"

    def __init__(self) -> None:
        self._left: list[Publisher] = [Silent()]

    def publisher(self) -> Publisher:
        if not self._left:
            raise unavailable("connecting", "nobody")
        return self._left.pop()

    def reader(self, topic: str, partition: int) -> PartitionReader:
        raise NotImplementedError

    def ends(self) -> None:
        """The admin requests would do."""


def test_nobody_waits_for_a_broker_that_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "AFTER", 0.2)
    monkeypatch.setattr(publishing, "PAUSES", Pauses(0.1, 0.1))
    made = Publishing(Away(), 100, 10_000, PATIENCE, lambda name, positions: None)
    try:
        began = time.monotonic()
        future = made.submit(["simorgh.events"], [("simorgh.events", [(b"k", b"v")])])
        with pytest.raises(Backpressure):
            future.result(10)
        assert time.monotonic() - began < 5
    finally:
        made.close()
