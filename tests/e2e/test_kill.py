"""Kill -9 under load, at random moments and right after each side effect: nothing lost, nothing counted twice."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream_processors.checkpoints import CHECKPOINTS
from tests.e2e.harness import WRITE_KEY, Client, Server, wait_for

PEOPLE = 12
COHORT = 400
"""Messages of a sender about the same people; then others follow, so that every life has new links and transitions."""
BATCH = 10
PAUSE = 0.02
"""Seconds between two batches of a sender: the server should have work, and time for more than requests."""
POINTS = (*CHECKPOINTS, "scheduled", "attempted", "settled", "written", "committed")
"""The side effects of the pipeline, then those of the triggers."""
RANDOM = "at any moment"
LONGEST_LIFE = 180.0
"""Seconds within which a server under load has every side effect. On an idle machine it takes two or three."""


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
        self.lost = threading.Event()
        """No server will answer any more: the test has failed."""

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            batch = [self._message(number + n) for n in range(BATCH)]
            self._insist(batch)
            self.acknowledged += batch
            number += BATCH
            self.enough.wait(PAUSE)
            if self._chance.random() < 0.2:
                self._insist(batch)
                self.copies += 1

    def _message(self, n: int) -> dict[str, Any]:
        """Of five messages, one identifies a person, one is a visitor's page view, and the next is an order by that
        visitor, which merges the two. The last one reports the previous order again."""
        if n % 5 != 2:
            self._person = n // COHORT * PEOPLE + self._chance.randrange(PEOPLE)
        person = self._person
        message: dict[str, Any] = {"messageId": f"m-{self._seed}-{n}", "userId": f"u{person}"}
        order = {"order_id": f"o{self._seed}-{n - (n % 5 == 4)}", "revenue": 0.1, "currency": "EUR"}
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
        while not self.lost.is_set():
            try:
                answer = httpx.post(
                    f"{self._server.url}/v1/batch", json={"batch": batch}, auth=(WRITE_KEY, ""), timeout=10
                )
                if answer.status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)


def deaths(count: int, seed: int) -> Iterator[tuple[str, int]]:
    """How each of `count` lives ends: three of four right after a side effect, one after the other, at one of its first
    three hits; the others at a random moment."""
    chance = random.Random(seed)
    aims = itertools.cycle(POINTS[seed % len(POINTS) :] + POINTS[: seed % len(POINTS)])
    for n in range(count):
        yield (RANDOM if n % 4 == 3 else next(aims)), chance.randrange(1, 4)


def live(server: Server, death: str, hit: int, chance: random.Random) -> None:
    """Start, and die as planned: the server kills itself at a side effect, and the test kills it otherwise."""
    assert server.process is not None
    if death == RANDOM:
        server.start()
        with pytest.raises(subprocess.TimeoutExpired):  # it must not end by itself
            server.process.wait(chance.uniform(0.0, 3.0))
        server.kill()
        return
    server.start(SIMORGH_CRASH_AT=f"{death}:{hit}")
    try:
        code = server.process.wait(LONGEST_LIFE)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"within {LONGEST_LIFE:g} s there were no {hit} side effects {death!r}") from None
    assert code == -signal.SIGKILL
    server.kill()


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
    """Run `kills` lives under load and check the end against what was acknowledged. Returns how many ended how."""
    folder.mkdir(exist_ok=True)
    chance = random.Random(seed)
    ended: Counter[str] = Counter()
    with Server(folder / "data").start() as server:
        with closing(Client(server)) as client:
            declare(client)
            client.settled()
        senders = [Sender(server, seed * 100 + n) for n in range(2)]
        try:
            for sender in senders:
                sender.start()
            server.kill()
            for death, hit in deaths(kills, seed):
                live(server, death, hit, chance)
                ended[death] += 1
            server.start()
            for sender in senders:
                sender.enough.set()
            for sender in senders:
                sender.join(60)
                assert not sender.is_alive()
        finally:
            for sender in senders:
                sender.enough.set()
                sender.lost.set()
        acknowledged = [message for sender in senders for message in sender.acknowledged]
        with closing(Client(server)) as client:
            check(client, acknowledged)
    check_raw(server, acknowledged)
    return ended


def user_of(message: dict[str, Any]) -> str:
    """Whose event it is in the end; a visitor's name begins with that."""
    return str(message.get("userId") or "u" + message["anonymousId"].split("-")[0][1:])


def counted(acknowledged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that count: of each order the first, in the order in which its sender sent them."""
    first: dict[str, dict[str, Any]] = {}
    for message in acknowledged:
        first.setdefault(message.get("properties", {}).get("order_id", message["messageId"]), message)
    return list(first.values())


def check(client: Client, acknowledged: list[dict[str, Any]]) -> None:
    status = client.settled()
    assert status["events"]["unique"] == len(acknowledged)
    assert status["events"]["logged"] == status["events"]["unique"] + status["events"]["duplicates"]
    by_person = Counter(user_of(m) for m in counted(acknowledged))
    orders = Counter(m["userId"] for m in counted(acknowledged) if m.get("event") == "Order Completed")
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
    orders = sum(1 for m in counted(acknowledged) if m.get("event") == "Order Completed")
    assert raw["log_rows"] == raw["offsets"]
    assert raw["unique"] == raw["events"] == raw["event_offsets"] == raw["ids"] == raw["id_values"] == unique
    assert float(raw["amount"]) == pytest.approx(orders / 10, abs=1e-9)


def test_two_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(len(POINTS)))
    print(f"SEED={seed} plays this again")
    ended = survive(tmp_path / "box", kills=2, seed=seed)
    print(dict(ended))
    assert ended.total() == len(set(ended) - {RANDOM}) == 2


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_three_hundred_kills(tmp_path: Path) -> None:
    ended: Counter[str] = Counter()
    for run in range(10):
        print(f"seed {run * 3}", flush=True)
        ended += survive(tmp_path / f"box-{run}", kills=30, seed=run * 3)
        print(dict(sorted(ended.items())), flush=True)
    assert ended.total() == 300
    assert set(ended) == {*POINTS, RANDOM}
