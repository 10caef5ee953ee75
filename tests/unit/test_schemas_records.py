"""The records of the log: what the types write is what their published files promise, and what was written is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from eventlog.sqlite import SqliteEventLog
from schemas import topics
from schemas.clock import iso
from schemas.errors import Broken
from schemas.records import (
    Claim,
    Decision,
    Link,
    Merge,
    Merged,
    Owner,
    Parted,
    RefusedDecision,
    Rejection,
    Rules,
    SharedDecision,
    Split,
    TouchRecord,
    Transition,
    decode_claim,
    decode_identity,
    decode_rejection,
    decode_told,
    decode_touch,
    decode_transition,
    encode,
    encode_identity,
)
from tests.e2e.sample_log import unpack

SCHEMAS = Path(__file__).parents[2] / "schemas" / "records"
NODE, OTHER = "0" * 31 + "a", "f" * 32

Json = dict[str, Any]

TRANSITION: Json = {
    "segment": "repeat-buyers",
    "version": 1,
    "profile": NODE,
    "kind": "entered",
    "at": 1_700_000_000_000,
    "entered_at": 1_600_000_000_000,
    "cause": "event",
    "id": "trn_1",
}
OWNED: Json = {**{k: v for k, v in TRANSITION.items() if k != "id"}, "owner": [3, 7, 1], "id": "trn_3.7.1.0"}
CLAIM: Json = {"kind": "claimed", "owner": [3, 7, 0], "upto": 12, "fences": [[0, 6, 0], [3, 6, 2]]}
TOUCH: Json = {"profile": NODE, "cause": "event"}
REACHED: Json = {**TOUCH, "nodes": [OTHER], "inherited": {"buyers": 5}}
DECISIONS: list[Json] = [
    {"outcome": "merged", "survivor": NODE, "absorbed": OTHER},
    {"outcome": "merged", "survivor": NODE, "absorbed": OTHER, "overrides": ["limit:user_id"], "lifts": [7]},
    {"outcome": "refused", "a": NODE, "b": OTHER, "reason": "limit:user_id"},
    {"outcome": "shared", "node": NODE},
    {"outcome": "split", "from": NODE, "to": [OTHER]},
]
LINK: Json = {
    "kind": "link",
    "key": NODE,
    "source": "shop",
    "received_at": 1,
    "nodes": [[NODE, "user_id"], [OTHER, "email"]],
    "decisions": DECISIONS,
}
ALIAS: Json = {**{k: v for k, v in LINK.items() if k != "decisions"}, "alias": True, "decisions": []}
MERGE: Json = {
    "kind": "merge",
    "command": 3,
    "a": NODE,
    "b": OTHER,
    "reason": "same person",
    "by": "token:ops",
    "at": 5,
    "decisions": DECISIONS[:1],
}
SPLIT: Json = {
    "kind": "split",
    "command": 3,
    "nodes": [NODE],
    "reason": "",
    "by": "token:ops",
    "at": 5,
    "decisions": [],
}
RULES: Json = {"kind": "rules", "version": 1, "rules": {"max_nodes": 5, "types": {}}, "at": 0, "decisions": []}
REJECTED: Json = {
    "id": "r1",
    "code": "invalid_event",
    "reason": "/revenue: wanted a number, got a text",
    "source": "shop",
    "channel": "",
    "received_at": iso(0),
    "place": 0,
    "payload": "{",
    "digest": 2**64 - 1,
}
BINARY: Json = {
    **{k: v for k, v in REJECTED.items() if k not in ("place", "payload", "digest")},
    "payload_base64": "AA==",
    "digest": 7,
}

WRITTEN: list[tuple[str, bytes, Json]] = [
    (
        "segments.transition.v2",
        encode(
            Transition(
                segment="repeat-buyers",
                version=1,
                profile=NODE,
                kind="entered",
                at=1_700_000_000_000,
                entered_at=1_600_000_000_000,
                cause="event",
                owner=Owner(3, 7, 1),
                id="trn_3.7.1.0",
            )
        ),
        OWNED,
    ),
    ("segments.claim.v1", encode(Claim(owner=Owner(3, 7, 0), upto=12, fences=[Owner(0, 6, 0), Owner(3, 6, 2)])), CLAIM),
    ("touched.v1", encode(TouchRecord(profile=NODE, cause="event")), TOUCH),
    ("touched.v1", encode(TouchRecord(profile=NODE, cause="event", nodes=[OTHER], inherited={"buyers": 5})), REACHED),
    (
        "identity.v2",
        encode_identity(
            Link(key=NODE, source="shop", received_at=1, nodes=[(NODE, "user_id"), (OTHER, "email")]),
            [
                Merged(survivor=NODE, absorbed=OTHER),
                Merged(survivor=NODE, absorbed=OTHER, overrides=["limit:user_id"], lifts=[7]),
                RefusedDecision(a=NODE, b=OTHER, reason="limit:user_id"),
                SharedDecision(node=NODE),
                Parted(from_=NODE, to=[OTHER]),
            ],
        ),
        LINK,
    ),
    (
        "identity.v2",
        encode_identity(
            Link(key=NODE, source="shop", received_at=1, nodes=[(NODE, "user_id"), (OTHER, "email")], alias=True)
        ),
        ALIAS,
    ),
    (
        "identity.v2",
        encode_identity(
            Merge(command=3, a=NODE, b=OTHER, reason="same person", by="token:ops", at=5),
            [Merged(survivor=NODE, absorbed=OTHER)],
        ),
        MERGE,
    ),
    ("identity.v2", encode_identity(Split(command=3, nodes=[NODE], reason="", by="token:ops", at=5)), SPLIT),
    ("identity.v2", encode_identity(Rules(version=1, rules={"max_nodes": 5, "types": {}}, at=0)), RULES),
    (
        "rejected.v1",
        encode(
            Rejection(
                id="r1",
                code="invalid_event",
                reason="/revenue: wanted a number, got a text",
                source="shop",
                channel="",
                received_at=iso(0),
                place=0,
                payload="{",
                digest=2**64 - 1,
            )
        ),
        REJECTED,
    ),
]

READERS: dict[str, Callable[[bytes], object]] = {
    "segments.transition.v1": decode_transition,
    "segments.transition.v2": decode_transition,
    "segments.claim.v1": decode_claim,
    "touched.v1": decode_touch,
    "identity.v2": decode_identity,
    "rejected.v1": decode_rejection,
}
GOOD: list[tuple[str, Json]] = [
    ("segments.transition.v1", TRANSITION),
    ("segments.transition.v2", TRANSITION),
    ("segments.transition.v2", OWNED),
    ("segments.transition.v2", {**TRANSITION, "segment": "claimed"}),
    ("segments.transition.v2", {**TRANSITION, "former": [OTHER]}),
    ("segments.claim.v1", CLAIM),
    ("touched.v1", REACHED),
    ("identity.v2", LINK),
    ("identity.v2", {k: v for k, v in RULES.items() if k != "decisions"}),
    ("rejected.v1", REJECTED),
    ("rejected.v1", {**BINARY, "resolved": True}),
    ("rejected.v1", {k: v for k, v in BINARY.items() if k != "channel"}),
]

# One broken member each; None removes it. The second list breaks a promise, which readers do not check.
BAD: list[tuple[str, Json, str, object]] = [
    ("segments.transition.v1", TRANSITION, "kind", "stayed"),
    ("segments.transition.v1", TRANSITION, "id", None),
    ("segments.transition.v2", OWNED, "kind", "claimed"),
    ("segments.transition.v2", OWNED, "owner", [0, 7]),
    ("segments.transition.v2", OWNED, "owner", 7),
    ("segments.claim.v1", CLAIM, "kind", "entered"),
    ("segments.claim.v1", CLAIM, "owner", None),
    ("segments.claim.v1", CLAIM, "fences", [[0]]),
    ("touched.v1", TOUCH, "profile", None),
    ("touched.v1", TOUCH, "nodes", [7]),
    ("touched.v1", TOUCH, "inherited", {"s": "x"}),
    ("identity.v2", LINK, "kind", "birth"),
    ("identity.v2", LINK, "source", None),
    ("identity.v2", LINK, "nodes", [[NODE]]),
    ("identity.v2", LINK, "nodes", [[NODE, "email", "more"]]),
    ("identity.v2", LINK, "received_at", "1"),
    ("rejected.v1", REJECTED, "reason", None),
    ("rejected.v1", REJECTED, "digest", "7"),
    ("rejected.v1", REJECTED, "received_at", 0),
]
UNCHECKED: list[tuple[str, Json, str, object]] = [
    ("segments.transition.v1", TRANSITION, "cause", "whim"),
    ("segments.transition.v1", TRANSITION, "profile", "prf_" + NODE),
    ("segments.transition.v1", TRANSITION, "version", 0),
    ("segments.transition.v1", TRANSITION, "at", -1),
    ("segments.claim.v1", CLAIM, "upto", -1),
    ("touched.v1", TOUCH, "cause", "whim"),
    ("identity.v2", LINK, "key", "e1"),
    ("identity.v2", LINK, "nodes", []),
    ("identity.v2", LINK, "decisions", [{"outcome": "merged", "survivor": NODE}]),
    ("identity.v2", LINK, "decisions", [{"outcome": "whim"}]),
    ("identity.v2", LINK, "decisions", None),
    ("rejected.v1", REJECTED, "received_at", "1970-01-01T00:00:00Z"),
]


def file_takes(file: str, record: Json) -> bool:
    return bool(Draft202012Validator(json.loads((SCHEMAS / f"{file}.json").read_bytes())).is_valid(record))


def reads(file: str, record: Json) -> bool:
    try:
        return READERS[file](orjson.dumps(record)) is not None
    except Broken:
        return False


def broken(record: Json, member: str, value: object) -> Json:
    rest = {name: of for name, of in record.items() if name != member}
    return rest if value is None else {**rest, member: value}


@pytest.mark.parametrize(("file", "value", "record"), WRITTEN)
def test_a_record_is_written_member_by_member(file: str, value: bytes, record: Json) -> None:
    assert value == orjson.dumps(record)
    assert file_takes(file, record)


@pytest.mark.parametrize(("file", "record"), [*GOOD, *((file, record) for file, _, record in WRITTEN)])
def test_file_and_reader_take_a_good_record_and_members_to_come(file: str, record: Json) -> None:
    for one in (record, {**record, "later": {"a": [1]}}):
        assert file_takes(file, one)
        assert reads(file, one)


@pytest.mark.parametrize(("file", "record", "member", "value"), BAD)
def test_file_and_reader_refuse_a_broken_member(file: str, record: Json, member: str, value: object) -> None:
    bad = broken(record, member, value)
    assert not file_takes(file, bad)
    assert not reads(file, bad)


@pytest.mark.parametrize(("file", "record", "member", "value"), UNCHECKED)
def test_a_reader_leaves_the_limits_to_whoever_writes(file: str, record: Json, member: str, value: object) -> None:
    odd = broken(record, member, value)
    assert not file_takes(file, odd)
    assert reads(file, odd)


@pytest.mark.parametrize("read", READERS.values())
@pytest.mark.parametrize("value", [b"", b"7", b"[]", b"{", b'{"id": "\xff"}', b"[" * 100_000, b'{"kind":"claimed"}'])
def test_what_is_no_record_is_said_to_be_broken(read: Callable[[bytes], object], value: bytes) -> None:
    if read is decode_claim:
        assert read(value) is None
        return
    with pytest.raises(Broken, match=r"^simorgh\.\w+: wanted a .*, got something else"):
        read(value)


def test_no_value_is_shown() -> None:
    with pytest.raises(Broken) as caught:
        decode_transition(orjson.dumps({**TRANSITION, "kind": "sara@example.com"}))
    assert "sara" not in str(caught.value)


def test_a_recorded_log_is_written_again_to_the_byte(tmp_path: Path) -> None:
    unpack(2, tmp_path / "data")
    log = SqliteEventLog(tmp_path / "data" / "log.sqlite")
    rewrite: dict[str, Callable[[bytes], bytes]] = {
        topics.SEGMENTS: lambda value: encode(decode_transition(value)),
        topics.IDENTITY: identity_again,
        topics.REJECTED: lambda value: encode(decode_rejection(value)),
    }
    seen = 0
    for topic, again in rewrite.items():
        for record in log.read(topic, 0, 0, 1_000):
            assert again(record.value) == record.value
            seen += 1
    log.close()
    assert seen >= 12


def identity_again(value: bytes) -> bytes:
    decisions: list[Decision] = msgspec.convert(orjson.loads(value)["decisions"], list[Decision])
    return encode_identity(decode_identity(value), decisions)


def test_a_claim_is_told_from_a_transition_of_a_segment_that_is_called_so() -> None:
    named_so = orjson.dumps({**TRANSITION, "segment": "claimed"})
    assert decode_claim(named_so) is None
    assert decode_told(named_so) == decode_transition(named_so)
    assert decode_told(orjson.dumps(CLAIM)) == decode_claim(orjson.dumps(CLAIM))
    assert decode_claim(orjson.dumps(CLAIM)) == Claim(
        owner=Owner(3, 7, 0), upto=12, fences=[Owner(0, 6, 0), Owner(3, 6, 2)]
    )


def test_what_is_personal_is_marked() -> None:
    schema = json.loads((SCHEMAS / "rejected.v1.json").read_bytes())
    marked = {name for name, member in schema["properties"].items() if "x-personal" in json.dumps(member)}
    assert marked == {"payload", "payload_base64"}
    identity = json.loads((SCHEMAS / "identity.v2.json").read_bytes())["$defs"]
    assert all(identity[name]["properties"]["reason"]["x-personal"] for name in ("Merge", "Split"))
