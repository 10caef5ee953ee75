"""Accounts at the door: which account an event names, and that an account is nobody."""

from typing import Any

import pytest

from identity.nodes import to_hex
from tests.clients.world import make_source
from tests.unit.door_events import DOOR, admitted

JOINED: dict[str, Any] = {"type": "group.joined", "properties": {"group_id": "acme"}}


def node(type_: str, value: str) -> str:
    found = DOOR.identifiers.node(make_source(), type_, value)
    assert found is not None
    return to_hex(found)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (JOINED, "acme"),
        ({"type": "group.joined", "properties": {"group_id": " ۴۲ "}}, "42"),
        ({"type": "account.updated", "properties": {"accountId": 7}}, "7"),
        ({"properties": {"account_id": "acme", "revenue": 5}}, "acme"),
        ({"context": {"groupId": "acme"}}, "acme"),
        ({"properties": {"account_id": "acme"}, "context": {"groupId": "other"}}, "acme"),
        ({"identifiers": [("user_id", "u1"), ("account", "acme")]}, "acme"),
        ({"type": "social.commented", "properties": {"account_id": "our-page"}}, None),
        ({"type": "live_chat_message.sent", "properties": {"account_id": "our-bot"}}, None),
        ({"properties": {"account_id": None, "revenue": 5}}, None),
        ({"context": {"groupId": ""}}, None),
        ({}, None),
    ],
)
def test_the_account_of_an_event(changes: dict[str, Any], key: str | None) -> None:
    event = admitted(**changes)
    assert event.get("account", {}).get("key") == key
    assert [one["type"] for one in event["identifiers"]] == ["user_id"]
    assert "account_ignored" not in event.get("flags", [])


@pytest.mark.parametrize("key", ["null", "sara@example.com", "x" * 201, {"id": 1}, "   "])
def test_what_is_no_account_is_flagged(key: Any) -> None:
    """An address would tell in the clear who it is."""
    event = admitted(type="group.joined", properties={"group_id": key})
    assert "account" not in event
    assert "account_ignored" in event["flags"]


def test_an_account_alone_needs_no_person_and_is_no_person() -> None:
    event = admitted(**JOINED, identifiers=[("account", "acme")])
    assert (event["identifiers"], event["account"]) == ([], {"key": "acme"})


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("u2", node("user_id", "u2")),
        ("email:Boss@Example.com", node("email", "boss@example.com")),
        ("boss@example.com", node("email", "boss@example.com")),
        (None, ""),
    ],
)
def test_whom_somebody_reports_to_is_kept_as_a_node(said: str | None, kept: str) -> None:
    event = admitted(type="group.joined", properties={"group_id": "acme", "reports_to": said})
    assert event["account"] == {"key": "acme", "reports_to": kept}


def test_a_parent_is_named_or_taken_back() -> None:
    for said, kept in (("holding", {"parent": "holding"}), (None, {"parent": ""})):
        event = admitted(type="account.updated", properties={"account_id": "acme", "parent_id": said})
        assert event["account"] == {"key": "acme"} | kept
    event = admitted(type="group.joined", properties={"group_id": "acme", "reports_to": "null", "parent_id": "a@b.c"})
    assert (event["account"], event["flags"]) == ({"key": "acme"}, ["account_ignored", "reports_to_ignored"])
