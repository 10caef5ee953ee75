"""The cluster's stages, case by case: who is who, and profiles in memory."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from identity.nodes import to_hex
from schemas import topics
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.state import touches
from stream_processors.state.touches import Touch
from tests.effort import few
from tests.integration.cluster_cases import (
    MAIL,
    PROFILE_POINTS,
    SEEN,
    SHORT_POINTS,
    U1,
    Make,
    entered,
    holder,
    live,
    node,
    owner_of,
    rows,
    send,
    stages_over,
)
from tests.properties.cluster_world import Cluster
from tests.properties.segments_world import DAY
from warehouse.client import Warehouse, Writer

IDENTITY_POINTS = ("members", "identity", "links", "touched")


def test_a_copy_changes_nothing_and_what_it_says_otherwise_is_kept_once(make: Make) -> None:
    """Whoever processes the copy, in the batch of the first one or long after it, and however often."""
    cluster = make()
    send(cluster, "e1", U1)
    send(cluster, "e1", MAIL, at=cluster.clock() + 5)
    cluster.settle()
    for worker in cluster.workers:
        cluster.rewind(worker, "events")
    cluster.settle()
    for stage in ("events", "identity", "profiles"):
        cluster.rebalance(stage, [1, 0, 1][: len(cluster.partitions_of(stage))])
    send(cluster, "e1", MAIL, at=cluster.clock() + 9)
    send(cluster, "e1", U1, at=cluster.clock() + 9)
    cluster.settle()
    assert live(cluster) == {node(U1): 1}
    assert rows(cluster, "SELECT DISTINCT node FROM identifiers") == [(node(U1),)]
    assert rows(cluster, "SELECT dup, count() FROM log_rows GROUP BY dup ORDER BY dup") == [(0, 1), (1, 3)]
    kept = [orjson.loads(record.value) for record in cluster.log.read(topics.REJECTED, 0, 0, 10)]
    assert [(one["source"], one["id"], one["code"]) for one in kept] == [("shop", "e1", "conflicting_copy")]


def test_events_of_one_person_seen_by_two_workers_are_one_profile(make: Make) -> None:
    cluster = make()
    start = cluster.clock()
    for n in range(12):
        send(cluster, f"e{n}", (U1, MAIL)[n % 2], at=start + n)
    cluster.settle()
    assert len({r.partition for p in range(3) for r in cluster.log.read(topics.EVENTS, p, 0, 9)}) == 3
    assert live(cluster) == {node(U1): 6, node(MAIL): 6}
    send(cluster, "link", U1, MAIL, at=start + 50)
    cluster.settle()
    assert live(cluster) == {node(U1): 13}
    send(cluster, "later", MAIL, at=start + 60)
    cluster.settle()
    assert live(cluster) == {node(U1): 14}


def test_known_evidence_is_not_told_again(make: Make) -> None:
    cluster = make(workers=1)
    for n in range(5):
        send(cluster, f"e{n}", U1, MAIL, at=cluster.clock() + n)
        cluster.settle()
    assert cluster.log.ends(topics.IDENTITY) == [1]
    assert live(cluster) == {node(U1): 5}
    cluster.replace(cluster.workers[0])  # with an empty cache: the tables know
    send(cluster, "e9", U1, MAIL, at=cluster.clock() + 9)
    cluster.settle()
    assert cluster.log.ends(topics.IDENTITY) == [1]
    send(cluster, "early", U1, MAIL, at=cluster.clock() - 5)  # an earlier first sight is news
    cluster.settle()
    assert cluster.log.ends(topics.IDENTITY) == [2]
    assert live(cluster) == {node(U1): 7}


def test_a_touch_of_an_absorbed_profile_reaches_its_heir(make: Make) -> None:
    cluster = make()
    start = cluster.clock()
    send(cluster, "e1", U1, at=start)
    send(cluster, "e2", MAIL, at=start + 1)
    cluster.settle()
    send(cluster, "e3", U1, MAIL, at=start + 2)
    cluster.settle()
    before = dict(cluster.writer.rows("SELECT profile, ver FROM profile_rows WHERE live = 1"))
    cluster.write(topics.TOUCHED, [touches.message(Touch(node(MAIL), touches.EVENT))])
    cluster.settle()
    after = dict(cluster.writer.rows("SELECT profile, ver FROM profile_rows WHERE live = 1"))
    assert after.keys() == before.keys() == {node(U1)}
    assert after[node(U1)] > before[node(U1)]


def test_a_touch_finds_its_nodes_wherever_they_are_now(make: Make) -> None:
    """After a split a worker may still take a node for its old profile's."""
    cluster = make()
    send(cluster, "e1", U1, MAIL)
    cluster.settle()
    cluster.command("split", nodes=[to_hex(node(MAIL))])
    cluster.settle()
    send(cluster, "e2", MAIL)  # the events stage's cache says: U1's
    cluster.settle()
    assert live(cluster) == {node(U1): 1, node(MAIL): 1}


