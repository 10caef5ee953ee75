"""Hostile input against a real server: never a 5xx, nothing dropped without a word, the good beside the bad counts."""

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from tests.e2e.harness import WRITE_KEY, Client, Server
from tests.places import places, replaced

SDK = ("/v1/identify", "/v1/track", "/v1/page", "/v1/screen", "/v1/group", "/v1/alias", "/v1/batch", "/v1/import")
KINDS = ("identify", "track", "page", "screen", "group", "alias")

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{not json",
    "cut off": b'{"batch":[{"type":"page"',
    "null": b"null",
    "a number": b"1e400",
    "a list": b"[1,2]",
    "an empty object": b"{}",
    "no events": b'{"batch":[]}',
    "a batch that is none": b'{"batch":{"0":{}}}',
    "events that are none": b'{"batch":[null,1,"x",[],true]}',
    "NUL": b"\x00\x00\x00",
    "not UTF-8": b'{"userId":"\xff\xfe\xfd","type":"page"}',
    "half of UTF-16": '{"userId":"u"}'.encode("utf-16")[:-1],
    "half a character": b'{"batch":[{"type":"track","event":"A","userId":"u","properties":{"x":"\\ud83d"}}]}',
    "deep": b'{"batch":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"traits":' * 5_000 + b"1" + b"}" * 5_000,
    "broken gzip": b"\x1f\x8b\x08\x00broken",
    "half of gzip": gzip.compress(b'{"batch":[]}' * 50)[:40],
    "gzip of gzip": gzip.compress(gzip.compress(b'{"batch":[]}')),
    "a gzip bomb": gzip.compress(b" " * 50_000_000),
    "a zlib bomb": zlib.compress(b"[" * 50_000_000),
    "too large": b'{"batch":[' + b" " * 600_000 + b"]}",
    "far too large": b"x" * 5_000_000,
}

ODD: list[Any] = [
    *(None, True, 0, -1, 0.5, 10**30, 10**40, -(10**40), 1e308, -1e-320),
    *("", " ", "a\x00b", "\u202e\ufeff", "x" * 40_000, "null", "NaN", "1e400", "\N{FAMILY}" * 300),
    *("1900-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0000-00-00", "2026-02-30T10:00:00Z", "-1", "1e30"),
    *([], [[]], [None], {}, {"type": {}}, {"$gt": ""}, [{"id": {}}] * 50),
]

WHOLE: dict[str, Any] = {
    "type": "identify",
    "event": "Order Completed",
    "messageId": "m",
    "userId": "bad",
    "anonymousId": "bad-a",
    "previousId": "bad-p",
    "groupId": "bad-g",
    "timestamp": "2026-01-02T03:04:05Z",
    "originalTimestamp": "2026-01-02T03:04:05Z",
    "sentAt": "2026-01-02T03:04:05Z",
    "traits": {"email": "bad@example.com", "phone": "+49301234567", "name": "B", "x": {"y": [1]}},
    "properties": {"revenue": 1, "total": 2, "currency": "EUR", "order_id": "o", "products": [{"price": 1}]},
    "context": {
        "traits": {"email": "bad@example.com"},
        "device": {"id": "bad-d", "advertisingId": "bad-ad"},
        "externalId": [{"type": "t", "id": "bad-i"}],
        "consent": {"categoryPreferences": {"ads": True}},
        "ip": "1.2.3.4",
    },
}


CONFLICTING = "conflicting_copy"


