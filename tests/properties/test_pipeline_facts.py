"""The law of facts: told twice, a fact counts once, by its least telling, on one box and on a cluster.

Whatever was processed first, in whatever partition, by whatever worker; after merges, splits, crashes and a replay.
Metrics, members, views and the rows that analysts read agree with a plain model of the set of events.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.port import Message
from identity.nodes import node_of, to_hex
from producers.door import Refused, Verdict
from producers.incoming import Incoming
from registry.models import Source
from tests.effort import few
from tests.properties import facts_model
from tests.properties.cluster_world import STAGES, Cluster
from tests.properties.installation import Installation, MakeHouse
from tests.properties.pipeline_world import (
    LINGERS,
    SECRET,
    Crashes,
    MakeBox,
    Random,
    chunks,
    delivered,
    law,
    make_door,
    make_events,
    make_segments,
)
from tests.properties.segments_world import DAY, SEEDS, T0
from tests.properties.test_cluster_state_machine import check as check_cluster
from tests.properties.test_pipeline_crash import settle
from tests.properties.test_pipeline_segments import check as check_box

WEB = Source(id="web", book="store", trust=20)
SERVER = Source(id="server", channel="server", book="store", trust=10)
OTHER = Source(id="other")
BUYERS = {"rule": {"event": "order.completed", "count": {"gte": 2}}}
SPENT = {"rule": {"event": "order.completed", "sum": {"gte": 100}, "of": "revenue", "within": "30d"}}
RICH = {"rule": {"metric": "revenue", "currency": "EUR", "gte": 100}}


def commands(r: Random, world: Installation) -> None:
    """A steward merges, or splits."""
    nodes = [
        to_hex(node_of(SECRET, "default", kind, value))
        for n in range(4)
        for kind, value in (("user_id", f"u{n}"), ("email", f"p{n}@example.com"), ("anonymous_id", f"a{n}-0"))
    ]
    if r.random() < 0.5:
        a, b = r.sample(nodes, 2)
        world.command("merge", a=a, b=b)
    else:
        world.command("split", nodes=r.sample(nodes, r.randint(1, 3)))


def check_facts(world: Installation, sent: Sequence[Verdict]) -> None:
    events = facts_model.counted(sent)
    assert facts_model.shown(world.writer) == facts_model.in_rows(world.writer, events)
    keys = {key for (key,) in world.writer.rows("SELECT key FROM counted")}
    assert keys == {int(event["key"], 16) for event in events}


@law()
@given(seed=SEEDS, batch=st.sampled_from((3, 5_000)), cached=st.sampled_from((1, 100_000)))
def test_on_one_box(make_box: MakeBox, seed: int, batch: int, cached: int) -> None:
    r = Random(seed)
    door, sent = make_door(), list[Verdict]()
    settings: dict[str, Any] = {"batch": batch, "cached_profiles": cached, "linger": r.choice(LINGERS)}
    with make_box(now=T0 + DAY, partitions=r.randint(1, 3), **settings) as box:
        for name, rule in make_segments(r).items():
            box.declare("segment", name, {"rule": rule})
        for chunk in chunks(r, delivered(r, make_events(r, 36, T0, door)), 9):
            box.append(chunk)
            sent += chunk
            if r.random() < 0.3:
                commands(r, box)
            if r.random() < 0.5:
                box.settle()
                check_facts(box, sent)
                check_box(box)
            if r.random() < 0.1:
                box.replay()
            if r.random() < 0.1:
                box.restart()
        box.settle()
        check_facts(box, sent)
        check_box(box)
        box.replay()
        box.settle()
        check_facts(box, sent)
        check_box(box)


@law()
@given(seed=SEEDS, cached=st.sampled_from((1, 1_000)))
def test_on_a_cluster(chdb_dsn: str, tmp_path_factory: pytest.TempPathFactory, seed: int, cached: int) -> None:
    r = Random(seed)
    door, sent = make_door(), list[Verdict]()
    cluster = Cluster(chdb_dsn, tmp_path_factory.mktemp("facts"), workers=2, cached_profiles=cached)
    try:
        for name, rule in make_segments(r).items():
            cluster.declare("segment", name, {"rule": rule})
        for chunk in chunks(r, delivered(r, make_events(r, 36, cluster.clock(), door)), 9):
            cluster.append(chunk)
            sent += chunk
            if r.random() < 0.3:
                commands(r, cluster)
            for _ in range(r.randint(0, 9)):
                cluster.step(r.choice(cluster.workers), r.choice(STAGES), r.choice((1, 3, 50)))
            if r.random() < 0.1:
                cluster.rebalance(r.choice(STAGES), [r.randrange(2) for _ in range(cluster.partitions)])
        cluster.settle()
        check_facts(cluster, sent)
        check_cluster(cluster)
    finally:
        cluster.close()


KEYS = ("1" * 32, "f" * 32)
NO_KEYS = ("0" * 32, "", "x", "F" * 32, "0x" + "1" * 30, "1" * 33)
"""0 means none in the tables: an order with this key would count while it is news, and not once it is read again."""


def odd_key(r: Random, verdict: Message) -> tuple[Message, bool]:
    """The event with another key of its own, its fact or its order; and whether it can be read."""
    event = json.loads(verdict[1])
    name = r.choice(["key", *(name for name in ("business", "document") if name in event)])
    key = r.choice(NO_KEYS if name == "key" else KEYS + NO_KEYS)
    event |= {"business": event["business"] | {"key": key}} if name == "business" else {name: key}
    return (verdict[0], json.dumps(event).encode()), key in KEYS


@law()
@given(seed=SEEDS)
def test_orders_under_any_key(make_house: MakeHouse, seed: int) -> None:
    """Anybody may write to the topic: what counts live counts after a replay, and no other event."""
    r = Random(seed)
    door, sent = make_door(), list[Verdict]()
    with make_house(now=T0 + DAY) as house:
        admitted = [one for one in make_events(r, 30, T0, door) if not isinstance(one, Refused)]
        for start in range(0, len(admitted), 10):
            chunk = admitted[start : start + 10]
            written = [odd_key(r, verdict) if r.random() < 0.5 else (verdict, True) for verdict in chunk]
            house.append([message for message, _ in written])
            sent += [message for message, readable in written if readable]
            if r.random() < 0.5:
                house.settle()
        house.settle()
        check_facts(house, sent)
        house.replay()
        house.settle()
        check_facts(house, sent)


# ---- one by one


def order(id: str, number: str, *, source: Source = WEB, at: int = T0, person: str = "u1", **more: Any) -> Verdict:
    properties = {"order_id": number, "revenue": more.pop("revenue", 60), "currency": "EUR"}
    fields: dict[str, Any] = {"type": "order.completed", "channel": source.channel, "properties": properties, **more}
    who = [("user_id", person)]
    return make_door().admit(Incoming(id=id, source=source, received_at=at, identifiers=who, **fields), b"{}")


def orders(world: Installation) -> dict[str, tuple[int, int]]:
    """Person -> orders and revenue, by the rows."""
    rows = world.writer.rows(
        "SELECT identities.value[1], orders, revenue['EUR'] FROM profile_rows FINAL WHERE live AND events > 0"
    )
    return {person: (number, int(revenue)) for person, number, revenue in rows}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_page_that_is_loaded_again_is_one_order(make_box: MakeBox, together: bool, partitions: int) -> None:
    with make_box(partitions=partitions) as box:
        for name, body in (("buyers", BUYERS), ("spent", SPENT), ("rich", RICH)):
            box.declare("segment", name, body)
        for n in range(5):
            box.append([order(f"m{n}", "o-1", at=T0 + n)])
            if not together:
                box.settle()
        box.settle()
        assert orders(box) == {"u1": (1, 60)}
        assert box.told() == box.full() == {"buyers": set(), "spent": set(), "rich": set()}


@pytest.mark.parametrize("together", [True, False])
def test_the_server_takes_the_place_of_the_browser(make_box: MakeBox, together: bool) -> None:
    """It comes later, is trusted more, and is about somebody else: who was counted leaves again."""
    with make_box(now=T0 + DAY, linger=LINGERS[1]) as box:
        for name, body in (("buyers", BUYERS), ("spent", SPENT), ("rich", RICH)):
            box.declare("segment", name, body)
        box.append([order("m1", "o-1"), order("m2", "o-2", at=T0 + 1)])
        if not together:
            box.settle()
            assert orders(box) == {"u1": (2, 120)}
            assert {name: len(there) for name, there in box.told().items()} == {"buyers": 1, "spent": 1, "rich": 1}
        box.append([order("s1", "o-1", source=SERVER, at=T0 + 9, person="u2", revenue=61)])
        box.settle()
        assert orders(box) == {"u1": (1, 60), "u2": (1, 61)}
        assert box.told() == box.full() == {"buyers": set(), "spent": set(), "rich": set()}


TELLINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "placed": ("order.completed", "u1", {"revenue": 100, "currency": "EUR"}),
    "raised": ("order.updated", "u2", {"revenue": 120, "currency": "EUR"}),
    "part": ("order.refunded", "u2", {"revenue": -30}),
    "whole": ("order.refunded", "u3", {}),
    "cancelled": ("order.cancelled", "u2", {}),
}


def told(name: str, at: int) -> Verdict:
    kind, person, properties = TELLINGS[name]
    return order(name, "o-1", at=at, person=person, type=kind, properties={"order_id": "o-1", **properties})


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
def test_an_order_is_one_document(make_box: MakeBox, together: bool, backwards: bool) -> None:
    """Its money is the buyer's, whoever tells the rest, and in whatever order it is processed."""
    seen: dict[str, tuple[int, int, int]] = {}
    with make_box(now=T0 + DAY, linger=LINGERS[1]) as box:
        box.declare("segment", "rich", RICH)
        names = ["placed", "raised", "part", "whole"]
        for name in reversed(names) if backwards else names:
            box.append([told(name, T0 + list(TELLINGS).index(name))])
            if not together:
                box.settle()
        box.settle()
        sql = "SELECT identities.value[1], orders, revenue['EUR'], refunds['EUR'] FROM profile_rows FINAL WHERE live"
        seen = {
            person: (orders, int(revenue), int(refunds)) for person, orders, revenue, refunds in box.writer.rows(sql)
        }
        assert seen == {"u1": (1, 120, 120), "u2": (0, 0, 0), "u3": (0, 0, 0)}
        assert {name: len(there) for name, there in box.told().items()} == {"rich": 1}
        assert box.told() == box.full()
        box.append([told("cancelled", T0 + 9)])
        box.settle()
        assert {tuple(row[1:]) for row in box.writer.rows(sql)} == {(0, 0, 0)}
        assert box.told() == box.full() == {"rich": set()}


