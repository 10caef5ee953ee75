"""Whoever was greeted once is not greeted again after a split, unless the trigger asks to hear of splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Client, running, wait_for
from tests.webhook_receiver import Receiver, receiving

IDENTIFY = {"type": "identify", "userId": "sara", "traits": {"email": "sara@example.com"}}
ORDER = {"type": "track", "userId": "sara", "event": "Order Completed"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running(tmp_path / "data") as (_, made):
        rule = {"event": "order.completed", "count": {"gte": 1}}
        made.post("/v1/segments", {"id": "buyers", "name": "Buyers", "rule": rule})
        yield made


def called(client: Client, name: str, receiver: Receiver, **more: Any) -> Any:
    """Declare a trigger that calls this receiver; what the API answers."""
    return client.post("/v1/triggers", {"id": name, "segment": "buyers", "webhook": {"url": receiver.url}, **more})


def test_a_split_greets_nobody_again_unless_asked(client: Client) -> None:
    with receiving() as greeter, receiving() as auditor:
        made = called(client, "greet", greeter, on=["entered"])
        assert made["causes"] == ["event", "time", "merge", "consent", "erased"]
        called(client, "audit", auditor, on=["entered"], causes=["event", "split"])
        # The browser is there first: after a split it keeps the profile's id, and the customer gets another one.
        client.send({"type": "page", "anonymousId": "browser", "messageId": "1"})
        client.send({**IDENTIFY, "anonymousId": "browser", "messageId": "2"}, {**ORDER, "messageId": "3"})
        wait_for(lambda: greeter.calls and auditor.calls, "the order was not told")
        client.settled()
        leaving = [{"type": "user_id", "value": "sara"}, {"type": "email", "value": "sara@example.com"}]
        client.post("/v1/profiles/user_id:sara/split", {"identities": leaving, "reason": "a family's browser"})
        wait_for(lambda: len(auditor.calls) == 2, "the split was not told to the trigger that asked for it")
        client.settled()
        causes = [call.data["cause"] for call in auditor.calls]
        deliveries = client.get("/v1/triggers/greet/deliveries")["items"]
    before, after = (call.data["profile_id"] for call in auditor.calls)
    assert causes == ["event", "split"]
    assert before != after
    assert client.profile("user_id:sara")["profile_id"] == after
    assert client.profile("anonymous_id:browser")["profile_id"] == before
    assert len(greeter.calls) == len(deliveries) == 1
