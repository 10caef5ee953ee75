"""Kill -9 under load, at random moments and right after each side effect: nothing lost, nothing counted twice."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream_processors.checkpoints import CHECKPOINTS
from tests.e2e.harness import WRITE_KEY, Client, Server, wait_for

PEOPLE = 12
COHORT = 400
"""Messages of a sender, after which others come: in every life there are links and transitions to be told."""
BATCH = 10
TRIGGER_STEPS = ("scheduled", "attempted", "settled", "written", "committed")


class Sender(threading.Thread):
    """A client that retries every batch under the same ids until it is answered, and repeats a fifth of them."""

    def __init__(self, server: Server, seed: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._chance = random.Random(seed)
        self._seed = seed
        self._person = 0
        self.acknowledged: list[dict[str, Any]] = []
        self.copies = 0
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            batch = [self._message(number + n) for n in range(BATCH)]
            self._insist(batch)
            self.acknowledged += batch
            number += BATCH
            if self._chance.random() < 0.2:
                self._insist(batch)
                self.copies += 1

    def _message(self, n: int) -> dict[str, Any]:
        """Of five messages one tells who somebody is, one is a visitor's, who orders with the next one: a merge."""
        if n % 5 != 2:
            self._person = n // COHORT * PEOPLE + self._chance.randrange(PEOPLE)
        person = self._person
        message: dict[str, Any] = {"messageId": f"m-{self._seed}-{n}", "userId": f"u{person}"}
        order = {"order_id": f"o{n}", "revenue": 0.1, "currency": "EUR"}
        ordered = {**message, "type": "track", "event": "Order Completed", "properties": order}
        visitor = f"a{person}-{self._seed}-{n // (COHORT // 2)}"  # two of each sender: a profile takes five
        match n % 5:
            case 0:
                return {**message, "type": "identify", "traits": {"email": f"p{person}@example.com", "n": n}}
            case 1:
                return {"messageId": message["messageId"], "type": "page", "anonymousId": visitor}
            case 2:
                return {**ordered, "anonymousId": visitor}
            case _:
                return ordered

    def _insist(self, batch: list[dict[str, Any]]) -> None:
        while True:
            try:
                answer = httpx.post(
                    f"{self._server.url}/v1/batch", json={"batch": batch}, auth=(WRITE_KEY, ""), timeout=10
                )
                if answer.status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)


def crashes(count: int, seed: int) -> Iterator[dict[str, str]]:
    """Environments for `count` lives: aimed at each side effect in turn, at one of its first three hits: tables are
    written about once a second, and a life has two or three."""
    chance = random.Random(seed)
    points = CHECKPOINTS + TRIGGER_STEPS
    for n in range(count):
        yield {"SIMORGH_CRASH_AT": f"{points[(n + seed) % len(points)]}:{chance.randrange(1, 4)}"}


def one_life(server: Server, environment: dict[str, str], chance: random.Random) -> str:
    """Start, let it be killed (by its own hand where aimed, by ours otherwise), and say how it died."""
    server.start(**environment)
    aimed = environment["SIMORGH_CRASH_AT"].split(":")[0]
    end = time.monotonic() + chance.uniform(1.5, 3.0)
    while time.monotonic() < end:
        if server.died():
            server.kill()
            return aimed
        time.sleep(0.01)
    server.kill()
    return "random"


def declare(client: Client) -> None:
    rules = {
        "buyers": {"event": "order.completed", "count": {"gte": 3}, "within": "30d"},
        "known": {"all": [{"trait": "email", "exists": True}, {"segment": "buyers"}]},
        "spenders": {"event": "order.completed", "sum": {"gte": 2}, "of": "revenue"},
    }
    for name, rule in rules.items():
        client.post("/v1/segments", {"id": name, "name": name, "rule": rule})
    hook = {"url": "http://127.0.0.1:9/nobody", "secret": "whsec_" + "c2VjcmV0" * 4}
    client.post("/v1/triggers", {"id": "t", "segment": "buyers", "on": ["entered"], "webhook": hook})


