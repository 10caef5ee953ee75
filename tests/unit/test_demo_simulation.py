"""The simulation: the same every time, made of real products, with its troubles in known numbers."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from identity.normalise import normalise
from producers.files.events import Event
from producers.files.sinks import ACCEPTED, SendOutcome
from schemas.clock import iso
from simorgh.demo import simulation
from simorgh.demo.people import HistoryKeeper, Purchase, remember
from simorgh.demo.simulation import BATCH, DemoRequest, make_crowd, simulate

NOW = 1_765_000_000_000
DAY = 86_400_000
PEOPLE = 120


class Everything:
    """A sink that takes and keeps all."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        self.events += events
        return [ACCEPTED] * len(events)


def _history(cards: int = 150) -> dict[str, list[Purchase]]:
    """Customers who bought from one to eight times."""
    return {
        str(12_000 + card): [
            Purchase(NOW - (1 + card + 40 * number) * DAY, ({"sku": f"s{card}", "name": "A mug", "price": 1.25},))
            for number in range(1 + card % 8)
        ]
        for card in range(cards)
    }


@pytest.fixture(scope="module")
def requests() -> list[DemoRequest]:
    return list(simulate(make_crowd(_history(), PEOPLE), NOW))


def _messages(requests: list[DemoRequest], path: str) -> list[dict[str, Any]]:
    bodies = [request.body for request in requests if request.path == path]
    return [message for body in bodies for message in (body["batch"] if isinstance(body, dict) else body)]


def test_the_same_seed_and_moment_tell_the_same_story(requests: list[DemoRequest]) -> None:
    again = list(simulate(make_crowd(_history(), PEOPLE), NOW))
    assert again == requests
    assert list(simulate(make_crowd(_history(), PEOPLE, seed=31), NOW, seed=31)) != requests


def test_requests_are_small_and_ids_unique_and_nothing_lies_ahead(requests: list[DemoRequest]) -> None:
    web, own = _messages(requests, "/v1/batch"), _messages(requests, "/v1/events")
    assert all(0 < request.events <= BATCH for request in requests)
    assert sum(request.events for request in requests) == len(web) + len(own)
    ids = [message["messageId"] for message in web] + [event["id"] for event in own]
    assert len(set(ids)) == len(ids)
    times = [message["timestamp"] for message in web if message["timestamp"] != "yesterday"]
    assert max(times + [event["time"] for event in own]) <= iso(NOW)


def test_only_the_till_sells(requests: list[DemoRequest]) -> None:
    named = Counter(message.get("event") for message in _messages(requests, "/v1/batch"))
    assert "Order Completed" not in named
    assert named["Product Viewed"] > named["Product Added"] > named["Checkout Started"] > 0


def test_everybody_logs_in_on_every_device(requests: list[DemoRequest]) -> None:
    """So that all of a person's anonymous past joins the account, but for the heavy user's surplus."""
    used, linked = defaultdict(set), defaultdict(set)
    for message in _messages(requests, "/v1/batch"):
        if message["messageId"].split("-")[1].isdigit() and "anonymousId" in message:
            used[message["messageId"].split("-")[1]].add(message["anonymousId"])
            if message["type"] == "identify":
                linked[message["messageId"].split("-")[1]].add(message["anonymousId"])
                assert message["context"]["externalIds"][0]["id"] == message["messageId"].split("-")[1]
    assert len(used) == PEOPLE
    assert used == linked
    assert sorted(map(len, used.values()))[-1] == simulation.HEAVY_DEVICES


def test_the_troubles_come_in_known_numbers(requests: list[DemoRequest]) -> None:
    web = _messages(requests, "/v1/batch")
    assert sum(message["messageId"].startswith("sim-broken-") for message in web) == simulation.BROKEN
    strangers = {message["anonymousId"] for message in web if message["messageId"].startswith("sim-visitor-")}
    assert len(strangers) == simulation.VISITORS
    junk = {message["anonymousId"] for message in web if message.get("userId") in simulation.JUNK_IDS}
    assert len(junk) == simulation.JUNK
    kiosk = [message for message in web if message.get("context", {}).get("device")]
    assert len({message["userId"] for message in kiosk}) == simulation.KIOSK_USERS
    owners = defaultdict(set)
    for message in web:
        if message["type"] == "identify":
            owners[message["traits"]["email"]].add(message["userId"])
    assert Counter(map(len, owners.values()))[2] == simulation.FAMILIES


def test_emails_and_chats_find_their_person(requests: list[DemoRequest]) -> None:
    people = {person.card: person for person in make_crowd(_history(), PEOPLE)}
    own = _messages(requests, "/v1/events")
    assert {event["channel"] for event in own} == {"email", "chat"}
    used = Counter(event["data"]["identifiers"][0]["type"] for event in own)
    assert used["email"] > used["phone"] > 0
    for event in own:
        person, who = people[event["id"].split("-")[1]], event["data"]["identifiers"][0]
        if who["type"] == "phone":
            assert normalise("phone", who["value"]) == person.phone


def test_the_history_is_what_the_connector_sent() -> None:
    order = {
        "id": "1",
        "type": "order.completed",
        "time": iso(NOW),
        "data": {
            "identifiers": [{"type": "loyalty_card", "value": "77"}],
            "properties": {"products": [{"sku": "a", "quantity": 1, "price": 2}]},
        },
    }
    sink = Everything()
    keeper = HistoryKeeper(sink)
    keeper.send([order, {**order, "type": "order.refunded"}])
    assert keeper.history == {"77": [Purchase(NOW, ({"sku": "a", "name": "", "price": 2},))]}
    assert len(sink.events) == 2
    remember([{**order, "data": {"identifiers": [], "properties": {}}}], keeper.history)
    assert len(keeper.history["77"]) == 1
