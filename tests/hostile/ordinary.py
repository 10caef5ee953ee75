"""The ordinary client: sends on, retries what it is told to retry, looks at health, and remembers what it saw."""

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import httpx

from tests.e2e.harness import WRITE_KEY, Server

RETRIED = (429, 503)


@dataclass
class Seen:
    """Of one kind of request. Seconds of each that was answered; statuses, and the names of broken connections."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def percentile(self, percent: int) -> float:
        if len(self.seconds) < 2:
            return max(self.seconds, default=0.0)
        return quantiles(self.seconds, n=100, method="inclusive")[percent - 1]

    @property
    def errors(self) -> dict[str, int]:
        """What it may not see, at any rate: neither an answer that is right nor one that says when to come again."""
        fine = {"200", *map(str, RETRIED)}
        return {status: n for status, n in self.statuses.items() if status not in fine}


class Ordinary:
    """`rate` events a second in batches of ten, over one connection that is kept, and a look at health 20 times a
    second over new ones, as a supervisor does. Two threads, from `start` until `stop`."""

    def __init__(self, server: Server, *, rate: int = 200, people: int = 20, name: str = "o") -> None:
        self._server = server
        self._rate, self._people, self._name = rate, people, name
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._look)]
        self.sending, self.health = Seen(), Seen()
        self.acknowledged: Counter[str] = Counter()
        self.unsent = 0

    def start(self) -> "Ordinary":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def people(self) -> list[str]:
        return sorted(self.acknowledged)

    def _send(self) -> None:
        due, number = time.monotonic(), 0
        with httpx.Client(base_url=self._server.url, auth=(WRITE_KEY, ""), timeout=30) as client:
            while not self._over.is_set():
                batch = [self._event(number + n) for n in range(10)]
                number += len(batch)
                self._deliver(client, batch)
                due = max(due + len(batch) / self._rate, time.monotonic() - 1)
                self._over.wait(max(0, due - time.monotonic()))

    def _event(self, number: int) -> dict[str, Any]:
        user = f"{self._name}-{number % self._people}"
        return {"type": "track", "event": "Product Viewed", "userId": user, "messageId": f"{self._name}{number}",
                "properties": {"product_id": f"p{number % 50}", "price": 9.5}}  # fmt: skip

    def _deliver(self, client: httpx.Client, batch: list[dict[str, Any]]) -> None:
        """Until it is taken, a minute at most, as SDKs do."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pause = self._try(client, batch)
            if pause is None:
                self.acknowledged.update(event["userId"] for event in batch)
                return
            time.sleep(pause)
        self.unsent += len(batch)

    def _try(self, client: httpx.Client, batch: list[dict[str, Any]]) -> float | None:
        """None when it was taken, else for how long to pause."""
        begun = time.monotonic()
        try:
            answer = client.post("/v1/batch", json={"batch": batch})
        except httpx.HTTPError as error:
            self.sending.statuses[type(error).__name__] += 1
            return 0.1
        self.sending.seconds.append(time.monotonic() - begun)
        refused = answer.status_code == 200 and "rejected" in answer.json()
        self.sending.statuses["rejected" if refused else str(answer.status_code)] += 1
        if answer.status_code in RETRIED:
            return float(answer.headers.get("retry-after", 1))
        return None if answer.status_code == 200 and not refused else 1.0

    def _look(self) -> None:
        while not self._over.wait(0.05):
            begun = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
            try:
                connection.request("GET", "/healthz")
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                self.health.statuses[type(error).__name__] += 1
                continue
            finally:
                connection.close()
            self.health.seconds.append(time.monotonic() - begun)
            self.health.statuses[str(status)] += 1
