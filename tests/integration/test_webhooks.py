"""The trigger stage against real receivers, the real event log and the real registry."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import pytest
import trustme
from standardwebhooks import Webhook

from destinations import lanes
from destinations.guard import Lookup, system_lookup
from destinations.stage import TriggerStage
from eventlog.sqlite import SqliteEventLog
from registry.registry import Registry
from schemas import topics
from schemas.clock import system_clock
from tests.integration.deliveries_table import Table
from tests.webhook_receiver import Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STEPS = ("scheduled", "attempted", "settled", "written", "committed")
SECOND = 1000
MINUTE = 60 * SECOND


class Crash(BaseException):
    """A kill: nothing of ours catches it."""


class House:
    """A log, a registry and a table that outlive the stages started on them."""

    def __init__(self, path: Path) -> None:
        self.now = 1_900_000_000_000
        self.log = SqliteEventLog(path / "log.db")
        self.registry = Registry(self.log, self.clock)
        self.table = Table()
        self._transitions = 0

    def clock(self) -> int:
        return self.now

    def declare(self, id: str, url: str, *, on: tuple[str, ...] = ("entered", "exited"), **more: Any) -> None:
        body = {"segment": "vip", "on": list(on), "webhook": {"url": url, "secret": SECRET}, **more}
        self.registry.declare("trigger", id, body, "test")

    def tell(self, *changes: tuple[int, str], cause: str = "event", segment: str = "vip", **more: Any) -> list[str]:
        """Append transitions (profile, kind); their ids."""
        records = []
        for profile, kind in changes:
            self._transitions += 1
            record = {
                "id": f"t{self._transitions}",
                "segment": segment,
                "version": 1,
                "profile": f"{profile:032x}",
            }
            records.append(record | {"kind": kind, "at": self.now, "entered_at": self.now, "cause": cause} | more)
        self.log.append(topics.SEGMENTS, [(r["profile"].encode(), orjson.dumps(r)) for r in records])  # type: ignore[attr-defined]
        return [str(record["id"]) for record in records]

    def stage(
        self,
        *,
        allow_private: bool = True,
        lookup: Lookup = system_lookup,
        ssl_context: ssl.SSLContext | None = None,
        reached: Callable[[str], None] = lambda step: None,
    ) -> TriggerStage:
        return TriggerStage(
            self.log,
            self.registry,
            lambda profiles: {p: [{"type": "user_id", "value": f"u{p}", "first_seen": "…"}] for p in profiles},
            self.table.write,
            self.table.pending,
            allow_private=allow_private,
            clock=self.clock,
            random=lambda: 0.0,
            lookup=lookup,
            ssl_context=ssl_context,
            reached=reached,
        )

    @contextmanager
    def running(self, **options: Any) -> Iterator[TriggerStage]:
        stage = self.stage(**options)
        stage.start()
        try:
            yield stage
        finally:
            stage.stop()
            assert stage.status().error == ""

    def row(self) -> dict[str, Any]:
        [row] = self.table.rows()
        return row

    def committed(self) -> bool:
        return all(
            self.log.committed("triggers", topic) == self.log.ends(topic)
            for topic in (topics.SEGMENTS, topics.DELIVERIES)
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.log.close()


def test_a_transition_is_told_once_signed_and_complete(house: House) -> None:
    with receiving() as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        [transition] = house.tell((7, "entered"))
        assert stage.flush()
        [call] = receiver.calls
    assert orjson.loads(call.body) == {
        "type": "segment.entered",
        "timestamp": "2030-03-17T17:46:40.000Z",
        "data": {
            "segment": "vip",
            "profile_id": f"prf_{7:032x}",
            "identities": [{"type": "user_id", "value": "u7"}],
            "cause": "event",
            "trigger": "welcome",
            "transition_id": transition,
        },
    }
    assert call.headers["content-type"] == "application/json"
    assert call.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert call.headers["webhook-timestamp"] == "1900000000"
    row = house.row()
    assert (row["status"], row["attempts"], row["response_code"], row["ver"]) == ("delivered", 1, 204, 1)
    assert house.committed()


def test_the_official_library_verifies_a_delivery(house: House) -> None:
    house.now = system_clock()
    with receiving() as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((7, "entered"))
        assert stage.flush()
        [call] = receiver.calls
    assert Webhook(SECRET).verify(call.body, call.headers)["type"] == "segment.entered"


def test_only_what_was_asked_for_is_told(house: House) -> None:
    with receiving() as receiver, house.running() as stage:
        house.declare("leavers", receiver.url, on=("exited",))
        for cause in ("split", "backfill", "edited", "deleted", "replay", "absorbed"):
            house.tell((1, "exited"), cause=cause)
        house.tell((2, "exited"), segment="another")
        house.tell((3, "entered"))
        wanted = [house.tell((4, "exited"), cause=cause)[0] for cause in ("event", "time", "merge", "consent")]
        assert stage.flush()
    assert [call.data["transition_id"] for call in receiver.calls] == wanted
    assert [call.data["cause"] for call in receiver.calls] == ["event", "time", "merge", "consent"]
    assert house.committed()


def test_a_trigger_chooses_its_causes(house: House) -> None:
    asked = ("split", "backfill", "edited", "deleted")
    with receiving() as receiver, house.running() as stage:
        house.declare("auditor", receiver.url, causes=list(asked))
        for cause in ("event", "time", "merge", "consent", "replay", "absorbed", *asked):
            house.tell((1, "entered"), cause=cause)
        assert stage.flush()
    assert tuple(call.data["cause"] for call in receiver.calls) == asked


def test_after_a_merge_or_split_the_former_ids_are_told(house: House) -> None:
    with receiving() as receiver, house.running() as stage:
        house.declare("sync", receiver.url, causes=["merge", "split"])
        house.tell((1, "entered"), cause="merge", former=[f"{2:032x}", f"{3:032x}"])
        house.tell((4, "entered"), cause="split", former=[f"{1:032x}"])
        house.tell((1, "exited"), cause="split")
        assert stage.flush()
    assert {(call.data["profile_id"], *call.data.get("former_profile_ids", ())) for call in receiver.calls} == {
        (f"prf_{1:032x}", f"prf_{2:032x}", f"prf_{3:032x}"),
        (f"prf_{4:032x}", f"prf_{1:032x}"),
        (f"prf_{1:032x}",),
    }


def test_a_failed_attempt_is_repeated_on_schedule_under_the_same_id(house: House) -> None:
    answers = [500, 302, 503, 200]
    with receiving(lambda number: (answers[number], {"location": "/elsewhere"})) as receiver:
        with house.running() as stage:
            house.declare("welcome", receiver.url)
            house.tell((7, "entered"))
            assert stage.flush()
            assert (house.row()["status"], house.row()["error"]) == ("pending", "http_500")
            for pause in (5 * SECOND, 5 * MINUTE, 30 * MINUTE):
                house.now += pause - 1
                assert stage.flush()
                before = len(receiver.calls)
                house.now += 1
                assert stage.flush()
                assert len(receiver.calls) == before + 1
        bodies = {call.body for call in receiver.calls}
        stamps = {call.headers["webhook-timestamp"] for call in receiver.calls}
    assert len(receiver.calls) == 4
    assert len({call.id for call in receiver.calls}) == len(bodies) == 1
    assert len(stamps) == 4
    assert (house.row()["status"], house.row()["attempts"], house.row()["response_code"]) == (
        "delivered",
        4,
        200,
    )


def test_after_ten_attempts_it_gives_up_visibly(house: House) -> None:
    with receiving(lambda number: (500, {})) as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((7, "entered"))
        for _ in range(12):
            assert stage.flush()
            house.now = max(house.now, house.row()["next_at"])
        assert stage.status().gave_up == 1
    assert len(receiver.calls) == 10
    assert (house.row()["status"], house.row()["attempts"], house.row()["error"]) == (
        "gave_up",
        10,
        "http_500",
    )


def test_retry_after_postpones(house: House) -> None:
    with receiving(lambda number: (429, {"retry-after": "120"})) as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((7, "entered"))
        assert stage.flush()
    assert house.row()["next_at"] - house.now == 120 * SECOND


def test_gone_gives_up_and_disables_the_trigger(house: House) -> None:
    with receiving(lambda number: (410, {})) as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((7, "entered"))
        assert stage.flush()
    house.registry.refresh()
    assert (house.row()["status"], house.row()["response_code"]) == ("gave_up", 410)
    assert not house.registry.triggers["welcome"].enabled
    assert house.registry.triggers["welcome"].webhook.secret.get_secret_value() == SECRET
    with house.running() as stage:
        house.tell((7, "exited"))
        assert stage.flush()
    assert len(receiver.calls) == 1


def test_what_waits_for_a_deleted_trigger_is_given_up(house: House) -> None:
    with receiving(lambda number: (500, {})) as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((7, "entered"))
        assert stage.flush()
        house.registry.withdraw("trigger", "welcome", "test")
        house.tell((8, "entered"))
        assert stage.flush()
        house.now += 5 * SECOND
        assert stage.flush()
    assert (house.row()["status"], house.row()["error"], house.row()["attempts"]) == (
        "gave_up",
        "trigger_deleted",
        1,
    )
    assert len(receiver.calls) == 1


def test_a_receiver_that_never_answers_delays_no_other(house: House) -> None:
    hang = threading.Event()

    def never(number: int) -> tuple[int, dict[str, str]]:
        hang.wait(30)
        return 200, {}

    with receiving(never) as dead, receiving() as alive, house.running() as stage:
        house.declare("a-dead", dead.url)
        house.declare("b-alive", alive.url)
        profiles = 2 * lanes.CAPACITY
        started = perf_counter()
        house.tell(*((profile, "entered") for profile in range(1, profiles + 1)))
        while len(alive.calls) < profiles and perf_counter() < started + 20:
            threading.Event().wait(0.005)
        took = perf_counter() - started
        assert len(alive.calls) == profiles
        assert len(dead.calls) <= lanes.CONCURRENCY
        assert stage.status().held <= lanes.CAPACITY + profiles
        print(f"{profiles} deliveries beside a dead receiver: {took:.2f} s")
        house.registry.withdraw("trigger", "a-dead", "test")
        hang.set()
        assert stage.flush()
    assert took < 15
    assert {row["status"] for row in house.table.rows() if row["trigger"] == "b-alive"} == {"delivered"}


def test_what_does_not_fit_in_memory_comes_from_the_table_in_order(house: House) -> None:
    count = 3 * lanes.CAPACITY
    with receiving() as receiver:
        house.declare("welcome", receiver.url)
        house.tell(*((number % 5 + 1, "exited" if number // 5 % 2 else "entered") for number in range(count)))
        with house.running() as stage:
            assert stage.flush(60)
    told: dict[str, list[int]] = {}
    for call in receiver.calls:
        told.setdefault(call.data["profile_id"], []).append(int(call.data["transition_id"][1:]))
    assert len(receiver.calls) == count
    assert all(transitions == sorted(transitions) for transitions in told.values())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("occurrence", [1, 3])
def test_a_crash_after_any_step_loses_nothing_and_keeps_the_id(house: House, step: str, occurrence: int) -> None:
    seen = 0

    def crash_at(reached: str) -> None:
        nonlocal seen
        seen += reached == step
        if seen >= occurrence and reached == step:
            raise Crash(step)

    with receiving() as receiver:
        house.declare("welcome", receiver.url)
        told = house.tell((1, "entered"), (1, "exited"), (2, "entered"))
        stage = house.stage(reached=crash_at)
        stage.start()
        stage.flush(5) if occurrence == 1 or step == "attempted" else _keep_telling(house, stage, told)
        stage.stop()
        assert "Crash" in stage.status().error
        with house.running() as stage:
            assert stage.flush()
        _all_told_under_one_id(receiver, told)
        calls = len(receiver.calls)
        with house.running() as stage:
            assert stage.flush()
        assert len(receiver.calls) == calls
    assert {row["status"] for row in house.table.rows()} == {"delivered"}
    assert house.committed()


def _keep_telling(house: House, stage: TriggerStage, told: list[str]) -> None:
    """One round of books per flush, until the stage has crashed."""
    for profile in range(10, 20):
        if stage.flush(5):
            told += house.tell((profile, "entered"))


def _all_told_under_one_id(receiver: Receiver, told: list[str]) -> None:
    ids: dict[str, set[str]] = {}
    for call in receiver.calls:
        ids.setdefault(call.data["transition_id"], set()).add(call.id)
    assert sorted(ids) == sorted(told)
    assert all(len(of) == 1 for of in ids.values())


def test_a_stopped_stage_leaves_the_rest_pending_and_the_next_goes_on(house: House) -> None:
    with receiving(lambda number: (200 if number else 500, {})) as receiver:
        house.declare("welcome", receiver.url)
        with house.running() as stage:
            house.tell((1, "entered"))
            assert stage.flush()
        house.now += 5 * SECOND
        with house.running() as stage:
            assert stage.flush()
    assert [call.id for call in receiver.calls] == [house.row()["id"]] * 2
    assert house.row()["status"] == "delivered"


def test_a_warehouse_that_fails_for_a_while_costs_no_second_call(house: House) -> None:
    failures = iter([OSError("down"), OSError("down")])
    write = house.table.write

    def flaky(rows: list[dict[str, Any]]) -> None:
        for failure in failures:
            raise failure
        write(rows)

    house.table.write = flaky  # type: ignore[method-assign]
    with receiving() as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((1, "entered"))
        assert stage.flush()
    assert len(receiver.calls) == 1
    assert house.committed()


def test_connections_are_kept(house: House) -> None:
    with receiving() as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        for profile in range(20):
            house.tell((profile + 1, "entered"))
            assert stage.flush()
    assert len(receiver.calls) == 20
    assert receiver.connections <= 2


@pytest.mark.parametrize(("host", "status"), [("hooks.example.com", "delivered"), ("other.example.com", "pending")])
def test_the_certificate_is_checked_against_the_name_not_the_address(house: House, host: str, status: str) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example.com").configure_cert(context)
    authority.configure_trust(trusting)
    with receiving(tls=context) as receiver, house.running(lookup=here, ssl_context=trusting) as stage:
        house.declare("welcome", f"https://{host}:{receiver.port}/hook")
        house.tell((1, "entered"))
        assert stage.flush()
    assert house.row()["status"] == status
    assert house.row()["error"] == ("" if status == "delivered" else "tls_failed")
    assert [call.headers["host"] for call in receiver.calls] == [f"{host}:{receiver.port}"] * len(receiver.calls)


def test_a_name_that_turns_private_is_not_called(house: House) -> None:
    """The receiver listens; a public name that resolves to it must still open no connection."""
    answers = iter([["93.184.215.14", "127.0.0.1"], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    with receiving() as receiver, house.running(allow_private=False, lookup=rebinding) as stage:
        house.declare("welcome", "https://hooks.example.com/in")
        house.tell((1, "entered"))
        assert stage.flush()
        house.now += 5 * SECOND
        assert stage.flush()
    assert (receiver.calls, receiver.connections) == ([], 0)
    assert (house.row()["attempts"], house.row()["error"]) == (2, "webhook_address_refused")
