"""The simulation: the same every time, made of real products, with its troubles in known numbers."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from identity.normalise import normalise
from privacy.signatures import new_ecdsa_keys
from producers.files.events import Event
from producers.files.sinks import ACCEPTED, SendOutcome
from producers.vendor_message import VendorMessage
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.request import SIGNING, Headers, VendorRequest
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import iso
from simorgh.demo import simulation
from simorgh.demo.channels import BATCH, DemoRequest
from simorgh.demo.people import HistoryKeeper, Purchase, remember
from simorgh.demo.sending import SOURCES, Hook
from simorgh.demo.simulation import make_crowd, simulate
from tests.vendors.fixtures import door, shown_of

NOW = 1_765_000_000_000
DAY = 86_400_000
PEOPLE = 120
CATALOG = Catalog.load()
KEYS = new_ecdsa_keys()


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


def _web(requests: list[DemoRequest]) -> list[dict[str, Any]]:
    bodies = [request.body for request in requests if not request.vendor]
    return [message for body in bodies for message in orjson.loads(body)["batch"]]


def _heard(request: DemoRequest) -> list[dict[str, Any]]:
    """What the collector makes of a vendor's request, which it verifies before."""
    connector, declared = CONNECTORS[request.vendor], SOURCES[request.vendor]
    source = Source(**declared, vendor=request.vendor, channel=connector.channel)
    key, secret = KEYS if request.vendor == "sendgrid" else ("a key", "a key")
    hook = Hook("/here", "http://shop.example.com/here", connector.verify, key)
    came = VendorRequest(
        "POST", Headers(hook.headers(request, NOW).items()), request.body, NOW, url="http://shop.example.com/here"
    )
    connector.verify(came, {SIGNING: [secret]})
    message = VendorMessage(connector, source, came, links_hints=source.webhook.hints == "link")
    items = connector.items_of(came)
    verdicts = [one for place, item in enumerate(items) for one in message.verdicts(door(), CATALOG, item, place)]
    return [shown_of(one) for one in verdicts]


@pytest.fixture(scope="module")
def heard(requests: list[DemoRequest]) -> list[dict[str, Any]]:
    """The events of all webhooks."""
    told = [(request, _heard(request)) for request in requests if request.vendor]
    assert [len(events) for _, events in told] == [request.events for request, _ in told]
    return [event for _, events in told for event in events]


def test_the_same_seed_and_moment_tell_the_same_story(requests: list[DemoRequest]) -> None:
    again = list(simulate(make_crowd(_history(), PEOPLE), NOW))
    assert again == requests
    assert list(simulate(make_crowd(_history(), PEOPLE, seed=31), NOW, seed=31)) != requests


def test_requests_are_small_and_ids_unique_and_nothing_lies_ahead(
    requests: list[DemoRequest], heard: list[dict[str, Any]]
) -> None:
    web = _web(requests)
    assert all(0 < request.events <= BATCH for request in requests)
    assert sum(request.events for request in requests) == len(web) + len(heard)
    ids = [message["messageId"] for message in web] + [event["id"] for event in heard]
    assert len(set(ids)) == len(ids)
    times = [message["timestamp"] for message in web if message["timestamp"] != "yesterday"]
    assert max(times + [event["time"] for event in heard]) <= iso(NOW)


def test_only_the_till_sells(requests: list[DemoRequest]) -> None:
    named = Counter(message.get("event") for message in _web(requests))
    assert "Order Completed" not in named
    assert named["Product Viewed"] > named["Product Added"] > named["Checkout Started"] > 0


def test_everybody_logs_in_on_every_device(requests: list[DemoRequest]) -> None:
    """So that all of a person's anonymous past joins the account, but for the heavy user's surplus."""
    used, linked = defaultdict(set), defaultdict(set)
    for message in _web(requests):
        if message["messageId"].split("-")[1].isdigit() and "anonymousId" in message:
            used[message["messageId"].split("-")[1]].add(message["anonymousId"])
            if message["type"] == "identify":
                linked[message["messageId"].split("-")[1]].add(message["anonymousId"])
                assert message["context"]["externalIds"][0]["id"] == message["messageId"].split("-")[1]
    assert len(used) == PEOPLE
    assert used == linked
    assert sorted(map(len, used.values()))[-1] == simulation.HEAVY_DEVICES


def test_the_troubles_come_in_known_numbers(requests: list[DemoRequest]) -> None:
    web = _web(requests)
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


def test_the_vendors_tell_of_known_types_and_find_their_person(heard: list[dict[str, Any]]) -> None:
    people = make_crowd(_history(), PEOPLE)
    of = {
        **{("email", person.email): person.card for person in people},
        **{("phone", person.phone): person.card for person in people},
        **{("user_id", person.user_id): person.card for person in people},
    }
    assert {event["channel"] for event in heard} == {"email", "chat", "phone", "feedback"}
    types = Counter(event["type"] for event in heard)
    assert not [one for one in types if one.startswith("custom.")]
    assert types["email.delivered"] > types["email.opened"] > types["email_link.clicked"] > 0
    for one in ("live_chat_conversation.started", "live_chat_message.sent", "live_chat_message.received"):
        assert types[one] > 0
    assert types["ticket.opened"] >= types["ticket.solved"] > 0
    assert types["call.started"] == types["call.missed"] + types["call.ended"] > types["call.missed"] > 0
    assert types["survey.answered"] > 0
    linked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for event in heard:
        who = [(one["type"], one["value"]) for one in event["identifiers"] if one.get("trust") != "hint"]
        owners = {of[one[0], normalise(*one) or ""] for one in who if one[0] in ("email", "phone", "user_id")}
        for name in who:
            if name[0] in ("zendesk_user", "intercom_contact"):
                linked[name] |= owners
    assert all(linked.values()), "an id of a vendor's own that nothing says whose it is"
    assert Counter(len(owners) for owners in linked.values()).keys() <= {1, 2}  # 2: a family's address


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
