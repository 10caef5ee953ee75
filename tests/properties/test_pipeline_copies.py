"""The law of copies: whatever comes under a known key changes nothing; what it says otherwise is kept, once."""

import json
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from producers.door import Refused, Verdict
from producers.incoming import Incoming
from registry.models import Source
from schemas import topics
from schemas.errors import Conflict
from simorgh.retry import retry_rejected
from stream_processors.flow import conflicts
from tests.effort import few
from tests.properties.installation import MakeHouse
from tests.properties.pipeline_world import (
    LINGERS,
    Crashes,
    MakeBox,
    Random,
    chunks,
    delivered,
    dump,
    law,
    make_door,
    make_event,
    make_events,
    make_segments,
)
from tests.properties.segments_world import DAY, SEEDS, T0
from tests.properties.test_pipeline_crash import settle

SHOP = Source(id="shop")
KEPT = "SELECT source, id, code, resolved FROM rejected FINAL WHERE code = 'conflicting_copy' ORDER BY ALL"
BY_STATE = "SELECT dup, count() FROM log_rows FINAL GROUP BY dup ORDER BY dup"


@law()
@given(seed=SEEDS, batch=st.sampled_from((3, 5_000)), partitions=st.integers(1, 3))
def test_copies_of_any_content_change_nothing(make_house: MakeHouse, seed: int, batch: int, partitions: int) -> None:
    """Other people, traits, money and times under known ids: no link, no count, no trait, no transition."""
    r = Random(seed)
    door = make_door()
    segments, events = make_segments(r), make_events(r, 20, T0, door)
    others = forged(r, 20)
    copies = [verdict for verdict in others if key_of(verdict) in {key_of(event) for event in events}]
    with make_house(now=T0 + DAY, batch=batch, partitions=partitions, linger=r.choice(LINGERS)) as box:
        for name, rule in segments.items():
            box.declare("segment", name, {"rule": rule})
        box.append(events)
        if r.random() < 0.5:
            box.settle()
        for chunk in chunks(r, delivered(r, copies), 7):
            box.append(chunk)
            if r.random() < 0.5:
                box.settle()
        box.settle()
        with_copies = dump(box)
        kept = box.writer.rows(KEPT)
        if r.random() < 0.5:
            box.replay()
            box.settle()
            assert dump(box) == with_copies
    with make_house(now=T0 + DAY) as box:
        for name, rule in segments.items():
            box.declare("segment", name, {"rule": rule})
        box.append(events)
        box.settle()
        without = dump(box)
    for name in ("rows", "rejected"):
        del with_copies[name], without[name]
    assert with_copies == without
    assert {id for _, id, *_ in kept} == {json.loads(copy[1])["id"] for copy in accepted(copies)}


def forged(r: Random, number: int) -> list[Verdict]:
    """Events under the ids of others, which no other has the content of."""
    door = make_door()
    made = []
    for n in range(number):
        event = make_event(r, f"e{n}", T0 + 60_000, "", 6)
        made.append(door.admit(replace(event, properties={**(event.properties or {}), "forged": n}), b"{}"))
    return made


def accepted(verdicts: Sequence[Verdict]) -> list[tuple[bytes, bytes]]:
    return [verdict for verdict in verdicts if not isinstance(verdict, Refused)]


def key_of(verdict: Verdict) -> bytes:
    return b"" if isinstance(verdict, Refused) else verdict[0]


def page(id: str, *, at: int = T0, source: Source = SHOP, person: str = "u1", **more: Any) -> Verdict:
    fields: dict[str, Any] = {"type": "page.viewed", "channel": "web", "identifiers": [("user_id", person)], **more}
    return make_door().admit(Incoming(id=id, source=source, received_at=at, **fields), b"{}")


