"""Records and tables that are not as they should be, on a cluster."""

from typing import Any

import pyarrow as pa
import pytest

from eventlog.port import Record
from schemas import topics
from schemas.errors import Broken
from stream_processors.flow.topology import TOPOLOGY
from stream_processors.state.teller import told_group
from tests.integration.cluster_cases import (
    SEEN,
    U1,
    Make,
    live,
    node,
    rows,
    send,
    stages_over,
)
from tests.properties.cluster_world import Cluster


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
