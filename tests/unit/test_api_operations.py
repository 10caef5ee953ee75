"""Status, latest events, schemas, sources, tokens: what operators and engineers ask."""

from threading import Event, Semaphore, Thread
from typing import Any, Final

import orjson
import pytest

from identity.nodes import event_key, from_hex, profile_id
from profile_api.counts import Counts
from profile_api.models.operations import Status
from registry.keys import is_well_formed
from schemas import topics
from schemas.clock import iso
from stream_processors.flow.topology import ONE_BOX
from tests.unit.api_world import NOW, SECRET, MakeWorld, World, call, moment, node

pytest_plugins = ("tests.unit.api_fixtures",)

EVENT_COLUMNS: Final = (
    "node", "time", "received_at", "place", "key", "source", "type", "fact", "part", "off", "amount", "currency",
    "payload",
)  # fmt: skip
TELLING_COLUMNS: Final = ("fact", "trust", "received_at", "place", "key", "node", "part", "off")

THREADS: Final = 40
"""In which FastAPI runs what blocks: anyio's default."""


def test_status_counts_events_profiles_and_identities(fresh_world: World) -> None:
    world = fresh_world
    world.insert(
        "log_rows",
        ["part", "off", "gen", "dup"],
        [(0, 0, 1, 0), (0, 1, 1, 1), (0, 1, 2, 1), (1, 0, 1, 0), (1, 1, 1, 2)],
    )
    first = world.person(("user_id", "u1"), ("email", "x@example.com"))
    world.person(("user_id", "u2"))
    world.belong([node("user_id", "u2")], first, 2)
    world.belong([node("device_id", "kiosk")], 0, 2)
    world.reject("r1", b"a")
    world.reject("r1", b"a", ver=2, resolved=1)
    world.reject("r1", b"b")
    world.log.commit("projections", {topics.EVENTS: {0: 2, 1: 2}})
    status = call(world, "GET", "/v1/status")
    Status.model_validate(status)
    assert status["events"] == {"logged": 3, "unique": 2, "duplicates": 1, "rejected": 2}
    assert (status["profiles"], status["identities"]) == (1, 3)
    assert [stage["name"] for stage in status["projections"]] == [stage.name for stage in ONE_BOX]


def test_status_counts_on_as_the_projections_commit_and_from_empty_caches(fresh_world: World) -> None:
    world = fresh_world
    counts = Counts(world.deps.reader, world.deps.generation)
    rows = [(part, off, 1, off % 2) for part in (0, 1) for off in range(10)]
    world.insert("log_rows", ["part", "off", "gen", "dup"], rows)
    for committed, found in (
        ([0, 0], (0, 0)),
        ([3, 1], (3, 1)),
        ([3, 1], (3, 1)),
        ([10, 9], (10, 9)),
        ([1, 0], (1, 0)),
    ):
        assert counts.events(committed) == found
        assert Counts(world.deps.reader, world.deps.generation).events(committed) == found
    world.person(("user_id", "u1"))
    assert counts.profiles_and_identities([1]) == (1, 1)
    world.person(("user_id", "u2"))
    assert counts.profiles_and_identities([1]) == (1, 1)  # nothing was committed since
    assert counts.profiles_and_identities([2]) == (2, 2)
    counts.forget()
    assert counts.profiles_and_identities([2]) == (2, 2)


def test_lag_is_what_a_stage_has_not_committed(fresh_world: World) -> None:
    world = fresh_world
    [(partition, offset)] = world.log.append(topics.EVENTS, [(b"k", b"{}")])
    world.log.append(topics.SEGMENTS, [(b"k", b"{}")])
    lags = _lags(world)
    assert lags == {"events": 1, "declarations": 0, "identity": 0, "profiles": 1, "triggers": 1, "rejected": 0}
    world.log.commit("projections", {topics.EVENTS: {partition: offset + 1}})
    assert _lags(world)["profiles"] == 0
    assert _lags(world)["triggers"] == 1
    world.catch_up()
    assert set(_lags(world).values()) == {0}
    positions = call(world, "GET", "/v1/status")["projections"][0]["positions"]
    assert sum(positions[topics.EVENTS]) == 1
    assert b'simorgh_lag_events{projection="profiles"} 0.0' in world.client.get("/metrics").content