def test_the_same_id_of_two_sources_is_two_events(make_house: MakeHouse) -> None:
    with make_house() as box:
        box.append([page("1001"), page("1001", source=Source(id="till"))])
        box.settle()
        assert box.writer.rows(BY_STATE) == [(0, 2)]
        assert box.writer.rows("SELECT events FROM profile_rows FINAL WHERE live") == [(2,)]
        assert box.writer.rows(KEPT) == []


@pytest.mark.parametrize("settled", [False, True])
def test_what_is_sent_again_is_no_conflict(make_house: MakeHouse, settled: bool) -> None:
    """Received later, sent later, with another clock correction, by another request: the content is the same."""
    with make_house(partitions=1) as box:
        box.append([page("claims", original_time=T0 - 5_000), page("claims-none"), page("just-now", original_time=T0)])
        if settled:
            box.settle()
        again: dict[str, Any] = {"original_time": T0 - 5_000, "sent_at": T0 + 90_000_000, "place": 7}
        box.append([page("claims", at=T0 + 70_000, **again), page("claims-none", at=T0 + 1)])
        box.append([page("just-now", at=T0 + 1, original_time=T0), page("claims-none", at=T0 + 2)])
        box.settle()
        assert box.writer.rows(BY_STATE) == [(0, 3), (1, 4)]
        assert box.writer.rows("SELECT count() FROM rejected FINAL") == [(0,)]


DIFFERENT: Final[dict[str, dict[str, Any]]] = {
    "type": {"type": "screen.viewed"},
    "time": {"original_time": T0 - 2},
    "identifiers": {"identifiers": [("user_id", "u2")]},
    "properties": {"properties": {"path": "/other"}},
}


@pytest.mark.parametrize("part", DIFFERENT)
def test_another_content_is_kept_and_says_in_what_it_differs(make_house: MakeHouse, part: str) -> None:
    first: dict[str, Any] = {"original_time": T0 - 1, "properties": {"path": "/"}}
    with make_house() as box:
        box.append([page("m", **first)])
        box.settle()
        box.append([page("m", at=T0 + 9, **(first | DIFFERENT[part]))] * 2)
        box.settle()
        [(id, source, reason, at, text)] = box.writer.rows(
            "SELECT id, source, reason, toUnixTimestamp64Milli(received_at), payload FROM rejected FINAL"
        )
        assert (id, source, at) == ("m", "shop", T0 + 9)
        assert f"another ({part})" in reason
        assert json.loads(text)["id"] == "m"
        assert box.writer.rows(BY_STATE) == [(0, 1), (1, 2)]


def test_a_content_is_kept_once_and_twenty_of_an_event(make_house: MakeHouse) -> None:
    with make_house(batch=7) as box:
        box.append([page("m")])
        others = [page("m", properties={"n": n}) for n in range(60)]
        for _ in range(3):
            box.append(others)
            box.settle()
        assert box.writer.rows("SELECT count(), uniqExact(digest) FROM rejected FINAL") == [(20, 20)]
        assert box.log.ends(topics.REJECTED) == [20]


def test_a_conflict_is_not_tried_again(make_house: MakeHouse) -> None:
    """Under its id it would be a copy forever."""
    with make_house() as box:
        box.append([page("m"), page("m", properties={"n": 1})])
        box.settle()
        [record] = [json.loads(one.value) for one in box.log.read(topics.REJECTED, 0, 0, 9)]
        with pytest.raises(Conflict, match="send it under a new id"):
            retry_rejected(box.log, box.registry, make_door(), record, None)
        assert box.log.ends(topics.REJECTED) == [1]


def test_who_waits_in_the_topic_is_not_kept_again(make_box: MakeBox) -> None:
    """The rejected stage may be behind, as on a cluster: what it has not written is read from its topic."""
    with make_box() as box:
        box.append([page("m")])
        box.append([page("m", properties={"n": n}) for n in range(3)])
        box.runner.box.process(box.runner.next_records())
        box.append([page("m", properties={"n": n}) for n in range(5)])
        box.runner.box.process(box.runner.next_records())
        assert box.log.committed("rejected", topics.REJECTED) == [0]
        assert box.log.ends(topics.REJECTED) == [5]
        box.settle()
        assert len(box.writer.rows(KEPT)) == 5


