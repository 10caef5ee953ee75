"""CloudEvents, read."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from producers import cloudevents
from producers.incoming import Context, Incoming, Traits
from schemas.catalog import Catalog
from schemas.errors import InvalidEvent
from tests.clients.world import NOW, make_source

EVENT = {"specversion": "1.0", "id": "1", "source": "https://shop", "type": "order.completed"}


def read(**changes: Any) -> Incoming:
    event = {**EVENT, **changes}
    return cloudevents.to_incoming(event, "id", source=make_source(), received_at=NOW, catalog=Catalog.load())


def test_our_data() -> None:
    event = read(
        time="2026-11-21T19:00:00Z",
        channel="pos",
        data={
            "identifiers": [{"type": "email", "value": "a@b.org"}],
            "traits": {"city": "Isfahan"},
            "properties": {"revenue": 3},
            "context": {"till": 4},
            "consent": {"ads": False},
        },
    )
    assert event.identifiers == [("email", "a@b.org")]
    assert (event.traits, event.properties) == (Traits({"city": "Isfahan"}), {"revenue": 3})
    assert event.context == Context({"till": 4, "vendor_id": "1", "vendor_source": "https://shop"})
    assert (event.consent, event.channel, event.odd, event.of_nobody) == ({"ads": False}, "pos", None, True)
    assert event.original_time == NOW - 700_000


def test_other_data_are_the_properties_and_the_subject_the_identifier() -> None:
    event = read(subject="email:a@b.org", data={"revenue": 3})
    assert (event.identifiers, event.properties) == ([("email", "a@b.org")], {"revenue": 3})


@pytest.mark.parametrize("subject", [None, "", "order 7", ":x", "email:", "https://shop/orders/7", 7])
def test_other_subjects_are_nobody(subject: object) -> None:
    assert not read(subject=subject, data={}).identifiers


@pytest.mark.parametrize(
    ("given", "type"),
    [
        ("order.completed", "order.completed"),
        ("custom.foo_bar", "custom.foo_bar"),
        ("com.acme.order.shipped", "custom.com_acme_order_shipped"),
        ("Foo Bar", "custom.foo_bar"),
        ("Order Completed", "order.completed"),
        ("OrderCompleted", "order.completed"),
        ("purchase", "order.completed"),
    ],
)
def test_types(given: str, type: str) -> None:
    assert read(type=given).type == type


def test_a_strange_channel_is_the_sources() -> None:
    assert read(channel="Über Alles").channel == read(channel=7).channel == "web"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"specversion": "0.3"}, "invalid_cloudevent"),
        ({"id": ""}, "invalid_cloudevent"),
        ({"id": True}, "invalid_cloudevent"),
        ({"source": None}, "invalid_cloudevent"),
        ({"type": "a\x00b"}, "invalid_cloudevent"),
    ],
)
def test_what_cannot_be_read(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read(**changes)
    assert refused.value.code == code


def test_ids_follow_source_and_id() -> None:
    assert cloudevents.event_id(EVENT) == "1~4ea3c6e5dcc9"
    assert cloudevents.event_id({**EVENT, "source": "https://other"}) == "1~04fcb5c96b66"
    assert cloudevents.event_id({**EVENT, "id": "x" * 187}) == "x" * 187 + "~4ea3c6e5dcc9"
    assert cloudevents.event_id({**EVENT, "id": "x" * 188}) == str(uuid5(NAMESPACE_URL, "https://shop\x1f" + "x" * 188))


@pytest.mark.parametrize("event", [7, {}, {"id": "1"}, {"id": "1", "source": ""}, {"id": "\ud83d", "source": "s"}])
def test_without_them_there_is_none(event: object) -> None:
    assert cloudevents.event_id(event) is None


def test_binary_mode() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s%20x", "ce-type": "t", "host": "h"}
    [event], batched, _ = cloudevents.events_of(headers, b'{"a": 1}')
    assert not batched
    assert event == {
        "specversion": "1.0",
        "id": "1",
        "source": "s x",
        "type": "t",
        "datacontenttype": "application/json",
        "data": {"a": 1},
    }


def test_batch_and_structured_mode() -> None:
    assert cloudevents.events_of({}, b'[{"id": "1"}]') == ([{"id": "1"}], True, False)
    assert cloudevents.events_of({}, b'{"id": "1"}') == ([{"id": "1"}], False, False)


@pytest.mark.parametrize("headers", [{}, {"ce-id": "1"}])
def test_broken_json(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidEvent) as refused:
        cloudevents.events_of(headers, b"{")
    assert refused.value.code == "invalid_json"


def test_what_its_sender_refuses_is_refused_with_his_words() -> None:
    with pytest.raises(InvalidEvent, match="rows of a file: zero price") as refusal:
        read(refused="rows of a file: zero price", data={"rows": []})
    assert refusal.value.code == "refused_by_sender"


@pytest.mark.parametrize(
    ("changes", "flag", "original"),
    [
        ({"time": "soon"}, "time_unreadable", {"/time": "soon"}),
        ({"data": "text"}, "value_left_out:/properties", {"/properties": "text"}),
        ({"data": [1]}, "value_left_out:/properties", {"/properties": [1]}),
        ({"data_base64": "AAAA"}, "value_left_out:/properties", {"/properties": "AAAA"}),
        ({"data": {"properties": {}, "traits": 7}}, "value_left_out:/traits", {"/traits": 7}),
        ({"data": {"properties": {}, "identifiers": 7}}, "value_left_out:/identifiers", {"/identifiers": 7}),
        ({"data": {"identifiers": ["u1"]}}, "value_left_out:/identifiers", {"/identifiers": ["u1"]}),
        ({"channel": "Über Alles"}, "value_left_out:/channel", {"/channel": "Über Alles"}),
    ],
)
def test_what_is_odd_is_left_out_and_told(changes: dict[str, Any], flag: str, original: dict[str, Any]) -> None:
    odd = read(**changes).odd
    assert odd is not None
    assert (odd.flags, odd.original) == ([flag], original)


def test_json_that_was_sent_as_bytes() -> None:
    assert read(data_base64="eyJyZXZlbnVlIjogM30=").properties == {"revenue": 3}


def test_hints() -> None:
    listed = [{"type": "email", "value": "a@b.org", "trust": "hint"}, {"type": "user_id", "value": "u", "trust": "x"}]
    assert read(data={"identifiers": listed}).identifiers == [("email", "a@b.org", "hint"), ("user_id", "u")]


def test_ids_may_be_numbers() -> None:
    assert cloudevents.event_id({**EVENT, "id": 1}) == cloudevents.event_id(EVENT)
    assert read(id=1).context == Context({"vendor_id": 1, "vendor_source": "https://shop"})
