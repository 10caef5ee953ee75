"""What fails alone on a cluster is set aside on record: all workers, and a replay, leave out the same."""

import json
from typing import Any

import pytest

from identity.nodes import node_of, to_hex
from producers.door import Refused
from schemas import topics
from stream_processors.state.poison import Stopped, profile_name
from tests.effort import few
from tests.integration.cluster_cases import Make
from tests.properties.cluster_world import Cluster
from tests.properties.faults import LONELY, Faults, lonely
from tests.properties.pipeline_world import SECRET, Random, delivered, make_door, make_events, make_segments
from tests.properties.segments_world import T0
from tests.properties.test_cluster_state_machine import POINTS, check, known


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def aside(cluster: Cluster) -> set[str]:
    cluster.registry.refresh()
    return set(cluster.registry.poison)


def rejected(cluster: Cluster) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in cluster.log.read(topics.REJECTED, 0, 0, 1_000)]


def holds(cluster: Cluster) -> dict[str, list[str]]:
    """All but where in the log it stands, and what was published on the way."""
    found = known(cluster.writer)
    del found["rows"], found["transitions"], found["ids"], found["events"], found["tellings"]
    events = "SELECT node, time, type, amount, currency, hex(payload) FROM events FINAL ORDER BY ALL"
    tellings = "SELECT * EXCEPT (part, off) FROM tellings FINAL ORDER BY ALL"
    elsewhere = {"events": events, "tellings": tellings}
    return {**found, **{name: [str(row) for row in cluster.writer.rows(sql)] for name, sql in elsewhere.items()}}


@pytest.mark.parametrize("point", few(["links"], ["", "rejected", "traits", "log_rows", "links"]))
def test_an_event_that_fails_alone_is_as_if_it_never_was(make: Make, faults: Faults, point: str) -> None:
    r = Random(1)
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


def test_a_profile_that_fails_alone_has_no_view_whoever_holds_it(make: Make, faults: Faults) -> None:
    r, cluster, door = Random(5), make(), make_door()
    for name, rule in make_segments(r).items():
        cluster.declare("segment", name, {"rule": rule})
    cluster.append([*make_events(r, 24, T0, door), lonely("l1", T0)])
    cluster.settle()
    victim = node_of(SECRET, "default", *LONELY)
    assert victim in seen(cluster)
    faults.profiles = {victim}
    cluster.append([*make_events(r, 24, T0, door, first=100), lonely("l2", T0)])
    cluster.settle()
    assert aside(cluster) == {profile_name(victim)}
    assert seen(cluster) == profiles(cluster) - {victim}
    [kept] = [one for one in rejected(cluster) if one["code"] == "poison"]
    assert kept["id"] == profile_name(victim)
    faults.profiles = set()
    for stage in POINTS:
        cluster.rebalance(stage, [1, 0, 1][: len(cluster.partitions_of(stage))])
    cluster.append([*make_events(r, 5, T0, door, first=200), lonely("l3", T0)])
    cluster.settle()
    assert seen(cluster) == profiles(cluster) - {victim}
    rebuilt = cluster.embedded()
    assert known(rebuilt.writer)["views"] == known(cluster.writer)["views"]
    rebuilt.close()
    cluster.registry.take_back(profile_name(victim), "tests")
    cluster.clock.now += 2_000
    cluster.settle()
    assert seen(cluster) == profiles(cluster)
    check(cluster)


def seen(cluster: Cluster) -> set[int]:
    return {profile for (profile,) in cluster.writer.rows("SELECT profile FROM profile_rows FINAL WHERE live")}


def profiles(cluster: Cluster) -> set[int]:
    return {profile for (profile,) in cluster.writer.rows("SELECT DISTINCT profile FROM identity FINAL") if profile}


def test_a_link_that_fails_alone_is_left_out_by_all(make: Make, faults: Faults) -> None:
    cluster = make()
    nodes = [[to_hex(node_of(SECRET, "default", "user_id", f"u{n}")), "user_id"] for n in range(2)]
    odd: dict[str, Any] = {"kind": "link", "key": "1" * 32, "source": "x", "received_at": T0, "nodes": nodes}
    faults.links = {odd["key"]}
    events = [v for v in make_events(Random(5), 24, T0, make_door()) if not isinstance(v, Refused)]
    cluster.write(topics.EVENTS, events[:12])
    cluster.settle()
    cluster.write(topics.IDENTITY, [(b"x", json.dumps(odd).encode()), (b"x", b"{}")])
    cluster.write(topics.EVENTS, events[12:])
    for worker in list(cluster.workers):
        cluster.dies(worker, "identity", "members")
    cluster.settle()
    [name] = aside(cluster)
    assert name.startswith("simorgh.identity/0/")
    assert sorted(one["code"] for one in rejected(cluster) if one["source"] == topics.IDENTITY)[0] == "poison"
    faults.links = set()
    cluster.rebalance("identity", [1])
    cluster.settle()
    check(cluster)


def test_garbage_in_any_topic_stops_nothing(make: Make) -> None:
    cluster = make()
    cluster.declare("segment", "seen", {"rule": {"metric": "events", "gte": 1}})
    garbage = [(b"x", b"\xff"), (b"x", b"{}"), (b"x", b'{"owner":1}'), (b"x", b'{"kind":"claimed","owner":[0]}')]
    for topic in (topics.EVENTS, topics.IDENTITY, topics.TOUCHED, topics.SEGMENTS, topics.REGISTRY):
        cluster.write(topic, garbage)
    cluster.append(make_events(Random(5), 24, T0, make_door()))
    cluster.settle()
    for stage in POINTS:
        cluster.rebalance(stage)
    for topic in (topics.IDENTITY, topics.SEGMENTS):
        cluster.write(topic, garbage)
    cluster.append(make_events(Random(6), 24, T0, make_door(), first=100))
    cluster.settle()
    assert cluster.told() == cluster.full()


def test_a_hundred_in_a_row_stop_the_stage_at_whoever_takes_it_over(make: Make, faults: Faults) -> None:
    cluster = make(partitions=1)
    events = [v for v in make_events(Random(3), 150, T0, make_door()) if not isinstance(v, Refused)]
    faults.all = True
    cluster.write(topics.EVENTS, events)
    for owner in (0, 1, 0):
        cluster.rebalance("events", [owner])
        with pytest.raises(Stopped):
            cluster.step(cluster.workers[owner], "events")
    assert aside(cluster) == set()
    assert set(cluster.registry.stopped) == {"events"}
    faults.all = False
    cluster.settle()
    cluster.registry.refresh()
    assert not cluster.registry.stopped
    check(cluster)
