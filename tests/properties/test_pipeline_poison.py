"""Poison in simorgh.events, which anybody may write to: it becomes a rejected event and stops nothing."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventlog.port import Message
from producers.door import Refused
from schemas import topics
from tests.places import places, replaced
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_world import (
    LINGERS,
    NAMED,
    Random,
    dump,
    law,
    make_door,
    make_events,
)
from tests.properties.segments_world import SEEDS, T0

HEX = "0123456789abcdef" * 2

ODD: list[Any] = [
    *(None, True, 0, -1, 5, 0.5, 10**18, 10**30),
    *("", " ", "x", "a\x00b", "é😀", "NaN", "Infinity", "-1e999999", "1e999999999", "0x12", "1_0", "x" * 70_000),
    *("1" * 31, "9" * 30 + ".999999", "0.0000001", "EUR", "eur", HEX, HEX.upper(), "0" * 32, "0x" + "1" * 30),
    *("１" * 32, " " + "1" * 30 + " ", "-" + "1" * 31, HEX + "0"),
    *("2026-02-01T00:00:00.000Z", "1900-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"),
    *("2026-02-30T00:00:00.000Z", "2026-02-01T25:00:00.000Z", "                       Z", "2026-02-01 00:00:00.000Z"),
    *("NaT                    Z", "2026-02-01T00:00:00+0100Z", "20260201T000000.0000000Z", "-9999999999999-01-01T00Z"),
    *([], [[]], [None], [{}], [5], {}, {"": None}, {"a": {"b": []}}, [{"node": 5}], {"amount": "x"}, {"amount": "1"}),
    {"amount": 5, "currency": "EUR"},
    {"amount": "5", "currency": 7},
    {"amount": "5", "currency": "EUROS" * 100},
    {f"t{n}": n for n in range(2_000)},
]

NOT_JSON = (
    b"",
    b"x",
    b"{",
    b"null",
    b"7",
    b'"id"',
    b"[]",
    b"{}",
    b"\x00",
    b"\xff\xfe",
    b'{"id": "\\ud800"}',
    b'{"id": "\xff"}',
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    b"1e400",
)


def whole() -> dict[str, Any]:
    """An envelope with every member."""
    r = Random(1)
    door = make_door()
    found: dict[str, Any] = {}
    while not {"money", "consent", "subject", "flags"} <= found.keys():
        [verdict] = make_events(r, 1, T0, door)
        if not isinstance(verdict, Refused):
            found |= json.loads(verdict[1])
    return {**found, "id": "whole", "alias": True, "type": "order.completed"}


def without(value: Any, path: tuple[Any, ...]) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(value[path[0]], path[1:])
    return copy


def test_a_wrong_value_at_every_place(make_house: MakeHouse) -> None:
    base = whole()
    written: list[bytes] = [*NOT_JSON]
    for n, path in enumerate(places(base)):
        for m, odd in enumerate(ODD):
            one = replaced(base, path, odd)
            if isinstance(one, dict) and path != ("key",):
                one["key"] = f"{n * 1_000 + m:032x}"
            written.append(json.dumps(one).encode())
        if path:
            written.append(json.dumps(without(base, path)).encode())
    with make_house(partitions=1) as box:
        for name, rule in NAMED.items():
            box.declare("segment", name, {"rule": rule})
        good = take_in(box, [(b"k", value) for value in written], Random(7))
        unique, copies, unreadable = counts(box)
        assert unique + copies + unreadable == len(written) + good
        assert unreadable >= len(NOT_JSON)
        assert box.told() == box.full()
        live = dump(box, history=True)
        box.replay()
        box.settle()
        assert dump(box, history=True) == live


def test_poison_in_the_registry(make_house: MakeHouse) -> None:
    """Junk, and declarations that contradict each other, as two requests of one moment may: left out, forever."""
    node, at = "1" * 32, T0
    junk: list[Any] = [
        *(None, 5, "x", [], {}),
        {"kind": "segment", "op": "put", "id": "a", "body": {}, "at": at, "by": ""},
        {"kind": "segment", "op": "put", "id": "a", "body": {"rule": {"odd": 1}}, "at": at, "by": ""},
        {"kind": "segment", "op": "put", "id": "a", "body": {"rule": {"segment": "nobody"}}, "at": at, "by": ""},
        {"kind": "segment", "op": "put", "id": "a", "body": {"rule": {"segment": "a"}}, "at": at, "by": ""},
        {"kind": "merge", "op": "put", "id": "m", "body": {"a": node}, "at": at, "by": ""},
        {"kind": "merge", "op": "put", "id": "m", "body": {"a": node, "b": 5}, "at": at, "by": ""},
        {"kind": "merge", "op": "put", "id": "m", "body": {"a": node, "b": node}, "at": 10**30, "by": ""},
        {"kind": "split", "op": "put", "id": "s", "body": {"nodes": [None]}, "at": at, "by": ""},
        {"kind": "rules", "op": "put", "id": "r", "body": {"max_nodes": "many"}, "at": at, "by": ""},
        {"kind": "of another age", "op": "put", "id": "r", "body": {}, "at": at, "by": ""},
    ]
    with make_house() as box:
        box.append(make_events(Random(3), 20, T0, make_door()))
        box.declare("segment", "x", {"rule": {"segment": "y"}})  # before there is one
        box.declare("segment", "y", {"rule": {"metric": "events", "gte": 1}})
        box.declare("segment", "x", {"rule": {"segment": "y"}})
        box.declare("segment", "y", {"rule": {"not": {"segment": "x"}}})  # a circle
        box.write(topics.REGISTRY, [(b"k", b"\xff"), *((b"k", json.dumps(one).encode()) for one in junk)])
        for _ in range(2):
            box.settle()
            told = box.told()
            assert told["x"] == told["y"] == set(box.live_profiles())
            box.restart()
        box.registry.withdraw("segment", "y", "tests")  # while x names it
        box.settle()
        told = box.told()
        assert told["x"] == told["y"] == set()
        box.replay()
        box.settle()
        assert box.told() == told


@law()
@given(seed=SEEDS, raw=st.lists(st.binary(max_size=30), max_size=3))
def test_cut_and_flipped_bytes(make_house: MakeHouse, seed: int, raw: list[bytes]) -> None:
    r = Random(seed)
    door = make_door()
    values = [v[1] for v in make_events(r, 20, T0, door, group="bad") if not isinstance(v, Refused)]
    damaged = [damage(r, value) for value in values] + raw
    with make_house(batch=r.choice((1, 5_000)), linger=r.choice(LINGERS)) as box:
        good = take_in(box, [(b"k%d" % n, value) for n, value in enumerate(damaged)], r)
        assert sum(counts(box)) == len(damaged) + good


def damage(r: Random, value: bytes) -> bytes:
    start = r.randrange(len(value))
    match r.choice("cfdx"):
        case "c":
            return value[:start]
        case "f":
            return value[:start] + bytes([r.randrange(256)]) + value[start + 1 :]
        case "d":
            return value[:start] + value[start + r.randint(1, 40) :]
        case _:
            return value[:start] + r.choice((b"null", b"{}", b"[]", b'"', b"1e400", b"-", b"\\ud800")) + value[start:]


def take_in(box: House, poison: list[Message], r: Random) -> int:
    """Writes it among good events; these must all be counted. Answers how many."""
    good = [v for v in make_events(r, 20, T0, make_door(), group="good") if not isinstance(v, Refused)]
    mixed = poison + good
    r.shuffle(mixed)
    box.write(topics.EVENTS, mixed)
    box.settle()
    [(found,)] = box.writer.rows("SELECT count() FROM events WHERE JSONExtractString(payload, 'id') LIKE 'good%'")
    assert found == len(good)
    *_, unreadable = counts(box)
    assert box.writer.rows("SELECT count() FROM rejected FINAL WHERE code = 'unreadable'") == [(unreadable,)]
    return len(good)


def counts(box: House) -> tuple[int, int, int]:
    """Unique events, copies, unreadable records."""
    sql = "SELECT countIf(dup = 0), countIf(dup = 1), countIf(dup = 2) FROM log_rows FINAL"
    [(unique, copies, unreadable)] = box.writer.rows(sql)
    return unique, copies, unreadable
