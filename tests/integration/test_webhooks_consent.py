"""The trigger stage and consent: asked when a delivery is made, and once more right before each attempt."""

import orjson
import pytest

from schemas import topics
from tests.integration.test_webhooks_crashes import Crash
from tests.integration.webhook_house import SECOND, House
from tests.webhook_receiver import receiving

pytest_plugins = ("tests.integration.webhook_fixtures",)

REFUSED = ("refused", "no consent for marketing", 0)


def outcomes(house: House) -> list[tuple[str, str, int]]:
    return sorted((row["status"], row["error"], row["attempts"]) for row in house.table.rows())


def test_whoever_does_not_allow_it_is_not_told_about(house: House) -> None:
    house.allows = lambda purpose, profile: (purpose, profile) == ("marketing", 1)
    with receiving() as receiver, receiving() as other, house.running() as stage:
        house.declare("offer", receiver.url, purpose="marketing")
        house.declare("audit", other.url)
        house.tell((1, "entered"), (2, "entered"), (2, "exited"))
        assert stage.flush()
        assert [call.data["profile_id"] for call in receiver.calls] == [f"prf_{1:032x}"]
        assert len(other.calls) == 3, "without a purpose everybody is told about"
        assert stage.status().refused == 2
    assert outcomes(house) == [("delivered", "", 1)] * 4 + [REFUSED] * 2
    for row in house.table.rows():
        assert (row["status"] == "refused") == (orjson.loads(row["body"])["data"]["identities"] == [])


@pytest.mark.parametrize("step", ["scheduled", "written", "committed"])
def test_a_withdrawal_after_a_kill_stops_what_was_decided(house: House, step: str) -> None:
    """Killed after the decision; for the later steps the receiver failed before, and a retry waits."""

    def crash_at(reached: str) -> None:
        if reached == step:
            raise Crash(step)

    with receiving(lambda number: (500, {})) as receiver:
        house.declare("offer", receiver.url, purpose="marketing")
        house.tell((1, "entered"))
        stage = house.stage(reached=crash_at)
        stage.start()
        stage.flush(5)
        stage.stop()
        assert "Crash" in stage.status().error
        calls = len(receiver.calls)
        house.allows = lambda purpose, profile: False
        house.now += 6 * SECOND
        with house.running() as stage:
            assert stage.flush()
        assert len(receiver.calls) == calls
        assert [status for status, *_ in outcomes(house)] == ["refused"]
        house.allows = lambda purpose, profile: True
        with house.running() as stage:
            assert stage.flush()
        assert len(receiver.calls) == calls, "what was refused is not told later"
    assert house.committed()
    *_, last = house.log.read(topics.DELIVERIES, 0, 0, 100)
    assert orjson.loads(last.value)["status"] == "refused"


def test_nobody_is_told_about_while_nobody_can_say_what_they_allow(house: House) -> None:
    answers = iter([OSError("away"), OSError("away")])

    def ask(purpose: str, profile: int) -> bool:
        for error in answers:
            raise error
        return True

    house.allows = ask
    with receiving() as receiver, house.running() as stage:
        house.declare("offer", receiver.url, purpose="marketing")
        house.tell((1, "entered"))
        assert stage.flush()
        assert stage.status().failing == ""
    assert len(receiver.calls) == 1
