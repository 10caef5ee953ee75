"""Rejected events get a second try under the same id and time of receipt."""

import json
from pathlib import Path

import pytest

from identity.nodes import event_key, node_of
from producers.door import Refused, Verdict
from producers.retry import retry_rejected
from schemas.catalog import Catalog
from schemas.errors import NotFound
from simorgh.retry import retry_rejected as retry_and_append
from tests.clients.world import SECRET, World, make_door, world
from tests.unit.door_events import accepted

BAD = {
    "type": "track",
    "userId": "u1",
    "messageId": "m-1",
    "event": "",
    "properties": {"revenue": 5},
}
FIXED = json.dumps({**BAD, "event": "Order Completed"}).encode()


def retry(it: World, payload: bytes | None) -> Verdict:
    record = it.rejected()[-1]
    [verdict] = retry_rejected(record, payload, door=it.door, registry=it.registry, catalog=Catalog.load())
    return verdict


def test_a_fixed_event_is_accepted(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/batch", {"batch": ["junk"] * 3 + [BAD], "sentAt": "2026-11-21T19:11:40Z"})
        verdict = retry(it, FIXED)
        envelope = json.loads(accepted(verdict)[1])
        assert (envelope["id"], envelope["received_at"]) == ("m-1", "2026-11-21T19:11:40.000Z")
        assert (envelope["place"], envelope["key"]) == (3, event_key(SECRET, "default", envelope["source"][9:], "m-1"))
        assert envelope["money"]["amount"] == "5"


def test_an_event_of_somebody_who_was_forgotten_is_settled_without_its_bytes(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/track", BAD)
        record = it.rejected()[0]
        forgetful = make_door(forgotten=lambda: {node_of(SECRET, "default", "user_id", "u1")})
        for payload in (None, FIXED):
            answer = retry_and_append(it.log, it.registry, forgetful, record, payload)
            assert (answer["status"], answer["code"]) == ("rejected", "suppressed")
            last = it.rejected()[-1]
            assert (last["payload"], last["resolved"], last["digest"]) == ("", True, record["digest"])
            assert "u1" not in json.dumps({**last, "id": ""})


def test_the_same_bytes_are_refused_the_same(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/track", {**BAD, "type": "track"})
        verdict = retry(it, None)
        assert isinstance(verdict, Refused)
        assert verdict.message
        assert json.loads(verdict.message[1]) == it.rejected()[0]


def test_what_was_no_json_is_taken_once_it_is(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/track", b"\xff{")
        assert isinstance(retry(it, None), Refused)
        verdict = retry(it, FIXED)
        assert json.loads(accepted(verdict)[1])["id"] == it.rejected()[0]["id"]


def test_a_whole_batch_is_not_one_event(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/batch", b'{"batch": 7}')
        verdict = retry(it, None)
        assert isinstance(verdict, Refused)
        assert verdict.code == "not_one_event"


def test_cloudevents(tmp_path: Path) -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "order.completed",
        "data": {"revenue": 1},
        "refused": "by its sender",
    }
    with world(tmp_path) as it:
        it.send("/v1/events", event)
        verdict = retry(it, json.dumps({**event, "refused": None}).encode())
        assert json.loads(accepted(verdict)[1])["id"] == it.rejected()[0]["id"]


def test_a_source_that_is_gone(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/batch", {"batch": [BAD]})
        record = {**it.rejected()[0], "source": "gone"}
        with pytest.raises(NotFound):
            retry_rejected(record, None, door=it.door, registry=it.registry, catalog=Catalog.load())
