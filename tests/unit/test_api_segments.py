"""Segments, merges and splits over HTTP; a thread stands in for the projections and commits what it is given."""

import asyncio
import threading
import time
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from identity.nodes import profile_id, to_hex
from profile_api.models.profiles import Profiles
from profile_api.models.segments import Segment, Why
from profile_api.stream import transitions
from schemas import topics
from schemas.clock import iso
from tests.unit.api_world import NOW, World, call, node

pytest_plugins = ("tests.unit.api_fixtures",)

RULE: dict[str, Any] = {"trait": "country", "in": ["IR", "DE"]}


def country(world: World, user: str, value: str) -> int:
    profile = world.person(("user_id", user), traits={"country": value})
    world.insert(
        "traits",
        ["node", "kind", "name", "value", "ver", "source", "channel"],
        [(profile, "trait", "country", f'"{value}"', 1, "shop", "web")],
    )
    return profile


def test_a_segment_lives_from_post_to_delete(live: World) -> None:
    made = call(live, "POST", "/v1/segments", {"id": "locals", "name": "Locals", "rule": RULE}, 201)
    assert made == {
        "id": "locals",
        "name": "Locals",
        "rule": RULE,
        "version": 1,
        "created_at": iso(NOW),
        "size": 0,
        "state": "live",
        "warnings": made["warnings"],
    }
    made.pop("warnings")
    Segment.model_validate(made)
    changed = call(live, "PUT", "/v1/segments/locals", {"rule": {"not": RULE}})
    assert changed.pop("warnings")
    assert (changed["version"], changed["name"], changed["rule"]) == (2, "Locals", {"not": RULE})
    assert call(live, "GET", "/v1/segments/locals") == changed
    assert call(live, "GET", "/v1/segments") == {"items": [changed], "next_cursor": None}
    assert call(live, "POST", "/v1/segments", {"id": "locals", "rule": RULE}, 409)["code"] == "exists"
    call(live, "DELETE", "/v1/segments/locals", status=204)
    call(live, "GET", "/v1/segments/locals", status=404)
    call(live, "DELETE", "/v1/segments/locals", status=404)


def test_a_segment_is_answered_only_when_the_projections_have_it(fresh_world: World) -> None:
    world = fresh_world
    seen: list[tuple[int, int]] = []
    answering = threading.Thread(
        target=lambda: seen.append(
            (
                call(world, "POST", "/v1/segments", {"id": "s", "rule": RULE}, 201)["version"],
                time.monotonic_ns(),
            )
        )
    )
    answering.start()
    assert world.log.wait(topics.REGISTRY, [0], 5)
    committed_at = time.monotonic_ns()
    world.log.commit("projections", {topics.REGISTRY: {0: 1}})
    answering.join()
    assert seen[0][0] == 1
    assert seen[0][1] > committed_at


def test_what_takes_longer_than_a_request_should_is_202_with_a_place_to_ask(make_world: Any) -> None:
    world = make_world(visible_within=0.05)

    def pass_registry() -> None:
        end = world.log.ends(topics.REGISTRY)[0]
        world.log.commit("projections", {topics.REGISTRY: {0: end}})

    made = world.client.post("/v1/segments", json={"id": "s", "rule": RULE})
    assert (made.status_code, made.headers["location"]) == (202, "/v1/segments/s")
    assert made.json()["state"] == call(world, "GET", "/v1/segments/s")["state"] == "filling"
    assert call(world, "POST", "/v1/segments", {"id": "t", "rule": RULE}, 202)["state"] == "pending"
    pass_registry()
    assert call(world, "GET", "/v1/segments/s")["state"] == "live"
    changed = call(world, "PUT", "/v1/segments/s", {"rule": RULE}, 202)
    assert (changed["version"], changed["state"]) == (2, "filling")
    pass_registry()
    assert call(world, "DELETE", "/v1/segments/s", status=202)["state"] == "deleting"
    assert call(world, "GET", "/v1/segments/s")["state"] == "deleting"
    pass_registry()
    call(world, "GET", "/v1/segments/s", status=404)


