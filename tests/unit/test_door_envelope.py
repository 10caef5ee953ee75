"""The door: what it makes of an event, and what it keeps of one that it refuses."""

import base64
import json
from typing import Any

import pytest

from eventlog.port import Message
from identity.nodes import event_key, node_of, to_hex
from identity.rules import DEFAULT_RULES
from producers.door import Incoming, Refused, Verdict
from schemas.envelope import Envelope
from schemas.record_models import RejectedEvent
from tests.clients.world import NOW, SECRET, make_door, make_source

DOOR = make_door(new_id=lambda: "fresh")


def incoming(**changes: Any) -> Incoming:
    settings: dict[str, Any] = {
        "type": "order.completed",
        "id": "m-1",
        "source": make_source(),
        "channel": "web",
        "received_at": NOW,
        "identifiers": [("user_id", "u1")],
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
    key, value = verdict.message
    RejectedEvent.model_validate_json(value)
    record: dict[str, Any] = json.loads(value)
    assert record["id"].encode() == key
    assert (record["code"], record["reason"]) == (verdict.code, verdict.reason)
    return record


def test_a_whole_envelope() -> None:
    envelope = admitted(
        identifiers=[("email", "Ada@Example.com "), ("user_id", 42)],
        original_time=NOW - 20_000,
        sent_at=NOW - 10_000,
        properties={"order_id": "o-1", "revenue": 361.5, "currency": "EUR"},
        context={"locale": "fa-IR"},
        consent={"marketing": True},
        name="Order Completed",
    )
    user, email = (
        to_hex(node_of(SECRET, "default", "user_id", "42")),
        to_hex(node_of(SECRET, "default", "email", "ada@example.com")),
    )
    assert envelope == {
        "specversion": "1.0",
        "key": event_key(SECRET, "default", "shop", "m-1"),
        "id": "m-1",
        "source": "/sources/shop",
        "type": "order.completed",
        "time": "2026-11-21T19:11:20.000Z",
        "workspace": "default",
        "channel": "web",
        "dataschema": "order.completed/1",
        "received_at": "2026-11-21T19:11:40.000Z",
        "place": 0,
        "sent_at": "2026-11-21T19:11:30.000Z",
        "subject": "user_id:42",
        "identifiers": [
            {"type": "user_id", "value": "42", "normalised": "42", "normaliser": 1, "node": user},
            {
                "type": "email",
                "value": "Ada@Example.com ",
                "normalised": "ada@example.com",
                "normaliser": 1,
                "node": email,
            },
        ],
        "traits": {},
        "properties": {"order_id": "o-1", "revenue": 361.5, "currency": "EUR"},
        "context": {"locale": "fa-IR"},
        "consent": {"marketing": True},
        "money": {"amount": "361.5", "currency": "EUR"},
        "name": "Order Completed",
    }


def test_an_event_of_nobody_is_kept() -> None:
    envelope = admitted(identifiers=[("user_id", None), ("anonymous_id", "")])
    assert envelope["identifiers"] == []
    assert "subject" not in envelope


def test_the_same_identifier_counts_once() -> None:
    envelope = admitted(identifiers=[("email", "a@b.org"), ("email", "A@B.ORG"), ("user_id", "u1")])
    assert [entry["type"] for entry in envelope["identifiers"]] == ["user_id", "email"]


def test_the_rules_decide_the_anchor() -> None:
    rules = DEFAULT_RULES.model_copy(update={"priorities": ("loyalty_card", "user_id")})
    door = make_door(rules=lambda: rules)
    verdict = door.admit(incoming(identifiers=[("user_id", "u1"), ("loyalty_card", "c-1")]), b"{}")
    assert json.loads(accepted(verdict)[1])["subject"].startswith("loyalty_card:")


def test_new_rules_hold_from_the_next_request_on() -> None:
    rules = [DEFAULT_RULES]
    door = make_door(rules=lambda: rules[0])
    event = incoming(identifiers=[("user_id", "u1"), ("email", "a@b.org")])
    before = json.loads(accepted(door.admit(event, b"{}"))[1])
    rules[0] = DEFAULT_RULES.model_copy(update={"priorities": ("email",)})
    after = json.loads(accepted(door.admit(event._replace(received_at=NOW + 1), b"{}"))[1])
    assert (before["subject"], after["subject"]) == ("user_id:u1", "email:a@b.org")


def test_a_wrong_email_among_traits_identifies_nobody() -> None:
    envelope = admitted(identifiers=[("user_id", "u1"), ("email", "not an email"), ("phone", {"a": 1})])
    assert [entry["type"] for entry in envelope["identifiers"]] == ["user_id"]
    assert envelope["flags"] == ["identifier_ignored"]


def test_junk_identifiers_are_dropped() -> None:
    envelope = admitted(identifiers=[("user_id", "undefined"), ("anonymous_id", "a-1")])
    assert [entry["type"] for entry in envelope["identifiers"]] == ["anonymous_id"]
    assert envelope["flags"] == ["identifier_blocked"]


@pytest.mark.parametrize("user", [True, 1.5, [], {}, "a\x00b", "x" * 5000, 10**600])
def test_a_wrong_user_id_refuses_the_event(user: object) -> None:
    assert refused(identifiers=[("user_id", user)])["code"] == "invalid_identifier"


def test_a_declared_identifier_must_be_right() -> None:
    assert refused(identifiers=[("email", "no email")], strict=True)["code"] == "invalid_identifier"
    assert refused(identifiers=[("Bad Type", "x")], strict=True)["code"] == "invalid_identifier"


@pytest.mark.parametrize("id", ["", "x" * 201, "a\x00b", "half \ud83d"])
def test_an_id_that_cannot_be_one(id: str) -> None:
    record = refused(id=id, raw={"messageId": "x"})
    assert (record["code"], record["id"]) == ("invalid_id", "fresh")


def test_what_an_sdk_may_get_wrong_a_declaration_may_not_afterwards() -> None:
    wrong: Any = [("user_id", "u1"), ("email", "no email at all")]
    assert admitted(identifiers=wrong)["flags"] == ["identifier_ignored"]
    assert refused(identifiers=wrong, strict=True)["code"] == "invalid_identifier"
    assert admitted(identifiers=wrong)["flags"] == ["identifier_ignored"]


@pytest.mark.parametrize("junk", [True, 1.0, 2.5, ["1"], {"id": "1"}])
def test_what_equals_a_known_id_is_not_that_id(junk: object) -> None:
    for known in (1, "1"):
        assert admitted(identifiers=[("user_id", known)])["subject"] == "user_id:1"
    assert refused(identifiers=[("user_id", junk)])["code"] == "invalid_identifier"


def test_ids_up_to_200_characters() -> None:
    assert admitted(id="x" * 200)["id"] == "x" * 200
    assert admitted(id="شناسه ✓")["id"] == "شناسه ✓"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"traits": {f"t{i}": i for i in range(301)}}, "too_many_keys"),
        ({"properties": {f"p{i}": i for i in range(301)}}, "too_many_keys"),
        ({"raw": b"x" * 32_769}, "event_too_large"),
        ({"properties": {"revenue": "a lot"}}, "schema_violation"),
        ({"properties": {"revenue": 1e31}}, "schema_violation"),
        ({"properties": {"a": "half \ud83d"}}, "invalid_text"),
        ({"source": make_source(unplanned="reject"), "type": "custom.foo"}, "unplanned_event"),
    ],
)
def test_refusals(changes: dict[str, Any], code: str) -> None:
    record = refused(**changes)
    assert record["code"] == code
    assert record["source"] == "shop"
    assert record["received_at"] == "2026-11-21T19:11:40.000Z"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_depth() -> None:
    # The event itself is the first of 32 levels.
    assert admitted(properties=nested(31))
    assert refused(properties=nested(32))["code"] == "too_deep"
    assert refused(properties={"a": [nested(100)], "b": {}})["code"] == "too_deep"
    assert refused(properties=nested(400), raw=nested(400))["code"] == "too_deep"


