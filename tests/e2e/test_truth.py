"""What is wrong shows: readiness, status and metrics of a real server that is made ill, and how it gets well again."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.command_line import simorgh
from tests.e2e.harness import Client, Server, running, wait_for

EVENTS = 4000


def ready(client: Client) -> httpx.Response:
    return client.http.get("/readyz")


def is_ready(client: Client) -> bool:
    return ready(client).status_code == 200


def why_not(client: Client, code: str) -> dict[str, Any]:
    """The problem that `/readyz` answers, once it is this one."""

    def answer() -> dict[str, Any] | None:
        came = ready(client)
        if came.status_code == 200:
            return None
        assert came.status_code == 503
        assert came.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = came.json()
        return problem if code in {fault["code"] for fault in problem["faults"]} else None

    found: dict[str, Any] = wait_for(answer, f"/readyz never says {code}")
    return found


def send(client: Client, count: int, first: int = 0) -> None:
    for start in range(first, first + count, 1000):
        batch = range(start, min(start + 1000, first + count))
        client.send(*({"type": "track", "event": "Seen", "userId": f"u{n % 500}", "messageId": f"m{n}"} for n in batch))


def states(client: Client) -> set[str]:
    return {stage["state"] for stage in client.get("/v1/status")["projections"]}


def test_a_rebuild_at_start_is_told_until_it_is_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (_, client):
        send(client, EVENTS)
        client.settled()
    shutil.rmtree(data / "warehouse")
    with running(data) as (_, client):
        told, asked = set(), set()
        while not is_ready(client) or "starting" in states(client):
            told.add(ready(client).json().get("code"))
            asked.add(client.http.get("/v1/profiles/user_id:u1").json().get("code"))
            status = client.get("/v1/status")
            if "rebuilding" not in {stage["state"] for stage in status["projections"]}:
                lags = [stage["lag_events"] for stage in status["projections"]]
                assert status["events"]["logged"] == EVENTS or any(lags)
        assert "rebuilding" in told <= {None, "rebuilding"}  # None: it is over
        assert asked <= {None, "rebuilding", "not_found"}  # not found: before the rebuild was begun
        events = client.settled()["events"]
        assert (events["logged"], events["unique"]) == (EVENTS, EVENTS)
        assert client.profile("user_id:u1")["metrics"]["events"] == EVENTS // 500
        assert states(client) == {"running"}


@contextmanager
def files_that_cannot_grow(server: Server) -> Iterator[None]:
    """As on a full disk: what is written beyond the present size of the log's journal is refused."""
    assert server.process is not None
    size = (server.data / "log.sqlite-wal").stat().st_size
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_log_that_cannot_be_written_is_told_and_found_well_again(tmp_path: Path) -> None:
    with running(tmp_path / "data") as (server, client):
        send(client, 100)
        client.settled()
        assert is_ready(client)
        with files_that_cannot_grow(server):
            for n in range(20):  # until the journal is full
                body = {
                    "batch": [{"type": "track", "event": "x" * 10_000, "userId": "u1", "messageId": f"big{n}"}] * 20
                }
                answer = client.http.post(
                    "/v1/batch", json=body, headers={"authorization": ""}, auth=("test-write-key", "")
                )
                if answer.status_code != 200:
                    break
            assert answer.status_code in (429, 503)
            problem = why_not(client, "events_refused")
            assert "Event log" in problem["message"]
        wait_for(lambda: is_ready(client), "the log is well and nobody noticed")
        send(client, 1, first=200)


def test_a_damaged_table_is_told_with_its_cure_and_replay_cures_it(tmp_path: Path) -> None:
    with running(tmp_path / "data") as (server, client):
        send(client, EVENTS)
        client.settled()
        flip_bytes_of_every_table(server.data / "warehouse" / "store")
        problem = why_not_after_asking(client)
        assert "simorgh replay" in problem["message"]
        client.post("/v1/replay")
        wait_for(lambda: client.get("/v1/replay")["state"] == "done", "the replay does not end")
        wait_for(lambda: is_ready(client), "replay did not cure it")
        assert client.settled()["events"]["logged"] == EVENTS
        assert client.profile("user_id:u1")["metrics"]["events"] == EVENTS // 500
        metrics = client.http.get("/metrics").text
        assert 'simorgh_stage_running{stage="projections"} 1.0' in metrics
        assert 'route="/v1/profiles/{key}"' in metrics


def test_tables_that_are_damaged_at_start_are_told_and_replay_starts_all_stages(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (_, client):
        send(client, EVENTS)
        client.settled()
        who = client.profile("user_id:u1")
    flip_bytes_of_every_table(data / "warehouse" / "store")
    with running(data) as (_, client):
        problem = why_not(client, "stage_stopped")
        assert any("simorgh replay" in fault["message"] for fault in problem["faults"])
        assert states(client) == {"stopped"}
        assert any(stage["lag_events"] for stage in client.get("/v1/status")["projections"])
        doctor = simorgh("doctor", "--data", data)
        assert doctor.code == 1
        assert "simorgh replay" in doctor.out
        simorgh("replay", "--data", data).answer()
        wait_for(lambda: is_ready(client), "replay did not cure it")
        assert client.settled()["events"]["logged"] == EVENTS
        assert states(client) == {"running"}
        again = client.profile("user_id:u1")
        assert (again["profile_id"], again["metrics"]) == (who["profile_id"], who["metrics"])


def flip_bytes_of_every_table(warehouse: Path) -> None:
    for path in warehouse.rglob("*.bin"):
        body = bytearray(path.read_bytes())
        body[::50] = bytes(byte ^ 0xFF for byte in body[::50])
        path.write_bytes(body)


def why_not_after_asking(client: Client) -> dict[str, Any]:
    """Ask for what only the tables know, until one of them is found damaged."""

    def asked() -> bool:
        answer = client.http.get("/v1/profiles/user_id:u1/events")
        if answer.status_code == 500:
            assert answer.json()["code"] == "warehouse_damaged"
            assert "simorgh replay" in answer.json()["message"]
        return answer.status_code == 500

    wait_for(asked, "no table was found damaged")
    return why_not(client, "warehouse_damaged")
