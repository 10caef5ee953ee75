"""A replay beside two workers: what each point of it leaves when its process dies there (see `cluster_world`)."""

import pytest

from schemas import topics
from schemas.errors import Conflict
from stream_processors.host import generation
from tests.integration.cluster_cases import Make
from tests.properties.cluster_world import STAGES, Cluster
from tests.properties.pipeline_world import Random, delivered, make_door, make_events, make_segments
from tests.properties.test_cluster_state_machine import known

POINTS = ("rebuilt", "log_rows", "identity", "transitions", "profile_rows", "differing", "noted", "swapped")


def send(cluster: Cluster, r: Random, number: int, first: int = 0) -> None:
    cluster.append(delivered(r, make_events(r, number, cluster.clock(), make_door(), first=first)))


def lived(make: Make, seed: int) -> tuple[Cluster, Random]:
    """A cluster that has seen events and segments, and is at rest."""
    cluster, r = make(), Random(seed)
    for name, rule in make_segments(r).items():
        cluster.declare("segment", name, {"rule": rule})
    send(cluster, r, 30)
    cluster.settle()
    return cluster, r


def test_nothing_changes_and_nothing_is_published(make: Make) -> None:
    cluster, _ = lived(make, 1)
    before, published = known(cluster.writer), cluster.log.ends(topics.SEGMENTS)
    told = cluster.transitions()
    cluster.replay()
    assert generation.current(cluster.log) == 2
    assert known(cluster.writer) == before, "complete before anybody looks"
    cluster.settle()
    assert known(cluster.writer) == before
    assert cluster.transitions() == told
    assert cluster.log.ends(topics.SEGMENTS)[0] > published[0], "claims"
    cluster.keeper().look()
    assert cluster.warehouse.generations() == [2], "the old tables are dropped"
    assert known(cluster.writer) == before


def test_whoever_takes_over_goes_on(make: Make) -> None:
    """One process after another dies, each at a later point. Events come in meanwhile; some workers notice late."""
    cluster, r = lived(make, 2)
    sent = 30

    def meanwhile() -> None:
        nonlocal sent
        send(cluster, r, 3, sent)
        sent += 3
        for worker in cluster.workers:
            for stage in STAGES:
                cluster.step(worker, stage)

    cluster.replay(*POINTS, meanwhile=meanwhile)
    assert generation.current(cluster.log) == 2
    cluster.workers[0].live.look()
    meanwhile()  # the other one works for the old generation
    cluster.settle()
    assert "replay" not in {one["cause"] for one in cluster.transitions()}
    assert cluster.told() == cluster.full()
    rebuilt = cluster.embedded()
    here, there = known(cluster.writer), known(rebuilt.writer)
    rebuilt.close()
    assert here == there


def test_one_at_a_time(make: Make) -> None:
    cluster = make()
    assert generation.want(cluster.log) == 2
    with pytest.raises(Conflict, match="wanted none running") as refused:
        generation.want(cluster.log)
    assert refused.value.code == "replay_running"
    cluster.replay()
    assert generation.want(cluster.log) == 3
