"""Every request leaves an entry, before its answer leaves; and no entry holds a value."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from eventlog.forwarding import ForwardedRecords
from identity.nodes import profile_id, to_hex
from profile_api.actions import ACTIONS, NOT_RECORDED
from registry.keys import new_token, sha256_hex
from schemas import topics
from schemas.errors import Backpressure
from schemas.records import AuditEntry, decode_audit
from tests.unit.api_world import TOKEN, MakeWorld, World

pytest_plugins = ("tests.unit.api_fixtures",)

MARK = "q7zk"  # no hexadecimal digits, which the ids and hashes of entries consist of
VALUE = f"sara-{MARK}@example.com"


@pytest.fixture
def world(make_world: MakeWorld) -> Iterator[World]:
    made = make_world(visible_within=0.05)
    yield made
    made.empty()


def entries(world: World) -> list[AuditEntry]:
    """All of the topic, oldest first; none holds a value."""
    world.client.settle()
    records = world.log.read(topics.AUDIT, 0, 0, 10_000)
    assert not [record for record in records if VALUE.encode() in record.value or MARK.encode() in record.value]
    return [decode_audit(record.value) for record in records]


def test_every_route_has_a_name_in_the_audit(world: World) -> None:
    routes = {
        f"{method.upper()} {path}"
        for path, item in world.client.get("/openapi.json").json()["paths"].items()
        for method in item
        if path.startswith("/v1/")
    }
    assert routes <= {*ACTIONS, *NOT_RECORDED}
    assert routes >= NOT_RECORDED


def test_a_look_at_a_profile_is_recorded_under_the_id_that_it_found(world: World) -> None:
    sara = world.person(("email", VALUE))
    assert world.client.get(f"/v1/profiles/email:{VALUE}").status_code == 200
    assert world.client.get(f"/v1/profiles/email:nobody-{MARK}@example.com").status_code == 404
    found, missed = entries(world)
    assert (found.action, found.status, found.token) == ("profiles.view", 200, "env")
    assert (found.profiles, found.sought) == ([to_hex(sara)], [])
    assert (missed.status, missed.profiles, len(missed.sought)) == (404, [], 1)


def test_lists_are_recorded_with_all_whom_they_show(world: World) -> None:
    some = [world.person(("user_id", f"u{n}")) for n in range(3)]
    world.client.get("/v1/profiles")
    world.client.get("/v1/profiles", params={"search": VALUE})
    body = {"identifiers": [{"type": "user_id", "value": "u1"}, {"type": "email", "value": VALUE}]}
    world.client.post("/v1/profiles/lookup", json=body)
    world.client.get(f"/v1/profiles/{profile_id(some[0])}/events")
    walked, searched, looked_up, timeline = entries(world)
    assert (walked.action, set(walked.profiles)) == ("profiles.search", {to_hex(one) for one in some})
    assert (searched.profiles, len(searched.sought)) == ([], 1)
    assert (looked_up.action, looked_up.profiles, len(looked_up.sought)) == ("profiles.lookup", [to_hex(some[1])], 1)
    assert (timeline.action, timeline.profiles) == ("profiles.events", [to_hex(some[0])])


def test_of_many_the_first_hundred_are_named_and_the_others_counted(world: World) -> None:
    for n in range(103):
        world.person(("user_id", f"u{n}"))
    world.client.get("/v1/profiles", params={"limit": 1000})
    [entry] = entries(world)
    assert (len(entry.profiles), entry.others) == (100, 3)


def test_a_change_is_recorded_before_it_is_made_and_after(world: World) -> None:
    made = world.client.post("/v1/tokens", json={"name": "x", "scopes": ["read"]}).json()
    asked, done = entries(world)
    assert (asked.action, asked.asked, asked.status) == ("tokens.create", True, 0)
    assert (done.asked, done.status, done.target) == (False, 201, f"token:{made['id']}")
    assert asked.request == done.request


def test_whoever_is_refused_is_recorded_and_a_stranger_is_not(world: World) -> None:
    token = new_token()
    body = {"scopes": ["read"], "token_sha256": sha256_hex(token), "name": "Small"}
    world.registry.declare("token", "small", body, "test")
    assert world.client.get("/v1/rejected", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert world.client.get("/v1/rejected", headers={"Authorization": "Bearer stranger"}).status_code == 401
    assert world.client.delete("/v1/tokens/small", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert [(one.token, one.name, one.status) for one in entries(world)] == [("small", "Small", 403)] * 2


def test_what_shows_nothing_leaves_no_entry(world: World) -> None:
    for path in ("/v1/status", "/v1/schemas", "/v1/events", "/healthz"):
        assert world.client.get(path).status_code == 200
    assert entries(world) == []
    world.events(world.person(("user_id", "u")), [1_714_000_000_000], logged=True)
    world.client.get("/v1/events")
    assert [(one.action, one.others) for one in entries(world)] == [("events.latest", 1)]


def test_the_audit_lists_itself_newest_first_by_profile_token_and_action(world: World) -> None:
    sara, omid = world.person(("email", VALUE), ("user_id", "s")), world.person(("user_id", "o"))
    for key in ("user_id:s", "user_id:o", f"email:{VALUE}"):
        world.client.get(f"/v1/profiles/{key}")
    world.client.get("/v1/segments")
    listed = world.client.get("/v1/audit").json()["items"]
    assert [one["action"] for one in listed] == ["segments.list", *["profiles.view"] * 3]
    assert listed[-1]["profiles"] == [profile_id(sara)]
    of_omid = world.client.get("/v1/audit", params={"profile": "user_id:o"}).json()
    assert [one["profiles"] for one in of_omid["items"]] == [[profile_id(omid)]]
    assert len(world.client.get("/v1/audit", params={"profile": profile_id(sara)}).json()["items"]) == 2
    assert world.client.get("/v1/audit", params={"token": "nobody"}).json()["items"] == []
    assert [
        one["status"] for one in world.client.get("/v1/audit", params={"action": "segments.list"}).json()["items"]
    ] == [200]
    page = world.client.get("/v1/audit", params={"action": "profiles.view", "limit": 2}).json()
    rest = world.client.get(
        "/v1/audit", params={"action": "profiles.view", "limit": 2, "cursor": page["next_cursor"]}
    ).json()
    assert [one["profiles"] for one in (*page["items"], *rest["items"])] == [
        [profile_id(one)] for one in (sara, omid, sara)
    ]
    assert rest["next_cursor"] is None


def test_verify_finds_it_in_order_and_a_head_that_is_gone(world: World) -> None:
    for _ in range(3):
        world.client.get("/v1/segments")
    checked = world.client.post("/v1/audit/verify", json={}).json()
    assert (checked["entries"], checked["chains"], checked["broken"], checked["next_cursor"]) == (3, 1, 0, None)
    again = world.client.post("/v1/audit/verify", json={"known": checked["head"]}).json()
    assert (again["entries"], again["broken"]) == (4, 0)
    for gone in (f"9000:{'a' * 32}", f"2:{'a' * 32}"):
        broken = world.client.post("/v1/audit/verify", json={"known": gone}).json()
        assert broken["broken"] == 1
        assert broken["faults"][0]["offset"] == int(gone.partition(":")[0]) - 1
    assert world.client.post("/v1/audit/verify", json={"known": "x"}).status_code == 422


class Refusing(ForwardedRecords):
    """A log that takes no entry of the audit."""

    def __init__(self, log: Any) -> None:
        super().__init__(log)
        self.commit, self.committed = log.commit, log.committed

    def submit(self, writes: Any) -> "Future[Any]":
        if any(topic == topics.AUDIT for topic, _ in writes):
            raise Backpressure("log: wanted room, got none; free some")
        return super().submit(writes)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/v1/profiles/email:{VALUE}", None),
        ("GET", "/v1/profiles", None),
        ("POST", "/v1/tokens", {"name": "x", "scopes": ["read"]}),
        ("DELETE", "/v1/tokens/small", None),
        ("POST", "/v1/rejected/dismiss", {"source": "shop"}),
    ],
)
def test_nothing_is_shown_or_changed_without_an_entry(
    make_world: MakeWorld, world: World, method: str, path: str, body: Any
) -> None:
    world.person(("email", VALUE))
    world.reject("r", b"{}")
    body_of = {"scopes": ["read"], "token_sha256": sha256_hex(new_token())}
    world.registry.declare("token", "small", body_of, "test")
    refusing = make_world(log=Refusing(world.log), registry=world.registry)
    before = {topic: world.log.ends(topic) for topic in topics.ALL}
    answer = refusing.client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert VALUE not in answer.text
    assert {topic: world.log.ends(topic) for topic in topics.ALL} == before
    assert refusing.client.get("/v1/status", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
