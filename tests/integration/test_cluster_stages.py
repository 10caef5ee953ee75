"""The cluster's stages, case by case: two workers on one log and one warehouse (see `cluster_world`)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from destinations.intake import Intake
from eventlog.fences import Fences
from eventlog.port import Record
from identity.nodes import node_of, to_hex
from producers.incoming import Incoming
from registry.models import Source
from schemas import topics
from schemas.errors import Broken
from stream_processors.flow.declarations import EVERY_MS
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.flow.topology import TOPOLOGY
from stream_processors.host.worker import WorkerStages
from stream_processors.state import touches
from stream_processors.state.live_segments import REGISTRY_GROUP
from stream_processors.state.stage import Superseded
from stream_processors.state.teller import told_group
from stream_processors.state.touches import Touch
from tests.properties.cluster_world import Cluster, Killed, Worker
from tests.properties.pipeline_world import SECRET, make_door
from tests.properties.segments_world import DAY
from warehouse.client import Warehouse, Writer

U1 = ("user_id", "u1")
MAIL = ("email", "a@example.com")
SEEN = {"metric": "events", "gte": 1}
PROFILE_POINTS = ("passed_on", "views", "profile_rows", "segments", "transitions", "memberships")

Make = Callable[..., Cluster]


@pytest.fixture
def make(chdb_dsn: str, tmp_path: Path) -> Iterator[Make]:
    made: list[Cluster] = []

    def new(**settings: Any) -> Cluster:
        made.append(Cluster(chdb_dsn, tmp_path, **settings))
        return made[-1]

    yield new
    for cluster in made:
        cluster.close()


def node(identifier: tuple[str, str]) -> int:
    return node_of(SECRET, "default", *identifier)


def send(cluster: Cluster, id: str, *identifiers: tuple[str, str], at: int | None = None) -> None:
    event = Incoming(
        type="page.viewed",
        id=id,
        source=Source(id="shop"),
        channel="web",
        received_at=cluster.clock() if at is None else at,
        identifiers=identifiers,
    )
    cluster.append([make_door().admit(event, b"{}")])


def rows(cluster: Cluster, sql: str) -> list[tuple[Any, ...]]:
    return cluster.writer.rows(sql)


def live(cluster: Cluster) -> dict[int, int]:
    """Profile -> its events, of those alive."""
    return dict(cluster.writer.rows("SELECT profile, events FROM profile_rows WHERE live = 1"))


def entered(cluster: Cluster) -> dict[int, int]:
    sql = "SELECT profile, toUnixTimestamp64Milli(entered_at) FROM memberships WHERE member = 1"
    return dict(cluster.writer.rows(sql))


def holder(cluster: Cluster, stage: str, part: int) -> Worker:
    return next(worker for worker in cluster.workers if part in worker.positions[stage])


def owner_of(cluster: Cluster, profile: int) -> Worker:
    """The worker that owns a profile: its last touch says in which partition."""
    key = to_hex(profile).encode()
    for part in cluster.partitions_of("profiles"):
        if any(record.key == key for record in cluster.log.read(topics.TOUCHED, part, 0, 1_000)):
            return holder(cluster, "profiles", part)
    raise AssertionError("never touched")


def touched(cluster: Cluster, id: str, *others: tuple[str, str]) -> Worker:
    """An event of U1 goes as far as its touch; the worker that is to look at the profile next."""
    send(cluster, id, U1, *others)
    for worker in cluster.workers:
        cluster.step(worker, "events")
    cluster.step(holder(cluster, "identity", 0), "identity")
    return owner_of(cluster, node(U1))


def call_about(cluster: Cluster, segment: str, *on: str) -> None:
    hook = {"url": "https://example.com/hook", "secret": "whsec_" + "c2VjcmV0" * 4}
    cluster.declare("trigger", "hook", {"segment": segment, "on": list(on), "webhook": hook})


def called(cluster: Cluster) -> list[str]:
    """The transitions that triggers are called for."""

    def reached(_: str) -> None: ...

    log = cluster.log
    intake = Intake(
        log,
        cluster.registry,
        lambda _: {},
        cluster.clock,
        reached=reached,
        known=set(),
        shown=lambda: log.ends(topics.SEGMENTS),
    )
    return [delivery.transition for delivery in intake.take().deliveries]


# Who is who


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


@pytest.mark.parametrize(
    ("stage", "point"),
    [("identity", p) for p in ("members", "identity", "links", "touched")] + [("profiles", p) for p in PROFILE_POINTS],
)
@pytest.mark.parametrize("how", ["dies", "fails"])
def test_a_merge_keeps_since_when(make: Make, stage: str, point: str, how: str) -> None:
    cluster = make()
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


def stages_over(cluster: Cluster, writer: Writer) -> WorkerStages:
    """One more worker, with a writer of its own."""
    return WorkerStages(cluster.log, writer, cluster.warehouse.reader(lambda: 1), cluster.clock)


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


@pytest.mark.parametrize("cached", [1, 2, 1_000])
def test_profiles_in_memory_change_nothing(make: Make, cached: int) -> None:
    """The same story, told by owners who remember and by owners who do not, ends in the same rows."""
    ends = []
    for remembered in (cached, 0):
        cluster = make(cached_profiles=remembered)
        cluster.declare("segment", "seen", {"rule": {"event": "page.viewed", "count": {"gte": 2}, "within": "1d"}})
        for n in range(30):
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
    assert ends[0] == ends[1]


def told_and_shown(cluster: Cluster) -> list[Any]:
    told = [{name: t[name] for name in t if name not in ("id", "owner")} for t in cluster.transitions()]
    shown = [f"SELECT * EXCEPT ver FROM {table} ORDER BY profile" for table in ("views", "profile_rows")]
    return [told, *(rows(cluster, sql) for sql in shown)]


# Declarations and time


def test_a_segment_is_filled_before_it_is_answered(make: Make) -> None:
    cluster = make()
    for n in range(8):
        send(cluster, f"e{n}", ("user_id", f"u{n}"))
    cluster.settle()
    cluster.declare("segment", "seen", {"rule": SEEN})
    steps = 0
    while cluster.log.committed(REGISTRY_GROUP, topics.REGISTRY)[0] < 1:
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


@pytest.mark.parametrize("point", PROFILE_POINTS)
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


@pytest.mark.parametrize("point", PROFILE_POINTS)
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


@pytest.mark.parametrize("point", ["rejected", "log_rows", "events", "ids", "links", "touched"])
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
    return cluster.log.committed(REGISTRY_GROUP, topics.REGISTRY)[0]


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


def test_a_gap_is_refused(make: Make) -> None:
    cluster = make(workers=1, partitions=1)
    for n in range(3):
        send(cluster, f"e{n}", U1)
    stage = cluster.workers[0].stages["events"]
    with pytest.raises(Broken):
        stage.process(cluster.log.read(topics.EVENTS, 0, 1, 10))
    first, _, third = cluster.log.read(topics.EVENTS, 0, 0, 10)
    with pytest.raises(Broken):
        stage.process([first, third])


def test_a_log_that_is_shorter_than_its_rows_is_refused(make: Make) -> None:
    cluster = make(workers=1, partitions=1)
    places = {"part": [0], "off": [9], "gen": [1], "dup": [0]}
    types = {"part": pa.uint16(), "off": pa.uint64(), "gen": pa.uint32(), "dup": pa.uint8()}
    cluster.writer.insert("log_rows", pa.table({name: pa.array(v, types[name]) for name, v in places.items()}))
    with pytest.raises(Broken):
        stages_over(cluster, cluster.writer).events.assign({0}, 2)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"kind":"link"}',
        b'{"profile":"x","cause":"event"}',
        b'{"kind":"link","received_at":"x","nodes":[["%032d","email"]]}' % 7,
        b'{"kind":"merge","command":1,"at":1}',
    ],
)
def test_bad_records_stop_nothing(make: Make, value: bytes) -> None:
    cluster = make(workers=1)
    for topic in (topics.EVENTS, topics.IDENTITY, topics.TOUCHED):
        cluster.write(topic, [(b"bad", value)])
    send(cluster, "e1", U1)
    cluster.settle()
    assert live(cluster) == {node(U1): 1}
    cluster.replace(cluster.workers[0])
    cluster.settle()


def test_tables_that_were_lost_are_filled_once_positions_are_set_back(make: Make) -> None:
    """The list of positions is in docs/operations.md."""
    cluster = make()
    cluster.declare("segment", "seen", {"rule": SEEN})
    for n in range(6):
        send(cluster, f"e{n}", ("user_id", f"u{n}"), ("email", f"p{n // 2}@example.com"))
    cluster.settle()
    before = lasting(cluster)
    cluster.warehouse.drop(1)
    cluster.warehouse.migrate(1)
    cluster.log.commit("identity", {topics.IDENTITY: {0: 0}})
    for part in range(cluster.partitions):
        cluster.log.commit(told_group(part), {topics.SEGMENTS: {0: 0}})
    for worker in list(cluster.workers):
        cluster.replace(worker)
    cluster.settle(limit=1)
    assert lasting(cluster) == before
    assert cluster.told() == cluster.full()


def lasting(cluster: Cluster) -> list[list[tuple[Any, ...]]]:
    """What does not depend on when it was looked at."""
    return [
        rows(cluster, "SELECT node, profile FROM identity ORDER BY node"),
        rows(cluster, "SELECT profile, node FROM members WHERE live ORDER BY profile, node"),
        rows(cluster, "SELECT profile, events, segments FROM profile_rows WHERE live ORDER BY profile"),
        rows(cluster, "SELECT * FROM decisions ORDER BY ALL"),
        rows(cluster, "SELECT key, part, off FROM ids ORDER BY ALL"),
    ]


def test_offsets_come_back_after_a_rewind(make: Make) -> None:
    cluster = make(workers=1, partitions=1)
    for n in range(10):
        send(cluster, f"e{n}", U1)
    cluster.settle()
    worker = cluster.workers[0]
    records: list[Record] = cluster.log.read(topics.EVENTS, 0, 4, 3)
    worker.stages["events"].process(records)
    assert worker.stages["events"].assign({0}, 9) == {0: 10}
    assert live(cluster) == {node(U1): 10}


def test_the_stages_are_those_of_the_topology(make: Make) -> None:
    declared = {stage.name: (stage.reads, stage.group) for stage in TOPOLOGY}
    for name, stage in make(workers=1).workers[0].stages.items():
        assert declared[name] == ((stage.topic,), stage.group)
        assert name == stage.name
