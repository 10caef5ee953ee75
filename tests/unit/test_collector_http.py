"""The collector's answers, and what stands in the log by then."""

import asyncio
import gzip
import json
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

from producers import limits
from profile_api.views import accepted_view, event_view
from registry.keys import sha256_hex
from schemas.topics import EVENTS
from tests.clients.world import KEY, World, basic, world
from tests.unit.collector_events import BAD, CLOUD, TRACK

pytest_plugins = ("tests.unit.collector_fixtures",)


def ids(records: list[dict[str, Any]]) -> set[str]:
    return {record["id"] for record in records}


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t"])
def test_one_event(it: World, path: str) -> None:
    answer = it.send(path, TRACK)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    [event] = it.events()
    assert (event["id"], event["type"], event["money"]) == (
        "m-1",
        "order.completed",
        {"amount": "5", "currency": "EUR"},
    )


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import"])
def test_the_good_of_a_batch_go_in_and_the_bad_are_told(it: World, path: str) -> None:
    answer = it.send(path, {"batch": [{"type": "track", **TRACK}, BAD, "junk"]})
    assert answer.status_code == 200
    told = answer.json()
    assert told["success"] is True
    assert [(entry["index"], entry["code"]) for entry in told["rejected"]] == [
        (1, "missing_event"),
        (2, "invalid_event"),
    ]
    assert ids(it.events()) == {"m-1"}
    assert [record["payload"] for record in it.rejected()][1] == '"junk"'
    assert "bad" in ids(it.rejected())


def test_an_empty_batch(it: World) -> None:
    assert it.send("/v1/batch", {"batch": []}).json() == {"success": True}


# --- Traits that look like identifiers ---

IDENTIFY = {"userId": "u1", "messageId": "m-1"}


@pytest.mark.parametrize("email", ["not an address", "a@", "@", "a b@c.org", "a@b@c.org", "x" * 3_000])
def test_an_email_that_is_none_is_a_trait_and_identifies_nobody(it: World, email: str) -> None:
    """Traits are kept as somebody's system knows them; the normalisers decide who is meant."""
    answer = it.send("/v1/identify", {**IDENTIFY, "traits": {"email": email, "plan": "pro"}})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    [event] = it.events()
    assert event["traits"] == {"email": email, "plan": "pro"}
    assert [entry["type"] for entry in event["identifiers"]] == ["user_id"]
    [flag] = accepted_view(event)["flags"]
    assert flag in ("identifier_ignored", "identifier_blocked")
    assert event["original"] == {"/identifiers": [{"type": "email", "value": email}]}
    assert event_view(json.dumps(event), {})["flags"] == [flag]


def test_an_email_of_the_context_that_is_none_spoils_no_track_event(it: World) -> None:
    answer = it.send("/v1/track", {**TRACK, "context": {"traits": {"email": "none given"}}})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert "identifier_ignored" in it.events()[0]["flags"]


@pytest.mark.parametrize(
    ("path", "body", "where", "kept"),
    [
        ("/v1/identify", {**IDENTIFY, "traits": {"email": 7}}, "/traits/email", {"email": "7"}),
        ("/v1/identify", {**IDENTIFY, "traits": {"avatar": {"home": "1"}}}, "/traits/avatar", {}),
        ("/v1/track", {**IDENTIFY, "event": "Signed Up", "properties": {"email": "no"}}, "/properties/email", {}),
    ],
)
def test_what_a_schema_promises_to_its_readers_holds_and_no_event_is_lost(
    it: World, path: str, body: dict[str, Any], where: str, kept: dict[str, Any]
) -> None:
    """Types hold everywhere, formats where a schema names one: an event's own properties, but no person's traits."""
    assert it.send(path, body).json() == {"success": True}
    [event] = it.events()
    _, member, name = where.split("/")
    assert event[member] == kept
    assert event["original"][where] == body[member][name]
    assert f"value_{'read' if kept else 'left_out'}:{where}" in event["flags"]


def test_a_source_may_refuse_what_does_not_fit(it: World) -> None:
    settings = {"schema_faults": "reject", "write_key_sha256": [sha256_hex("strict")]}
    it.registry.declare("source", "strict", settings, by="test")
    body = {**TRACK, "properties": {"revenue": "5"}}
    [told] = it.send("/v1/track", body, headers=basic("strict")).json()["rejected"]
    assert (told["code"], told["reason"].partition(":")[0]) == ("schema_violation", "properties/revenue")
    assert (it.events(), ids(it.rejected())) == ([], {"m-1"})


def test_each_event_has_its_place_and_its_sources_key(it: World) -> None:
    page = {"type": "page", "userId": "u1"}
    it.send("/v1/batch", {"batch": [{**page, "messageId": "0"}, "junk", {**page, "messageId": "2"}]})
    assert {event["id"]: event["place"] for event in it.events()} == {"0": 0, "2": 2}
    assert [record["place"] for record in it.rejected()] == [1]
    it.registry.declare("source", "till", {"write_key_sha256": [sha256_hex("till")]}, by="test")
    it.send("/v1/batch", {"batch": [{**page, "messageId": "0"}]}, headers=basic("till"))
    assert len({event["key"] for event in it.events()}) == 3


