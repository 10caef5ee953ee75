"""Retention: what is too old leaves the log and the tables with the next replay, and stays away."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.harness import Client, running, wait_for
from tests.e2e.table_search import columns_with
from tests.e2e.test_erasure import records_with

OLD = "old_thing"


def event(name: str, days_ago: int, n: int, user: str = "u1") -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()
    return {"type": "track", "event": name, "userId": user, "messageId": f"{name}-{n}", "timestamp": at}


def replayed(client: Client) -> None:
    client.post("/v1/replay")
    state = wait_for(lambda: (one := client.get("/v1/replay"))["state"] != "running" and one, "the replay does not end")
    assert state["state"] == "done", state


def bodies(data: Path) -> list[bytes]:
    """Of the chunks with events, as they are in the file."""
    with closing(sqlite3.connect(data / "log.sqlite")) as db:
        tables = ['"simorgh.events/0"', '"simorgh.events/1"']
        return [bytes(row[0]) for table in tables for row in db.execute(f"SELECT body FROM {table}")]


def test_what_is_too_old_is_gone_from_the_log_and_the_tables(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (server, client):
        client.send(*(event("Old Thing", 40, n) for n in range(50)), {"type": "track", "userId": "u1"})
        client.settled()
        before = bodies(data)
        client.send(event("Old Thing", 5, 100), event("Other Thing", 40, 1), event("Other Thing", 1, 2))
        client.settled()
        kept = {"custom.old_thing": 1, "custom.other_thing": 2}
        assert client.profile("user_id:u1")["metrics"]["counts"] == kept | {"custom.old_thing": 51}
        replayed(client)
        assert client.profile("user_id:u1")["metrics"]["counts"] == kept | {"custom.old_thing": 51}
        client.post("/v1/retentions", {"id": "old", "type": f"custom.{OLD}", "days": 30})
        client.post("/v1/retentions", {"id": "rejected", "type": "rejected", "days": 30})
        assert [one["days"] for one in client.get("/v1/retentions")["items"]] == [30, 30]
        for _ in range(2):
            replayed(client)
            assert client.profile("user_id:u1")["metrics"]["counts"] == kept
            events = client.settled()["events"]
            assert (events["logged"], events["unique"], events["rejected"]) == (3, 3, 1)
        files = b"".join(path.read_bytes() for path in data.glob("log.sqlite*"))
        assert not [one for one in before if one[20:120] in files]
        client.send(event("Old Thing", 40, 1))  # sent again, it is no copy; the next replay takes it out
        client.settled()
        assert client.profile("user_id:u1")["metrics"]["counts"] == kept | {"custom.old_thing": 2}
        client.http.delete("/v1/retentions/old").raise_for_status()
        server.kill()
        server.start()
        assert client.profile("user_id:u1")["metrics"]["counts"] == kept | {"custom.old_thing": 2}
    assert records_with(data, OLD) == ["simorgh.events", "simorgh.registry"]
    assert columns_with(data, OLD)