def test_a_segment_that_is_set_aside_says_why_and_can_be_edited_and_deleted(live: World) -> None:
    log = live.log
    odd = {"kind": "segment", "op": "put", "id": "odd", "body": {"rule": {"odd": 1}}, "at": NOW, "by": "another hand"}
    [(_, offset)] = log.append(topics.REGISTRY, [(b"segment/odd", orjson.dumps(odd))])
    reason = {"offset": offset, "version": 1, "reason": "rule at its root: exactly one of …"}
    said = {"kind": "set_aside", "op": "put", "id": "odd", "body": reason, "at": NOW, "by": "projections"}
    log.append(topics.REGISTRY, [(b"set_aside/odd", orjson.dumps(said))])
    live.registry.refresh()
    [shown] = call(live, "GET", "/v1/segments")["items"]
    Segment.model_validate(shown)
    assert (shown["state"], shown["reason"]) == ("set_aside", reason["reason"])
    assert "simorgh_segments_set_aside 1.0" in live.client.get("/metrics").text
    assert call(live, "POST", "/v1/segments", {"id": "x", "rule": {"segment": "odd"}}, 409)["code"] == "set_aside"
    assert call(live, "PUT", "/v1/segments/odd", {"rule": RULE})["state"] == "live"
    log.append(topics.REGISTRY, [(b"segment/odd", orjson.dumps(odd))])
    call(live, "DELETE", "/v1/segments/odd", status=204)
    assert call(live, "GET", "/v1/segments")["items"] == []


def test_names_that_were_never_seen_are_warned_of(live: World) -> None:
    live.events(country(live, "u1", "DE"), [NOW - 5])
    known = {"all": [RULE, {"event": "page.viewed"}, {"event": "order.completed", "sum": {"gte": 1}, "of": "revenue"}]}
    assert "warnings" not in call(live, "POST", "/v1/segments/preview", {"rule": known})
    rule = {
        "any": [
            {"trait": "contry", "eq": "DE"},
            {"event": "page.view"},
            {"event": "order.completed", "where": [{"property": "products.skus", "eq": "A1"}]},
            {"event": "order.completed", "distinct": {"gte": 1}, "of": "revenu"},
        ]
    }
    found = call(live, "POST", "/v1/segments/preview", {"rule": rule})["warnings"]
    assert [(one["path"], one["near"][0]) for one in found] == [
        ("/any/0/trait", "country"),
        ("/any/1/event", "page.viewed"),
        ("/any/2/where/0/property", "products.sku"),
        ("/any/3/of", "revenue"),
    ]
    made = call(live, "POST", "/v1/segments", {"id": "s", "rule": rule}, 201)
    assert made["warnings"] == found


def test_what_came_a_moment_ago_is_not_warned_of(live: World) -> None:
    rule = {"trait": "plan_of_ours", "eq": "pro"}
    assert call(live, "POST", "/v1/segments/preview", {"rule": rule})["warnings"]
    columns = ["node", "kind", "name", "value", "ver", "source", "channel"]
    profile = live.person(("user_id", "u1"))
    live.insert("traits", columns, [(profile, "trait", "plan_of_ours", '"pro"', 1, "shop", "web")])
    assert "warnings" not in call(live, "POST", "/v1/segments/preview", {"rule": rule})


@pytest.mark.parametrize(
    ("condition", "pointer"),
    [
        ({"property": "products", "contains": "A1"}, "/where/0/property"),
        ({"property": "products[0]", "eq": "A1"}, "/where/0/property"),
        ({"property": "products", "exists": True}, None),
        ({"any_item": "products", "where": [{"property": "sku", "eq": "A1"}]}, None),
        ({"property": "products.sku", "eq": "A1"}, None),
    ],
)
def test_a_test_that_an_object_can_never_pass_is_refused(live: World, condition: Any, pointer: str | None) -> None:
    rule = {"event": "order.completed", "where": [condition]}
    for path, body in (("/v1/segments/preview", {"rule": rule}), ("/v1/segments", {"id": "s", "rule": rule})):
        answer = live.client.post(path, json=body)
        if pointer is None:
            assert answer.status_code in (200, 201)
        else:
            assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, pointer)
            assert "products." in answer.json()["message"]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({}, ""),
        ({"all": []}, "/all"),
        ({"trait": "x", "nonsense": 1}, ""),
        ({"segment": "unknown"}, "/segment"),
        ({"not": {"segment": "new"}}, None),
        ({"trait": "x", "matches": "("}, None),
    ],
)
def test_a_rule_that_cannot_be_is_422_with_its_place(live: World, rule: Any, path: str | None) -> None:
    for method, route, body in (
        ("POST", "/v1/segments", {"id": "new", "rule": rule}),
        ("POST", "/v1/segments/preview", {"rule": rule}),
    ):
        problem = call(live, method, route, body, 422)
        if path is not None:
            assert problem["code"] == "invalid_rule"
            assert problem["errors"][0]["path"] == path
    assert call(live, "GET", "/v1/segments")["items"] == []