def test_an_event_is_as_large_as_its_text_however_it_is_spelled(it: World) -> None:
    fits = {"type": "track", "event": "E", "userId": "u", "properties": {"x": "ک" * 9_000}}
    tight = {**fits, "properties": {"x": "ک" * 16_300}}
    over = {**fits, "properties": {"x": "ک" * 16_400}}
    for event, verdict in ((fits, True), (tight, True), (over, False)):
        for body in (json.dumps(event), json.dumps(event, ensure_ascii=False), json.dumps(event, indent=4)):
            for path, sent in (("/v1/track", body), ("/v1/batch", f'{{"batch":[{body}]}}')):
                answer = it.send(path, sent.encode()).json()
                assert ("rejected" not in answer) == verdict


def test_a_neighbour_changes_no_verdict(it: World) -> None:
    good = b'{"type":"identify","userId":"b","messageId":"b","traits":{"n":123456789012345678901234567890}}'
    for bad in (
        b'{"userId":NaN,"messageId":"n"}',
        b'{"messageId":"n","type":"\xff"}',
        b'{"messageId":"n","x":"\\ud83d"}',
    ):
        answer = it.send("/v1/batch", b'{"batch":[' + bad + b"," + good + b"]}")
        assert [(one["index"], one["code"]) for one in answer.json()["rejected"]] == [(0, "invalid_json")]
    alone = it.send("/v1/batch", b'{"batch":[' + good + b"]}").json()
    assert alone == {"success": True}
    assert len({json.dumps(event["traits"]) for event in it.events()}) == 1
    cloud = json.dumps(CLOUD).encode()
    answer = it.send("/v1/events", b"[" + cloud + b',{"specversion":"1.0","x":NaN}]')
    assert [(one["index"], one["code"]) for one in answer.json()["rejected"]] == [(1, "invalid_json")]


# --- What cannot be read ---


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/track", b"", "invalid_json"),
        ("/v1/track", b"{", "invalid_json"),
        ("/v1/track", b'{"a": NaN}', "invalid_json"),
        ("/v1/track", b'{"a": "\xff"}', "invalid_json"),
        ("/v1/track", b"[" * 100_000, "invalid_json"),
        ("/v1/track", b"[]", "invalid_body"),
        ("/v1/track", b'"text"', "invalid_body"),
        ("/v1/batch", b"{}", "invalid_batch"),
        ("/v1/batch", b'{"batch": {}}', "invalid_batch"),
        ("/v1/batch", b'{"batch": [' + b"{}," * 2500 + b"{}]}", "batch_too_long"),
        ("/v1/events", b"nonsense", "invalid_json"),
    ],
)
def test_a_known_sources_garbage_is_kept(it: World, path: str, body: bytes, code: str) -> None:
    answer = it.send(path, body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    [record] = it.rejected()
    assert (record["code"], record["id"]) == (code, answer.json()["id"])
    assert it.events() == []


def test_a_strangers_garbage_is_not(it: World) -> None:
    assert it.send("/v1/track", b"{", headers={}).status_code == 400
    assert it.rejected() == []


def test_one_events_nan_or_half_emoji_costs_nobody_else(it: World) -> None:
    body = (
        b'{"batch": [{"type":"page","userId":"u","messageId":"good"},'
        b'{"type":"page","userId":"u","messageId":"nan","properties":{"x":NaN}},'
        b'{"type":"page","userId":"u","messageId":"half","properties":{"x":"\\ud83d"}}]}'
    )
    answer = it.send("/v1/batch", body)
    assert [entry["code"] for entry in answer.json()["rejected"]] == ["invalid_json"] * 2
    assert (ids(it.events()), ids(it.rejected())) == ({"good"}, {"nan", "half"})


# --- Sizes and compression ---


def sized(path: str, size: int) -> bytes:
    start = b'{"batch": [], "pad": "'
    return start + b"x" * (size - len(start) - 2) + b'"}'


@pytest.mark.parametrize(("path", "limit"), [("/v1/batch", limits.MAX_BODY), ("/v1/import", limits.MAX_IMPORT_BODY)])
def test_body_limits(it: World, path: str, limit: int) -> None:
    assert it.send(path, sized(path, limit)).status_code == 200
    for body, headers in (
        (sized(path, limit + 1), basic()),
        (gzip.compress(sized(path, limit + 1)), {**basic(), "Content-Encoding": "gzip"}),
    ):
        answer = it.send(path, body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert it.rejected() == []


def test_a_large_event_in_a_good_batch(it: World) -> None:
    large = {"type": "page", "userId": "u", "messageId": "large", "junk": "x" * 40_000}
    answer = it.send("/v1/batch", {"batch": [large, {"type": "track", **TRACK}]})
    assert [entry["code"] for entry in answer.json()["rejected"]] == ["event_too_large"]
    assert (ids(it.events()), ids(it.rejected())) == ({"m-1"}, {"large"})


@pytest.mark.parametrize("place", [0, 1, 30, 59])
@pytest.mark.parametrize("small", [10, 900, 3_000])
def test_a_large_event_among_many(it: World, place: int, small: int) -> None:
    batch = [{"type": "page", "userId": "u", "messageId": f"m{n}", "junk": "x" * small} for n in range(60)]
    batch[place]["junk"] = "x" * 40_000
    answer = it.send("/v1/batch", {"batch": batch})
    assert [(entry["index"], entry["code"]) for entry in answer.json()["rejected"]] == [(place, "event_too_large")]
    assert len(it.events()) == 59


def test_a_client_that_leaves(it: World) -> None:
    parts = iter([{"type": "http.request", "body": b'{"batch":', "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in basic().items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/batch", "headers": headers, "query_string": b""}
    asyncio.run(it.app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert it.logged() == 0


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", ""])
def test_compressed(it: World, encoding: str) -> None:
    raw = json.dumps(TRACK).encode()
    body = zlib.compress(raw) if encoding == "deflate" else gzip.compress(raw)
    headers = {**basic(), "Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": encoding}
    assert it.send("/v1/track", body, headers=headers).status_code == 200
    assert ids(it.events()) == {"m-1"}


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"not gzip", 400),
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)[:-4], 400),
        ("gzip", gzip.compress(b"0" * 200_000_000), 413),
        ("br", b"x", 415),
    ],
)
def test_bad_compression(it: World, encoding: str, body: bytes, status: int) -> None:
    answer = it.send("/v1/track", body, headers={**basic(), "Content-Encoding": encoding})
    assert answer.status_code == status
    assert len(it.rejected()) == (0 if status == 413 else 1)


