"""Readiness: what counts as no, how long an answer is waited for, and how long it is kept."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from eventlog.sqlite import SqliteEventLog
from eventlog.watched import WatchedLog
from profile_api.readiness import Readiness, ReadinessFault, log_takes_events, stages_run
from schemas import topics
from schemas.condition import RUNNING, STARTING, Condition
from schemas.errors import Backpressure, InvalidInput
from tests.unit.api_world import MakeWorld

pytest_plugins = ("tests.unit.api_fixtures",)


def codes(readiness: Readiness) -> list[str]:
    return [fault.code for fault in asyncio.run(readiness.faults())]


def test_a_part_that_does_not_answer_is_a_fault_and_is_asked_by_one_thread_only() -> None:
    let_go, asked = threading.Event(), []

    def silent() -> ReadinessFault | None:
        asked.append(threading.current_thread())
        let_go.wait(30)
        return None

    now = [0.0]

    async def ask() -> list[list[str]]:
        readiness = Readiness({"warehouse": silent}, patience=0.05, now=lambda: now[0])
        answers = []
        for _ in range(3):
            answers.append([fault.code for fault in await readiness.faults()])
            now[0] += 10
        let_go.set()
        await asyncio.to_thread(asked[0].join)
        answers.append([fault.code for fault in await readiness.faults()])
        return answers

    assert asyncio.run(ask()) == [["warehouse_silent"]] * 3 + [[]]
    assert len(asked) == 1
    assert asked[0].daemon  # so that it holds no process up


def test_an_answer_is_kept_for_a_moment_and_no_longer() -> None:
    now, wrong = [0.0], [ReadinessFault("down", "It is down.")]

    async def ask() -> list[int]:
        readiness = Readiness({"part": lambda: wrong[0] if wrong else None}, now=lambda: now[0])
        found = [len(await readiness.faults())]
        wrong.clear()
        found.append(len(await readiness.faults()))
        now[0] += 1.1
        found.append(len(await readiness.faults()))
        return found

    assert asyncio.run(ask()) == [1, 1, 0]


def test_what_a_check_raises_is_a_fault_that_repeats_nothing_of_others() -> None:
    def ours() -> ReadinessFault | None:
        raise Backpressure("log: no broker answers; look there", code="log_unavailable")

    def theirs() -> ReadinessFault | None:
        raise OSError("sara@example.com")

    faults = asyncio.run(Readiness({"log": ours, "disk": theirs}).faults())
    assert faults == [
        ReadinessFault("log_unavailable", "log: no broker answers; look there"),
        ReadinessFault("internal", "OSError"),
    ]


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        ({"a": RUNNING, "b": STARTING}, None),
        ({"a": Condition("failing", "away"), "b": Condition("rebuilding", "x", 1, 2)}, "rebuilding"),
        ({"a": Condition("rebuilding", "x", 1, 2), "b": Condition("stopped", "why")}, "stage_stopped"),
        ({"a": Condition("failing", "away")}, "stage_failing"),
    ],
)
def test_the_gravest_condition_of_a_stage_is_told(conditions: Mapping[str, Condition], code: str | None) -> None:
    fault = stages_run(lambda: conditions)()
    assert (fault and fault.code) == code


class FullDisk:
    """A log whose writes fail while it is full. Everything else is a real log's."""

    def __init__(self, log: SqliteEventLog) -> None:
        self._log = log
        self.full = False

    def submit(self, writes: Any) -> Future[Any]:
        if not self.full:
            return self._log.submit(writes)
        refused: Future[Any] = Future()
        refused.set_exception(Backpressure("Event log: wanted room on the disk, got none; free some"))
        return refused

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        if self.full:
            raise Backpressure("Event log: wanted room on the disk, got none; free some")
        self._log.commit(group, positions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_a_log_that_refused_is_asked_until_it_takes_again(tmp_path: Path) -> None:
    disk: Any = FullDisk(SqliteEventLog(tmp_path / "log.db"))
    log = WatchedLog(disk)
    check = log_takes_events(log, topics.EVENTS)
    assert check() is None
    with pytest.raises(InvalidInput):
        log.append("nowhere", [(b"k", b"v")])
    assert check() is None  # the caller's fault, not the log's
    disk.full = True
    assert check() is None  # nothing was refused yet
    with pytest.raises(Backpressure):
        log.append(topics.EVENTS, [(b"k", b"v")])
    fault = check()
    assert fault is not None
    assert fault.code == "events_refused"
    assert "room on the disk" in fault.message
    disk.full = False
    assert check() is None
    log.close()


def on(world: Any, condition: Condition) -> Callable[[], Mapping[str, Condition]]:
    return lambda: dict.fromkeys(("projections", "triggers", "rejected"), condition)


@pytest.mark.parametrize(
    ("condition", "lag"),
    [(RUNNING, 0), (STARTING, 1), (Condition("stopped", "why"), 1), (Condition("rebuilding", "x", 3, 10), 7)],
)
def test_status_says_no_lag_only_where_it_is_known(make_world: MakeWorld, condition: Condition, lag: int) -> None:
    conditions = on(None, condition)
    world = make_world(conditions=conditions, readiness=Readiness({}, at_once=[stages_run(conditions)]))
    world.catch_up()
    status = world.client.get("/v1/status").json()
    assert [stage["state"] for stage in status["projections"]] == [condition.state] * 6
    assert {stage["lag_events"] for stage in status["projections"]} == {lag}
    ready = world.client.get("/readyz")
    assert ready.status_code == (200 if condition in (RUNNING, STARTING) else 503)
    assert status["faults"] == ready.json().get("faults", [])
    missing = world.client.get("/v1/profiles/user_id:nobody")
    assert missing.status_code == (503 if condition.state == "rebuilding" else 404)
    for path in ("/v1/profiles", "/v1/profiles?search=sara"):
        assert world.client.get(path).status_code == (503 if condition.state == "rebuilding" else 200)
    looked_up = world.client.post("/v1/profiles/lookup", json={"profiles": ["user_id:nobody"]})
    assert looked_up.status_code == (503 if condition.state == "rebuilding" else 200)
