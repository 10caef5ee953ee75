"""Hostile events to a real server: never a 5xx, nothing dropped without a word, the good beside the bad counts."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.hostile_input import BODIES, ODD, Tally, attacked
from tests.places import places, replaced

SDK = ("/v1/identify", "/v1/track", "/v1/page", "/v1/screen", "/v1/group", "/v1/alias", "/v1/batch", "/v1/import")
KINDS = ("identify", "track", "page", "screen", "group", "alias")

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


@pytest.fixture(scope="module")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tally]:
    with attacked(tmp_path_factory.mktemp("hostile") / "data") as made:
        yield made


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