# --- The log says no ---


def test_a_full_log_is_429(tmp_path: Path) -> None:
    with world(tmp_path, queue_limit=1) as it:
        writing, go_on = threading.Event(), threading.Event()

        def hold(_: object) -> None:  # runs in the log's writing thread
            writing.set()
            go_on.wait(30)

        it.log.submit([(EVENTS, [(b"1", b"{}")])]).add_done_callback(hold)
        assert writing.wait(30)
        waiting = it.log.submit([(EVENTS, [(b"2", b"{}")])])
        answer = it.send("/v1/track", TRACK)
        go_on.set()
        waiting.result(30)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["code"] == "backpressure"


def test_a_log_that_is_gone_is_503(it: World) -> None:
    it.log.close()
    answer = it.send("/v1/track", TRACK)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


# --- CloudEvents ---


def test_cloudevents(it: World) -> None:
    answer = it.send("/v1/events", CLOUD, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200
    [event] = it.events()
    assert answer.json() == {"success": True, "ids": [event["id"]]}
    assert (event["subject"], event["context"]["vendor_id"]) == ("user_id:u1", "1")


def test_a_bad_cloudevent_is_400_and_kept(it: World) -> None:
    answer = it.send("/v1/events", {**CLOUD, "specversion": "0.3"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cloudevent")
    assert [record["code"] for record in it.rejected()] == ["invalid_cloudevent"]


def test_a_bad_identifier_beside_a_good_one_costs_a_cloudevent_nothing(it: World) -> None:
    listed = [{"type": "email", "value": "no address"}, {"type": "loyalty_card", "value": "77"}]
    assert it.send("/v1/events", {**CLOUD, "data": {"identifiers": listed}}).status_code == 200
    [event] = it.events()
    assert event["subject"] == "loyalty_card:77"
    assert event["original"]["/identifiers"] == [listed[0]]


def test_two_producers_that_share_a_key_and_number_alike_stay_apart(it: World) -> None:
    answer = it.send("/v1/events", [CLOUD, {**CLOUD, "source": "t"}, CLOUD])
    first, other, again = answer.json()["ids"]
    assert first == again != other
    assert len({event["key"] for event in it.events()}) == 2


def test_the_good_of_a_batch_of_cloudevents_are_kept(it: World) -> None:
    answer = it.send("/v1/events", [CLOUD, {"id": "x"}, 7])
    told = answer.json()
    assert (answer.status_code, told["accepted"]) == (400, 1)
    assert [entry["index"] for entry in told["rejected"]] == [1, 2]
    assert (len(it.events()), len(it.rejected())) == (1, 2)


def test_binary_cloudevents(it: World) -> None:
    headers = {f"ce-{name}": value for name, value in CLOUD.items()} | basic()
    assert it.send("/v1/events", {"revenue": 7}, headers=headers).status_code == 200
    assert it.events()[0]["money"] == {"amount": "7", "currency": ""}


def test_the_paths_are_documented(it: World) -> None:
    paths = it.app.openapi()["paths"]
    for path in ("/v1/track", "/v1/t", "/v1/batch", "/v1/import", "/v1/events"):
        assert paths[path]["post"]["requestBody"]["content"]["application/json"]["example"]
