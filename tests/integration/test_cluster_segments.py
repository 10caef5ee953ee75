"""Segments, time and views on a cluster, case by case."""

import pytest

from schemas import topics
from tests.integration.cluster_cases import SEEN, U1, Make, call_about, called, entered, live, node, rows, send, touched
from tests.properties.points import Killed
from tests.properties.segments_world import DAY


def test_a_segment_is_filled_before_it_is_answered(make: Make) -> None:
    cluster = make()
    for n in range(8):
        send(cluster, f"e{n}", ("user_id", f"u{n}"))
    cluster.settle()
    cluster.declare("segment", "seen", {"rule": SEEN})
    steps = 0
    while cluster.log.committed(topics.PROJECTIONS, topics.REGISTRY)[0] < 1:
        send(cluster, f"meanwhile{steps}", ("user_id", f"v{steps}"))  # life goes on
        for worker in cluster.workers:
            for stage in ("events", "identity", "profiles"):
                cluster.step(worker, stage)
        steps += 1
        assert steps < 20
    there_before = {node(("user_id", f"u{n}")) for n in range(8)}
    assert cluster.told()["seen"] >= there_before
    causes = {t["cause"] for t in cluster.transitions() if int(t["profile"], 16) in there_before}
    assert causes == {"backfill"}, "no trigger is called for a back-fill"
    cluster.settle()
    send(cluster, "after", ("user_id", "w"))
    cluster.settle()
    assert cluster.transitions()[-1]["cause"] == "event"
    assert cluster.told() == cluster.full()


def test_an_edit_and_a_deletion_tell_who_leaves(make: Make) -> None:
    cluster = make()
    send(cluster, "e1", U1)
    cluster.declare("segment", "seen", {"rule": SEEN})
    cluster.settle()
    cluster.declare("segment", "seen", {"rule": {"metric": "events", "gte": 2}})
    cluster.settle()
    cluster.declare("segment", "seen", {"rule": SEEN})
    cluster.settle()
    cluster.registry.withdraw("segment", "seen", "tests")
    cluster.settle()
    told = [(t["kind"], t["cause"]) for t in cluster.transitions()]
    assert told == [("entered", "backfill"), ("exited", "edited"), ("entered", "edited"), ("exited", "deleted")]
    assert rows(cluster, "SELECT segments FROM profile_rows WHERE live = 1") == [([],)]


def test_time_alone_changes_memberships(make: Make) -> None:
    cluster = make()
    cluster.declare("segment", "recent", {"rule": {"event": "page.viewed", "count": {"gte": 1}, "within": "1d"}})
    cluster.settle()
    for n in range(6):
        send(cluster, f"e{n}", ("user_id", f"u{n}"))
    cluster.settle()
    assert len(cluster.told()["recent"]) == 6
    cluster.clock.now += DAY
    cluster.settle()
    assert cluster.told() == cluster.full() == {"recent": set()}
    assert [t["cause"] for t in cluster.transitions()] == ["event"] * 6 + ["time"] * 6


def test_an_owner_whose_clock_is_behind_goes_on(make: Make) -> None:
    """What was told lies in its future."""
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    send(cluster, "e1", U1)
    cluster.settle()
    since = cluster.clock()
    cluster.clock.now -= 1_000
    for worker in list(cluster.workers):
        cluster.replace(worker)
    send(cluster, "e2", U1)
    cluster.settle()
    assert live(cluster) == {node(U1): 2}
    assert entered(cluster) == {node(U1): since}
    assert len(cluster.transitions()) == 1


# Views


def test_a_view_shows_what_is_told_before_anybody_is_called(make: Make) -> None:
    """The owner dies as soon as a transition is in the log, where triggers find it."""
    cluster = make()
    call_about(cluster, "seen", "entered")
    cluster.declare("segment", "seen", {"rule": SEEN})
    cluster.settle()
    owner = touched(cluster, "e1")
    cluster.clock.now += 1_000
    assert cluster.dies(owner, "profiles", "segments")
    assert len(called(cluster)) == 1
    [told] = cluster.transitions()
    shown = "SELECT segments, toUnixTimestamp64Milli(entered[1]), JSONExtractUInt(view, 'events') FROM views"
    assert rows(cluster, shown) == [(["seen"], told["entered_at"], 1)]


def test_what_was_shown_and_not_told_is_shown_anew(make: Make) -> None:
    """The try that failed after its rows showed another moment than the one that was told in the end."""
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    cluster.settle()
    owner = touched(cluster, "e1")
    owner.points.dies_at = "profile_rows"
    with pytest.raises(Killed):
        cluster.step(owner, "profiles")
    assert cluster.transitions() == []
    assert rows(cluster, "SELECT segments FROM views") == [(["seen"],)]
    cluster.clock.now += 1_000
    cluster.settle()
    [told] = cluster.transitions()
    latest = "SELECT toUnixTimestamp64Milli(argMax(entered, ver)[1]) FROM views"
    assert rows(cluster, latest) == [(told["entered_at"],)]


# Zombies
