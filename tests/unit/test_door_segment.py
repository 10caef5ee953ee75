"""Segment's and RudderStack's messages, read."""

from typing import Any

import pytest

from producers import segment
from producers.incoming import Incoming, SentAt, Traits
from schemas.catalog import Catalog
from schemas.errors import InvalidEvent
from tests.clients.world import NOW, make_source


def read(message: dict[str, Any]) -> Incoming:
    message = {"userId": "u1", **message}
    return segment.read(message, "m", 0, segment.shared_by({}, make_source(), NOW, None), Catalog.load())


@pytest.mark.parametrize(
    ("message", "type"),
    [
        ({"type": "identify"}, "profile.identified"),
        ({"type": "alias", "previousId": "a"}, "profile.aliased"),
        ({"type": "group", "groupId": "g"}, "group.joined"),
        ({"type": "page"}, "page.viewed"),
        ({"type": "screen"}, "screen.viewed"),
        ({"type": "track", "event": "Order Completed"}, "order.completed"),
        ({"type": "track", "event": "Product Viewed"}, "product.viewed"),
        ({"type": "track", "event": "Foo Bar"}, "custom.foo_bar"),
    ],
)
def test_types(message: dict[str, Any], type: str) -> None:
    assert read(message).type == type


def test_identifiers_of_a_call() -> None:
    found = read(
        {
            "type": "track",
            "event": "X",
            "anonymousId": "a1",
            "context": {
                "traits": {"email": "a@b.org", "phone": "+49 30 1234"},
                "device": {"id": "d1", "advertisingId": "ad1", "adTrackingEnabled": True},
                "externalIds": [
                    {"id": "1", "type": "ga_client", "collection": "users", "encoding": "none"},
                    {"id": "2", "type": "incomplete"},
                ],
                "externalId": [{"type": "brazeExternalId", "id": "br"}, "junk", {"id": "no type"}],
            },
            "properties": {"email": "someone@else.org"},
        }
    ).identifiers
    assert list(found) == [
        ("user_id", "u1"),
        ("anonymous_id", "a1"),
        ("email", "a@b.org"),
        ("phone", "+49 30 1234"),
        ("device_id", "d1"),
        ("advertising_id", "ad1"),
        ("ga_client", "1"),
        ("braze_external_id", "br"),
    ]


@pytest.mark.parametrize("allowed", [False, None, "true"])
def test_no_advertising_id_without_permission(allowed: object) -> None:
    device = {"advertisingId": "ad1", "adTrackingEnabled": allowed}
    assert list(read({"type": "page", "context": {"device": device}}).identifiers) == [("user_id", "u1")]


def test_an_alias_names_both_kinds_of_previous_id() -> None:
    event = read({"type": "alias", "previousId": "old"})
    assert list(event.identifiers) == [("user_id", "u1"), ("user_id", "old"), ("anonymous_id", "old")]
    assert event.alias


def test_traits_of_identify_and_of_its_context() -> None:
    context = {"traits": {"email": "context@x.org", "plan": "pro"}}
    event = read({"type": "identify", "traits": {"email": "own@x.org"}, "context": context})
    assert event.traits == Traits({"email": "own@x.org", "plan": "pro"})
    assert ("email", "own@x.org") in event.identifiers
    assert ("email", "context@x.org") not in event.identifiers


def test_a_group_without_a_user_is_an_event_of_the_account_alone() -> None:
    event = read({"type": "group", "groupId": "g1", "userId": None, "anonymousId": None})
    assert (event.identifiers, event.of_nobody) == ((), True)


def test_group_traits_stay_with_the_group() -> None:
    event = read({"type": "group", "groupId": "g1", "traits": {"name": "ACME", "email": "info@acme.org"}})
    assert event.properties == {"group_id": "g1", "traits": {"name": "ACME", "email": "info@acme.org"}}