def test_a_busy_api_is_ready_and_can_be_measured(make_world: MakeWorld) -> None:
    free, busy = Event(), Semaphore(0)

    def replay() -> dict[str, Any]:
        busy.release()
        assert free.wait(60)
        return {"state": "running"}

    world = make_world(replay=replay)
    callers = [Thread(target=world.client.post, args=("/v1/replay",)) for _ in range(THREADS)]
    try:
        for caller in callers:
            caller.start()
        for _ in callers:
            assert busy.acquire(timeout=60)
        for path in ("/healthz", "/readyz", "/metrics"):
            assert world.client.get(path, headers={"Authorization": ""}).status_code == 200
        assert all(caller.is_alive() for caller in callers)  # no answer waited for one of their threads
    finally:
        free.set()
        for caller in callers:
            caller.join()


def _lags(world: World) -> dict[str, int]:
    stages = call(world, "GET", "/v1/status")["projections"]
    assert all((stage["lag_seconds"] > 0) <= (stage["lag_events"] > 0) for stage in stages)
    return {stage["name"]: stage["lag_events"] for stage in stages}


def test_the_latest_events_come_from_the_log_accepted_and_rejected(fresh_world: World) -> None:
    world = fresh_world
    ids = world.events(node("user_id", "u1"), [NOW - 3, NOW - 2], logged=True)
    refused = {
        "id": "bad",
        "code": "not_json",
        "reason": "body: wanted JSON, got another text; send JSON",
        "source": "shop",
        "channel": "web",
        "received_at": iso(NOW),
        "payload": "secret",
        "digest": 1,
    }
    world.log.append(topics.REJECTED, [(b"bad", orjson.dumps(refused))])
    world.log.append(topics.REJECTED, [(b"bad", orjson.dumps(refused | {"resolved": True}))])
    world.log.append(topics.EVENTS, [(b"poison", b"\xff")])
    items = call(world, "GET", "/v1/events")["items"]
    assert {(one["status"], one["id"]) for one in items} == {
        ("rejected", "bad"),
        *(("accepted", i) for i in ids),
    }
    [bad] = [one for one in items if one["status"] == "rejected"]
    assert "payload" not in bad
    assert (bad["code"], bad["source"]) == ("not_json", "shop")
    accepted = next(one for one in items if one["status"] == "accepted")
    assert (accepted["type"], accepted["source"]) == ("page.viewed", "shop")
    assert len(call(world, "GET", "/v1/events?limit=1")["items"]) == 1


def test_following_the_log_shows_each_event_once_and_none_too_few(fresh_world: World) -> None:
    world = fresh_world
    world.events(node("user_id", "u1"), [NOW], logged=True)
    answer = call(world, "GET", "/v1/events")
    assert (len(answer["items"]), answer["behind"]) == (1, 0)
    later = world.events(node("user_id", "u1"), [NOW + n for n in range(25)], logged=True)
    refused = {"id": "bad", "code": "not_json", "reason": "so", "source": "shop", "received_at": iso(NOW)}
    world.log.append(topics.REJECTED, [(b"bad", orjson.dumps(refused))])
    world.log.append(topics.EVENTS, [(b"poison", b"\xff")])
    seen: list[str] = []
    behind = []
    while True:
        answer = call(world, "GET", f"/v1/events?limit=10&after={answer['follow']}")
        seen += [one["id"] for one in answer["items"]]
        behind.append(answer["behind"])
        if not answer["behind"]:
            break
    assert sorted(seen) == sorted([*later, "bad"])
    assert behind == [17, 7, 0]
    assert call(world, "GET", f"/v1/events?after={answer['follow']}")["items"] == []
    call(world, "GET", "/v1/events?after=nonsense", status=422)


