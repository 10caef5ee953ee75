"""Hostile calls of a real server's API, and poison in its log: never a 5xx, and processing goes on."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from tests.e2e.hostile_input import BODIES, ODD, Tally, attacked
from tests.effort import each
from tests.places import places, replaced

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


@pytest.fixture(scope="module")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tally]:
    """With somebody to ask for, and a segment to tell of."""
    with attacked(tmp_path_factory.mktemp("hostile") / "data") as made:
        other = {"type": "track", "event": "Product Viewed", "userId": "liar", "messageId": made.fresh()}
        made.events(other)
        rule = {"metric": "revenue", "currency": "EUR", "gte": 1}
        made.client.post("/v1/segments", {"id": "rich", "name": "Rich", "rule": rule})
        made.check()
        yield made


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
    chance = random.Random(7)
    for path, body in bodies.items():
        for place in places(body):
            for odd in each(3, chance.sample(ODD, len(ODD))):
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