@pytest.mark.parametrize("at", few(
    [("identity", "links"), *(("profiles", point) for point in SHORT_POINTS)],
    [*(("identity", point) for point in IDENTITY_POINTS), *(("profiles", point) for point in PROFILE_POINTS)],
), ids="-".join)  # fmt: skip
@pytest.mark.parametrize("how", ["dies", "fails"])
def test_a_merge_keeps_since_when(make: Make, at: tuple[str, str], how: str) -> None:
    cluster, (stage, point) = make(), at
    cluster.declare("segment", "seen", {"rule": SEEN})
    cluster.settle()
    since = cluster.clock()
    send(cluster, "e1", U1)
    cluster.settle()
    cluster.clock.now += 5_000
    send(cluster, "e2", MAIL, at=since - 1)
    cluster.settle()
    cluster.clock.now += 5_000
    assert entered(cluster) == {node(U1): since, node(MAIL): since + 5_000}
    send(cluster, "e3", U1, MAIL)
    for worker in cluster.workers:
        cluster.step(worker, "events")
    if stage == "identity":
        assert getattr(cluster, how)(holder(cluster, "identity", 0), stage, point)
    else:
        cluster.step(holder(cluster, "identity", 0), "identity")
        assert getattr(cluster, how)(owner_of(cluster, node(U1)), stage, point)
    cluster.settle()
    assert entered(cluster) == {node(MAIL): since}, "the older moment, under the older profile"
    assert cluster.told() == cluster.full() == {"seen": {node(MAIL)}}


def test_a_split_gives_the_old_profiles_back(make: Make) -> None:
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    send(cluster, "e1", U1)
    send(cluster, "e2", MAIL, at=cluster.clock() + 1)
    cluster.settle()
    cluster.command("merge", a=to_hex(node(U1)), b=to_hex(node(MAIL)))
    cluster.settle()
    assert live(cluster) == {node(U1): 2}
    cluster.command("split", nodes=[to_hex(node(MAIL))])
    cluster.settle()
    assert live(cluster) == {node(U1): 1, node(MAIL): 1}
    assert cluster.told() == cluster.full() == {"seen": {node(U1), node(MAIL)}}
    causes = [(t["profile"], t["kind"], t["cause"]) for t in cluster.transitions()]
    mail = to_hex(node(MAIL))
    assert causes[-2:] == [(mail, "exited", "merge"), (mail, "entered", "split")]


# Profiles in memory


class Counting(Writer):
    """Counts the rows that are read from the table `events`."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse, 1)
        self.events_read = 0

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        found = super().rows(sql, parameters)
        self.events_read += len(found) if " FROM events " in sql else 0
        return found


def look(stage: ProfilesStage, cluster: Cluster, positions: dict[int, int]) -> None:
    """Let a stage of our own see to what was touched since."""
    for part, position in positions.items():
        records = cluster.log.read(topics.TOUCHED, part, position, 1_000)
        stage.process(records)
        positions[part] = position + len(records)


def test_a_profile_in_memory_reads_what_is_new(make: Make) -> None:
    cluster = make()
    cluster.declare("segment", "viewers", {"rule": {"event": "page.viewed", "count": {"gte": 51}}})
    writer = Counting(cluster.warehouse)
    own = stages_over(cluster, writer)
    stage = own.profiles
    positions = stage.assign(cluster.partitions_of("profiles"), 9)

    def come(first: int, number: int, who: tuple[str, str] = U1) -> int:
        for n in range(number):
            send(cluster, f"e{first + n}", who, at=cluster.clock() + first + n)
        for worker in cluster.workers:
            cluster.step(worker, "events")
        cluster.step(holder(cluster, "identity", 0), "identity")
        for worker in cluster.workers:
            cluster.step(worker, "events")  # whose links are known by now
        before = writer.events_read
        look(stage, cluster, positions)
        return writer.events_read - before

    come(0, 50)
    cluster.clock.now += 61_000  # the filter of news looks again
    assert come(50, 0) == 0, "nothing is new"
    assert come(50, 3) == 3, "of 53 events"
    assert come(53, 20, MAIL) == 1, "another's, as one sum"
    assert come(73, 2) == 2
    assert live(cluster) == {node(U1): 55, node(MAIL): 20}
    assert [(t["profile"], t["kind"]) for t in cluster.transitions()] == [(to_hex(node(U1)), "entered")]
    own.states.forget()
    assert come(75, 2) == 1, "all 57, as one sum"
    assert live(cluster) == {node(U1): 57, node(MAIL): 20}


@pytest.mark.parametrize("cached", [(1, 1_000), pytest.param((2,), marks=pytest.mark.soak)])
def test_profiles_in_memory_change_nothing(make: Make, cached: tuple[int, ...]) -> None:
    """The same story, told by owners who remember and by owners who do not, ends in the same rows."""
    ends = []
    for remembered in (*cached, 0):
        cluster = make(cached_profiles=remembered)
        cluster.declare("segment", "seen", {"rule": {"event": "page.viewed", "count": {"gte": 2}, "within": "1d"}})
        for n in range(24):
            who = (U1, MAIL, ("user_id", f"u{n % 4 + 2}"))
            send(cluster, f"e{n}", who[n % 3], at=cluster.clock() + n)
            if n == 12:
                send(cluster, "link", U1, MAIL)
            if n == 21:
                cluster.command("split", nodes=[to_hex(node(MAIL))])
            cluster.settle()
            cluster.clock.now += DAY // 10
        ends.append(told_and_shown(cluster))
        assert cluster.told() == cluster.full()
    assert all(end == ends[-1] for end in ends)


def told_and_shown(cluster: Cluster) -> list[Any]:
    told = [{name: t[name] for name in t if name not in ("id", "owner")} for t in cluster.transitions()]
    shown = [f"SELECT * EXCEPT ver FROM {table} ORDER BY profile" for table in ("views", "profile_rows")]
    return [told, *(rows(cluster, sql) for sql in shown)]


# Declarations and time
