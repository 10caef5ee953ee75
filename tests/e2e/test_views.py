"""Who is called about a change and asks for the profile at once sees the change, under load, merges included."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.harness import TOKEN, running, wait_for
from tests.webhook_receiver import Receiver, Reply, receiving

PEOPLE = 25


class Asker:
    """A receiver that looks the profile up before it answers."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.url = receiver.url
        self.api = ""
        self.seen: dict[str, tuple[int, list[str]]] = {}
        """user_id -> the answer's status, and the segments in it."""
        receiver.answer = self._ask

    def _ask(self, number: int) -> Reply:
        told = self._receiver.calls[number].data
        names = {one["type"]: one["value"] for one in told["identities"]}
        key = f"/v1/profiles/user_id:{names['user_id']}"
        answer = httpx.get(self.api + key, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)
        held = [one["id"] for one in answer.json().get("segments", ())]
        self.seen[names["user_id"]] = (answer.status_code, held)
        return 204, {}


@pytest.fixture
def asker() -> Iterator[Asker]:
    with receiving() as receiver:
        yield Asker(receiver)


def test_a_receiver_that_asks_sees_what_it_was_called_about(tmp_path: Path, asker: Asker) -> None:
    with running(tmp_path / "data") as (server, client):
        asker.api = server.url
        rule = {"all": [{"event": "page.viewed", "count": {"gte": 1}}, {"identity": "user_id", "exists": True}]}
        client.post("/v1/segments", {"id": "seen", "name": "seen", "rule": rule})
        client.post("/v1/triggers", {"id": "t", "segment": "seen", "on": ["entered"], "webhook": {"url": asker.url}})
        for n in range(PEOPLE):
            client.send({"type": "page", "anonymousId": f"a{n}", "messageId": f"{n}-page"})
            client.send({"type": "identify", "anonymousId": f"a{n}", "userId": f"u{n}", "messageId": f"{n}-identify"})
        wait_for(lambda: len(asker.seen) == PEOPLE, "somebody was not told of")
        assert set(map(str, asker.seen.values())) == {"(200, ['seen'])"}