def test_facts_that_are_told_in_several_ways_are_listed(fresh_world: World) -> None:
    world = fresh_world
    one, other = world.person(("user_id", "u1")), world.person(("user_id", "u2"))
    nodes = {one: node("user_id", "u1"), other: node("user_id", "u2")}

    def tell(fact: int, *tellings: tuple[int, int]) -> None:
        """`tellings`: profile and amount, the one that counts first."""
        for place, (profile, amount) in enumerate(tellings):
            key, at = fact * 10 + place, moment(NOW + place)
            payload = orjson.dumps({"id": f"o{key}"}).decode()
            row = (nodes[profile], at, at, place, key, "shop", "order.completed", fact, 0, key, amount, "EUR", payload)
            world.insert("events", list(EVENT_COLUMNS), [row])
            world.insert("tellings", list(TELLING_COLUMNS), [(fact, 0, at, place, key, nodes[profile], 0, key)])
            if place:
                world.insert("retellings", ["node", "key", "fact"], [(nodes[profile], key, fact)])

    tell(1, (one, 5), (one, 5))
    tell(2, (one, 5), (one, 6), (one, 6))
    tell(3, (one, 5))
    tell(4, (one, 7), (other, 7))
    whole = call(world, "GET", "/v1/events/conflicts")
    assert [(found["about"], len(found["tellings"])) for found in whole["items"]] == [(["money"], 3), (["customer"], 2)]
    assert [(told["id"], told["amount"], told["counts"]) for told in whole["items"][0]["tellings"]] == [
        ("o20", "5", True), ("o21", "6", False), ("o22", "6", False),
    ]  # fmt: skip
    assert [told["profile_id"] for told in whole["items"][1]["tellings"]] == [profile_id(one), profile_id(other)]
    assert whole["next_cursor"] is None
    first = call(world, "GET", "/v1/events/conflicts?limit=1")
    second = call(world, "GET", f"/v1/events/conflicts?limit=1&cursor={first['next_cursor']}")
    assert first["items"] + second["items"] == whole["items"]


def test_which_events_are_known_is_told_in_the_order_of_the_question(fresh_world: World) -> None:
    world = fresh_world
    key = from_hex(event_key(SECRET, "default", "shop", "m-1"))
    world.insert("ids", ["key", "part", "off"], [(key, 0, 0)])
    wanted = [{"source": "shop", "id": name} for name in ("m-2", "m-1", "m-2", "m-1")]
    assert call(world, "POST", "/v1/events/known", {"events": wanted}) == {"known": [False, True, False, True]}
    assert call(world, "POST", "/v1/events/known?wait=true", {"events": []}) == {"known": []}
    told = call(world, "POST", "/v1/events/known", {"events": wanted[:2], "contents": True})
    assert told == {"known": [False, True], "contents": [None, None]}, "its record is no longer in the log"


def test_what_waits_in_the_log_is_not_told_to_be_unknown(make_world: MakeWorld) -> None:
    world = make_world(visible_within=0.05)
    world.log.append(topics.EVENTS, [(b"m-1", b"{}")])
    answer = call(world, "POST", "/v1/events/known?wait=true", {"events": []}, status=503)
    assert answer["code"] == "not_visible_yet"
    world.catch_up()
    assert call(world, "POST", "/v1/events/known?wait=true", {"events": []}) == {"known": []}
    world.empty()


def test_a_source_says_when_it_was_last_heard_of(fresh_world: World) -> None:
    world = fresh_world
    for name in ("shop", "till"):
        call(world, "POST", "/v1/sources", {"id": name}, 201)
    world.events(node("user_id", "u1"), [NOW - 5000, NOW - 3000])
    world.reject("r1", b"x")
    world.log.commit("projections", {topics.EVENTS: {0: 2}})
    shop, till = call(world, "GET", "/v1/sources")["items"]
    assert (shop["events"], shop["rejected"], shop["last_event_at"]) == (2, 1, iso(NOW - 3000))
    assert (till["events"], till["rejected"], till["last_event_at"]) == (0, 0, None)
    world.events(node("user_id", "u1"), [NOW - 1000])
    world.log.commit("projections", {topics.EVENTS: {0: 3}})
    again = call(world, "GET", "/v1/sources/shop")
    assert (again["events"], again["last_event_at"]) == (3, iso(NOW - 1000))


def test_schemas_list_the_contract_and_what_nobody_planned(world: World) -> None:
    listed = call(world, "GET", "/v1/schemas")["items"]
    assert "order.completed" in {one["type"] for one in listed}
    schema = call(world, "GET", "/v1/schemas/order.completed")
    assert schema["type"] == "object"
    call(world, "GET", "/v1/schemas/custom.none", status=404)
    world.events(node("user_id", "u"), [NOW - 2, NOW - 1], "custom.foo_bar")
    world.events(node("user_id", "u"), [NOW - 1])
    unplanned = call(world, "GET", "/v1/schemas?unplanned=true")["items"]
    assert unplanned == [{"type": "custom.foo_bar", "events": 2, "last_seen": iso(NOW - 1)}]


SETTINGS: dict[str, Any] = {
    "schema_faults": "reject", "clock": "trusted", "time_zone": "Asia/Tehran", "region": "IR", "currency": "IRT",
    "book": "shop", "trust": 5, "aliases": {"Bestellung": "order.completed"},
    "addresses": "drop", "bots": "nobody",
}  # fmt: skip


