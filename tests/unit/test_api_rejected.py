"""Rejected events over HTTP: listing, reading, retrying and dismissing them."""

import orjson

from schemas import topics
from schemas.clock import iso
from stream_processors.flow import rejected as rejections
from tests.unit.api_world import NOW, World, call

pytest_plugins = ("tests.unit.api_fixtures",)


def test_a_rejected_event_is_listed_read_and_retried(fresh_world: World) -> None:
    world = fresh_world
    world.log.append(topics.REJECTED, [(b"earlier", orjson.dumps({"id": "earlier"}))])
    world.log.commit("rejected", {topics.REJECTED: {0: 1}})
    world.reject("m/1", b'{"type":"track"')
    item = call(world, "GET", "/v1/rejected")["items"][0]
    assert item == {
        "id": "m/1",
        "code": "not_json",
        "reason": "body: wanted JSON, got another text; send JSON",
        "source": "shop",
        "channel": "web",
        "received_at": iso(NOW + 3),
        "payload": '{"type":"track"',
    }
    assert call(world, "GET", "/v1/rejected/m%2F1") == item
    call(world, "GET", "/v1/rejected/none", status=404)
    assert call(world, "POST", "/v1/rejected/m%2F1/retry") == {"id": "m/1", "status": "accepted"}
    world.client.post("/v1/rejected/m%2F1/retry", content=b'{"type":"track"}')
    assert [payload for _, payload in world.retried] == [None, b'{"type":"track"}']
    assert world.retried[0][0] == item | {"digest": world.retried[0][0]["digest"], "place": 0}
    call(world, "POST", "/v1/rejected/none/retry", status=404)


def test_an_id_of_several_sources_is_answered_with_these(fresh_world: World) -> None:
    world = fresh_world
    for source in ("shop", "till"):
        world.reject("1001", source.encode(), source=source)
    for method, path in (("GET", "/v1/rejected/1001"), ("POST", "/v1/rejected/1001/retry")):
        problem = call(world, method, path, status=409)
        assert (problem["code"], "(shop, till)" in problem["message"]) == ("ambiguous_id", True)
        call(world, method, f"{path}?source=till")
    assert [record["source"] for record, _ in world.retried] == ["till"]
    assert len(call(world, "GET", "/v1/rejected?limit=10")["items"]) == 2


def test_bytes_that_are_no_text_are_base64(world: World) -> None:
    world.reject("b", b"\xff\xfe\x00")
    item = call(world, "GET", "/v1/rejected/b")
    assert item["payload_base64"] == "//4A"
    assert "payload" not in item


def test_rejected_events_come_by_source_code_and_page(world: World) -> None:
    for n in range(5):
        world.reject(f"r{n}", b"x", code="schema" if n % 2 else "not_json")
    world.reject("r0", b"x", ver=2, resolved=1)
    first = call(world, "GET", "/v1/rejected?limit=3")
    rest = call(world, "GET", f"/v1/rejected?limit=3&cursor={first['next_cursor']}")
    assert [one["id"] for one in first["items"] + rest["items"]] == ["r4", "r3", "r2", "r1"]
    assert [one["id"] for one in call(world, "GET", "/v1/rejected?code=schema&source=shop")["items"]] == [
        "r3",
        "r1",
    ]
    assert call(world, "GET", "/v1/rejected?source=other")["items"] == []
    [resolved] = call(world, "GET", "/v1/rejected?resolved=true")["items"]
    assert (resolved["id"], resolved["resolved"]) == ("r0", True)


def test_rejected_events_come_by_time(world: World) -> None:
    for name in ("a", "bb", "ccc"):
        world.reject(name, b"x")  # received at NOW + the length of its name
    since = call(world, "GET", f"/v1/rejected?since={NOW + 2}")["items"]
    until = call(world, "GET", f"/v1/rejected?until={iso(NOW + 2)}")["items"]
    assert ([one["id"] for one in since], [one["id"] for one in until]) == (["ccc", "bb"], ["a"])
    wrong = call(world, "GET", "/v1/rejected?since=yesterday", status=422)
    assert "wanted a moment such as" in wrong["message"]


def test_a_rejected_event_is_dismissed_by_a_record_of_the_log(fresh_world: World) -> None:
    world = fresh_world
    world.log.append(topics.REJECTED, [(b"earlier", orjson.dumps({"id": "earlier"}))])
    world.log.commit("rejected", {topics.REJECTED: {0: 1}})
    world.reject("m/1", b"\xff", ver=0)  # a row's version is the offset of its record
    call(world, "POST", "/v1/rejected/m%2F1/dismiss", status=204)
    call(world, "POST", "/v1/rejected/none/dismiss", status=404)
    assert rejections.step(world.log, world.writer) == 1
    assert call(world, "GET", "/v1/rejected")["items"] == []
    [settled] = call(world, "GET", "/v1/rejected?resolved=true")["items"]
    assert (settled["id"], settled["payload_base64"]) == ("m/1", "/w==")


def test_many_rejected_events_are_dismissed_and_retried_by_a_filter(fresh_world: World) -> None:
    world = fresh_world
    for n in range(5):
        world.reject(f"r{n}", b"x", code="schema" if n % 2 else "not_json", ver=0)
    world.log.append(topics.REJECTED, [(b"earlier", orjson.dumps({"id": "earlier"}))])
    world.log.commit("rejected", {topics.REJECTED: {0: 1}})
    call(world, "POST", "/v1/rejected/dismiss", {}, 422)
    call(world, "POST", "/v1/rejected/dismiss", {"since": "yesterday"}, 422)
    first = call(world, "POST", "/v1/rejected/retry", {"code": "not_json", "limit": 2})
    assert (first["matched"], first["accepted"]) == (2, 2)
    rest = call(world, "POST", "/v1/rejected/retry", {"code": "not_json", "cursor": first["next_cursor"]})
    assert rest == {"matched": 1, "accepted": 1, "rejected": 0, "next_cursor": None}
    assert [record["id"] for record, _ in world.retried] == ["r4", "r2", "r0"]
    answer = call(world, "POST", "/v1/rejected/dismiss", {"source": "shop", "code": "schema"})
    assert answer == {"dismissed": 2, "next_cursor": None}
    rejections.step(world.log, world.writer)
    assert [one["id"] for one in call(world, "GET", "/v1/rejected")["items"]] == ["r4", "r2", "r0"]