def test_segments_cannot_contain_each_other(live: World) -> None:
    call(live, "POST", "/v1/segments", {"id": "a", "rule": RULE}, 201)
    call(live, "POST", "/v1/segments", {"id": "b", "rule": {"segment": "a"}}, 201)
    call(live, "PUT", "/v1/segments/a", {"rule": {"segment": "b"}}, 422)
    assert call(live, "DELETE", "/v1/segments/a", status=409)["code"] == "in_use"
    call(live, "DELETE", "/v1/segments/b", status=204)
    call(live, "DELETE", "/v1/segments/a", status=204)


def test_preview_counts_and_shows_some(live: World) -> None:
    profiles = [country(live, "u1", "DE"), country(live, "u2", "IR")]
    country(live, "u3", "FR")
    assert call(live, "POST", "/v1/segments/preview", {"rule": RULE}) == {
        "count": 2,
        "sample": sorted(profile_id(profile) for profile in profiles),
    }


def test_members_come_in_pages_with_a_stable_cursor(live: World) -> None:
    call(live, "POST", "/v1/segments", {"id": "locals", "rule": RULE}, 201)
    profiles = [live.person(("user_id", f"u{i}"), segments={"locals": NOW - i}) for i in range(5)]
    live.enter(profiles[0], "locals", NOW, 9, "exited")
    seen: list[str] = []
    cursor = ""
    while True:
        page = call(live, "GET", f"/v1/segments/locals/members?limit=2{cursor}")
        seen += [member["profile_id"] for member in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sorted(profile_id(profile) for profile in profiles[1:])
    assert call(live, "GET", "/v1/segments/locals")["size"] == 4
    call(live, "GET", "/v1/segments/nobody/members", status=404)


def test_why_tells_the_truth_of_each_node(live: World) -> None:
    rule = {"all": [RULE, {"event": "page.viewed", "count": {"gte": 1}}, {"not": {"segment": "base"}}]}
    call(live, "POST", "/v1/segments", {"id": "base", "rule": {"trait": "vip", "exists": True}}, 201)
    call(live, "POST", "/v1/segments", {"id": "locals", "rule": rule}, 201)
    profile = country(live, "a/b", "DE")
    [event] = live.events(profile, [NOW - 5])
    live.row(profile, [("user_id", "a/b")], {"country": "DE"}, 9, segments={"locals": NOW})
    why = call(live, "GET", "/v1/segments/locals/why/user_id:a%2Fb")
    Why.model_validate(why)
    assert (why["member"], why["profile_id"], why["why"]["holds"]) == (True, profile_id(profile), True)
    trait, events, other = why["why"]["children"]
    assert (trait["node"], trait["holds"], trait["evidence"]) == (RULE, True, {"value": "DE"})
    assert events["evidence"] == {
        "events": [{"source": "shop", "id": event, "time": iso(NOW - 5)}],
        "matched": 1,
    }
    assert other["holds"]
    assert not other["children"][0]["holds"]
    call(live, "GET", "/v1/segments/locals/why/user_id:nobody", status=404)


def test_the_stream_tells_one_segments_transitions_from_where_it_broke(fresh_world: World) -> None:
    log = fresh_world.log
    told = [_transition(segment, n) for n, segment in enumerate(("a", "b", "a"))]
    log.append(topics.SEGMENTS, [(b"k", orjson.dumps(one)) for one in told])

    async def read(after: int, count: int) -> list[bytes]:
        found = []
        async with aclosing(transitions(log, "a", after)) as stream:  # type: ignore[type-var]
            async for message in stream:
                found.append(message)
                if len(found) > count:
                    break
        return found[1:]

    first, second = asyncio.run(read(0, 2))
    assert (first.split(b"\n")[:2], second.split(b"\n")[:2]) == (
        [b"id: 0", b"event: entered"],
        [b"id: 2", b"event: entered"],
    )
    data = orjson.loads(first.split(b"data: ")[1])
    assert data["profile_id"] == profile_id(7)
    assert asyncio.run(read(1, 1)) == [second]


def _transition(segment: str, n: int) -> dict[str, Any]:
    return {
        "id": f"t{n}",
        "segment": segment,
        "version": 1,
        "profile": to_hex(7),
        "kind": "entered",
        "at": NOW,
        "entered_at": NOW,
        "cause": "event",
    }


def test_merge_and_split_are_commands_that_answer_when_visible(live: World) -> None:
    a, b = live.person(("user_id", "u1"), ("email", "x@example.com")), live.person(("anonymous_id", "a1"))
    answer = call(live, "POST", "/v1/profiles/user_id:u1/merge", {"with": profile_id(b), "reason": "same"})
    record = live.registry.records_from(0)[-1][1]
    assert (record.kind, record.by) == ("merge", "token:env")
    assert (record.body["a"], record.body["b"], record.body["reason"]) == (to_hex(a), to_hex(b), "same")
    assert {view["profile_id"] for view in answer["profiles"]} == {profile_id(a), profile_id(b)}
    Profiles.model_validate(answer)

    body = {"identities": [{"type": "email", "value": "X@example.com"}], "reason": "a shared mailbox"}
    call(live, "POST", "/v1/profiles/user_id:u1/split", body)
    split = live.registry.records_from(0)[-1][1]
    assert split.kind == "split"
    assert len(split.body["nodes"]) == 1


def test_a_steward_may_name_a_phone_number_as_it_is_dialled(live: World) -> None:
    live.person(("user_id", "u1"), ("phone", "+989123456789"))
    live.person(("user_id", "u2"))
    for region in ("FR", "IR"):
        live.registry.declare("source", region.lower(), {"region": region}, "test")
    body = {"identities": [{"type": "phone", "value": "0912 345 6789"}]}
    call(live, "POST", "/v1/profiles/user_id:u1/split", body)
    assert live.registry.records_from(0)[-1][1].body["nodes"] == [to_hex(node("phone", "+989123456789"))]
    assert call(live, "POST", "/v1/profiles/user_id:u2/split", body, 409)["code"] == "not_in_profile"
    call(live, "POST", "/v1/profiles/user_id:u2/merge", {"with": "phone:09123456789"})


def test_merge_and_split_refuse_what_makes_no_sense(live: World) -> None:
    live.person(("user_id", "u1"), ("email", "x@example.com"))
    live.person(("anonymous_id", "a1"))
    path = "/v1/profiles/user_id:u1"
    assert call(live, "POST", f"{path}/merge", {"with": "email:x@example.com"}, 409)["code"] == "same_profile"
    call(live, "POST", f"{path}/merge", {"with": "user_id:nobody"}, 404)
    call(live, "POST", "/v1/profiles/user_id:nobody/merge", {"with": "user_id:u1"}, 404)
    call(live, "POST", f"{path}/merge", {"reason": "no with"}, 422)
    call(live, "POST", f"{path}/merge", {"with": "email:x@example.com", "extra": 1}, 422)
    for identity in ({"type": "anonymous_id", "value": "a1"}, {"type": "email", "value": "none"}):
        assert call(live, "POST", f"{path}/split", {"identities": [identity]}, 409)["code"] == "not_in_profile"
    everything = [{"type": "user_id", "value": "u1"}, {"type": "email", "value": "x@example.com"}]
    assert call(live, "POST", f"{path}/split", {"identities": everything}, 409)["code"] == "nothing_stays"
    call(live, "POST", f"{path}/split", {"identities": []}, 422)
    assert live.registry.records_from(0) == []