def test_how_a_source_is_read_is_declared(world: World) -> None:
    made = call(world, "POST", "/v1/sources", {"id": "till", "channel": "pos", **SETTINGS}, 201)
    assert made.items() >= SETTINGS.items()
    changed = call(world, "PUT", "/v1/sources/till", {"channel": "pos"})
    assert (changed["schema_faults"], changed["region"], changed["aliases"]) == ("accept", None, {})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("clock", "right"), ("time_zone", "Mars/Base"), ("region", "XX"), ("region", "iran"), ("currency", "euro")),
        *(("book", "A b"), ("trust", -1), ("trust", 10**6), ("schema_faults", "drop")),
        *(
            ("aliases", {"X": "order.complete"}),
            ("aliases", {"X": "page.viewed"}),
            ("aliases", {" ": "order.completed"}),
        ),
    ],
)
def test_a_setting_of_a_source_that_means_nothing_is_named(world: World, setting: str, value: object) -> None:
    told = call(world, "POST", "/v1/sources", {"id": "till", setting: value}, 422)
    assert told["code"] == "invalid_request"
    assert setting in str(told["errors"])


def test_a_source_has_keys_that_are_shown_once(fresh_world: World) -> None:
    world = fresh_world
    made = call(world, "POST", "/v1/sources", {"id": "shop", "channel": "web"}, 201)
    assert made["keys"] == []
    call(world, "POST", "/v1/sources", {"id": "shop"}, 409)
    key = call(world, "POST", "/v1/sources/shop/keys", status=201)
    assert is_well_formed(key["write_key"])
    source = world.registry.authenticate_write_key(key["write_key"])
    assert source is not None
    assert source.id == "shop"
    changed = call(world, "PUT", "/v1/sources/shop", {"name": "The shop", "channel": "pos", "unplanned": "reject"})
    assert (changed["name"], changed["channel"], changed["keys"]) == (
        "The shop",
        "pos",
        [{"id": key["id"], "begins": key["write_key"][:15] + "_…", "created_at": iso(NOW)}],
    )
    assert key["write_key"] not in world.client.get("/v1/sources").text
    call(world, "POST", "/v1/sources/shop/keys", status=201)
    assert call(world, "POST", "/v1/sources/shop/keys", status=409)["code"] == "too_many_keys"
    call(world, "DELETE", f"/v1/sources/shop/keys/{key['id']}", status=204)
    call(world, "DELETE", f"/v1/sources/shop/keys/{key['id']}", status=404)
    assert world.registry.authenticate_write_key(key["write_key"]) is None
    call(world, "DELETE", "/v1/sources/shop", status=204)
    call(world, "GET", "/v1/sources/shop", status=404)


def test_a_token_opens_what_its_scopes_say_until_it_is_deleted(fresh_world: World) -> None:
    world = fresh_world
    made = call(world, "POST", "/v1/tokens", {"name": "dashboard", "scopes": ["read"]}, 201)
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert world.client.get("/v1/status", headers=headers).status_code == 200
    refused = world.client.get("/v1/tokens", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert made["token"] not in world.client.get("/v1/tokens").text
    call(world, "DELETE", f"/v1/tokens/{made['id']}", status=204)
    assert world.client.get("/v1/status", headers=headers).status_code == 401
    call(world, "POST", "/v1/tokens", {"scopes": ["everything"]}, 422)
    for at in (iso(NOW + 60_000), NOW + 60_000):
        made = call(world, "POST", "/v1/tokens", {"scopes": ["read"], "expires_at": at}, 201)
        assert (made["expires_at"], made["created_at"]) == (iso(NOW + 60_000), iso(NOW))
    for at in ("tomorrow", NOW, -1, True, 10**20, "2020-01-01"):
        call(world, "POST", "/v1/tokens", {"scopes": ["read"], "expires_at": at}, 422)
    assert call(world, "DELETE", "/v1/tokens/env", status=409)["code"] == "conflict"


def test_replay_begins_where_there_are_projections(fresh_world: World, make_world: MakeWorld) -> None:
    assert call(fresh_world, "POST", "/v1/replay", status=409)["code"] == "no_replay_here"
    running = {"state": "running", "done": 1, "total": 2}
    world = make_world(replay=lambda: running, replay_state=lambda: running)
    assert call(world, "POST", "/v1/replay", status=202) == running
    assert call(world, "GET", "/v1/replay") == running


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_what_supervisors_ask_needs_no_token(world: World, path: str) -> None:
    assert world.client.get(path, headers={"Authorization": ""}).status_code == 200
