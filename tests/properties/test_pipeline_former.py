"""The law of former ids: a transition that a merge or a split caused says where the profile's nodes were before.

On both hosts, of every change that is drawn; and in a redo after a crash at any side effect.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.nodes import node_of, to_hex
from producers.incoming import Incoming
from registry.models import Source
from schemas import topics
from schemas.records import decode_touch
from tests.effort import few
from tests.properties.cluster_world import Cluster
from tests.properties.installation import Installation
from tests.properties.pipeline_world import SECRET, Box, Crashes, MakeBox, Random, law, make_door, make_events
from tests.properties.segments_world import SEEDS, T0
from tests.properties.test_pipeline_crash import settle
from tests.properties.test_pipeline_facts import commands

MANY: Final = {"rule": {"metric": "events", "gte": 3}}
FEW: Final = {"rule": {"metric": "events", "lt": 3}}
NAMED: Final = {"rule": {"identity": "user_id"}}
VISITED: Final = {"rule": {"identity": "anonymous_id"}}
SEGMENTS: Final[dict[str, dict[str, Any]]] = {"many": MANY, "few": FEW, "named": NAMED, "visited": VISITED}

Make = Callable[..., Box | Cluster]


@pytest.fixture(params=["box", "cluster"])
def world(request: pytest.FixtureRequest, make_box: MakeBox, chdb_dsn: str, tmp_path: Path) -> Iterator[Installation]:
    if request.param == "box":
        with make_box() as box:
            yield box
        return
    cluster = Cluster(chdb_dsn, tmp_path, workers=2)
    yield cluster
    cluster.close()


def rest(world: Installation) -> None:
    assert isinstance(world, Box | Cluster)
    world.settle()


def homes(world: Installation) -> dict[int, int]:
    return dict(world.writer.rows("SELECT node, profile FROM identity FINAL"))


def told_since(world: Installation, offset: int) -> list[dict[str, Any]]:
    records = [orjson.loads(record.value) for record in world.log.read(topics.SEGMENTS, 0, offset, 100_000)]
    return [record for record in records if record["kind"] != "claimed"]


def moved(before: Mapping[int, int], after: Mapping[int, int], profile: int) -> set[int]:
    """The model: where the nodes that are in a profile now were before."""
    return {before[node] for node, home in after.items() if home == profile and node in before} - {0, profile}


def check(before: Mapping[int, int], after: Mapping[int, int], told: list[dict[str, Any]]) -> None:
    for one in told:
        wanted = moved(before, after, int(one["profile"], 16)) if one["cause"] in ("merge", "split") else set()
        assert one.get("former", []) == [to_hex(profile) for profile in sorted(wanted)], one["cause"]


def identifiers(world: Installation, id: str, *who: tuple[str, str]) -> None:
    event = Incoming(
        type="page.viewed", id=id, source=Source(id="shop"), channel="web", received_at=world.clock(), identifiers=who
    )
    assert isinstance(world, Box | Cluster)
    world.append([make_door().admit(event, b"{}")])


def node(kind: str, value: str) -> int:
    return node_of(SECRET, "default", kind, value)


@law(2)
@given(seed=SEEDS, hosted=st.sampled_from(("box", "cluster")))
def test_what_moved_is_told(
    make_box: MakeBox, chdb_dsn: str, tmp_path_factory: pytest.TempPathFactory, seed: int, hosted: str
) -> None:
    if hosted == "box":
        with make_box() as box:
            drawn(Random(seed), box)
        return
    cluster = Cluster(chdb_dsn, tmp_path_factory.mktemp("former"), workers=2)
    try:
        drawn(Random(seed), cluster)
    finally:
        cluster.close()


def drawn(r: Random, world: Box | Cluster) -> None:
    door = make_door()
    for name, body in SEGMENTS.items():
        world.declare("segment", name, body)
    world.append(make_events(r, 12, T0, door))
    world.settle()
    for n in range(20):
        before, offset = homes(world), world.log.ends(topics.SEGMENTS)[0]
        if r.random() < 0.5:
            world.append(make_events(r, 1, world.clock(), door, first=100 + n))
        else:
            commands(r, world)
        world.settle()
        check(before, homes(world), told_since(world, offset))


def test_a_merge_and_a_split_say_where_from(world: Installation) -> None:
    for name, body in SEGMENTS.items():
        world.declare("segment", name, body)
    for n, person in enumerate(("u1", "u1", "u2", "u3")):
        identifiers(world, f"m{n}", ("user_id", person))
    rest(world)
    u1, u2, u3 = (node("user_id", name) for name in ("u1", "u2", "u3"))
    offset = world.log.ends(topics.SEGMENTS)[0]
    world.command("merge", a=to_hex(u1), b=to_hex(u2))
    rest(world)
    told = {(one["segment"], one["kind"], one["cause"], *one.get("former", ())) for one in told_since(world, offset)}
    survivor = homes(world)[u1]
    absorbed = ({u1, u2} - {survivor}).pop()
    assert {("many", "entered", "merge", to_hex(absorbed)), ("few", "exited", "merge", to_hex(absorbed))} <= told
    assert ("named", "exited", "merge") in told, "the absorbed one leaves; nobody moved into it"

    offset = world.log.ends(topics.SEGMENTS)[0]
    world.command("split", nodes=[to_hex(absorbed)])
    rest(world)
    told = {
        (one["profile"], one["segment"], one["kind"], one["cause"], *one.get("former", ()))
        for one in told_since(world, offset)
    }
    assert (to_hex(absorbed), "named", "entered", "split", to_hex(survivor)) in told
    assert {cause for _, _, _, cause, *_ in told} == {"split"}
    assert (to_hex(survivor), "many", "exited", "split") in told
    assert to_hex(u3) not in {profile for profile, *_ in told}


def test_a_shared_identifier_parts_a_profile_and_the_cause_says_so(world: Installation) -> None:
    for name, body in SEGMENTS.items():
        world.declare("segment", name, body)
    kiosk = ("anonymous_id", "kiosk")
    identifiers(world, "first", ("user_id", "u0"), kiosk)
    for n in range(1, 10):
        identifiers(world, f"m{n}", ("user_id", f"u{n}"), kiosk)
    rest(world)
    before, offset = homes(world), world.log.ends(topics.SEGMENTS)[0]
    assert before[node("user_id", "u0")] == before[node(*kiosk)]
    identifiers(world, "last", ("user_id", "u10"), kiosk)
    rest(world)
    told, after = told_since(world, offset), homes(world)
    assert after[node(*kiosk)] == 0
    check(before, after, told)
    parted = {(one["segment"], one["kind"], one["cause"]) for one in told if one["segment"] == "visited"}
    assert parted == {("visited", "exited", "split")}
    assert ("named", "entered", "event") in {(one["segment"], one["kind"], one["cause"]) for one in told}


POINTS: Final = ("links", "segments", "identity", "profile_rows")


@pytest.mark.parametrize("point", few(["identity", "segments"], POINTS))
def test_a_redo_says_the_same(make_box: MakeBox, point: str) -> None:
    crashes = Crashes([])
    with make_box(checkpoint=crashes) as box:
        told = merged(box, lambda: crashes.plan.append((point, 1)), lambda: settle(box, crashes))
        assert crashes.happened == [point]
    with make_box() as box:
        assert merged(box, lambda: None, box.settle) == told


def merged(world: Box | Cluster, begin: Callable[[], object], rest: Callable[[], object]) -> list[Any]:
    """An event joins two people: the transitions that come of it."""
    for name, body in SEGMENTS.items():
        world.declare("segment", name, body)
    for n, who in enumerate((("user_id", "u1"), ("email", "a@example.com"), ("email", "a@example.com"))):
        identifiers(world, f"m{n}", who)
        world.clock.now += 1
    world.settle()
    offset = world.log.ends(topics.SEGMENTS)[0]
    begin()
    identifiers(world, "both", ("user_id", "u1"), ("email", "a@example.com"))
    rest()
    names = ("segment", "profile", "kind", "cause", "former")
    return sorted([one.get(name, []) for name in names] for one in told_since(world, offset))


@pytest.mark.parametrize("stumble", few(
    [("identity", "dies"), ("profiles", "fails")],
    [("events", "dies"), ("identity", "dies"), ("profiles", "dies"), ("profiles", "fails")],
), ids="-".join)  # fmt: skip
def test_a_redo_of_a_worker_says_the_same(chdb_dsn: str, tmp_path: Path, stumble: tuple[str, str]) -> None:
    stage, how = stumble
    points = {"events": "links", "identity": "touched", "profiles": "passed_on"}
    cluster = Cluster(chdb_dsn, tmp_path, workers=2)
    try:

        def stumbles() -> None:
            for _ in range(4):
                for worker in list(cluster.workers):
                    if getattr(cluster, how)(worker, stage, points[stage]):
                        break
                    for each in cluster.workers:
                        cluster.step(each, "events")
                        cluster.step(each, "identity")
            cluster.settle()

        told = merged(cluster, lambda: None, stumbles)
        assert [
            *["few", to_hex(node("user_id", "u1")), "exited", "merge"],
            [to_hex(node("email", "a@example.com"))],
        ] in told
        touches = [
            decode_touch(r.value)
            for p in range(cluster.partitions)
            for r in cluster.log.read(topics.TOUCHED, p, 0, 999)
        ]
        assert any(touch.former for touch in touches)
    finally:
        cluster.close()
