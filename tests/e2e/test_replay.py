"""`simorgh replay`, offline and beside a serving process under load: nothing that anybody can see changes."""

import ast
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Client, Server, running, wait_for
from tests.programs import run
from tests.webhook_receiver import Receiver, receiving

PEOPLE = 6


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def live_through(client: Client, hook: Receiver) -> None:
    """Events, copies, rejected ones, merges by link and by hand, a split, a refusal, segments, a trigger."""
    rules: dict[str, Any] = {
        "buyers": {"event": "order.completed", "count": {"gte": 2}, "within": "30d"},
        "known": {"all": [{"trait": "email", "exists": True}, {"segment": "buyers"}]},
    }
    for name, rule in rules.items():
        client.post("/v1/segments", {"id": name, "name": name, "rule": rule})
    webhook = {"url": hook.url, "secret": "whsec_" + "c2VjcmV0" * 4}
    client.post("/v1/triggers", {"id": "t", "segment": "known", "on": ["entered", "exited"], "webhook": webhook})
    for person in range(PEOPLE):
        client.send(*events_of(person))
    client.send(*events_of(0))
    client.send({"type": "track", "userId": "u0"}, {"type": "page", "userId": "u0", "messageId": "x" * 300})
    client.settled()
    client.post("/v1/profiles/user_id:u1/merge", {"with": "user_id:u2", "reason": "same person"})
    client.post("/v1/profiles/user_id:u3/merge", {"with": "user_id:u4", "reason": "a mistake"})
    mistake = {"identities": [{"type": "user_id", "value": "u4"}, {"type": "anonymous_id", "value": "a4"}]}
    client.post("/v1/profiles/user_id:u3/split", {**mistake, "reason": "it was one"})
    client.settled()


def events_of(person: int) -> list[dict[str, Any]]:
    who = {"userId": f"u{person}", "anonymousId": f"a{person}"}
    order = {"type": "track", "event": "Order Completed", "properties": {"revenue": 0.1, "currency": "EUR"}}
    return [
        {"type": "page", "anonymousId": f"a{person}", "messageId": f"p{person}-0"},
        {"type": "identify", **who, "messageId": f"p{person}-1", "traits": {"email": f"p{person}@example.com"}},
        *({**order, **who, "messageId": f"p{person}-o{n}"} for n in range(person)),
    ]


def seen(client: Client) -> dict[str, Any]:
    """All that the API says, but for how fresh it is."""
    status = client.settled()
    ids = sorted({client.profile(f"user_id:u{n}")["profile_id"] for n in range(PEOPLE)})
    views = [client.profile(one, include="traits,identities,segments,metrics,consent,events", limit=200) for one in ids]
    for view in views:
        del view["freshness"]
    everyone = client.get("/v1/profiles", limit=200)["items"]
    return {
        "events": status["events"],
        "profiles": [status["profiles"], status["identities"]],
        "views": views,
        "everyone": sorted(one["profile_id"] for one in everyone),
        "old ids": {f"u{n}": client.profile(f"user_id:u{n}")["profile_id"] for n in range(PEOPLE)},
        "members": {name: members(client, name) for name in ("buyers", "known")},
        "rejected": sorted((one["code"], one["reason"]) for one in client.get("/v1/rejected", limit=200)["items"]),
        "explained": [client.get(f"/v1/profiles/{one}/identities", explain="true") for one in ids],
        "deliveries": client.get("/v1/triggers/t/deliveries", limit=200)["items"],
    }


def members(client: Client, segment: str) -> list[Any]:
    found = client.get(f"/v1/segments/{segment}/members", limit=200)["items"]
    return sorted(found, key=lambda one: str(one["profile_id"]))


def replay(data: Path) -> str:
    done = run("replay", "--data", data)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def all_delivered(client: Client) -> bool:
    found = client.get("/v1/triggers/t/deliveries", limit=200)["items"]
    return bool(found) and all(one["status"] == "delivered" for one in found)


def after_deliveries(client: Client, hook: Receiver) -> tuple[dict[str, Any], int]:
    """Once nobody is left to be called: what is seen, and how many calls that took."""
    wait_for(lambda: all_delivered(client), "a delivery waits forever")
    return seen(client), len(hook.calls)


def test_offline_while_serving_and_killed(tmp_path: Path, hook: Receiver) -> None:
    data = tmp_path / "data"
    with running(data) as (server, client):
        live_through(client, hook)
        before, calls = after_deliveries(client, hook)
        assert "generation 2" in replay(data)
        assert seen(client) == before
        client.send(*events_of(PEOPLE))
        client.settled()
        assert client.profile(f"user_id:u{PEOPLE}")["metrics"]["orders"] == PEOPLE
        wait_for(lambda: len(hook.calls) == calls + 1, "the trigger does not follow the new generation")
        before, calls = after_deliveries(client, hook)
        assert server.stop() == 0
        assert "generation 3" in replay(data)
        server.start()
        again = Client(server)
        assert seen(again) == before
        again.post("/v1/replay")
        server.kill()
        server.start()
        assert seen(again) == before, "a killed replay changes nothing"
        assert again.get("/v1/replay")["state"] == "idle"
        again.close()
    assert len(hook.calls) == calls


def databases(data: Path, *statements: str) -> dict[str, str]:
    """The databases of a folder that no server has open, with their marks, after these statements."""
    script = f"""
import clickhouse_connect
client = clickhouse_connect.get_client(dsn="chdb://{data}/warehouse")
for statement in {statements!r}:
    client.command(statement)
print(dict(client.query("SELECT name, comment FROM system.databases WHERE name LIKE 'default_g%'").result_rows))
client.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, str] = ast.literal_eval(done.stdout)
    return found


def test_a_folder_of_another_version_is_rebuilt_at_its_start(tmp_path: Path, hook: Receiver) -> None:
    data = tmp_path / "data"
    with running(data) as (server, client):
        live_through(client, hook)
        before, calls = after_deliveries(client, hook)
        assert server.stop() == 0
        mark = databases(data)["default_g1"]
        databases(data, "ALTER DATABASE default_g1 MODIFY COMMENT 'tables of another version'")
        server.start()
        again = Client(server)
        nobody = {"id": "nobody", "name": "Nobody", "rule": {"trait": "none such", "exists": True}}
        again.post("/v1/segments", nobody)  # answered when processing goes on
        assert seen(again) == before
        assert len(hook.calls) == calls
        again.close()
        assert server.stop() == 0
        assert databases(data) == {"default_g2": mark}


def test_under_load(tmp_path: Path) -> None:
    """Events that arrive while the new generation is built, and while it is swapped in, are all in it, once."""
    data = tmp_path / "data"
    with running(data) as (server, client):
        sender = Sender(server)
        sender.start()
        try:
            wait_for(lambda: sender.sent >= 2_000, "nothing is sent")
            assert "generation 2" in replay(data)
        finally:
            sender.enough.set()
            sender.join(60)
        status = client.settled()
        assert status["events"] == {"logged": sender.sent, "unique": sender.sent, "duplicates": 0, "rejected": 0}
        counted = [client.profile(f"user_id:s{n}")["metrics"]["events"] for n in range(10)]
        assert sum(counted) == sender.sent
        assert not server.died()


class Sender(threading.Thread):
    """Sends batch after batch until it is enough."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self.sent = 0
        self.enough = threading.Event()

    def run(self) -> None:
        client = Client(self._server)
        while not self.enough.wait(0.02):
            ids = range(self.sent, self.sent + 50)
            client.send(*({"type": "page", "userId": f"s{n % 10}", "messageId": f"s-{n}"} for n in ids))
            self.sent += 50
        client.close()
