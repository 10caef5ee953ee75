"""The door: what it makes of an event, and what it keeps of one that it refuses."""

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from identity.nodes import event_key, node_of, to_hex
from identity.rules import DEFAULT_RULES
from producers.door import Defaults
from tests.clients.world import NOW, SECRET, make_door, make_source
from tests.unit.door_events import DOOR, accepted, admitted, incoming, refused


def test_a_whole_envelope() -> None:
    envelope = admitted(
        identifiers=[("email", "Ada@Example.com "), ("user_id", 42)],
        original_time=NOW - 20_000,
        sent_at=NOW - 10_000,
        properties={"revenue": 361.5, "currency": "EUR"},
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
        "properties": {"revenue": 361.5, "currency": "EUR"},
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
    after = json.loads(accepted(door.admit(replace(event, received_at=NOW + 1), b"{}"))[1])
    assert (before["subject"], after["subject"]) == ("user_id:u1", "email:a@b.org")


def test_a_wrong_email_among_traits_identifies_nobody() -> None:
    envelope = admitted(identifiers=[("user_id", "u1"), ("email", "not an email"), ("phone", {"a": 1})])
    assert [entry["type"] for entry in envelope["identifiers"]] == ["user_id"]
    assert envelope["flags"] == ["identifier_ignored"]


def test_junk_identifiers_are_dropped() -> None:
    envelope = admitted(identifiers=[("user_id", "undefined"), ("anonymous_id", "a-1")])
    assert [entry["type"] for entry in envelope["identifiers"]] == ["anonymous_id"]
    assert envelope["flags"] == ["identifier_blocked"]


@pytest.mark.parametrize("user", [True, 1.5, [], {}, "a\x00b", "y" * 5000, 10**600])
def test_a_wrong_user_id_refuses_the_event(user: object) -> None:
    assert refused(identifiers=[("user_id", user)])["code"] == "invalid_identifier"


def test_a_wrong_identifier_beside_a_good_one_costs_nothing() -> None:
    wrong: Any = [("email", "a@"), ("Bad Type", "x"), ("user_id", True)]
    envelope = admitted(identifiers=[*wrong, ("loyalty_card", "c-1")])
    assert envelope["subject"] == "loyalty_card:c1"
    assert envelope["flags"] == ["identifier_ignored"]
    assert envelope["original"] == {"/identifiers": [{"type": type, "value": value} for type, value in wrong]}


def test_an_event_that_may_be_of_nobody_is_kept_without_its_wrong_identifiers() -> None:
    envelope = admitted(identifiers=[("email", "a@")], of_nobody=True)
    assert (envelope["identifiers"], envelope["flags"]) == ([], ["identifier_ignored"])


def test_hints_link_nobody() -> None:
    envelope = admitted(identifiers=[("email", "a@b.org", "hint"), ("anonymous_id", "a-1"), ("user_id", "u", "hint")])
    kinds = [(entry["type"], entry.get("trust")) for entry in envelope["identifiers"]]
    assert kinds == [("anonymous_id", None), ("user_id", "hint"), ("email", "hint")]
    assert envelope["subject"] == "anonymous_id:a-1"
    only = admitted(identifiers=[("email", "a@b.org", "hint")])
    assert "subject" not in only


def test_an_identifier_that_is_known_for_sure_is_no_hint() -> None:
    envelope = admitted(identifiers=[("email", "a@b.org", "hint"), ("email", "A@b.org")])
    assert [entry.get("trust") for entry in envelope["identifiers"]] == [None]


@pytest.mark.parametrize("phone", ["0912 123 4567", "۰۹۱۲۱۲۳۴۵۶۷", "٠٩١٢١٢٣٤٥٦٧"])
def test_phones_without_a_country(phone: str) -> None:
    values = [("user_id", "u1"), ("phone", phone)]
    assert admitted(identifiers=values)["flags"] == ["identifier_ignored", "phone_without_region"]
    of_iran = admitted(identifiers=values, source=make_source(region="IR"))
    assert [entry["normalised"] for entry in of_iran["identifiers"]] == ["u1", "+989121234567"]
    assert admitted(identifiers=values)["flags"] == ["identifier_ignored", "phone_without_region"]
    by_default = make_door(defaults=Defaults(region="IR")).admit(incoming(identifiers=values), b"{}")
    assert b"+989121234567" in accepted(by_default)[1]


def test_an_id_is_unique_within_its_source() -> None:
    keys = {admitted(source=make_source(id=source), id=id)["key"] for source in ("web", "till") for id in ("1", "2")}
    assert len(keys) == 4
    assert admitted(id="1")["key"] == admitted(id="1", received_at=NOW + 5, type="page.viewed")["key"]
    assert make_door(secret=b"another workspace").admit(incoming(), b"{}") != DOOR.admit(incoming(), b"{}")


ORDER: dict[str, Any] = {"order_id": "1001", "revenue": 5, "currency": "EUR"}


def test_one_fact_told_twice_has_one_key() -> None:
    web = make_source(id="web", book="shop")
    server = make_source(id="server", channel="server", book="shop")
    told = [
        admitted(source=source, id=str(n), properties={**ORDER, "order_id": value})["business"]
        for n, (source, value) in enumerate([(web, "1001"), (web, 1001), (server, " ۱۰۰۱ "), (server, 1001.0)])
    ]
    assert len({business["key"] for business in told}) == 1
    assert [business["rank"] for business in told] == [20, 20, 10, 10]
    assert {business["book"] for business in told} == {"shop"}


def test_other_books_types_and_values_are_other_facts() -> None:
    facts = [
        admitted(properties=ORDER),
        admitted(properties={**ORDER, "order_id": "1002"}),
        admitted(properties=ORDER, source=make_source(id="other")),
        admitted(properties=ORDER, type="order.cancelled"),
    ]
    assert len({fact["business"]["key"] for fact in facts}) == 4
    assert admitted(properties=ORDER, source=make_source(trust=3))["business"]["rank"] == 3


@pytest.mark.parametrize("junk", ["null", "0", "n/a", "(not set)", "#REF!", "1.23457E+12"])
def test_a_junk_business_key_is_none(junk: str) -> None:
    envelope = admitted(properties={**ORDER, "order_id": junk})
    assert "business" not in envelope
    assert envelope["flags"] == ["business_key_ignored"]
    assert "business" not in admitted(properties={**ORDER, "order_id": ""})


@pytest.mark.parametrize("id", ["", "x" * 201, "a\x00b", "half \ud83d"])
def test_an_id_that_cannot_be_one(id: str) -> None:
    record = refused(id=id, raw={"messageId": "x"})
    assert (record["code"], record["id"]) == ("invalid_id", "fresh")


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
        ({"properties": {"revenue": "a lot"}, "source": make_source(schema_faults="reject")}, "schema_violation"),
        ({"properties": {"revenue": 1e31}, "source": make_source(schema_faults="reject")}, "schema_violation"),
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
    door.identifiers.forget_cached()
    assert door.admit(incoming(), b"{}") == first


def test_the_place_and_the_flags_stand_in_order() -> None:
    envelope = admitted(
        type="custom.x", place=7, original_time=NOW + 5, identifiers=[("user_id", "u1"), ("anonymous_id", "null")]
    )
    assert envelope["place"] == 7
    assert envelope["flags"] == ["unplanned", "clock_clamped", "identifier_blocked"]
    assert refused(place=7, id="")["place"] == 7
