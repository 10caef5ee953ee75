"""The law of what fails alone, on one box: all else is as in the run in which it never was; replay says the same.

See `faults` for how a stage is made to fail.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.port import Message
from identity.nodes import node_of, to_hex
from producers.door import Refused
from schemas import topics
from simorgh.retry import retry_rejected
from stream_processors.checkpoints import CHECKPOINTS
from stream_processors.rows.lingering import Linger
from stream_processors.state.poison import Stopped, profile_name
from tests.e2e.harness import wait_for
from tests.effort import few
from tests.properties.faults import LONELY, Faults, lonely
from tests.properties.pipeline_world import (
    LINGERS,
    SECRET,
    Box,
    Crash,
    Crashes,
    MakeBox,
    Random,
    delivered,
    dump,
    law,
    make_door,
    make_events,
    make_segments,
)
from tests.properties.segments_world import SEEDS, T0


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def aside(box: Box) -> set[str]:
    box.registry.refresh()
    return set(box.registry.poison)


def known(box: Box) -> dict[str, str]:
    """All that a box holds, but what says that something was set aside."""
    found = dump(box)
    return {
        name: rows for name, rows in found.items() if name not in ("rows", "rejected", "memberships", "transitions")
    }


@law()
@given(seed=SEEDS, point=st.sampled_from(("", *CHECKPOINTS)))
def test_an_event_that_fails_alone_is_as_if_it_never_was(make_box: MakeBox, seed: int, point: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch)
        r = Random(seed)
        linger = r.choice(LINGERS)
        door, segments = make_door(), make_segments(r)
        sent = [v for v in make_events(r, 40, T0, door) if not isinstance(v, Refused)]
        bad = {json.loads(value)["id"] for _, value in r.sample(sent, 3)}
        mixed = [v for v in delivered(r, sent) if not isinstance(v, Refused)]
        good = [message for message in mixed if json.loads(message[1])["id"] not in bad]
        with make_box(partitions=2, linger=linger) as box:
            for name, rule in segments.items():
                box.declare("segment", name, {"rule": rule})
            box.settle()
            box.write(topics.EVENTS, good)
            box.settle()
            calm = known(box), box.told()
        crashes = Crashes([])
        with make_box(partitions=2, linger=linger, checkpoint=crashes) as box:
            for name, rule in segments.items():
                box.declare("segment", name, {"rule": rule})
            box.settle()
            faults.events = bad
            crashes.plan += [(point, 1)] if point else []
            box.write(topics.EVENTS, mixed)
            settle(box, crashes)
            assert aside(box) == {place for place in aside(box) if place.startswith("simorgh.events/")}
            assert len(aside(box)) == len(mixed) - len(good)
            assert (known(box), box.told()) == calm
            assert box.told() == box.full()
            faults.events = set()  # another version could process them: they stay set aside
            box.restart()
            box.settle()
            before = dump(box, history=True)
            box.replay()
            box.settle()
            assert dump(box, history=True) == before
            assert (known(box), box.told()) == calm


def settle(box: Box, crashes: Crashes) -> None:
    while True:
        try:
            if crashes.dead:
                crashes.revive()
                box.restart()
            box.settle()
            return
        except Crash:
            assert crashes.dead


def seen(box: Box) -> set[int]:
    """Profiles alive."""
    return {profile for (profile,) in box.writer.rows("SELECT profile FROM profile_rows FINAL WHERE live")}


def rejected(box: Box, code: str) -> list[tuple[str, str, str]]:
    sql = "SELECT source, id, reason FROM rejected FINAL WHERE code = {code:String} ORDER BY ALL"
    return [(source, id, reason) for source, id, reason in box.writer.rows(sql, {"code": code})]


@pytest.mark.parametrize("linger", few(LINGERS[1:], LINGERS))
def test_a_profile_that_fails_alone_has_no_view_and_all_others_go_on(
    make_box: MakeBox, faults: Faults, linger: Linger
) -> None:
    r, door = Random(5), make_door()
    with make_box(linger=linger) as box:
        for name, rule in make_segments(r).items():
            box.declare("segment", name, {"rule": rule})
        box.append([*make_events(r, 40, T0, door), lonely("l1", T0)])
        box.settle()
        calm = dump(box)
        victim = node_of(SECRET, "default", *LONELY)
        assert victim in seen(box)
        faults.profiles = {victim}
        box.append([*make_events(r, 40, T0, door, first=100), lonely("l2", T0)])
        box.settle()
        assert aside(box) == {profile_name(victim)}
        assert seen(box) == set(box.runner.box.live_profiles()) - {victim}
        [(_, name, reason)] = rejected(box, "poison")
        assert name == profile_name(victim)
        assert "ZeroDivisionError in decide" in reason
        faults.profiles = set()
        box.restart()
        box.append([*make_events(r, 5, T0, door, first=200), lonely("l3", T0)])
        box.settle()
        live = known(box)
        assert victim not in seen(box)
        box.replay()
        box.settle()
        assert known(box) == live
        box.registry.take_back(profile_name(victim), "tests")
        box.clock.now += 2_000
        box.settle()
        assert victim in seen(box)
        assert box.told() == box.full()
        assert dump(box) != calm


@pytest.mark.parametrize("linger", few(LINGERS[1:], LINGERS))
def test_a_link_that_fails_alone_is_set_aside(make_box: MakeBox, faults: Faults, linger: Linger) -> None:
    """The graph has taken it in before it fails: it is made anew without it."""
    nodes = [[to_hex(node_of(SECRET, "default", "user_id", f"u{n}")), "user_id"] for n in range(2)]
    odd: dict[str, Any] = {
        "kind": "link",
        "key": "1" * 32,
        "source": "x",
        "received_at": T0,
        "place": 0,
        "nodes": nodes,
    }
    events = [v for v in make_events(Random(5), 40, T0, make_door()) if not isinstance(v, Refused)]
    with make_box(linger=linger) as box:
        box.write(topics.EVENTS, events)
        box.settle()
        calm = known(box)
    with make_box(linger=linger) as box:
        box.write(topics.EVENTS, events[:20])
        box.settle()
        faults.links = {odd["key"]}
        box.write(topics.IDENTITY, [(b"x", json.dumps(odd).encode()), (b"x", b"{}"), (b"x", b"\xff")])
        box.write(topics.EVENTS, events[20:])
        box.settle()
        [name] = aside(box)
        assert name.startswith("simorgh.identity/0/")
        assert [id for _, id, _ in rejected(box, "poison")] == [name]
        assert len(rejected(box, "unreadable")) == 2
        assert known(box) == calm
        faults.links = set()
        box.restart()
        box.settle()
        assert known(box) == calm
        box.replay()
        box.settle()
        assert known(box) == calm
        assert aside(box) == {name}


def many(number: int, group: str = "") -> list[Message]:
    made = make_events(Random(3), number, T0, make_door(), group=group)
    return [verdict for verdict in made if not isinstance(verdict, Refused)]


def test_a_hundred_in_a_row_stop_the_stage_and_a_restart_does_not_hide_it(make_box: MakeBox, faults: Faults) -> None:
    events = many(150)
    with make_box(partitions=1) as box:
        faults.all = True
        box.write(topics.EVENTS, events)
        for _ in range(3):
            with pytest.raises(Stopped, match=r"100 in a row|after it had stopped"):
                box.runner.step()
            with pytest.raises(Stopped, match="after it had stopped"):
                box.restart()
        assert aside(box) == set()
        assert set(box.registry.stopped) == {"events"}
        faults.all = False
        box.restart()
        box.settle()
        assert box.writer.rows("SELECT count() FROM events") == [(len(events),)]
        box.registry.refresh()
        assert not box.registry.stopped


def test_a_hundred_that_come_one_by_one(make_box: MakeBox, faults: Faults) -> None:
    events = many(130)
    with make_box(partitions=1) as box:
        faults.all = True
        for event in events[:99]:
            box.write(topics.EVENTS, [event])
            box.runner.step()
        box.write(topics.EVENTS, events[99:])
        with pytest.raises(Stopped, match="100 in a row"):
            box.runner.step()
        stopped = aside(box)
        assert len(stopped) == 99
        with pytest.raises(Stopped):
            box.restart()
        assert aside(box) == stopped


def test_a_hundred_of_one_source_stop_nothing(make_box: MakeBox, faults: Faults) -> None:
    events = [event for event in many(300) if b'"source":"/sources/till"' in event[1]]
    assert len(events) > 100
    with make_box(partitions=1) as box:
        faults.all = True
        box.write(topics.EVENTS, events)
        box.settle()
        assert len(aside(box)) == len(events)
        faults.all = False
        good = many(10, group="good")
        box.write(topics.EVENTS, good)
        box.settle()
        assert box.writer.rows("SELECT count() FROM events") == [(len(good),)]


def test_a_higher_limit_sets_aside_what_had_stopped_the_stage(make_box: MakeBox, faults: Faults) -> None:
    events = many(150)
    with make_box(partitions=1) as box:
        faults.events = {json.loads(value)["id"] for _, value in events}
        box.write(topics.EVENTS, events)
        with pytest.raises(Stopped):
            box.runner.step()
        box.runner_settings["most_set_aside"] = 1_000
        box.restart()
        box.settle()
        assert len(aside(box)) == len(events)
        assert {source for source, _, _ in rejected(box, "poison")} == {"shop", "till"}
        good = many(10, group="good")
        box.write(topics.EVENTS, good)
        box.settle()
        assert box.writer.rows("SELECT count() FROM events") == [(len(good),)]


def test_what_fails_without_any_input_sets_nothing_aside(make_box: MakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_box(partitions=1) as box:
        box.write(topics.EVENTS, many(5))

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr("stream_processors.flow.events.seen_identifiers", broken)
            with pytest.raises(ZeroDivisionError):
                box.runner.step()
        assert aside(box) == set()
        box.restart()
        box.settle()
        assert box.writer.rows("SELECT count() > 0 FROM events") == [(1,)]


def test_garbage_in_any_topic_stops_nothing(make_box: MakeBox) -> None:
    garbage = [(b"x", b"\xff"), (b"x", b"{}"), (b"x", b'{"owner":1}'), (b"x", b'{"kind":"claimed","owner":[0]}')]
    with make_box() as box:
        box.declare("segment", "seen", {"rule": {"metric": "events", "gte": 1}})
        for _ in range(2):
            for topic in (topics.EVENTS, topics.IDENTITY, topics.SEGMENTS, topics.REGISTRY, topics.REJECTED):
                box.write(topic, garbage)
            box.append(make_events(Random(5), 24, T0, make_door()))
            box.settle()
            box.restart()
            box.settle()
        wanted = box.full()
        assert wanted["seen"]
        kept = len(rejected(box, "unreadable"))
        assert kept == 2 * 3 * len(garbage)
        box.replay()
        box.settle()
        assert box.full() == wanted
        listed = box.writer.rows("SELECT profile FROM memberships FINAL WHERE member AND segment = 'seen'")
        assert {profile for (profile,) in listed} == wanted["seen"]
        assert len(rejected(box, "unreadable")) == kept


def test_what_is_retried_counts(make_box: MakeBox, faults: Faults) -> None:
    """Once another version can process it: as if it had never failed."""
    events = many(40)
    with make_box() as box:
        box.write(topics.EVENTS, events)
        box.settle()
        calm = known(box)
    with make_box() as box:
        faults.events = {json.loads(value)["id"] for _, value in events[:3]}
        box.write(topics.EVENTS, events)
        box.settle()
        assert len(aside(box)) == 3
        for second_try in (False, True):
            kept = [json.loads(record.value) for record in box.log.read(topics.REJECTED, 0, 0, 100)]
            waiting = {one["id"]: one for one in kept if one["code"] == "poison"}
            assert waiting.keys() == faults.events or second_try
            if second_try:
                faults.events = set()
            for record in waiting.values():
                retry_rejected(box.log, box.registry, make_door(), record, None)
            box.settle()
            assert len(aside(box)) == 6  # each try has a place of its own
        assert known(box) == calm
        assert box.writer.rows("SELECT count() FROM rejected FINAL WHERE code = 'poison' AND NOT resolved") == [(0,)]
        box.replay()
        box.settle()
        assert known(box) == calm


def test_a_stage_that_stops_says_so(make_box: MakeBox, faults: Faults) -> None:
    with make_box(partitions=1) as box:
        faults.all = True
        box.runner.start()
        box.write(topics.EVENTS, many(150))
        wait_for(lambda: box.runner.condition.state == "stopped", "it goes on", 20)
        assert "100 in a row from several sources" in box.runner.condition.reason
