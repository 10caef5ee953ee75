"""IP addresses: only what names a network is stored, unless a source says otherwise."""

import json
from pathlib import Path
from typing import Any

import pytest

from producers import cloudevents
from producers.addresses import in_refused, shortened
from schemas.catalog import Catalog
from tests.clients.world import NOW, basic, make_source, world


@pytest.mark.parametrize(
    ("address", "left"),
    [
        ("203.0.113.7", "203.0.113.0"),
        (" 203.0.113.7 ", "203.0.113.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("::ffff:203.0.113.7", "203.0.113.0"),
        ("203.0.113.7:4711", None),
        ("fe80::1%eth0", "fe80::"),
        ("somebody", None),
        ("1" * 100_000, None),
        (7, None),
        ({"v4": "203.0.113.7"}, None),
        ("", None),
    ],
)
def test_what_is_left_of_an_address(address: object, left: str | None) -> None:
    assert shortened(address) == left


@pytest.mark.parametrize(("keeps", "left"), [("shorten", '"203.0.113.0"'), ("keep", '"203.0.113.7"'), ("drop", "null")])
def test_a_refused_event_keeps_every_other_byte(keeps: Any, left: str) -> None:
    sent = '{ "type":"x",\t"context": {"ip":ADDRESS} , "n":1.0}'
    payload = sent.replace("ADDRESS", '"203.0.113.7"').encode()
    assert in_refused(payload, make_source(addresses=keeps)) == sent.replace("ADDRESS", left).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"specversion":"1.0","data":{"context":{"ip":"203.0.113.7"}}}',
        b'{"context":{"ip":"203.0.113\\u002e7"}}',
        b'{"context":{"ip":"203.0.113.7"},"data":{"context":{"ip":"203.0.113.7","x":"203.0.113.7"}}}',
    ],
    ids=["cloudevent", "escaped", "both"],
)
def test_an_address_is_found_however_it_is_written(payload: bytes) -> None:
    kept = json.loads(in_refused(payload, make_source()))
    assert "203.0.113.7" not in json.dumps(kept)
    assert "203.0.113.0" in json.dumps(kept)


@pytest.mark.parametrize("payload", [b'"ip"', b'{"context":{"ip":7}}', b'{"context":["ip"]}', b'{"ip"', b'["ip"]'])
def test_what_has_no_address_stays(payload: bytes) -> None:
    assert in_refused(payload, make_source()) == payload


def test_no_whole_address_is_stored(tmp_path: Path) -> None:
    said: dict[str, object] = {"context": {"ip": "203.0.113.7", "locale": "fa"}}
    asked: dict[str, object] = {"context": {"direct": True}}
    good: dict[str, object] = {"type": "track", "event": "Seen", "anonymousId": "a-1"}
    bad: dict[str, object] = {"type": "track", "event": "Seen"}
    with world(tmp_path) as it:
        for place, event in enumerate((good | said, bad | said, good | asked, bad | asked)):
            assert it.send("/v1/batch", {"batch": [event | {"messageId": f"m-{place}"}]}).status_code == 200
        events, rejected = it.events(), it.rejected()
    contexts = {event["id"]: event["context"] for event in events}
    assert contexts == {"m-0": {"ip": "203.0.113.0", "locale": "fa"}, "m-2": {"direct": True, "ip": "127.0.0.0"}}
    payloads = [json.loads(one["payload"])["context"] for one in rejected]
    assert {"ip": "203.0.113.0", "locale": "fa"} in payloads
    assert "203.0.113.7" not in json.dumps(events + rejected)
    assert "127.0.0.1" not in json.dumps(events + rejected)


def test_addresses_in_the_data_of_foreign_cloudevents(tmp_path: Path) -> None:
    data = {
        "login": {"clientIp": "203.0.113.7", "hops": [{"ip-address": "2001:db8:1:2::3", "IP": "somebody"}]},
        "ip": 7,
    }
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "login.seen", "data": data}
    with world(tmp_path) as it:
        for one in (event, {**event, "id": "2", "specversion": "2"}):
            it.send("/v1/events", one, headers={**basic(), "Content-Type": "application/cloudevents+json"})
        (accepted,), (rejected,) = it.events(), it.rejected()
    left = {"login": {"clientIp": "203.0.113.0", "hops": [{"ip-address": "2001:db8:1::"}]}, "ip": 7}
    assert accepted["properties"] == left
    assert json.loads(rejected["payload"])["data"]["login"]["clientIp"] == "203.0.113.0"
    assert "203.0.113.7" not in json.dumps([accepted, rejected])
    kept = cloudevents.to_incoming(
        event, "1", source=make_source(addresses="keep"), received_at=NOW, catalog=Catalog.load()
    )
    assert kept.properties == data
