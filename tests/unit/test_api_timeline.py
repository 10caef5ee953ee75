"""A profile's timeline over HTTP, and the cursors and limits of lists."""

from typing import Any

import pytest

from tests.unit.api_world import NOW, World, get, node, sara

pytest_plugins = ("tests.unit.api_fixtures",)


def test_a_timeline_cursor_is_stable_while_events_arrive(world: World) -> None:
    profile = sara(world)
    old = world.events(profile, [NOW - 50 + i // 2 for i in range(7)])
    seen: list[str] = []
    cursor = ""
    for turn in range(4):
        answer = get(world, f"/v1/profiles/user_id:u42/events?limit=2{cursor}")
        seen += [event["id"] for event in answer["items"]]
        world.events(profile, [NOW + turn])
        cursor = f"&cursor={answer['next_cursor']}"
    assert answer["next_cursor"] is None
    assert seen == [old[i] for i in (6, 4, 5, 2, 3, 0, 1)], "of one moment the greater key is the newer"


def test_events_of_one_moment_are_paged_each_once(world: World) -> None:
    profile = sara(world)
    sent = world.events(profile, [NOW - 60] * 25)
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        answer = get(world, f"/v1/profiles/user_id:u42/events?limit=10{more}")
        seen += [event["id"] for event in answer["items"]]
        cursor = answer["next_cursor"]
    assert seen == sent


def test_a_timeline_shows_what_was_read_otherwise_and_what_is_a_hint(world: World) -> None:
    profile = sara(world)
    hint = {"type": "email", "value": "X@example.com", "normalised": "x@example.com", "node": "1" * 32, "trust": "hint"}
    read: dict[str, Any] = {
        "flags": ["value_read:/properties/n"],
        "original": {"/properties/n": "1"},
        "identifiers": [hint],
    }
    world.events(profile, [NOW - 1], **read)
    [event] = get(world, "/v1/profiles/user_id:u42/events")["items"]
    assert (event["flags"], event["original"]) == (read["flags"], read["original"])
    assert event["identifiers"] == [{"type": "email", "value": "x@example.com", "trust": "hint"}]


def test_a_timeline_shows_each_offset_once_and_can_be_of_one_type(world: World) -> None:
    profile = sara(world)
    pages = world.events(profile, [NOW - 2])
    orders = world.events(node("email", "sara@example.com"), [NOW - 1], "order.completed")
    world.offsets -= 1
    world.events(node("email", "sara@example.com"), [NOW - 1], "order.completed")
    events = get(world, "/v1/profiles/user_id:u42/events")["items"]
    assert [event["id"] for event in events] == orders + pages
    assert "node" not in events[0]["identifiers"][0]
    assert events[0]["source"] == "shop"
    only = get(world, "/v1/profiles/user_id:u42/events?type=order.completed")["items"]
    assert [event["id"] for event in only] == orders


@pytest.mark.parametrize("cursor", ["x", "%00", "AAAA", "é", "W10"])
def test_a_cursor_that_is_none_is_refused(world: World, cursor: str) -> None:
    sara(world)
    for path in ("/v1/profiles/user_id:u42/events", "/v1/profiles", "/v1/rejected"):
        assert get(world, f"{path}?cursor={cursor}", 422)["code"] == "invalid_cursor"


def test_a_cursor_of_another_list_is_refused(world: World) -> None:
    for i in range(3):
        world.person(("user_id", f"p{i}"))
    cursor = get(world, "/v1/profiles?limit=1")["next_cursor"]
    assert get(world, f"/v1/profiles/user_id:p1/events?cursor={cursor}", 422)["code"] == "invalid_cursor"


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1e3"])
def test_a_limit_is_a_number_from_1_to_1000(world: World, limit: str) -> None:
    body = get(world, f"/v1/profiles?limit={limit}", 422)
    assert body["code"] == "invalid_request"
    assert body["errors"][0]["path"] == "/query/limit"
