"""The law of crashes: ended after any side effects, any number of times, and begun again, the outcome is the same."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.nodes import node_of, to_hex
from producers.door import Verdict
from producers.incoming import Incoming
from registry.models import Source
from schemas import topics
from stream_processors.checkpoints import CHECKPOINTS
from stream_processors.rows import lingering
from tests.effort import few
from tests.properties.pipeline_world import (
    LINGERS,
    SECRET,
    STEPS,
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
from tests.properties.segments_world import SEEDS, T0, make_rules

MERGING = ("links", "identity", "members", "segments", "transitions", "memberships", "views", "profile_rows")
"""Side effects of a merge."""

PLANS = st.lists(st.tuples(st.sampled_from(CHECKPOINTS), st.integers(1, 4)), min_size=1, max_size=6)


@law(2)
@given(seed=SEEDS, plan=PLANS, batch=st.sampled_from((4, 5_000)), rebuild=st.booleans())
def test_crashes_change_nothing(
    make_box: MakeBox, seed: int, plan: list[tuple[str, int]], batch: int, rebuild: bool
) -> None:
    r = Random(seed)
    partitions = r.choice((1, 3))
    acts = make_acts(r)
    with make_box(partitions=partitions, batch=batch, linger=r.choice(LINGERS)) as box:
        for act in acts:
            act(box)
            box.settle()
        calm = outcome(box)
    crashes = Crashes([])  # the box is there before anything ends it
    with (
        pytest.MonkeyPatch.context() as patch,
        make_box(partitions=partitions, batch=batch, checkpoint=crashes, linger=r.choice(LINGERS)) as box,
    ):
        patch.setattr(lingering, "_WRITE_AT", r.choice((1, 5_000)))
        crashes.plan.extend(plan)
        for act in acts:
            act(box)
            settle(box, crashes, rebuild=rebuild)
        settle(box, crashes, rebuild=rebuild)
        assert outcome(box) == calm
        crashes.plan.clear()


def settle(box: Box, crashes: Crashes, *, rebuild: bool = False) -> None:
    while True:
        try:
            if crashes.dead:
                crashes.revive()
                box.rebuild() if rebuild else box.restart()
            box.settle()
            return
        except Crash:
            assert crashes.dead


def outcome(box: Box) -> dict[str, object]:
    """All but the path: what was told on the way, and since when a profile is a member, may differ."""
    found = dump(box)
    del found["memberships"], found["transitions"]
    return {**found, "told": box.told(), "full": box.full()}


# What happens: the same in both boxes, whatever their state


class Send:
    def __init__(self, events: Sequence[Verdict]) -> None:
        self.events = events

    def __call__(self, box: Box) -> None:
        box.append(self.events)


class Wait:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, box: Box) -> None:
        box.clock.now += self.step


class Declare:
    def __init__(self, kind: str, id: str, body: dict[str, Any]) -> None:
        self.what = kind, id, body

    def __call__(self, box: Box) -> None:
        box.declare(*self.what)


Act = Send | Wait | Declare


def make_acts(r: Random) -> list[Act]:
    acts: list[Act] = [Declare("segment", name, {"rule": rule}) for name, rule in make_segments(r).items()]
    door, now = make_door(), T0
    for n in range(r.randint(3, 7)):
        match r.choice("eeeetmsd"):
            case "e":
                acts.append(Send(delivered(r, make_events(r, r.choice((2, 10)), now, door, first=n * 100))))
            case "t":
                acts.append(Wait(step := r.choice(STEPS)))
                now += step
            case "m":
                a, b = r.sample(NODES, 2)
                acts.append(Declare("merge", f"c{n}", {"a": a, "b": b, "reason": "tests"}))
            case "s":
                acts.append(Declare("split", f"c{n}", {"nodes": r.sample(NODES, 1), "reason": "tests"}))
            case _:
                acts.append(Declare("segment", "s0", {"rule": make_rules(r)["s0"]}))
    return acts


NODES = [
    to_hex(node_of(SECRET, "default", kind, value))
    for n in range(4)
    for kind, value in (("user_id", f"u{n}"), ("email", f"p{n}@example.com"), ("anonymous_id", f"a{n}-0"))
]


@pytest.mark.parametrize("point", few(["identity", "transitions"], MERGING))
def test_a_crash_in_a_merge_keeps_since_when(make_box: MakeBox, point: str) -> None:
    crashes = Crashes([])
    door = make_door()
    with make_box(checkpoint=crashes) as box:
        box.declare("segment", "seen", {"rule": {"metric": "events", "gte": 1}})
        since = box.clock()
        box.append([door.admit(page(since, "e1", ("user_id", "u1")), b"{}")])
        box.settle()
        box.clock.now += 5_000
        box.append([door.admit(page(since - 1, "e2", ("email", "a@example.com")), b"{}")])
        box.settle()
        box.clock.now += 5_000
        crashes.plan.append((point, 1))
        both = ("user_id", "u1"), ("email", "a@example.com")
        box.append([door.admit(page(box.clock(), "e3", *both), b"{}")])
        settle(box, crashes)
        assert crashes.happened == [point]
        [(profile, entered)] = box.writer.rows(
            "SELECT profile, toUnixTimestamp64Milli(entered_at) FROM memberships FINAL WHERE member"
        )
        assert (profile, entered) == (node_of(SECRET, "default", "email", "a@example.com"), since)


@pytest.mark.parametrize(
    "point", few(["transitions"], ["links", "segments", "events", "transitions", "profile_rows", "commit"])
)
def test_a_rebuild_after_a_crash_tells_nothing_again(make_box: MakeBox, point: str) -> None:
    """Whoever is called about a transition was called before the crash, or is called after it."""
    crashes = Crashes([])
    door = make_door()
    with make_box(checkpoint=crashes) as box:
        box.declare("segment", "seen", {"rule": {"metric": "events", "gte": 1}})
        box.append([door.admit(page(box.clock(), "e1", ("user_id", "u1")), b"{}")])
        box.settle()
        crashes.plan.append((point, 1))
        box.append([door.admit(page(box.clock(), f"e{n}", ("user_id", f"u{n}")), b"{}") for n in range(2, 5)])
        settle(box, crashes, rebuild=True)
        assert crashes.happened == [point]
        told = [orjson.loads(record.value) for record in box.log.read(topics.SEGMENTS, 0, 0, 100)]
        assert [(one["kind"], one["cause"]) for one in told] == [("entered", "event")] * 4
        assert box.told() == box.full()


@pytest.mark.parametrize("point", few(["ids"], ["log_rows", "ids", "links", "profile_rows"]))
def test_copies_are_found_after_a_crash(make_box: MakeBox, point: str) -> None:
    """A client that got no answer sends again."""
    crashes = Crashes([(point, 1)])
    door = make_door()
    with make_box(checkpoint=crashes) as box:
        events = [door.admit(page(box.clock(), f"e{n}", ("user_id", "u1")), b"{}") for n in range(3)]
        box.append(events)
        settle(box, crashes)
        box.append(events)
        settle(box, crashes)
        assert crashes.happened == [point]
        assert box.writer.rows("SELECT dup, count() FROM log_rows FINAL GROUP BY dup ORDER BY dup") == [(0, 3), (1, 3)]
        assert box.writer.rows("SELECT events FROM profile_rows FINAL WHERE live") == [(3,)]


def page(at: int, id: str, *identifiers: tuple[str, str]) -> Incoming:
    return Incoming(
        type="page.viewed",
        id=id,
        source=Source(id="shop"),
        channel="web",
        received_at=at,
        identifiers=identifiers,
    )
