"""A worker of a cluster stands still while somebody is forgotten, and goes on when that is done: it leaves nothing, or
what it leaves is found within the hour. And a log from before, restored beside the keys of today, tells nothing.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from identity.nodes import to_hex
from producers.door import Refused
from producers.incoming import Context, Incoming, Traits, Values
from tests.effort import few
from tests.properties.cluster_world import Cluster
from tests.properties.pipeline_world import SOURCES
from tests.properties.points import Killed
from tests.properties.segments_world import T0
from tests.properties.test_pipeline_erasure import check_nothing_left, door_of

STOPS = [("events", "rejected"), ("events", "traits"), ("events", "log_rows"), ("profiles", "views")]
HOUR_MS = 3_600_000
WHO: Values = (("user_id", "u1"), ("email", "s@example.com"))


def event_of(cluster: Cluster, id: str, city: str, who: Values) -> Incoming:
    return Incoming(
        type="profile.identified", id=id, source=SOURCES[0], channel="web", received_at=cluster.clock(),
        identifiers=who, traits=Traits({"city": city}), context=Context({"ip": "192.0.2.1"}), name="Sara",
    )  # fmt: skip


def identified(cluster: Cluster, id: str, city: str, who: Values = WHO) -> None:
    verdict = door_of(cluster).admit(event_of(cluster, id, city, who), b"{}")
    assert not isinstance(verdict, Refused)
    cluster.append([verdict])


def somebody(cluster: Cluster) -> int:
    """Their node. One event has been processed, and another one waits."""
    identified(cluster, "e1", "Shiraz")
    cluster.settle()
    node = door_of(cluster).identifiers.node(SOURCES[0], *WHO[0])
    assert node is not None
    identified(cluster, "e2", "Isfahan")
    return node


def forget(cluster: Cluster, node: int) -> set[int]:
    nodes = set(cluster.graph.nodes_of(cluster.graph.profile_of(node)))
    cluster.declare("erase", "r1", {"profile": to_hex(node), "reason": "tests"})
    cluster.settle()
    cluster.registry.refresh()
    assert cluster.registry.erasures.requests["r1"].state == "unreadable"
    return nodes


@pytest.mark.parametrize("stop", few([("events", "rejected"), ("profiles", "views")], STOPS), ids="-".join)
def test_a_worker_that_stood_still_leaves_nothing(chdb_dsn: str, tmp_path: Path, stop: tuple[str, str]) -> None:
    stage, point = stop
    cluster = Cluster(chdb_dsn, tmp_path, sealed=True, now=T0)
    try:
        node = somebody(cluster)
        for upstream in ("events", "identity") if stage == "profiles" else ():
            for worker in cluster.workers:
                cluster.step(worker, upstream)
        stopped = False
        for _ in range(3):
            for worker in list(cluster.workers):
                stopped = stopped or cluster.freezes(worker, stage, point)
            if stopped:
                break
        assert stopped, f"nobody reached {point}"
        nodes = forget(cluster, node)
        cluster.wake(cluster.zombies[0])
        check_nothing_left(cluster, nodes)
    finally:
        cluster.close()


def test_what_was_read_before_is_written_without_what_it_tells(chdb_dsn: str, tmp_path: Path) -> None:
    cluster = Cluster(chdb_dsn, tmp_path, sealed=True, now=T0, workers=1)
    try:
        node = somebody(cluster)
        [worker] = cluster.workers
        read = cluster.read(worker, "events", 10)
        assert any(b"Isfahan" in record.value for record in read)
        nodes = forget(cluster, node)
        worker.own.events.process(read)
        check_nothing_left(cluster, nodes)
    finally:
        cluster.close()


def test_what_a_worker_left_that_was_killed_on_waking_is_found_within_the_hour(chdb_dsn: str, tmp_path: Path) -> None:
    cluster = Cluster(chdb_dsn, tmp_path, sealed=True, now=T0)
    try:
        node = somebody(cluster)
        assert any(cluster.freezes(worker, "events", "rejected") for worker in list(cluster.workers))
        nodes = forget(cluster, node)
        [zombie] = cluster.zombies
        zombie.points.dies_at = "log_rows"  # its rows are written, and it has not asked again who is forgotten
        with suppress(Killed):
            cluster.wake(zombie)
        left = "SELECT value FROM traits WHERE node IN {nodes:Array(UInt128)}"
        assert "Isfahan" in str(cluster.writer.rows(left, {"nodes": sorted(nodes)}))
        cluster.clock.now += HOUR_MS
        cluster.settle()
        check_nothing_left(cluster, nodes)
    finally:
        cluster.close()


def test_a_log_from_before_tells_nothing_beside_the_keys_of_today(chdb_dsn: str, tmp_path: Path) -> None:
    cluster = Cluster(chdb_dsn, tmp_path, sealed=True, now=T0)
    kept = tmp_path / "yesterday.sqlite"
    try:
        node = somebody(cluster)
        identified(cluster, "e3", "Tabriz", (("user_id", "u2"),))
        cluster.settle()
        with closing(sqlite3.connect(cluster.log_path)) as log, closing(sqlite3.connect(kept)) as copy:
            log.backup(copy)
        nodes = forget(cluster, node)
    finally:
        cluster.close()

    restored = Cluster(chdb_dsn, tmp_path, sealed=True, now=T0 + HOUR_MS, log=kept, keys=cluster.keys_path)
    try:
        restored.replay()
        restored.settle()
        values = str(restored.writer.rows("SELECT value FROM traits"))
        assert ("Tabriz" in values, "Shiraz" in values, "Isfahan" in values) == (True, False, False)
        assert forget(restored, node) == nodes, "who belonged together is known; erasing them again does no harm"
        check_nothing_left(restored, nodes)
        assert isinstance(door_of(restored).admit(event_of(restored, "e4", "Yazd", WHO), b"{}"), Refused)
        assert "Tabriz" in str(restored.writer.rows("SELECT value FROM traits"))
    finally:
        restored.close()
