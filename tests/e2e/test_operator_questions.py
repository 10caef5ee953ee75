"""An operator's day: a key leaks, a source falls silent, a sender's events are rejected."""

import json
from pathlib import Path

import httpx

from tests.e2e.harness import running, wait_for
from tests.e2e.operator_day import answered, simorgh

ORDER = {"type": "track", "event": "Order Completed", "userId": "u1"}


def sent(url: str, key: str, message: dict[str, object]) -> int:
    return httpx.post(f"{url}/v1/batch", json={"batch": [message]}, auth=(key, ""), timeout=30).status_code


def test_rotating_a_write_key(tmp_path: Path) -> None:
    """A second key lives beside the first; then the first is taken back, and nothing was refused meanwhile."""
    data = tmp_path / "data"
    with running(data) as (server, client):
        first = json.loads(answered(simorgh("sources", "create", "till", "--channel", "pos", "--data", data)))
        second = client.post("/v1/sources/till/keys")
        keys = first["write_key"], second["write_key"]
        assert [sent(server.url, key, {**ORDER, "messageId": key}) for key in keys] == [200, 200]
        client.delete(f"/v1/sources/till/keys/{first['id']}")
        assert [sent(server.url, key, {**ORDER, "messageId": f"{key}-2"}) for key in keys] == [401, 200]
        client.settled()
        assert client.profile("user_id:u1")["metrics"]["orders"] == 3


def test_which_source_fell_silent(tmp_path: Path) -> None:
    """The counter of each source says who sends: one that does not grow while others do is silent."""
    data = tmp_path / "data"
    with running(data) as (server, _):
        created = {
            name: json.loads(answered(simorgh("sources", "create", name, "--data", data)))["write_key"]
            for name in ("web", "till")
        }
        for name, key in created.items():
            sent(server.url, key, {**ORDER, "messageId": f"{name}-1"})
        before = accepted(server.url)
        sent(server.url, created["web"], {**ORDER, "messageId": "web-2"})
        after = accepted(server.url)
    assert {name for name in created if after[name] == before[name]} == {"till"}


def accepted(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    counters = [line for line in lines if line.startswith("simorgh_collector_events_accepted_total{")]
    return {line.split('source="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in counters}


def test_finding_and_fixing_rejected_events(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (_, client):
        client.send({"type": "track", "userId": "u1", "messageId": "m1"})  # without the name of the event
        [waiting] = wait_for(lambda: client.get("/v1/rejected")["items"], "nothing was rejected")
        assert waiting["id"] in answered(simorgh("rejected", "list", "--data", data))
        shown = json.loads(answered(simorgh("rejected", "show", waiting["id"], "--data", data)))
        fixed = {**json.loads(shown["payload"]), "event": "Order Completed"}
        (tmp_path / "fixed.json").write_text(json.dumps(fixed))
        answered(simorgh("rejected", "retry", waiting["id"], "--payload", tmp_path / "fixed.json", "--data", data))
        client.settled()
        assert client.profile("user_id:u1")["metrics"]["orders"] == 1
        wait_for(lambda: not client.get("/v1/rejected")["items"], "it still waits")