def survive(folder: Path, kills: int, seed: int) -> Counter[str]:
    """Run `kills` lives under load and check the end against what was acknowledged. Returns how each life ended."""
    folder.mkdir(exist_ok=True)
    chance = random.Random(seed)
    server = Server(folder / "data").start()
    client = Client(server)
    declare(client)
    client.settled()
    client.close()
    senders = [Sender(server, seed * 100 + n) for n in range(2)]
    for sender in senders:
        sender.start()
    deaths: Counter[str] = Counter()
    server.kill()
    for environment in crashes(kills, seed):
        deaths[one_life(server, environment, chance)] += 1
    server.start()
    for sender in senders:
        sender.enough.set()
    for sender in senders:
        sender.join(60)
        assert not sender.is_alive()
    client = Client(server)
    try:
        check(client, [m for sender in senders for m in sender.acknowledged])
    finally:
        client.close()
        server.stop()
    check_raw(server, [m for sender in senders for m in sender.acknowledged])
    return deaths


def user_of(message: dict[str, Any]) -> str:
    """Whose event it is in the end; a visitor's name begins with that."""
    return str(message.get("userId") or "u" + message["anonymousId"].split("-")[0][1:])


def check(client: Client, acknowledged: list[dict[str, Any]]) -> None:
    status = client.settled()
    assert status["events"]["unique"] == len(acknowledged)
    assert status["events"]["logged"] == status["events"]["unique"] + status["events"]["duplicates"]
    by_person = Counter(user_of(m) for m in acknowledged)
    orders = Counter(m["userId"] for m in acknowledged if m.get("event") == "Order Completed")
    latest = {m["userId"] for m in acknowledged if m["type"] == "identify"}
    for person, count in by_person.items():
        view = client.profile(f"user_id:{person}")
        assert view["metrics"]["events"] == count
        assert view["metrics"]["orders"] == orders[person]
        assert view["metrics"]["revenue"].get("EUR", 0) == pytest.approx(orders[person] / 10, abs=1e-12)
        expected = {"buyers"} if orders[person] >= 3 else set()
        expected |= {"spenders"} if orders[person] >= 20 else set()
        expected |= {"known"} if orders[person] >= 3 and person in latest else set()
        assert {s["id"] for s in view["segments"]} == expected
    members = client.get("/v1/segments/buyers/members", limit=1000)["items"]
    assert len(members) == sum(1 for count in orders.values() if count >= 3)
    wait_for(
        lambda: len(client.get("/v1/triggers/t/deliveries", limit=1000)["items"]) >= len(members),
        "some transition has no delivery",
    )


def check_raw(server: Server, acknowledged: list[dict[str, Any]]) -> None:
    command = [sys.executable, "-m", "tests.e2e.raw_counts", str(server.data)]
    raw = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    unique = len(acknowledged)
    orders = sum(1 for m in acknowledged if m.get("event") == "Order Completed")
    assert raw["log_rows"] == raw["offsets"]
    assert raw["unique"] == raw["events"] == raw["event_offsets"] == raw["ids"] == raw["id_values"] == unique
    assert float(raw["amount"]) == pytest.approx(orders / 10, abs=1e-9)


def test_ten_kills(tmp_path: Path) -> None:
    deaths = survive(tmp_path / "box", kills=10, seed=random.randrange(17))
    print("deaths:", dict(deaths))
    assert sum(deaths.values()) == 10


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_three_hundred_kills(tmp_path: Path) -> None:
    deaths: Counter[str] = Counter()
    for run in range(10):
        deaths += survive(tmp_path / f"box-{run}", kills=30, seed=run * 3)
        print("deaths:", dict(sorted(deaths.items())), flush=True)
    assert sum(deaths.values()) == 300
    aimed = {point for point in deaths if point != "random"}
    assert aimed >= set(CHECKPOINTS)