def test_other_books_types_and_junk_do_not_meet(make_box: MakeBox) -> None:
    with make_box() as box:
        box.append([order("m1", "o-1"), order("m1", "o-1", source=OTHER), order("m2", "null"), order("m3", "null")])
        box.append([order("m4", "o-1", type="order.cancelled")])
        box.settle()
        assert orders(box) == {"u1": (3, 180)}
        assert box.writer.rows("SELECT count() FROM retellings") == [(0,)]


def test_a_telling_that_does_not_count_still_links(make_box: MakeBox) -> None:
    with make_box() as box:
        box.append([order("m1", "o-1")])
        box.settle()
        both = [("user_id", "u1"), ("email", "a@example.com")]
        incoming = {"type": "order.completed", "channel": "web", "properties": {"order_id": "o-1"}}
        again = Incoming(id="m2", source=WEB, received_at=T0 + 1, identifiers=both, **incoming)  # type: ignore[arg-type]
        box.append([make_door().admit(again, b"{}")])
        box.settle()
        assert box.writer.rows("SELECT events, length(identities.type) FROM profile_rows FINAL WHERE live") == [(1, 2)]


@pytest.mark.parametrize("point", few(["tellings"], ["retellings", "tellings", "events", "profile_rows"]))
def test_a_crash_counts_a_fact_once(make_box: MakeBox, point: str) -> None:
    crashes = Crashes([])
    with make_box(checkpoint=crashes) as box:
        box.declare("segment", "buyers", BUYERS)
        box.append([order("m1", "o-1"), order("m2", "o-2")])
        box.settle()
        crashes.plan.append((point, 1))
        box.append([order("s1", "o-1", source=SERVER, at=T0 + 9, person="u2")])
        settle(box, crashes)
        assert crashes.happened == [point]
        assert orders(box) == {"u1": (1, 60), "u2": (1, 60)}
        assert box.told() == box.full() == {"buyers": set()}


