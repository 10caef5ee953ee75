"""Hostile input: never a 5xx, never an exception, and nothing of a known source is lost without a word."""

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clients.world import World, world
from tests.effort import each, examples
from tests.places import places, replaced

PATHS = ("/v1/identify", "/v1/track", "/v1/page", "/v1/group", "/v1/alias", "/v1/batch", "/v1/events")

ODD: list[Any] = [
    *(None, True, -1, 0.5, 10**30, -(10**400)),
    *("", " ", "a\x00b", "\u202e", "x" * 70_000),
    *("2026-01-02T03:04:05Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"),
    *([], [[]], {}, {"type": {}}, {f"t{i}": i for i in range(10_000)}),
]

WHOLE: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m",
    "userId": "u",
    "anonymousId": "a",
    "previousId": "p",
    "groupId": "g",
    "timestamp": "2026-01-02T03:04:05Z",
    "originalTimestamp": "2026-01-02T03:04:05Z",
    "sentAt": "2026-01-02T03:04:05Z",
    "traits": {"email": "a@b.org", "phone": "+49301234567"},
    "properties": {"revenue": 1, "currency": "EUR", "products": [{"price": 1}]},
    "context": {
        "direct": True,
        "traits": {"email": "a@b.org"},
        "device": {"id": "d", "advertisingId": "x", "adTrackingEnabled": True},
        "externalId": [{"type": "t", "id": "i"}],
        "externalIds": [{"type": "t", "id": "i", "collection": "users", "encoding": "none"}],
        "consent": {"categoryPreferences": {"ads": True}},
    },
    "specversion": "1.0",
    "id": "1",
    "source": "s",
    "subject": "email:a@b.org",
    "time": "2026-01-02T03:04:05Z",
    "data": {
        "identifiers": [{"type": "email", "value": "a@b.org"}],
        "traits": {},
        "properties": {},
        "consent": {},
    },
}


def check(it: World, path: str, body: object) -> None:
    before = it.logged()
    answer = it.send(path, body)
    assert answer.status_code in (200, 400, 413), answer.text
    if answer.status_code != 413:
        assert it.logged() > before
    json.loads(answer.content)


def test_a_wrong_value_at_every_place(tmp_path: Path) -> None:
    chance = random.Random(7)
    with world(tmp_path) as it:
        for path in places(WHOLE):
            for odd in each(2, chance.sample(ODD, len(ODD))):
                where = chance.choice(PATHS)
                message = replaced(WHOLE, path, odd)
                check(it, where, {"batch": [message, 7], "sentAt": odd} if where == "/v1/batch" else message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*WHOLE, "batch", "x"]), inner),
    max_leaves=12,
)


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS),
    body=st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary()),
)
def test_any_json_and_any_bytes(tmp_path_factory: Any, path: str, body: bytes) -> None:
    with world(tmp_path_factory.mktemp("hostile")) as it:
        answer = it.send(path, body)
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            assert it.logged() >= 1


def test_deep_nesting(tmp_path: Path) -> None:
    with world(tmp_path) as it:
        for levels in (31, 60, 200, 260, 900, 1_100, 100_000):
            deep = b'{"a":' * levels + b"1" + b"}" * levels
            body = b'{"type":"page","userId":"u","messageId":"m","properties":' + deep + b"}"
            for request in (body, b'{"batch":[' + body + b"]}"):
                answer = it.send("/v1/page" if request is body else "/v1/batch", request)
                assert answer.status_code in (200, 400, 413)
        assert len(it.events()) == 2
        assert len(it.rejected()) == 10
