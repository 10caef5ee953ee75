"""The trigger stage against real receivers, the real event log and the real registry."""

import threading
from time import perf_counter

import orjson
from standardwebhooks import Webhook

from destinations import queues
from schemas.clock import system_clock
from tests.integration.webhook_house import MINUTE, SECOND, SECRET, House
from tests.webhook_receiver import receiving

pytest_plugins = ("tests.integration.webhook_fixtures",)


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
        profiles = 2 * queues.CAPACITY
        started = perf_counter()
        house.tell(*((profile, "entered") for profile in range(1, profiles + 1)))
        while len(alive.calls) < profiles and perf_counter() < started + 20:
            threading.Event().wait(0.005)
        took = perf_counter() - started
        assert len(alive.calls) == profiles
        assert len(dead.calls) <= queues.CONCURRENCY
        assert stage.status().held <= queues.CAPACITY + profiles
        print(f"{profiles} deliveries beside a dead receiver: {took:.2f} s")
        house.registry.withdraw("trigger", "a-dead", "test")
        hang.set()
        assert stage.flush()
    assert took < 15
    assert {row["status"] for row in house.table.rows() if row["trigger"] == "b-alive"} == {"delivered"}


def test_what_does_not_fit_in_memory_comes_from_the_table_in_order(house: House) -> None:
    count = 3 * queues.CAPACITY
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


def test_a_changed_trigger_calls_its_new_receiver(house: House) -> None:
    with receiving() as old, receiving() as new, house.running() as stage:
        house.declare("welcome", old.url)
        house.tell((1, "entered"))
        assert stage.flush()
        house.declare("welcome", new.url)
        house.tell((2, "entered"))
        assert stage.flush()
    assert [len(one.calls) for one in (old, new)] == [1, 1]


def test_a_trigger_that_is_deleted_and_declared_again_is_called_again(house: House) -> None:
    with receiving() as receiver, house.running() as stage:
        for profile in (1, 2):
            house.declare("welcome", receiver.url)
            house.tell((profile, "entered"))
            assert stage.flush()
            house.registry.withdraw("trigger", "welcome", "test")
            assert stage.flush()
    assert len(receiver.calls) == 2
