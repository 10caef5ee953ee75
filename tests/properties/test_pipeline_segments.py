"""The law of segments, through the whole pipeline: at rest, what was told adds up to what the full computation says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.flow import backfill
from stream_processors.rows import lingering as outbox
from stream_processors.state import cold
from stream_processors.views.find import Views
from stream_processors.views.recent import RecentViews
from tests.properties.installation import House, MakeHouse
from tests.properties.pipeline_life import Life
from tests.properties.pipeline_world import LINGERS, Box, Random, law, make_door, make_events
from tests.properties.segments_world import DAY, SEEDS


@law()
@given(seed=SEEDS, batch=st.sampled_from((3, 20, 5_000)), cached=st.sampled_from((1, 2, 100_000)))
def test_told_equals_full(make_house: MakeHouse, seed: int, batch: int, cached: int) -> None:
    r = Random(seed)
    world = make_house(batch=batch, cached_profiles=cached, linger=r.choice(LINGERS))
    with pytest.MonkeyPatch.context() as patch, world as box:
        patch.setattr(outbox, "_WRITE_AT", r.choice((1, 5, 5_000)))
        patch.setattr(backfill, "TOGETHER", r.choice((1, 10, 300)))
        life = Life(r, box)
        for _ in range(r.choice((3, 5, 8))):
            for _ in range(r.randint(1, 3)):
                life.something_happens()
            box.settle()
            check(box)


def test_what_was_looked_at_is_due_no_more(make_house: MakeHouse) -> None:
    """Moments at which nothing changed after all: else they would be looked at again and again."""
    never = {"trait": "nothing", "exists": True}
    with make_house() as box:
        box.declare("segment", "dated", {"rule": {"all": [never, {"trait": "when", "within": "7d"}]}})
        seen = {"event": "page.viewed", "count": {"gte": 2}, "within": "1d"}
        box.declare("segment", "seen", {"rule": {"all": [never, seen]}})
        box.append(make_events(Random(2), 200, box.clock(), make_door(), people=30))
        box.settle()
        for _ in range(8):
            box.clock.now += DAY
            looked_at = len(due(box))
            before = box.writer.rows("SELECT count() FROM profile_rows")[0][0]
            box.settle()
            assert due(box) == []
            assert box.writer.rows("SELECT count() FROM profile_rows")[0][0] - before <= looked_at


def check(box: House) -> None:
    told = box.told()
    assert told == box.full() | {name: set() for name in told.keys() - box.rules().keys()}
    rows = box.writer.rows("SELECT profile, segments, entered FROM views FINAL WHERE live")
    since = {(s, profile, at) for profile, segments, entered in rows for s, at in zip(segments, entered, strict=True)}
    said = {(segment, profile) for segment, profile, _ in since}
    assert said == {(segment, profile) for segment, profiles in told.items() for profile in profiles}
    listed = box.writer.rows("SELECT segment, profile, entered_at FROM memberships FINAL WHERE member")
    assert set(listed) == since
    if isinstance(box, Box):
        check_views(box)
    assert not due(box), "what has been looked at is due no more"


def due(box: House) -> list[int]:
    return cold.due(box.writer, box.clock())


def check_views(box: Box) -> None:
    """What is shown from memory is what is in the warehouse."""
    reader = box.warehouse.reader(lambda: box.generation)
    shown, stored = Views(reader, box.recent), Views(reader, RecentViews())
    nodes = [node for (node,) in box.writer.rows("SELECT DISTINCT node FROM identity")]
    owners = stored.owners(nodes)
    assert shown.owners(nodes) == owners
    profiles = sorted(set(owners.values()))
    assert shown.of(profiles) == stored.of(profiles)
    assert all(shown.of_node(node) == stored.of_node(node) for node in nodes[:10])
