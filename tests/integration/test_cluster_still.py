"""A worker of a cluster stands still while somebody is forgotten, and goes on when that is done: it leaves nothing."""

from pathlib import Path

import pytest

from identity.nodes import to_hex
from producers.door import Refused
from producers.incoming import Context, Incoming, Traits
from tests.effort import few
from tests.properties.cluster_world import Cluster
from tests.properties.pipeline_world import SOURCES
from tests.properties.segments_world import T0
from tests.properties.test_pipeline_erasure import check_nothing_left, door_of

STOPS = [("events", "rejected"), ("events", "traits"), ("events", "log_rows"), ("profiles", "views")]
WHO = (("user_id", "u1"), ("email", "s@example.com"))


def identified(cluster: Cluster, id: str, city: str) -> None:
    event = Incoming(
        type="profile.identified", id=id, source=SOURCES[0], channel="web", received_at=cluster.clock(),
        identifiers=WHO, traits=Traits({"city": city}), context=Context({"ip": "192.0.2.1"}), name="Sara",
    )  # fmt: skip
    verdict = door_of(cluster).admit(event, b"{}")
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