class Tally:
    """What the server must say in the end, by its own answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = Client(server)
        self.sender = httpx.Client(base_url=server.url, auth=(WRITE_KEY, ""), timeout=30)
        self.good = self.rejected = self.number = 0

    def fresh(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def good_one(self) -> dict[str, Any]:
        return {"type": "track", "event": "Product Viewed", "userId": "good", "messageId": self.fresh()}

    def throw(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Whatever it is, it is answered with a 200 or a 4xx that says why; what must be kept is counted."""
        answer = self.sender.post(path, content=body, headers={"content-type": "application/json", **headers})
        assert answer.status_code == 200 or 400 <= answer.status_code < 500, (path, body[:200], answer.text)
        said = answer.json()
        if answer.status_code == 200:
            self.rejected += len(said.get("rejected", ()))
        else:
            assert all(said[name] for name in ("code", "message", "detail"))
            whole = "id" in said or said["code"] in ("invalid_gzip", "unsupported_encoding")
            self.rejected += 1 if whole else len(said.get("rejected", ()))
        return answer

    def events(self, *events: Any, path: str = "/v1/batch") -> list[dict[str, Any]]:
        """In one batch, each between two good ones; answers with those that were rejected, by their place."""
        batch = [self.good_one()]
        for event in events:
            batch += [event, self.good_one()]
        answer = self.throw(path, json.dumps({"batch": batch}).encode())
        assert answer.status_code == 200, answer.text
        rejected: list[dict[str, Any]] = answer.json().get("rejected", [])
        assert all(one["index"] % 2 == 1 and one["code"] and one["reason"] for one in rejected)
        self.good += len(batch) - len(rejected)
        return [{**one, "index": one["index"] // 2} for one in rejected]

    def check(self) -> None:
        """The server lives, and has counted everything."""
        assert not self.server.died()
        status = self.client.settled()["events"]
        assert status["rejected"] == self.rejected
        assert status["logged"] == self.good
        assert len(self.kept()) == self.rejected

    def kept(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.client.get("/v1/rejected", limit=200, **cursor)
            items += [item for item in page["items"] if item["code"] != CONFLICTING]  # a copy: it was answered as taken
            if not page["next_cursor"]:
                return items
            cursor = {"cursor": page["next_cursor"]}


@pytest.fixture(scope="module")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tally]:
    server = Server(tmp_path_factory.mktemp("hostile") / "data").start()
    found = Tally(server)
    yield found
    found.client.close()
    found.sender.close()
    server.stop()


def test_bodies(tally: Tally) -> None:
    for body in BODIES.values():
        for path in (*SDK, "/v1/events", "/v1/nowhere"):
            if path == "/v1/nowhere":
                assert tally.sender.post(path, content=body).status_code == 404
                continue
            answer = tally.throw(path, body)
            if answer.status_code == 200 and "rejected" not in answer.json():
                assert (path, body[:10]) in [(batch, b'{"batch":[') for batch in SDK[-2:]], "an event of nothing"
        tally.events()
    for encoding in ("gzip", "deflate", "br", "nonsense", "gzip, gzip"):
        tally.throw("/v1/batch", b'{"batch":[]}', **{"content-encoding": encoding})
    tally.check()


def test_too_many_events(tally: Tally) -> None:
    batch = [{"type": "page", "userId": "good", "messageId": tally.fresh()} for _ in range(2_501)]
    answer = tally.throw("/v1/batch", json.dumps({"batch": batch}).encode())
    assert answer.status_code == 400
    assert tally.throw("/v1/batch", json.dumps({"batch": batch[:2_500]}).encode()).status_code == 200
    tally.good += 2_500
    tally.check()


def test_a_wrong_value_at_every_place(tally: Tally) -> None:
    chance = random.Random(11)
    for path in places(WHOLE)[1:]:
        bad = []
        for odd in ODD:
            event = replaced(WHOLE, path, odd)
            if path != ("type",):
                event["type"] = chance.choice(KINDS)
            if path != ("messageId",):
                event["messageId"] = tally.fresh()
            bad.append(event)
        for start in range(0, len(bad), 8):
            tally.events(*bad[start : start + 8], path="/v1/import")
    tally.check()


CLOCKS = (
    "1900-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "2199-12-31T23:59:59Z",
    "9999-12-30T23:59:59Z",
)


def test_lying_clocks(tally: Tally) -> None:
    for sent_at in (None, *CLOCKS):
        events: list[dict[str, Any]] = []
        for clock in CLOCKS:
            for field in ("timestamp", "originalTimestamp", "sentAt"):
                event = {"type": "track", "event": "Order Completed", "userId": "liar", "messageId": tally.fresh()}
                events.append({**event, field: clock, "properties": {"revenue": 1, "currency": "EUR"}})
        body = {"batch": events} | ({"sentAt": sent_at} if sent_at else {})
        answer = tally.throw("/v1/batch", json.dumps(body).encode())
        assert "rejected" not in answer.json()
        tally.good += len(events)
    tally.check()
    view = tally.client.profile("user_id:liar", include="metrics,events", limit=200)
    assert view["metrics"]["events"] == view["metrics"]["orders"] == 6 * 15
    assert view["metrics"]["revenue"] == {"EUR": 90}
    assert "1971" <= view["metrics"]["first_seen"] <= view["metrics"]["last_seen"] < "2100"


def test_too_much_in_one_event(tally: Tally) -> None:
    many = {f"t{n}": n for n in range(10_000)}
    deep: Any = 1
    for _ in range(300):
        deep = {"a": deep}
    base = {"type": "identify", "userId": "much"}
    rejected = tally.events(
        {**base, "messageId": tally.fresh(), "traits": many},
        {**base, "messageId": tally.fresh(), "traits": deep},
        {**base, "messageId": tally.fresh(), "traits": {"x": "y" * 33_000}},
        {**base, "messageId": "i" * 201},
        {**base, "messageId": tally.fresh(), "userId": "u" * 5_000},
        {**base, "messageId": tally.fresh(), "traits": {"k" * 10_000: 1}},
        path="/v1/import",
    )
    assert {0, 1, 2, 3} <= {one["index"] for one in rejected}
    tally.check()


def test_numbers(tally: Tally) -> None:
    """Written as no JSON library of ours would write them."""
    for number in (
        "1e400",
        "-1e400",
        "1" + "0" * 40,
        "-" + "9" * 400,
        "1e-400",
        "NaN",
        "Infinity",
        "0.1e1",
        "1E30",
        "5e-324",
    ):
        for kind in ("identify", "track"):
            members = f'"type":"{kind}","event":"Order Completed","userId":"sums","messageId":"{tally.fresh()}"'
            values = f'"traits":{{"n":{number}}},"properties":{{"revenue":{number},"currency":"EUR"}}'
            good = json.dumps(tally.good_one())
            answer = tally.throw("/v1/batch", f'{{"batch":[{{{members},{values}}},{good}]}}'.encode())
            assert answer.status_code == 200
            tally.good += 2 - len(answer.json().get("rejected", ()))
    tally.check()
    assert tally.client.profile("user_id:sums")["metrics"]["events"] > 0


MOST = 9.9e29  # a sum of 102 such does not fit into 38 digits


def test_sums_of_money_beyond_all_bounds(tally: Tally) -> None:
    order = {"type": "track", "event": "Order Completed", "userId": "rich"}
    tally.client.post(
        "/v1/segments", {"id": "rich", "name": "Rich", "rule": {"metric": "revenue", "currency": "EUR", "gte": 1}}
    )
    batch = [
        {**order, "messageId": tally.fresh(), "properties": {"revenue": MOST, "currency": "EUR"}} for _ in range(250)
    ]
    assert "rejected" not in tally.throw("/v1/import", json.dumps({"batch": batch}).encode()).json()
    tally.good += len(batch)
    tally.check()
    view = tally.client.profile("user_id:rich")
    assert view["metrics"]["orders"] == 250
    assert view["metrics"]["revenue"]["EUR"] > 1e31
    assert [one["id"] for one in view["segments"]] == ["rich"]
    back = [
        {
            **order,
            "event": "Order Completed",
            "messageId": tally.fresh(),
            "properties": {"revenue": -MOST, "currency": "EUR"},
        }
        for _ in range(249)
    ]
    tally.throw("/v1/import", json.dumps({"batch": back}).encode())
    tally.good += len(back)
    tally.check()
    assert (
        tally.client.profile("user_id:rich")["metrics"]["revenue"]["EUR"] == 99 * 10**28
    )  # the number as it was written, not as a float holds it


KEYS = (
    "user_id:good",
    "user_id:",
    ":",
    "::",
    "nobody",
    "prf_",
    "prf_" + "0" * 32,
    "prf_" + "g" * 32,
    "%00",
    "user_id:%00",
    "%ff%fe",
    "user_id:%ed%a0%80",
    "a" * 3_000,
    "..%2f..",
    "user_id:a%2fb",
    "email:x",
    "phone:1",
    "👪:x",
    "user_id:' OR 1=1 --",
)
QUERIES = (
    "",
    "limit=-1",
    "limit=0",
    "limit=1e9",
    "limit=" + "9" * 40,
    "limit=x",
    "cursor=x",
    "cursor=" + "A" * 5_000,
    "cursor=%00",
    "include=all",
    "include=,,",
    "include=events&limit=5",
    "type=%00",
    "search=%25'\\",
    "search=" + "x" * 5_000,
    "search=%ff",
    "unknown=1",
    "provenance=maybe",
)
PATHS = (
    "/v1/profiles",
    "/v1/events",
    "/v1/rejected",
    "/v1/segments",
    "/v1/triggers",
    "/v1/status",
    "/v1/schemas",
    "/v1/sources",
    "/v1/tokens",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/replay",
)


def test_reading(tally: Tally) -> None:
    paths = list(PATHS)
    for key in KEYS:
        paths += [f"/v1/profiles/{key}", f"/v1/profiles/{key}/events", f"/v1/rejected/{key}", f"/v1/schemas/{key}"]
        paths += [f"/v1/segments/{key}", f"/v1/segments/{key}/members", f"/v1/triggers/{key}/deliveries"]
    for path in paths:
        for query in QUERIES if path in PATHS or path.startswith("/v1/profiles/user_id:good") else QUERIES[:1]:
            answer = tally.client.http.get(f"{path}?{query}")
            assert answer.status_code < 500, (path, query, answer.text)
    assert not tally.server.died()


def test_writing(tally: Tally) -> None:
    """Wrong values in every body that the API takes."""
    rule = {
        "all": [
            {"event": "a", "where": [{"property": "p", "gte": 1}], "count": {"gte": 1}, "within": "1d"},
            {"trait": "t", "in": [1]},
        ]
    }
    bodies: dict[str, dict[str, Any]] = {
        "/v1/segments": {"id": "odd", "name": "Odd", "rule": rule},
        "/v1/segments/preview": {"rule": rule},
        "/v1/triggers": {
            "id": "odd",
            "segment": "rich",
            "on": ["entered"],
            "webhook": {"url": "http://127.0.0.1:9/", "secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0"},
        },
        "/v1/profiles/lookup": {"profiles": ["user_id:good"]},
        "/v1/profiles/user_id:good/merge": {"with": "user_id:liar", "reason": "r"},
        "/v1/profiles/user_id:good/split": {"identities": [{"type": "user_id", "value": "good"}], "reason": "r"},
        "/v1/sources": {"id": "odd", "name": "Odd", "channel": "web"},
        "/v1/tokens": {"id": "odd", "name": "Odd", "scopes": ["read"]},
    }
    for path, body in bodies.items():
        for place in places(body):
            for odd in ODD:
                wrong = replaced(body, place, odd)
                if isinstance(wrong, dict) and "id" in wrong and place != ("id",):
                    wrong["id"] = "odd"
                answer = tally.client.http.post(
                    path, content=json.dumps(wrong).encode(), headers={"content-type": "application/json"}
                )
                assert answer.status_code < 500, (path, place, odd, answer.text)
        for raw in BODIES.values():
            answer = tally.client.http.post(path, content=raw, headers={"content-type": "application/json"})
            assert answer.status_code < 500, (path, raw[:100], answer.text)
    assert not tally.server.died()
    tally.client.settled()


POISON = (
    b"",
    b"not JSON",
    b"[]",
    b"null",
    b"{}",
    b'{"id":"p1"}',
    b"\xff\xfe",
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
)


def test_poison_in_the_log(tally: Tally) -> None:
    """Written past the door: rejected as unreadable, the stage goes on, and a second try is refused politely."""
    tally.check()
    tally.server.stop()
    log = SqliteEventLog(tally.server.data / "log.sqlite")
    envelope = json.loads(next(r.value for p in (0, 1) for r in log.read(topics.EVENTS, p, 0, 1)))
    wrong: list[dict[str, Any]] = [
        {"identifiers": [{"node": 5}]},
        {"identifiers": [{"type": "email", "normalised": "x", "node": "zz"}]},
        {"identifiers": {}},
        {"money": {"amount": "x", "currency": "EUR"}},
        {"money": {"amount": "1e999999", "currency": "EUR"}},
        {"traits": ["a"]},
        {"consent": "yes"},
        {"time": "yesterday"},
        {"time": "1900-01-01T00:00:00.000Z"},
        {"received_at": 5},
        {"type": None},
        {"source": []},
    ]
    poison = [*POISON, *(json.dumps({**envelope, "id": f"poison-{n}", **w}).encode() for n, w in enumerate(wrong))]
    good = [json.dumps({**envelope, "id": f"beside-{n}"}).encode() for n in range(len(poison))]
    mixed = [value for pair in zip(poison, good, strict=True) for value in pair]
    log.append(topics.EVENTS, [(b"k%d" % n, value) for n, value in enumerate(mixed)])
    log.close()
    tally.server.start()
    tally.rejected += len(poison)
    tally.good += len(good)
    tally.check()
    kept = tally.client.get("/v1/rejected", code="unreadable", limit=200)["items"]
    assert len(kept) == len(poison)
    for one in kept:
        assert tally.client.get(f"/v1/rejected/{one['id']}")["reason"]
        assert tally.client.http.post(f"/v1/rejected/{one['id']}/retry").status_code < 500
    assert not tally.server.died()