@pytest.mark.parametrize("point", few(["ids"], ["links", "ids", "events", "commit"]))
def test_a_crash_keeps_a_conflict_once(make_box: MakeBox, point: str) -> None:
    crashes = Crashes([])
    with make_box(checkpoint=crashes) as box:
        crashes.plan.append((point, 1))
        box.append([page("m"), page("m", properties={"n": 1}), page("other")])
        settle(box, crashes)
        box.append([page("m", at=T0 + 1, properties={"n": 1})])
        settle(box, crashes)
        assert crashes.happened == [point]
        assert box.writer.rows("SELECT id, toUnixTimestamp64Milli(received_at) FROM rejected FINAL") == [("m", T0)]


def test_first_ones_are_read_together(make_box: MakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that is repeated reads the log once more, in large pieces."""
    with make_box(partitions=2) as box:
        box.append([page(f"m{n}", person=f"u{n % 9}") for n in range(2_000)])
        box.settle()
        box.append([page(f"m{n}", at=T0 + 1, person=f"u{n % 9}") for n in range(2_000)])
        records = box.runner.next_records()
        reads: list[int] = []
        read = box.log.read

        def counted(topic: str, partition: int, offset: int, limit: int) -> Any:
            if topic == topics.EVENTS:
                reads.append(limit)
            return read(topic, partition, offset, limit)

        monkeypatch.setattr(box.log, "read", counted)
        box.runner.box.process(records)
        assert sum(limit > 1 for limit in reads) == len(reads) == 2
        assert box.log.ends(topics.REJECTED) == [0]


def test_values_that_were_left_out_are_compared_as_they_came() -> None:
    content: dict[str, Any] = {"type": "t", "properties": {"list": [{"price": 1}, 2], "x": {}}, "traits": {}}
    for pointer in ("/properties/revenue", "/properties/list/0/price", "/properties/x/a~1b~0", "/traits/age", "/type"):
        conflicts._put(content, pointer, "came")
    assert content == {
        "type": "came",
        "properties": {"list": [{"price": "came"}, 2], "x": {"a/b~": "came"}, "revenue": "came"},
        "traits": {"age": "came"},
    }
    for pointer in ("", "/", "/properties/list/7", "/type/a", "/nowhere/b", "/properties/list/" + "9" * 5_000):
        conflicts._put(content, pointer, "came")  # wherever it came from, it is part of the content


def test_the_last_of_a_request_is_the_last_word(make_house: MakeHouse) -> None:
    """One batch, one moment: the place in the request decides, whatever the ids and whatever came first here."""

    def plan(person: int, value: str, place: int) -> Verdict:
        who: dict[str, Any] = {"type": "profile.identified", "person": f"u{person}", "traits": {"plan": value}}
        return page(f"{value}{person}", place=place, **who)

    sent = [plan(n // 2, ("first", "second")[n % 2], n) for n in range(60)]
    r = Random(5)
    with make_house(partitions=3) as box:
        for chunk in chunks(r, delivered(r, sent), 9):
            box.append(chunk)
            box.settle()
        assert box.writer.rows("SELECT DISTINCT traits FROM profile_rows FINAL WHERE live") == [('{"plan":"second"}',)]


def test_of_one_moment_the_later_received_is_the_last_word(make_house: MakeHouse) -> None:
    with make_house() as box:
        for value, received, place in (("last", T0 + 5, 0), ("earlier", T0 + 4, 9)):
            who: dict[str, Any] = {"type": "profile.identified", "traits": {"plan": value}}
            box.append([page(value, at=received, place=place, original_time=T0 - 10, **who)])
            box.settle()
        assert box.writer.rows("SELECT traits FROM profile_rows FINAL WHERE live") == [('{"plan":"last"}',)]
