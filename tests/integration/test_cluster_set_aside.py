"""A segment that cannot be put into effect, on a cluster: set aside on record, so that all owners let go of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from stream_processors.flow import backfill
from tests.integration.cluster_cases import MAIL, SEEN, U1, send
from tests.properties.cluster_world import Cluster
from tests.properties.segments_world import T0

MANY = {"any": [{"event": "order.completed", "where": [{"property": f"p{i}", "eq": i}]} for i in range(100)]}
POISON = {"any": [{"segment": "many"} for _ in range(100)]}


@pytest.fixture
def cluster(chdb_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(backfill, "PAGE", 1)
    made = Cluster(chdb_dsn, tmp_path)
    yield made
    made.close()


def write(cluster: Cluster, segment: str, rule: Any, version: int = 1) -> None:
    body = {"id": segment, "name": segment, "rule": rule, "version": version, "created_at": T0}
    record = {"kind": "segment", "op": "put", "id": segment, "body": body, "at": T0, "by": "another hand"}
    cluster.write(topics.REGISTRY, [(b"k", json.dumps(record).encode())])


def aside(cluster: Cluster) -> set[str]:
    cluster.registry.refresh()
    return {name for name, effect in cluster.registry.effects.items() if effect.aside is not None}


def test_a_poison_segment_is_set_aside_by_all_owners(cluster: Cluster) -> None:
    send(cluster, "e1", U1)
    send(cluster, "e2", MAIL)
    cluster.declare("segment", "s", {"rule": SEEN})
    write(cluster, "many", MANY)
    cluster.settle()
    before = cluster.told()
    assert len(before["s"]) == 2
    write(cluster, "poison", POISON)
    write(cluster, "s", POISON, 2)
    write(cluster, "odd", {"odd": 1})
    cluster.settle()
    assert aside(cluster) == {"poison", "s", "odd"}
    assert cluster.told()["s"] == before["s"]
    send(cluster, "e3", ("user_id", "u3"))
    cluster.declare("segment", "after", {"rule": SEEN})
    cluster.settle()
    assert len(cluster.told()["after"]) == len(cluster.told()["s"]) == 3
    for segment in ("poison", "odd", "s"):
        cluster.registry.withdraw("segment", segment, "tests")
    cluster.settle()
    assert aside(cluster) == set()
    assert not cluster.told().get("s")
