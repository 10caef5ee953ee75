"""What fails alone on a cluster is set aside on record: all workers, and a replay, leave out the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from producers.door import Refused
from schemas import topics
from tests.properties.cluster_world import Cluster
from tests.properties.faults import Faults
from tests.properties.pipeline_world import Random, delivered, make_door, make_events, make_segments
from tests.properties.segments_world import T0
from tests.properties.test_cluster_state_machine import POINTS, check, known

Make = Callable[..., Cluster]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.fixture
def make(chdb_dsn: str, tmp_path: Path) -> Iterator[Make]:
    made: list[Cluster] = []

    def new(**settings: Any) -> Cluster:
        made.append(Cluster(chdb_dsn, tmp_path, **settings))
        return made[-1]

    yield new
    for cluster in made:
        cluster.close()


def aside(cluster: Cluster) -> set[str]:
    cluster.registry.refresh()
    return set(cluster.registry.poison)


def rejected(cluster: Cluster) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in cluster.log.read(topics.REJECTED, 0, 0, 1_000)]


def holds(cluster: Cluster) -> dict[str, list[str]]:
    """All but where in the log it stands, and what was published on the way."""
    found = known(cluster.writer)
    del found["rows"], found["transitions"], found["ids"], found["events"]
    events = "SELECT node, time, type, amount, currency, hex(payload) FROM events FINAL ORDER BY ALL"
    return {**found, "events": [str(row) for row in cluster.writer.rows(events)]}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("point", ["", *POINTS["events"]])
def test_an_event_that_fails_alone_is_as_if_it_never_was(make: Make, faults: Faults, seed: int, point: str) -> None:
    r = Random(seed)
    segments = make_segments(r)
    sent = [v for v in make_events(r, 24, T0, make_door()) if not isinstance(v, Refused)]
    bad = {json.loads(value)["id"] for _, value in r.sample(sent, 2)}
    mixed = [v for v in delivered(r, sent) if not isinstance(v, Refused)]
    good = [message for message in mixed if json.loads(message[1])["id"] not in bad]
    calm, cluster = make(), make()
    for one, messages in ((calm, good), (cluster, mixed)):
        for name, rule in segments.items():
            one.declare("segment", name, {"rule": rule})
        one.settle()
        one.write(topics.EVENTS, messages)
    calm.settle()
    faults.events = bad
    if point:
        for worker in list(cluster.workers):
            cluster.dies(worker, "events", point)
    cluster.settle()
    assert len(aside(cluster)) == len(mixed) - len(good)
    assert {one["code"] for one in rejected(cluster)} - {"conflicting_copy"} == {"poison"}
    faults.events = set()  # whoever could process them leaves them out, too
    for stage in POINTS:
        cluster.rebalance(stage, [1, 0, 1][: len(cluster.partitions_of(stage))])
    cluster.settle()
    assert holds(cluster) == holds(calm)
    assert cluster.told() == calm.told()
    check(cluster)
