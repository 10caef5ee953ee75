"""The audit on a real server: what a stop and a kill leave of it."""

from pathlib import Path
from typing import Any

from tests.e2e.command_line import simorgh
from tests.e2e.harness import Client, running

READS = 25


def actions(client: Client, action: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get("/v1/audit", action=action)["items"]
    return items


def test_a_stop_loses_nothing_and_a_kill_no_change_and_no_export(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (server, client):
        client.send({"type": "identify", "userId": "u1", "messageId": "m-1"})
        client.settled()
        for _ in range(READS):
            client.profile("user_id:u1")
        server.stop()
        server.start()
        assert len(actions(client, "profiles.view")) == READS
        for _ in range(READS):
            client.profile("user_id:u1")
        assert len(actions(client, "profiles.view")) == 2 * READS, "a list has all that this process answered before"
        client.post("/v1/tokens", {"name": "x", "scopes": ["read"]})
        client.http.get("/v1/profiles/user_id:u1/export").raise_for_status()
        server.kill()
        server.start()
        assert [one["asked"] for one in actions(client, "tokens.create")] == [False, True]
        assert len(actions(client, "profiles.export")) == 1
        assert client.http.request("DELETE", "/v1/profiles/user_id:u1", json={"reason": "asked"}).status_code == 202
        server.kill()
        server.start()
        assert [one["status"] for one in actions(client, "profiles.erase")] == [202, None]
        assert "broken" not in simorgh("privacy", "audit", "verify", "--data", data).answer()
