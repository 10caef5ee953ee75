"""What a worker that has lost its partitions, or an insert of unknown outcome, can do: nothing."""

import pyarrow as pa
import pytest

from eventlog.fences import Fences
from schemas import topics
from stream_processors.flow.declarations import EVERY_MS
from stream_processors.state.stage import Superseded
from tests.effort import few
from tests.integration.cluster_cases import (
    MAIL,
    PROFILE_POINTS,
    SEEN,
    SHORT_POINTS,
    U1,
    Make,
    call_about,
    called,
    holder,
    live,
    node,
    rows,
    send,
    stages_over,
    touched,
)
from tests.properties.cluster_world import Cluster
from warehouse.client import Warehouse, Writer

profile_points = pytest.mark.parametrize("point", few(SHORT_POINTS, PROFILE_POINTS))


@profile_points
def test_what_a_zombie_tells_counts_nowhere(make: Make, point: str) -> None:
    cluster = make()
    call_about(cluster, "once", "entered", "exited")
    cluster.declare("segment", "once", {"rule": {"metric": "events", "lte": 1}})
    cluster.settle()
    zombie = touched(cluster, "e1")
    assert cluster.freezes(zombie, "profiles", point)
    send(cluster, "e2", U1, at=cluster.clock() + 1)  # it leaves, which the zombie does not know
    cluster.settle()
    assert isinstance(cluster.wake(zombie), Superseded)
    cluster.settle()
    assert cluster.told() == cluster.full() == {"once": set()}
    assert rows(cluster, "SELECT profile FROM memberships WHERE member = 1") == []
    assert live(cluster) == {node(U1): 2}
    counted = [t["id"] for t in cluster.transitions()]
    assert len(rows(cluster, "SELECT off FROM transitions")) == len(counted) == len(set(counted))
    assert called(cluster) == [t["id"] for t in cluster.transitions() if t["cause"] == "event"]


@profile_points
@pytest.mark.parametrize("how", ["dies", "freezes"])
def test_an_absorbed_profile_does_not_come_back(make: Make, how: str, point: str) -> None:
    """Its first rows are written by a zombie after its end, or by an owner that dies between two tables."""
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    send(cluster, "e0", MAIL, at=cluster.clock() - 1)
    cluster.settle()
    assert getattr(cluster, how)(touched(cluster, "e1"), "profiles", point)
    touched(cluster, "link", MAIL)  # it is absorbed before the next owner looks at it
    cluster.settle()
    for zombie in list(cluster.zombies):
        cluster.wake(zombie)
    cluster.settle()
    assert live(cluster) == {node(MAIL): 3}
    assert rows(cluster, "SELECT profile FROM views WHERE live = 1") == [(node(MAIL),)]
    assert cluster.told() == cluster.full() == {"seen": {node(MAIL)}}


def test_fences_are_the_same_from_wherever_they_are_read(make: Make) -> None:
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    for n in range(5):
        send(cluster, f"e{n}", ("user_id", f"u{n}"))
        cluster.settle()
        cluster.rebalance("profiles", [n % 2, 0, 1])
    fold = Fences()
    for record in cluster.log.read(topics.SEGMENTS, 0, 0, 1_000):
        assert Fences.at(cluster.log, record.offset).terms == fold.terms
        fold.counts(record.value)


@pytest.mark.parametrize(
    "point", few(["log_rows", "links"], ["rejected", "log_rows", "events", "ids", "links", "touched"])
)
def test_rows_of_a_zombie_are_the_new_owners(make: Make, point: str) -> None:
    cluster = make()
    for n in range(9):
        send(cluster, f"e{n % 6}", U1, at=cluster.clock() + n)  # three copies
    zombie = holder(cluster, "events", 0)
    assert cluster.freezes(zombie, "events", point)
    for n in range(9, 12):
        send(cluster, f"e{n}", U1, at=cluster.clock() + n)
    cluster.settle(limit=2)  # in other batches than the zombie's
    cluster.wake(zombie)
    cluster.settle()
    assert rows(cluster, "SELECT dup, count() FROM log_rows GROUP BY dup ORDER BY dup") == [(0, 9), (1, 3)]
    assert live(cluster) == {node(U1): 9}


@pytest.mark.parametrize(("point", "back"), [("ordered", 1), ("filled", 1), ("declared", 2)])
def test_a_position_that_a_zombie_sets_back_is_set_again(make: Make, point: str, back: int) -> None:
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    zombie = holder(cluster, "identity", 0)
    assert cluster.freezes(zombie, "identity", point)
    cluster.declare("segment", "more", {"rule": {"metric": "events", "gte": 2}})
    cluster.settle()
    assert in_effect(cluster) == 2
    cluster.wake(zombie)
    assert in_effect(cluster) == back
    cluster.clock.now += EVERY_MS
    cluster.settle()
    assert in_effect(cluster) == 2


def in_effect(cluster: Cluster) -> int:
    """Up to where declarations are in effect."""
    return cluster.log.committed(topics.PROJECTIONS, topics.REGISTRY)[0]


def test_a_later_owner_is_not_pushed_aside(make: Make) -> None:
    cluster = make()
    late = stages_over(cluster, cluster.writer).profiles
    cluster.rebalance("profiles")
    with pytest.raises(Superseded):
        late.assign({0}, 1)


# Failures


class Shaky(Writer):
    """A warehouse whose answers get lost: the insert is done, or not, and raises."""

    def __init__(self, warehouse: Warehouse, *, done: bool) -> None:
        super().__init__(warehouse, 1)
        self.done = done
        self.fails: str | None = None

    def insert(self, table: str, rows: pa.Table) -> None:
        if table != self.fails:
            super().insert(table, rows)
            return
        self.fails = None
        if self.done:
            super().insert(table, rows)
        raise ConnectionError(table)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("table", ["log_rows", "ids", "events", "traits", "identifiers"])
def test_the_outcome_of_an_insert_is_looked_up(make: Make, table: str, done: bool) -> None:
    cluster = make(workers=1, partitions=1)
    writer = Shaky(cluster.warehouse, done=done)
    stage = stages_over(cluster, writer).events
    stage.assign({0}, 2)
    for n in range(4):
        send(cluster, f"e{n % 3}", U1)
    writer.fails = table
    records = cluster.log.read(topics.EVENTS, 0, 0, 10)
    with pytest.raises(ConnectionError):
        stage.process(records)
    send(cluster, "more", U1)
    stage.process(cluster.log.read(topics.EVENTS, 0, 0, 10))  # the same from the same offset on, and more
    written = "SELECT count(), uniqExact(off) FROM log_rows SETTINGS final = 0"
    assert rows(cluster, written) == [(5, 5)], "no row is written twice"
    assert rows(cluster, "SELECT count() FROM ids") == rows(cluster, "SELECT count() FROM events") == [(4,)]
