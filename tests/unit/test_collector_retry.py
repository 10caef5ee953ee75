"""Rejected events get a second try under the same id and time of receipt."""

import json
from pathlib import Path

import pytest

from producers.door import Refused, Verdict
from producers.retry import retry_rejected
from schemas.catalog import Catalog
from schemas.errors import NotFound
from tests.clients.world import World, world
from tests.unit.test_door_envelope import accepted

BAD = {"type": "track", "messageId": "m-1", "event": "Order Completed", "properties": {"revenue": 5, "currency": "EUR"}}
"""It names nobody."""
FIXED = json.dumps({**BAD, "userId": "u1"}).encode()


def retry(it: World, payload: bytes | None) -> Verdict:
    [record] = it.rejected()
    return retry_rejected(record, payload, door=it.door, registry=it.registry, catalog=Catalog.load())


def test_a_fixed_event_is_accepted(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/batch", {"batch": [BAD], "sentAt": "2026-11-21T19:11:40Z"})
        verdict = retry(it, FIXED)
        envelope = json.loads(accepted(verdict)[1])
        assert (envelope["id"], envelope["received_at"]) == ("m-1", "2026-11-21T19:11:40.000Z")
        assert envelope["money"]["amount"] == "5"


def test_the_same_bytes_are_refused_the_same(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/track", {**BAD, "type": "track"})
        verdict = retry(it, None)
        assert isinstance(verdict, Refused)
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
        "specversion": "0.3",
        "id": "1",
        "source": "s",
        "type": "order.completed",
        "data": {"revenue": 1},
    }
    with world(tmp_path) as it:
        it.send("/v1/events", event)
        verdict = retry(it, json.dumps({**event, "specversion": "1.0"}).encode())
        assert json.loads(accepted(verdict)[1])["id"] == it.rejected()[0]["id"]


def test_a_source_that_is_gone(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        it.send("/v1/batch", {"batch": [BAD]})
        record = {**it.rejected()[0], "source": "gone"}
        with pytest.raises(NotFound):
            retry_rejected(record, None, door=it.door, registry=it.registry, catalog=Catalog.load())
