"""Clients that repeat themselves, mix up the order of what they send, and insist on an answer."""

import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from tests.e2e.harness import WRITE_KEY

PEOPLE: Final = 40
WINDOW: Final = 50
"""Messages that are sent in any order."""
BATCH: Final = 10
REMEMBERED: Final = 500
"""Messages of which some are sent again."""
LEAST: Final = 700
"""Messages of each sender, however quickly it is told that it is enough: 840 orders of two senders, so that some of the
40 people has 20 of them or more (`reckoning.RULES`)."""


class Sender(threading.Thread):
    """Sends windows of messages, shuffled, a fifth of them copies of earlier ones, each batch until it is answered.

    Each message bears its own time, so the order of arrival says nothing about the order of what happened. It ends when
    it is told that it is `enough` and `LEAST` are acknowledged.
    """

    def __init__(self, url: str, number: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._number = number
        self._chance = random.Random(f"{seed}-{number}")
        self._began = datetime.now(UTC) - timedelta(days=1)
        self.acknowledged: list[dict[str, Any]] = []
        """Each message once."""
        self.copies = 0
        self.refused = 0
        """Tries without an answer that says yes."""
        self.enough = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, auth=(WRITE_KEY, ""), timeout=10) as client:
            while not self.enough.is_set() or len(self.acknowledged) < LEAST:
                self._send_window(client)

    def _send_window(self, client: httpx.Client) -> None:
        begun = len(self.acknowledged)
        window = [self._message(begun + n) for n in range(WINDOW)]
        earlier = self.acknowledged[-REMEMBERED:]
        copies = self._chance.choices(window + earlier, k=WINDOW // 4)  # a fifth of all that is sent
        sent = window + copies
        self._chance.shuffle(sent)
        for start in range(0, len(sent), BATCH):
            self._insist(client, sent[start : start + BATCH])
        self.copies += len(copies)
        self.acknowledged += window

    def _message(self, n: int) -> dict[str, Any]:
        person = self._chance.randrange(PEOPLE)
        at = self._began + timedelta(milliseconds=2 * n + self._number)
        message: dict[str, Any] = {
            "messageId": f"m-{self._number}-{n}",
            "userId": f"u{person}",
            "timestamp": at.isoformat(timespec="milliseconds"),
        }
        match n % 5:
            case 0:
                traits = {"email": f"p{person}@example.com", "latest": message["messageId"]}
                return {**message, "type": "identify", "traits": traits}
            case 1:
                return {**message, "type": "page", "anonymousId": f"a{person}-{n % 3}"}
            case _:
                order = {"order_id": f"o{self._number}-{n}", "revenue": 0.1, "currency": "EUR"}
                return {**message, "type": "track", "event": "Order Completed", "properties": order}

    def _insist(self, client: httpx.Client, batch: Sequence[dict[str, Any]]) -> None:
        while True:
            try:
                if client.post("/v1/batch", json={"batch": batch}).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            self.refused += 1
            time.sleep(0.05)


def stopped(senders: Sequence[Sender]) -> list[dict[str, Any]]:
    """All that was acknowledged, once each sender has its last answer."""
    for sender in senders:
        sender.enough.set()
    for sender in senders:
        sender.join(120)
        assert not sender.is_alive(), "a client is not answered"
    return [message for sender in senders for message in sender.acknowledged]
