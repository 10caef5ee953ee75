"""An operator's day: a key leaks, a source falls silent, a sender's events are rejected."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.command_line import simorgh
from tests.e2e.harness import Client, Server, running, wait_for

ORDER = {"type": "track", "event": "Order Completed"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Client]]:
    """One server for all questions: each is about a source, and a customer, of its own."""
    with running(tmp_path_factory.mktemp("asked") / "data") as made:
        yield made


def sent(url: str, key: str, message: dict[str, object]) -> int:
    return httpx.post(f"{url}/v1/batch", json={"batch": [message]}, auth=(key, ""), timeout=30).status_code


def test_rotating_a_write_key(world: tuple[Server, Client]) -> None:
    """A second key lives beside the first; then the first is taken back, and nothing was refused meanwhile."""
    server, client = world
    first = simorgh("sources", "create", "till", "--channel", "pos", "--data", server.data).json()
    second = client.post("/v1/sources/till/keys")
    keys = first["write_key"], second["write_key"]
    order = {**ORDER, "userId": "rotating"}
    assert [sent(server.url, key, {**order, "messageId": key}) for key in keys] == [200, 200]
    client.delete(f"/v1/sources/till/keys/{first['id']}")
    assert [sent(server.url, key, {**order, "messageId": f"{key}-2"}) for key in keys] == [401, 200]
    client.settled()
    assert client.profile("user_id:rotating")["metrics"]["orders"] == 3


def test_which_source_fell_silent(world: tuple[Server, Client]) -> None:
    """The counter of each source says who sends: one that does not grow while others do is silent."""
    server, _ = world
    names = ("web", "kiosk")
    created = {name: simorgh("sources", "create", name, "--data", server.data).json()["write_key"] for name in names}
    order = {**ORDER, "userId": "silent"}
    for name, key in created.items():
        sent(server.url, key, {**order, "messageId": f"{name}-1"})
    before = accepted(server.url)
    sent(server.url, created["web"], {**order, "messageId": "web-2"})
    after = accepted(server.url)
    assert {name for name in created if after[name] == before[name]} == {"kiosk"}


def accepted(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    counters = [line for line in lines if line.startswith("simorgh_collector_events_accepted_total{")]
    return {line.split('source="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in counters}


def test_finding_and_fixing_rejected_events(world: tuple[Server, Client], tmp_path: Path) -> None:
    server, client = world
    client.send({"type": "track", "userId": "fixed", "messageId": "m1"})  # without the name of the event
    [waiting] = wait_for(lambda: client.get("/v1/rejected")["items"], "nothing was rejected")
    assert waiting["id"] in simorgh("rejected", "list", "--data", server.data).answer()
    shown = simorgh("rejected", "show", waiting["id"], "--data", server.data).json()
    file = tmp_path / "fixed.json"
    file.write_text(json.dumps({**json.loads(shown["payload"]), "event": "Order Completed"}))
    simorgh("rejected", "retry", waiting["id"], "--payload", file, "--data", server.data).answer()
    client.settled()
    assert client.profile("user_id:fixed")["metrics"]["orders"] == 1
    wait_for(lambda: not client.get("/v1/rejected")["items"], "it still waits")
