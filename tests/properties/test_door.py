"""Whatever is sent: the door answers, an accepted record is an envelope, and what is in it fits its schema."""

import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.door import Refused, Verdict
from producers.parsing import parse
from producers.segment import KINDS
from producers.verdicts import SdkRequest, cloudevent_verdict
from registry.models import Source
from schemas.catalog import Catalog
from schemas.envelope import Envelope
from schemas.records import decode_rejection
from schemas.upcasters import UPCASTERS
from tests.clients.world import NOW, make_door, make_source
from tests.effort import examples

CATALOG = Catalog.load()
DOOR = make_door(new_id=lambda: "fresh")

ODD = st.sampled_from(
    [
        "",
        "49.99",
        "۴۹٫۹۹",
        "1e400",
        "1,990",
        "null",
        "true",
        "2026-01-02",
        "a@b.org",
        "[1]",
        '{"a": 1}',
        "0912 123 4567",
        "€",
    ]
) | st.sampled_from([0, -1, 1e30, 10**18, True, None, NOW, NOW // 1000])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    ODD | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({field for event in CATALOG.all() for field in (CATALOG.schema(event.type) or {})["properties"]})
VALUES = st.dictionaries(st.sampled_from(FIELDS) | TEXT, JSON, max_size=5) | JSON
NAMES = st.sampled_from([event.name for event in CATALOG.all()] + ["purchase", "orderCompleted", "X"]) | JSON

MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS), "userId": st.just("u") | JSON},
    optional={
        "event": NAMES, "messageId": JSON, "anonymousId": JSON, "previousId": JSON, "groupId": JSON, "timestamp": JSON,
        "originalTimestamp": JSON, "sentAt": JSON, "traits": VALUES, "properties": VALUES, "context": VALUES,
    },
)  # fmt: skip
IDENTIFIERS = st.fixed_dictionaries({"type": TEXT, "value": JSON}, optional={"trust": st.just("hint") | JSON})
CLOUDEVENTS = st.fixed_dictionaries(
    {"specversion": st.just("1.0"), "id": JSON, "source": st.just("s") | JSON, "type": NAMES},
    optional={
        "time": JSON, "channel": JSON, "subject": JSON, "data_base64": JSON,
        "data": VALUES | st.fixed_dictionaries(
            {"properties": VALUES},
            optional={"identifiers": st.lists(IDENTIFIERS) | JSON, "traits": VALUES},
        ),
    },
)  # fmt: skip
SOURCES = st.sampled_from(
    [make_source(), make_source(region="IR", currency="IRT", time_zone="Asia/Tehran", channel="pos", book="b")]
)


def check(verdict: Verdict) -> None:
    if isinstance(verdict, Refused):
        assert verdict.message
        decode_rejection(verdict.message[1])
        return
    key, value = verdict
    envelope = Envelope.model_validate_json(value).record()
    assert envelope["key"].encode() == key
    assert envelope["time"] <= envelope["received_at"]
    type, _, version = envelope["dataschema"].rpartition("/")
    if type and (type, int(version)) not in UPCASTERS:
        told = envelope["traits"] if type == "profile.identified" else envelope["properties"]
        assert CATALOG.check(type, told) is None
    for pointer in envelope.get("original", {}):
        assert any(pointer in flag for flag in envelope["flags"]) or pointer in ("/identifiers", "/time")


def sdk(message: Any, source: Source, neighbours: list[Any]) -> Verdict:
    body = orjson.dumps({"batch": [message, *neighbours]})
    parsed, doubtful = parse(body)
    assert isinstance(parsed, dict)
    request = SdkRequest(source, None, parsed, body, NOW, doubtful=doubtful)
    return request.verdict(DOOR, CATALOG, lambda: "fresh", parsed["batch"][0])


@settings(max_examples=examples(100), deadline=None)
@given(MESSAGES, SOURCES)
def test_any_sdk_message(message: dict[str, Any], source: Source) -> None:
    check(sdk(message, source, []))


@settings(max_examples=examples(100), deadline=None)
@given(CLOUDEVENTS, SOURCES)
def test_any_cloudevent(event: dict[str, Any], source: Source) -> None:
    check(cloudevent_verdict(DOOR, CATALOG, lambda: "fresh", event, source=source, received_at=NOW))


@settings(max_examples=examples(50), deadline=None)
@given(MESSAGES, SOURCES)
def test_neighbours_and_spelling_change_nothing(message: dict[str, Any], source: Source) -> None:
    alone = sdk(message, source, [])
    for body in (
        json.dumps({"batch": [message, {"x": float("nan")}]}),
        json.dumps({"batch": [message, "\ud83d"]}, indent=2),
    ):
        parsed, doubtful = parse(body.encode())
        assert isinstance(parsed, dict)
        assert doubtful
        request = SdkRequest(source, None, parsed, body.encode(), NOW, doubtful=True)
        other = request.verdict(DOOR, CATALOG, lambda: "fresh", parsed["batch"][0])
        assert type(alone) is type(other)
        if isinstance(alone, Refused) and isinstance(other, Refused):
            assert (alone.code, alone.reason) == (other.code, other.reason)
        else:
            assert alone == other