@pytest.mark.parametrize("stumble", few(
    [("dies", "retellings"), ("freezes", "tellings")],
    [
        ("dies", "tellings"),
        ("dies", "retellings"),
        ("dies", "log_rows"),
        ("fails", "log_rows"),
        ("freezes", "tellings"),
        ("freezes", "retellings"),
    ],
), ids="-".join)  # fmt: skip
def test_two_workers_count_a_fact_once(chdb_dsn: str, tmp_path: Path, stumble: tuple[str, str]) -> None:
    """Each has the one telling; the one with the lesser stumbles, the other one's is counted by then."""
    how, point = stumble
    cluster = Cluster(chdb_dsn, tmp_path, workers=2)
    try:
        cluster.declare("segment", "buyers", BUYERS)
        cluster.append([order(f"m{n}", f"o-{n}") for n in range(6)])
        cluster.settle()
        cluster.append([order(f"s{n}", f"o-{n}", source=SERVER, at=T0 + 9, person="u2") for n in range(5)])
        for worker in list(cluster.workers):
            getattr(cluster, how)(worker, "events", point)
            cluster.step(cluster.workers[0], "profiles")
        cluster.settle()
        while cluster.zombies:
            cluster.wake(cluster.zombies[0])
        cluster.settle()
        assert orders(cluster) == {"u1": (1, 60), "u2": (5, 300)}
        check_cluster(cluster)
    finally:
        cluster.close()
