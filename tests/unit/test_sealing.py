"""Sealed events: what is in the clear, what opens them, and what is left once the key is destroyed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from identity.rules import DEFAULT_RULES
from privacy.keyring import Keyring, Name
from privacy.sealing import SEALED, Opener, stripped
from privacy.sqlite import SqliteKeys
from producers.door import Door, Refused
from producers.incoming import Incoming
from producers.sealer import Sealer
from registry.models import Source
from schemas.catalog import Catalog
from schemas.envelope import Envelope
from schemas.errors import Broken, InvalidEvent

SECRET = b"sixteen bytes ok"
CATALOG = Catalog.load()
SHOP = Source(id="shop", channel="web")
ORDER: dict[str, Any] = {
    "order_id": "o-1", "revenue": 12.5, "currency": "EUR", "gift_note": "for Sara",
    "products": [{"product_id": "p1", "name": "Mug", "quantity": 2, "engraving": "S. & R."}],
}  # fmt: skip


class World:
    def __init__(self, folder: Path) -> None:
        self.store = SqliteKeys(folder / "keys.sqlite")
        self.keyring = Keyring(self.store, SECRET)
        self.forgotten: set[int] = set()
        self.returning: set[int] = set()
        sealer = Sealer(self.keyring, SECRET, "default", CATALOG)
        self.door = Door(
            SECRET, "default", lambda: DEFAULT_RULES, CATALOG, lambda: "fresh", sealer=sealer,
            forgotten=lambda: self.forgotten, returning=lambda: self.returning,
        )  # fmt: skip
        self.opener = Opener(self.keyring)

    def send(self, **changes: Any) -> bytes:
        fields: dict[str, Any] = {
            "id": "m-1", "source": SHOP, "channel": "web", "type": "order.completed", "received_at": 1_790_000_000_000,
            "sent_at": None, "original_time": 1_789_999_999_000,
            "identifiers": (("user_id", "Sara"), ("email", "S@X.com")),
            "properties": ORDER, "context": {"ip": "192.0.2.0"}, "name": "Order Completed", "place": 0,
        }  # fmt: skip
        _, value = self.door.record(Incoming(**{**fields, **changes}))
        for storing in self.keyring.storing():
            storing.result(30)
        return value


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.keyring.close()


def test_nothing_personal_is_in_the_clear_and_facts_are(world: World) -> None:
    value = world.send()
    assert SEALED in value
    for personal in (b"Sara", b"S@X.com", b"s@x.com", b"m-1", b"192.0.2.1", b"Order Completed", b"o-1", b"engraving"):
        assert personal not in value
    event = json.loads(value)
    assert event["properties"]["products"] == [{"product_id": "p1", "name": "Mug", "quantity": 2}]
    assert event["money"] == {"amount": "12.5", "currency": "EUR"}
    assert event["id"] == event["key"]
    Envelope.model_validate_json(value)


def test_an_opened_event_goes_back_into_the_log_sealed(world: World) -> None:
    for identifiers in ((("user_id", "Sara"),), ()):
        value = world.send(identifiers=identifiers)
        opened = world.opener.open(value)
        again = world.door.again(opened)
        assert again is not None
        assert b"gift_note" not in again
        assert (len(again), world.opener.open(again)) == (len(value), opened)
        assert world.door.again(value) == value, "it is sealed already"
        Envelope.model_validate_json(again)
    [sara] = [one["node"] for one in json.loads(world.send(identifiers=(("user_id", "Sara"),)))["identifiers"]]
    opened = world.opener.open(world.send(identifiers=(("user_id", "Sara"),)))
    world.keyring.destroy([int(sara, 16)])
    assert world.door.again(opened) is None
    for garbage in (
        b"",
        b"{}",
        b'{"sealed":[',
        b'{"sealed":[1]',
        b'{"sealed":[9,9],"facts":',
        b'{"a":1,"sealed":[2,3]}',
    ):
        assert world.door.again(garbage) == garbage


def test_an_opened_event_is_what_the_sender_sent(world: World) -> None:
    opened = json.loads(world.opener.open(world.send()))
    assert (opened["id"], opened["properties"], opened["context"]) == ("m-1", ORDER, {"ip": "192.0.2.0"})
    assert world.opener.open(world.opener.open(world.send())) == world.opener.open(world.send())


def test_a_destroyed_key_leaves_the_facts_forever(world: World, tmp_path: Path) -> None:
    value = world.send()
    nodes = [int(one["node"], 16) for one in json.loads(value)["identifiers"]]
    assert world.keyring.names(nodes) == {
        nodes[0]: Name("user_id", "Sara", "Sara"), nodes[1]: Name("email", "S@X.com", "s@x.com"),
    }  # fmt: skip
    assert world.keyring.destroy(nodes) == 2
    left = world.opener.open(value)
    assert json.loads(left)["properties"] == json.loads(value)["properties"]
    assert b"sealed" not in left
    assert world.keyring.names(nodes) == {}
    again = Keyring(world.store, SECRET)
    assert Opener(again).open(value) == left


def test_keys_are_found_by_whoever_did_not_draw_them(world: World) -> None:
    value = world.send()
    world.keyring.forget_all()
    assert json.loads(world.opener.open(value))["id"] == "m-1"


def test_two_keys_of_one_node_both_open(world: World) -> None:
    first = world.send()
    other = Keyring(world.store, SECRET)
    node = int(json.loads(first)["identifiers"][0]["node"], 16)
    assert other.key_of(node).id == world.keyring.key_of(node).id
    world.keyring.forget_all()
    world.store.destroy([node])  # by another process
    late = world.send()
    assert json.loads(world.opener.open(late))["id"] != "m-1", "what a destroyed key seals stays closed"
    world.door.identifiers.forget_cached()
    second = world.send()
    assert json.loads(world.opener.open(second))["id"] == "m-1"
    assert json.loads(world.opener.open(first))["id"] != "m-1"


def test_content_does_not_open_in_another_event(world: World) -> None:
    one, other = world.send(), world.send(id="m-2")
    content = json.loads(one)["sealed"]["content"].encode()
    swapped = other.replace(json.loads(other)["sealed"]["content"].encode(), content)
    assert json.loads(world.opener.open(swapped))["id"] == json.loads(other)["key"]


def test_another_secret_is_told_so(world: World) -> None:
    value = world.send()
    with pytest.raises(Broken, match="wrapped under another secret"):
        Opener(Keyring(world.store, b"another secret, as long")).open(value)


def test_an_event_of_nobody_is_sealed_under_a_key_of_the_day(world: World) -> None:
    value = world.send(identifiers=())
    assert b"gift_note" not in value
    assert json.loads(world.opener.open(value))["properties"] == ORDER


@pytest.mark.parametrize("garbage", [
    b"", b"{}", b'{"sealed":{}}', b'{"a":1,"sealed":{"clear":-5,"key":"","dictionary":1,"content":""}}',
    b'{"properties":{},"id":"x","sealed":{"clear":1,"key":"00","dictionary":99,"content":"%%"}}', b'\xff,"sealed":{',
])  # fmt: skip
def test_what_others_write_to_the_topic_stays_as_it_is_or_is_left_closed(world: World, garbage: bytes) -> None:
    assert world.opener.open(garbage) in (garbage, world.opener.open(garbage))


def test_whoever_was_forgotten_is_refused_and_nothing_of_it_is_kept(world: World) -> None:
    nodes = {int(one["node"], 16) for one in json.loads(world.send())["identifiers"]}
    world.forgotten |= nodes
    fields: dict[str, Any] = {
        "id": "m-2", "source": SHOP, "channel": "web", "type": "custom.x", "received_at": 1_790_000_000_500,
        "sent_at": None, "original_time": None, "identifiers": (("email", "s@x.com"),), "properties": {},
        "context": {}, "name": "X", "place": 0,
    }  # fmt: skip
    verdict = world.door.admit(Incoming(**fields), b"{}")
    assert isinstance(verdict, Refused)
    assert (verdict.code, verdict.message) == ("suppressed", None)
    assert not isinstance(
        world.door.admit(Incoming(**{**fields, "identifiers": (("email", "r@x.com"),)}), b"{}"), Refused
    )


def test_whoever_may_come_back_is_somebody_new_each_time(world: World) -> None:
    seen: list[set[str]] = []
    for n in range(3):
        event = json.loads(world.send(id=f"m-{n}", received_at=1_790_000_000_000 + n))
        nodes = {one["node"] for one in event["identifiers"]}
        assert nodes.isdisjoint(set[str]().union(*seen)), "nothing is left of the links of before"
        world.returning |= {int(node, 16) for node in nodes}
        world.forgotten |= {int(node, 16) for node in nodes}
        seen.append(nodes)
    world.returning -= {int(node, 16) for node in seen[-1]}
    with pytest.raises(InvalidEvent) as refused:
        world.send(id="m-9", received_at=1_790_000_000_009)
    assert refused.value.code == "suppressed"
    anew = world.returning | {int(node, 16) for node in seen[-1]}
    for n in (10, 12):
        world.returning = anew
        assert world.send(id=f"m-{n}", received_at=1_790_000_000_000 + n)
        world.returning = {*range(len(anew))}  # decided anew, about as many
        with pytest.raises(InvalidEvent):
            world.send(id="m-9", received_at=1_790_000_000_001 + n)


def test_whoever_was_forgotten_stays_closed_whatever_key_is_drawn_later(world: World) -> None:
    value = world.send()
    nodes = {int(one["node"], 16) for one in json.loads(value)["identifiers"]}
    assert b"Sara" in world.opener.open(value)
    again = Keyring(SqliteKeys(world.store.path), SECRET)
    again.leave_out(lambda: nodes)
    assert b"Sara" not in Opener(again).open(value)
    assert again.names(nodes) == {}
    assert again.gone(nodes) == nodes
    assert {name.value for name in again.last_names(nodes).values()} == {"Sara", "S@X.com"}
    again.close()


def test_an_opened_event_can_be_closed_without_its_key(world: World) -> None:
    value = world.send()
    opened = world.opener.open(value)
    world.keyring.destroy([int(one["node"], 16) for one in json.loads(value)["identifiers"]])
    assert stripped(opened) == world.opener.open(value) != opened
    assert stripped(value) == value


@pytest.mark.parametrize(
    "properties", [{}, {"product_id": "p1", "price": 9.5}, {"product_id": "p1", "note": "for Sara"}]
)
def test_facts_are_not_sealed_once_more(world: World, properties: dict[str, Any]) -> None:
    value = world.send(type="product.viewed", properties=properties)
    assert (b'"whole":1' in value) == ("note" not in properties)
    opened = json.loads(world.opener.open(value))
    assert (opened["properties"], opened["id"]) == (properties, "m-1")
