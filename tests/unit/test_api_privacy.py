"""Requests to be forgotten, over the API: who may, what is answered, and the list of them."""

from typing import Any

import orjson
import pytest

from schemas.topics import REGISTRY
from tests.unit.api_world import World

pytest_plugins = ("tests.unit.api_fixtures",)


@pytest.fixture
def asked(world: World) -> list[str]:
    """The ids of five requests, the newest first. No projections run here: they stay as they were asked."""
    for n in range(5):
        body = {"profile": f"{n + 1:032x}", "reason": f"ticket {n}"}
        world.deps.registry.declare("erase", f"r-{n}", body, "support")
    return [f"r-{n}" for n in reversed(range(5))]


def test_requests_are_listed_by_pages_the_newest_first(world: World, asked: list[str]) -> None:
    found: list[str] = []
    cursor: dict[str, Any] = {}
    for wanted in (2, 2, 1):
        answer = world.client.get("/v1/privacy/requests", params={"limit": 2, **cursor}).json()
        assert len(answer["items"]) == wanted
        found += [one["id"] for one in answer["items"]]
        cursor = {"cursor": answer["next_cursor"]}
    assert found == asked
    assert cursor == {"cursor": None}


@pytest.mark.parametrize("cursor", ["1", "x", "٣"])
def test_a_cursor_that_somebody_made_up_is_none(world: World, asked: list[str], cursor: str) -> None:
    answer = world.client.get("/v1/privacy/requests", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


def test_a_request_is_shown_by_its_id_and_an_unknown_one_is_not(world: World, asked: list[str]) -> None:
    one = world.client.get("/v1/privacy/requests/r-3").json()
    assert (one["state"], one["reason"], one["profile_id"]) == ("requested", "ticket 3", f"prf_{4:032x}")
    assert world.client.get("/v1/privacy/requests/none").status_code == 404


def test_whom_nobody_knows_cannot_be_forgotten(world: World) -> None:
    answer = world.client.request("DELETE", "/v1/profiles/user_id:nobody", json={"reason": "asked"})
    assert answer.status_code == 404
    for without in ({}, {"reason": " \t"}):
        assert world.client.request("DELETE", "/v1/profiles/user_id:nobody", json=without).status_code == 422


def test_many_are_asked_for_at_once_and_unknown_keys_are_told(world: World) -> None:
    body = {"keys": ["user_id:nobody", "", "no key"], "reason": "asked"}
    assert world.client.post("/v1/privacy/erasures", json=body).status_code == 422
    answer = world.client.post("/v1/privacy/erasures", json={**body, "keys": ["user_id:nobody", "no key"]})
    assert (answer.status_code, answer.json()) == (202, {"items": [], "unknown": [0, 1]})
    many = world.client.post("/v1/privacy/erasures", json={**body, "keys": ["user_id:u"] * 1_001})
    assert many.status_code == 422
    odd = world.client.post("/v1/privacy/erasures", json={**body, "keys": ["user_id:u"], "returning": "perhaps"})
    assert odd.status_code == 422


def test_a_request_says_what_becomes_of_whoever_comes_back(world: World, asked: list[str]) -> None:
    body = {"profile": f"{9:032x}", "reason": "ticket 9", "returning": "start_anew"}
    world.deps.registry.declare("erase", "r-9", body, "support")
    found = {one["id"]: one["returning"] for one in world.client.get("/v1/privacy/requests").json()["items"]}
    assert found == dict.fromkeys(asked, "refuse") | {"r-9": "start_anew"}


def test_what_becomes_of_whoever_comes_back_can_be_decided_anew(world: World) -> None:
    registry, nodes = world.deps.registry, [f"{n:032x}" for n in (11, 12)]
    for id in ("d-1", "d-2"):
        registry.declare("erase", id, {"profile": nodes[0], "reason": "ticket"}, "support")
    registry.declare("asked", "d-3", {"type": "access", "profile": nodes[0], "reason": "ticket"}, "support")

    def decide(id: str, returning: str) -> int:
        return world.client.put(f"/v1/privacy/requests/{id}/returning", json={"returning": returning}).status_code

    def erased(id: str) -> None:
        body = {"kind": "erased", "op": "put", "id": id, "at": 1, "by": "projections", "body": {"nodes": nodes}}
        world.log.append(REGISTRY, [(b"", orjson.dumps(body))])
        registry.refresh()

    assert decide("d-1", "start_anew") == 200
    erased("d-1")
    assert registry.erasures.returning == registry.erasures.nodes == {11, 12}, "decided before it was done"
    end = world.log.ends(REGISTRY)
    assert (decide("d-1", "start_anew"), world.log.ends(REGISTRY)) == (200, end), "nothing new"
    assert decide("d-1", "refuse") == 200
    assert registry.erasures.returning == set()
    assert world.client.get("/v1/privacy/requests/d-1").json()["returning"] == "refuse"
    assert [decide("d-3", "refuse"), decide("none", "refuse"), decide("d-2", "perhaps")] == [409, 404, 422]
    erased("d-2")
    assert decide("d-2", "start_anew") == 200
    assert decide("d-1", "refuse") == 200
    assert registry.erasures.returning == {11, 12}, "another request lets them return"
