"""The pipeline on a server that goes away in the middle of its work."""

from contextlib import suppress

import pytest

from schemas.errors import Backpressure
from schemas.retry import MOST_OF_OURS, Pauses
from tests.clickhouse.process import BridgeProcess
from tests.e2e.harness import wait_for
from tests.properties.pipeline_world import (
    Box,
    MakeBox,
    Random,
    delivered,
    dump,
    make_door,
    make_events,
    make_segments,
)
from tests.properties.segments_world import DAY, T0


def prepared(box: Box, seed: int) -> None:
    r = Random(seed)
    for name, rule in make_segments(r).items():
        box.declare("segment", name, {"id": name, "rule": rule})
    box.append(delivered(r, make_events(r, 40, T0, make_door())))


def settle(box: Box) -> int:
    """Until all is done, however often the server goes away; returns how often it did."""
    failures = 0
    while True:
        try:
            if failures:
                box.restart()
            box.settle()
            return failures
        except Backpressure:
            failures += 1


def state(box: Box) -> dict[str, str]:
    return {name: text for name, text in dump(box).items() if name != "rows"}


@pytest.fixture(scope="module")
def calm(make_server_box: MakeBox) -> dict[str, str]:
    with make_server_box(now=T0 + DAY, batch=10) as box:
        prepared(box, 11)
        box.settle()
        return state(box)


def test_answers_that_are_lost(make_server_box: MakeBox, bridge: BridgeProcess, calm: dict[str, str]) -> None:
    """Every insert is carried out and not heard of once in a while: nothing is lost, nothing counted twice."""
    with make_server_box(now=T0 + DAY, batch=10) as box:
        prepared(box, 11)
        bridge.ill(lose_answers=12)
        failures = settle(box)
        bridge.ill()
        assert failures
        assert state(box) == calm
        [(rows, different)] = box.writer.rows("SELECT count(), uniqExact(part, off) FROM events")
        assert rows == different


def test_a_server_that_is_killed(make_server_box: MakeBox, bridge: BridgeProcess, calm: dict[str, str]) -> None:
    with make_server_box(now=T0 + DAY, batch=10) as box:
        prepared(box, 11)
        for _ in range(2):
            with suppress(Backpressure):
                box.runner.step()
            bridge.kill()
            with pytest.raises(Backpressure):
                box.runner.recover()
            bridge.start()
            box.runner.recover()
        settle(box)
        assert state(box) == calm


def test_a_server_that_is_away_is_waited_for(
    make_server_box: MakeBox, bridge: BridgeProcess, calm: dict[str, str]
) -> None:
    """However many tries fail; meanwhile the stage says why, and afterwards it goes on by itself."""
    with make_server_box(now=T0 + DAY, batch=10) as box:
        box.runner_settings["pauses"] = Pauses(0.01, 0.05)
        box.restart()
        box.runner.start()
        bridge.kill()
        prepared(box, 11)
        failures = box.runner.failures
        wait_for(lambda: failures.in_a_row > 2 * MOST_OF_OURS, "it does not try again", 30)
        assert box.runner.condition.state == "failing"
        assert "warehouse" in box.runner.condition.reason
        bridge.start()
        wait_for(lambda: box.runner.condition.state == "running", "it does not go on", 30)
        box.runner.stop()
        box.restart()
        box.settle()
        assert state(box) == calm
        assert not box.registry.poison