def test_many_brackets_are_not_deep() -> None:
    assert admitted(properties={"products": [{"sku": str(i), "tags": ["a"]} for i in range(100)]})


def test_custom_events_are_flagged() -> None:
    envelope = admitted(type="custom.foo_bar", name="Foo Bar")
    assert (envelope["dataschema"], envelope["flags"]) == ("custom", ["unplanned"])


def test_a_clamped_clock_is_told() -> None:
    envelope = admitted(original_time=NOW + 86_400_000)
    assert envelope["time"] == envelope["received_at"]
    assert envelope["original_time"] == "2026-11-22T19:11:40.000Z"
    assert envelope["flags"] == ["clock_clamped"]


def test_nul_inside_values_passes() -> None:
    assert admitted(properties={"note": "a\x00b"})["properties"] == {"note": "a\x00b"}


def test_refused_bytes_are_kept_as_they_were() -> None:
    assert refused(id="", raw=b'{"a":  1}')["payload"] == '{"a":  1}'
    record = refused(id="", raw=b"\xff\xfe")
    assert base64.b64decode(record["payload_base64"]) == b"\xff\xfe"
    assert "payload" not in record


def test_the_digest_tells_payloads_apart() -> None:
    one, again, other = (refused(id="", raw=raw)["digest"] for raw in (b"a", b"a", b"b"))
    assert one == again != other


def test_identifiers_are_cached_within_bounds() -> None:
    door = make_door()
    first = door.admit(incoming(), b"{}")
    door.forget_cached()
    assert door.admit(incoming(), b"{}") == first
