"""Events as connectors hand them to the door, and its verdicts."""

import json
from typing import Any

from eventlog.port import Message
from producers.door import Refused, Verdict
from producers.incoming import Incoming
from schemas.envelope import Envelope
from schemas.records import decode_rejection
from tests.clients.world import NOW, make_door, make_source

DOOR = make_door(new_id=lambda: "fresh")


def incoming(**changes: Any) -> Incoming:
    settings: dict[str, Any] = {
        "type": "order.completed",
        "id": "m-1",
        "source": make_source(),
        "channel": "web",
        "received_at": NOW,
        "identifiers": [("user_id", "u1")],
        "properties": {"revenue": 5, "currency": "EUR"},
    }
    return Incoming(**{**settings, **changes})


def accepted(verdict: Verdict) -> Message:
    assert not isinstance(verdict, Refused), verdict
    return verdict


def admitted(**changes: Any) -> dict[str, Any]:
    key, value = accepted(DOOR.admit(incoming(**changes), b"{}"))
    Envelope.model_validate_json(value)
    envelope: dict[str, Any] = json.loads(value)
    assert envelope["key"].encode() == key
    return envelope


def refused(*, raw: bytes | dict[str, Any] = b"{}", **changes: Any) -> dict[str, Any]:
    verdict = DOOR.admit(incoming(**changes), raw)
    assert isinstance(verdict, Refused), verdict
    assert verdict.message
    key, value = verdict.message
    decode_rejection(value)
    record: dict[str, Any] = json.loads(value)
    assert record["id"].encode() == key
    assert (record["code"], record["reason"]) == (verdict.code, verdict.reason)
    return record