def test_places_are_read_where_sdks_put_them() -> None:
    """`group(id, traits)` can send nothing else. What stands among the properties counts first."""
    traits = {"name": "ACME", "role": "buyer", "reportsTo": "u2", "parent_id": "holding"}
    event = read({"type": "group", "groupId": "g1", "traits": traits, "properties": {"role": "head"}})
    placed = {"role": "head", "reports_to": "u2", "parent_id": "holding"}
    assert event.properties == {**placed, "group_id": "g1", "traits": {"name": "ACME"}}
    assert not event.traits
    assert list(event.identifiers) == [("user_id", "u1")]


def test_page_and_screen_carry_their_names() -> None:
    event = read({"type": "page", "name": "Home", "category": None, "properties": {"url": "/"}})
    assert event.properties == {"url": "/", "name": "Home"}


def test_consent() -> None:
    consent = {"categoryPreferences": {"ads": True, "mail": "denied", "junk": 3}}
    assert read({"type": "page", "context": {"consent": consent}}).consent == {"ads": True, "mail": "denied"}
    assert read({"type": "page", "context": {"consent": "yes"}}).consent is None


def test_times() -> None:
    at = "2026-11-21T19:00:00Z"
    segment_event = read({"type": "page", "timestamp": at, "sentAt": "2026-11-21T19:10:00Z"})
    assert (segment_event.original_time, segment_event.sent_at) == (NOW - 700_000, NOW - 100_000)
    rudder = read({"type": "page", "originalTimestamp": at, "sentAt": "2026-11-21T19:10:00Z"})
    assert (rudder.original_time, rudder.sent_at) == (NOW - 700_000, NOW - 100_000)
    chosen = read({"type": "page", "timestamp": "2020-01-01T00:00:00Z", "originalTimestamp": at, "sentAt": at})
    assert (chosen.original_time, chosen.sent_at) == (1_577_836_800_000, None)
    assert read({"type": "page", "timestamp": at, "sentAt": "junk"}).sent_at is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "track"}, "missing_event"),
        ({"type": "track", "event": "  "}, "missing_event"),
        ({"type": "track", "event": ["x"]}, "missing_event"),
        ({"type": "track", "event": True}, "missing_event"),
        ({"type": "order"}, "unknown_type"),
        ({"type": ["track"]}, "unknown_type"),
        ({}, "unknown_type"),
        ({"type": "page", "userId": None, "anonymousId": ""}, "no_identifier"),
        ({"type": "group"}, "missing_group"),
        ({"type": "alias"}, "missing_previous_id"),
    ],
)
def test_what_cannot_be_read(message: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read(message)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("own", "sent_at"), [(None, NOW), ("", NOW), ("2026-01-02T00:00:00Z", 1_767_312_000_000), ("x", None)]
)
def test_the_time_of_sending_is_the_messages_own_or_its_requests(own: object, sent_at: int | None) -> None:
    shared = segment.SharedFields(make_source(), NOW, SentAt(NOW), None)
    message: dict[str, object] = {"type": "page", "userId": "u1", "sentAt": own}
    assert segment.read(message, "m", 0, shared, Catalog.load()).sent_at == sent_at


@pytest.mark.parametrize(("given", "id"), [("m-1", "m-1"), (7, "7"), ("", "fresh"), (None, "fresh"), ([], "fresh")])
def test_message_ids(given: object, id: str) -> None:
    assert segment.event_id({"messageId": given}, lambda: "fresh") == id


def test_the_request_completes_its_messages() -> None:
    message: dict[str, object] = {"context": {"locale": "fa", "direct": True}}
    request: dict[str, object] = {"sentAt": "2026-01-01T00:00:00Z", "context": {"locale": "en", "app": "x"}}
    segment.complete(message, request, "192.0.2.1")
    segment.date(message, request)
    assert message == {
        "sentAt": "2026-01-01T00:00:00Z",
        "context": {"locale": "fa", "app": "x", "direct": True, "ip": "192.0.2.1"},
    }


def test_the_senders_address_is_not_taken_unasked() -> None:
    message: dict[str, object] = {"context": {}}
    segment.complete(message, {}, "192.0.2.1")
    assert message == {"context": {}}


