"""The trigger stage when it is killed or stopped, and when a store or our own code fails."""

import threading
from collections.abc import Callable

import pytest

from destinations.delivery import DeliveryRow
from destinations.stage import TriggerStage
from schemas.errors import Backpressure
from schemas.retry import MOST_OF_OURS
from tests.integration.webhook_house import SECOND, House
from tests.webhook_receiver import Receiver, receiving

pytest_plugins = ("tests.integration.webhook_fixtures",)

STEPS = ("scheduled", "attempted", "settled", "written", "committed")


class Crash(BaseException):
    """A kill: nothing of ours catches it."""


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

    def flaky(rows: list[DeliveryRow]) -> None:
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


def test_a_warehouse_that_is_away_is_waited_for_and_shown(house: House) -> None:
    back = threading.Event()
    write = house.table.write

    def away(rows: list[DeliveryRow]) -> None:
        if not back.is_set():
            raise Backpressure("warehouse: away")
        write(rows)

    house.table.write = away  # type: ignore[method-assign]
    with receiving() as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        house.tell((1, "entered"))
        _wait_until(lambda: stage.status().failing == "warehouse: away")
        assert stage.status().error == ""
        back.set()
        assert stage.flush()
        assert stage.status().failing == ""
    assert len(receiver.calls) == 1


def test_a_fault_of_our_own_stops_the_stage_visibly_and_loses_nothing(house: House) -> None:
    write = house.table.write
    tries = 0

    def broken(rows: list[DeliveryRow]) -> None:
        nonlocal tries
        tries += 1
        raise TypeError

    house.table.write = broken  # type: ignore[method-assign]
    with receiving() as receiver:
        house.declare("welcome", receiver.url)
        stage = house.stage()
        stage.start()
        house.tell((1, "entered"))
        assert not stage.flush()
        assert stage.status().error.startswith("TypeError")
        assert tries == MOST_OF_OURS
        stage.stop()
        house.table.write = write  # type: ignore[method-assign]
        with house.running() as stage:
            assert stage.flush()
    assert len({call.id for call in receiver.calls}) == 1
    assert house.row()["status"] == "delivered"


def test_a_start_that_cannot_recover_says_so_and_can_be_stopped(house: House) -> None:
    def away(due_by: int, limit: int) -> list[DeliveryRow]:
        raise OSError(28, "no space")

    house.table.pending = away  # type: ignore[method-assign]
    stage = house.stage()
    stage.start()
    _wait_until(lambda: stage.status().failing == "OSError")
    assert not stage.status().running
    assert not stage.flush(0.1)
    stage.stop()
    assert (stage.status().running, stage.status().error) == (False, "")


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(4000):
        if holds():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not become true within 20 s")
