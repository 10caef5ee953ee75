"""What Mailgun signs stands in the body, and is not the event."""

import json
from dataclasses import replace
from typing import Any

import pytest

from producers.vendors.mailgun import MAILGUN, verify
from schemas.errors import Unverified
from tests.vendors.fixtures import Fixture, fixtures, told
from tests.vendors.signers import secrets_of

OPENED = next(one for one in fixtures("mailgun") if one.path.stem == "opened")


def with_proof(fixture: Fixture, proof: object, event: dict[str, Any] | None = None) -> Fixture:
    body = fixture.content["request"]["json"]
    changed = {"signature": proof, "event-data": event or body["event-data"]}
    return replace(fixture, content={**fixture.content, "request": {"json": changed}})


@pytest.mark.parametrize("name", ["timestamp", "token", "signature"])
@pytest.mark.parametrize("wrong", [None, "", 7, "x", ["a"], {}, "é\u202e"])
def test_a_garbled_part_of_the_proof_is_refused(name: str, wrong: object) -> None:
    message = json.loads(OPENED.request().body)
    message["signature"][name] = wrong
    with pytest.raises(Unverified):
        verify(replace(OPENED.request(), body=json.dumps(message).encode(), memo={}), secrets_of(MAILGUN))


@pytest.mark.parametrize("name", ["timestamp", "token", "signature"])
def test_every_flip_in_the_proof_is_refused(name: str) -> None:
    message = json.loads(OPENED.request().body)
    text = message["signature"][name]
    for place in range(len(text)):
        message["signature"][name] = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        with pytest.raises(Unverified):
            verify(replace(OPENED.request(), body=json.dumps(message).encode(), memo={}), secrets_of(MAILGUN))


def test_another_event_with_a_used_token_is_a_copy() -> None:
    proof = OPENED.content["request"]["json"]["signature"]
    forged = with_proof(OPENED, proof, {"event": "complained", "recipient": "eve@example.com", "timestamp": 1.0})
    assert told(forged, forged.request())[2] == told(OPENED, OPENED.request())[2]