def test_long_names_are_not_cached() -> None:
    before = segment.type_of_track.cache_info().currsize
    read({"type": "track", "event": "Word " * 1000})
    assert segment.type_of_track.cache_info().currsize == before
    assert segment.type_of_track.cache_info().maxsize == 4096
    segment.type_of_track.cache_clear()


@pytest.mark.parametrize(
    ("message", "flag", "original"),
    [
        ({"type": "page", "properties": []}, "value_left_out:/properties", {"/properties": []}),
        ({"type": "identify", "traits": "x"}, "value_left_out:/traits", {"/traits": "x"}),
        ({"type": "page", "context": 1}, "value_left_out:/context", {"/context": 1}),
        (
            {"type": "group", "groupId": "g", "traits": 1},
            "value_left_out:/properties/traits",
            {"/properties/traits": 1},
        ),
        ({"type": "page", "timestamp": "x"}, "time_unreadable", {"/time": "x"}),
        ({"type": "page", "originalTimestamp": {}}, "time_unreadable", {"/time": {}}),
    ],
)
def test_what_is_odd_is_left_out_and_told(message: dict[str, Any], flag: str, original: dict[str, Any]) -> None:
    odd = read(message).odd
    assert odd is not None
    assert (odd.flags, odd.original) == ([flag], original)


def test_of_two_times_the_readable_one_counts() -> None:
    event = read({"type": "page", "timestamp": "x", "originalTimestamp": "2026-11-21T19:00:00Z"})
    assert (event.original_time, event.odd) == (NOW - 700_000, None)


@pytest.mark.parametrize(
    "message",
    [
        {"userId": "u1", "previousId": "u1"},
        {"userId": " u1", "previousId": "u1 "},
        {"userId": 7, "previousId": "7"},
        {"userId": None, "anonymousId": "u1", "previousId": "u1"},
    ],
)
def test_an_alias_of_an_id_to_itself_links_nothing(message: dict[str, Any]) -> None:
    event = read({"type": "alias", **message})
    assert len(event.identifiers) == 1
    assert not event.alias
    assert event.odd is not None
    assert event.odd.flags == ["alias_of_itself"]


def test_an_alias_of_the_browsers_own_id_is_one() -> None:
    event = read({"type": "alias", "userId": "u1", "anonymousId": "a", "previousId": "a"})
    assert (event.alias, event.odd) == (True, None)


@pytest.mark.parametrize(
    "name", ["order.completed", "OrderCompleted", "order_completed", "ORDER COMPLETED", "Order  Completed"]
)
def test_a_types_own_name_is_the_type(name: str) -> None:
    event = read({"type": "track", "event": name})
    assert (event.type, event.name) == ("order.completed", name)


def test_names_of_ones_own() -> None:
    source = make_source(aliases={"Bestellung": "order.completed", "Order Completed": "order.updated"})
    shared = segment.shared_by({}, source, NOW, None)
    for name, type in {"bestellung": "order.completed", "order.completed": "order.updated", "X": "custom.x"}.items():
        message: dict[str, Any] = {"type": "track", "event": name, "userId": "u1"}
        assert segment.read(message, "m", 0, shared, Catalog.load()).type == type


def test_google_analytics_purchase() -> None:
    item = {"item_id": "p1", "item_name": "Mug", "price": 5, "quantity": 2}
    sent = {"transaction_id": "o1", "value": 10, "currency": "EUR", "items": [item]}
    event = read({"type": "track", "event": "purchase", "properties": sent})
    assert event.type == "order.completed"
    product = {"product_id": "p1", "name": "Mug", "price": 5, "quantity": 2}
    assert event.properties == {**sent, "order_id": "o1", "revenue": 10, "products": [product]}
    viewed = read({"type": "track", "event": "view_item", "properties": {"currency": "EUR", "items": [item]}})
    assert viewed.type == "product.viewed"
    assert viewed.properties is not None
    assert viewed.properties["product_id"] == "p1"


def test_what_a_shop_sends_in_our_words_wins() -> None:
    sent = {"transaction_id": "t", "order_id": "o", "value": 10, "revenue": 9}
    assert read({"type": "track", "event": "Purchase", "properties": sent}).properties == sent
