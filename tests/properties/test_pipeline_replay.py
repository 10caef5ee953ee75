"""The laws of replay and of stewards: a replay changes nothing, a split takes a merge back as if it had never been."""

from hypothesis import given
from hypothesis import strategies as st

from producers.door import Verdict
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_life import Life
from tests.properties.pipeline_world import (
    LINGERS,
    STEPS,
    Random,
    dump,
    law,
    make_door,
    make_events,
    make_segments,
    nodes_hex,
)
from tests.properties.segments_world import SEEDS


@law()
@given(seed=SEEDS, batch=st.sampled_from((3, 20, 5_000)))
def test_replay_equals_live(make_house: MakeHouse, seed: int, batch: int) -> None:
    r = Random(seed)
    with make_house(batch=batch, partitions=r.choice((1, 3)), linger=r.choice(LINGERS)) as box:
        life = Life(r, box)
        for _ in range(2):
            for _ in range(r.choice((2, 8))):
                life.something_happens()
                if r.random() < 0.5:
                    box.settle()
            box.settle()
            live = dump(box, history=True)
            box.replay()
            box.settle()
            assert dump(box, history=True) == live


@law()
@given(seed=SEEDS, passes=st.sampled_from(STEPS))
def test_merge_and_split_equal_never_merged(make_house: MakeHouse, seed: int, passes: int) -> None:
    r = Random(seed)
    segments = make_segments(r)
    with make_house() as merged, make_house() as never:
        early, later, last = (events_of_both(r, merged.clock() + n * passes, n) for n in range(3))
        for box in (merged, never):
            for name, rule in segments.items():
                box.declare("segment", name, {"rule": rule})
            box.append(early)
            box.settle()
        a, b = (r.choice(profiles_of(never, side)) for side in "xy")
        merged.command("merge", a=nodes_hex([a])[0], b=nodes_hex([b])[0])
        merged.settle()
        assert merged.graph.profile_of(a) == merged.graph.profile_of(b)
        for box in (merged, never):
            box.clock.now += passes
            box.append(later)
            box.settle()
        together = merged.graph.nodes_of(merged.graph.profile_of(b))
        leaving = set(never.graph.nodes_of(never.graph.profile_of(b))) & set(together)
        merged.command("split", nodes=nodes_hex(leaving))
        merged.settle()  # before the last events: whose links come after it, on a cluster, too
        for box in (merged, never):
            box.clock.now += passes
            box.append(last)
            box.settle()
        assert outcome(merged) == outcome(never)
        merged.replay()
        merged.settle()
        assert outcome(merged) == outcome(never)


def events_of_both(r: Random, now: int, round: int) -> list[Verdict]:
    """Of people of two groups that nothing links."""
    door = make_door()
    return [
        event for side in "xy" for event in make_events(r, r.choice((6, 12)), now, door, group=side, first=round * 100)
    ]


def profiles_of(box: House, side: str) -> list[int]:
    """The live profiles of one group's people, by their identifiers' values."""
    rows = box.writer.rows("SELECT profile, identities.value FROM profile_rows FINAL WHERE live ORDER BY profile")
    return [profile for profile, values in rows if values[0].startswith(side)]


def outcome(box: House) -> dict[str, object]:
    """Who is who, the profiles and the members; not since when: what was told in between stays told."""
    found = dump(box)
    names = ("profiles", "identity", "members", "traits", "identifiers", "events")
    return {name: found[name] for name in names} | {"told": box.told()}
