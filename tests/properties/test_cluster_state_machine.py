"""The law of the cluster: whatever happens to workers, the table is a prefix of the log, and everything comes out once.

Two workers run all stages. A machine of states lets them step, die, fail, freeze and wake up at any side effect, moves
partitions, gives records again, while events, stewards' commands, segments and time go on. After each step the rows of
simorgh.events are a prefix without gaps or repeats. In the end all comes to rest, what was told equals the full
computation, and what is known equals what one process makes of the same log.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from identity.nodes import node_of, to_hex
from schemas import topics
from stream_processors.flow.declarations import EVERY_MS
from tests.properties.cluster_world import PARTITIONS, STAGES, Cluster, Worker
from tests.properties.pipeline_world import (
    SECRET,
    STEPS,
    Random,
    delivered,
    make_door,
    make_events,
    make_segments,
)
from tests.properties.segments_world import make_rules
from warehouse.client import Writer

POINTS: Final = {
    "events": (
        "rejected",
        "tellings",
        "retellings",
        "order_tellings",
        "events",
        "traits",
        "consents",
        "identifiers",
        "ids",
        "log_rows",
        "links",
        "touched",
    ),
    "identity": ("members", "identity", "decisions", "links", "touched", "ordered", "filled", "declared"),
    "profiles": ("passed_on", "views", "profile_rows", "segments", "transitions", "memberships"),
}
"""Every side effect of every stage, in order: before the next one, the worker may die, fail or freeze."""

REPLAY_POINTS: Final = (
    "rebuilt", "log_rows", "identity", "transitions", "profile_rows", "differing", "noted", "swapped",
)  # fmt: skip
EVERY_POINT: Final = [(stage, point) for stage, points in POINTS.items() for point in points]
SEED: Final = st.integers(0, 2**32)
WHICH: Final = st.integers(0, 1)
SIZE: Final = st.sampled_from((1, 3, 50))
NODES: Final = [
    to_hex(node_of(SECRET, "default", kind, value))
    for n in range(4)
    for kind, value in (("user_id", f"u{n}"), ("email", f"p{n}@example.com"), ("anonymous_id", f"a{n}-0"))
]


class Workers(RuleBasedStateMachine):
    """Two workers, and the world around them."""

    dsn: str
    folder: Path
    cached: int

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(self.dsn, self.folder, workers=2, cached_profiles=self.cached)
        self.door = make_door()
        self.sent = 0
        self.entered = 0
        self.replays = 0

    @initialize(seed=SEED)
    def begins(self, seed: int) -> None:
        r = Random(seed)
        for name, body in make_segments(r).items():
            self.cluster.declare("segment", name, {"rule": body})
        self._send(r, 12)

    # ---- the world

    @rule(seed=SEED, number=st.sampled_from((2, 10)))
    def events(self, seed: int, number: int) -> None:
        self._send(Random(seed), number)

    def _send(self, r: Random, number: int) -> None:
        made = make_events(r, number, self.cluster.clock(), self.door, first=self.sent)
        self.sent += number
        self.cluster.append(delivered(r, made))
        if r.random() < 0.1:
            self.cluster.write(topics.EVENTS, [(b"bad", b"{no envelope")])

    @rule(step=st.sampled_from(STEPS))
    def time(self, step: int) -> None:
        self.cluster.clock.now += step

    @rule(seed=SEED)
    def declaration(self, seed: int) -> None:
        self._declare(Random(seed))

    def _declare(self, r: Random) -> None:
        match r.choice("mmssee"):
            case "m":
                a, b = r.sample(NODES, 2)
                self.cluster.command("merge", a=a, b=b)
            case "s":
                self.cluster.command("split", nodes=r.sample(NODES, 1))
            case _:
                self.cluster.declare("segment", r.choice(("s0", "new")), {"rule": make_rules(r)["s0"]})

    # ---- workers

    def _worker(self, which: int) -> Worker:
        return self.cluster.workers[which]

    @rule(which=WHICH, stage=st.sampled_from(STAGES), size=SIZE)
    def step(self, which: int, stage: str, size: int) -> None:
        self.cluster.step(self._worker(which), stage, size)

    @rule(size=SIZE)
    def round(self, size: int) -> None:
        for worker in self.cluster.workers:
            for stage in STAGES:
                self.cluster.step(worker, stage, size)

    @rule(seed=SEED)
    def disturbance(self, seed: int) -> None:
        """Somewhere a worker dies, fails or freezes; before that, there is work that leads it there."""
        r = Random(seed)
        how = r.choice(("dies", "fails", "freezes"))
        stage, point = r.choice(EVERY_POINT)
        size = r.choice((1, 3, 50))
        if how == "freezes" and len(self.cluster.zombies) > 1:
            self.wakes()
        self._send(r, r.choice((2, 6)))
        if point in ("ordered", "filled", "declared"):
            self._declare(r)
        for _ in range(6):
            for worker in list(self.cluster.workers):
                if getattr(self.cluster, how)(worker, stage, point, size):
                    return
            self.round(50)

    @precondition(lambda self: self.cluster.zombies)
    @rule()
    def wakes(self) -> None:
        self.cluster.wake(self.cluster.zombies[0])

    @rule(stage=st.sampled_from(STAGES), owners=st.lists(WHICH, min_size=PARTITIONS, max_size=PARTITIONS))
    def rebalance(self, stage: str, owners: list[int]) -> None:
        self.cluster.rebalance(stage, owners)

    @rule(which=WHICH, stage=st.sampled_from(STAGES))
    def redelivery(self, which: int, stage: str) -> None:
        self.cluster.rewind(self._worker(which), stage)

    @precondition(lambda self: not self.replays)
    @rule(seed=SEED, dies_at=st.lists(st.sampled_from(REPLAY_POINTS), max_size=1))
    def replay(self, seed: int, dies_at: list[str]) -> None:
        """Begun by a process that may die, and taken to its end. Meanwhile workers go on, and notice it or not. Once:
        it costs as much as all the rest."""
        self.replays += 1
        r = Random(seed)

        def meanwhile() -> None:
            if r.random() < 0.5:
                self._send(r, 2)
                self.round(50)

        self.cluster.replay(*dies_at, meanwhile=meanwhile)
        self.entered = 0
        for worker in self.cluster.workers:
            if r.random() < 0.7:
                worker.live.look()

    @rule(which=WHICH)
    def notices(self, which: int) -> None:
        self._worker(which).live.look()

    @rule(which=WHICH)
    def forgetting(self, which: int) -> None:
        self._worker(which).own.states.forget()

    # ---- the law

    @invariant()
    def the_table_is_a_prefix_of_the_log(self) -> None:
        ends = self.cluster.log.ends(topics.EVENTS)
        rows = self.cluster.writer.rows("SELECT part, count(), uniqExact(off), max(off) FROM log_rows GROUP BY part")
        for part, number, distinct, last in rows:
            assert number == distinct == last + 1 <= ends[part]
        entered = sum(row[1] for row in rows)
        assert entered >= self.entered, "rows that were there are there"
        self.entered = entered

    def teardown(self) -> None:
        try:
            self._comes_to_rest()
        finally:
            self.cluster.close()

    def _comes_to_rest(self) -> None:
        while self.cluster.zombies:
            self.cluster.wake(self.cluster.zombies[0])
        self.cluster.clock.now += EVERY_MS  # so often, positions that zombies set back are set again
        self.cluster.settle()
        check(self.cluster)


def check(cluster: Cluster) -> None:
    """At rest: what was told is what the full computation says, and what one process makes of the same log."""
    members = cluster.told()
    assert members == cluster.full()
    listed = cluster.writer.rows("SELECT segment, profile FROM memberships WHERE member = 1")
    assert sorted(listed) == sorted((segment, profile) for segment, there in members.items() for profile in there)
    rebuilt = cluster.embedded()
    try:
        here, there = known(cluster.writer), known(rebuilt.writer)
        for name, rows in here.items():
            assert rows == there[name], name
    finally:
        rebuilt.close()


def known(writer: Writer) -> dict[str, list[str]]:
    """What the tables hold, in one canonical form."""
    return {name: list(_canonical(writer, sql)) for name, sql in TABLES.items()}


def _canonical(writer: Writer, sql: str) -> Iterator[str]:
    for row in writer.arrow(sql).to_pylist():
        nested = [name for name in row if name.startswith("identities.")]
        columns: dict[str, Any] = dict(row)
        if nested:
            columns["identities"] = sorted(zip(*(columns.pop(name) for name in nested), strict=True), key=str)
        yield json.dumps(
            {name: sorted(v) if name in ("counts", "revenue", "refunds") else v for name, v in columns.items()},
            default=str,
        )


TABLES: Final = {
    "profiles": "SELECT * EXCEPT (ver, due) FROM profile_rows FINAL WHERE live ORDER BY profile",
    "views": "SELECT * EXCEPT (ver) FROM views FINAL WHERE live ORDER BY profile",
    "identity": "SELECT node, profile FROM identity FINAL ORDER BY node",
    "members": "SELECT profile, node FROM members FINAL WHERE live ORDER BY profile, node",
    "memberships": "SELECT segment, profile, entered_at FROM memberships FINAL WHERE member ORDER BY ALL",
    "transitions": "SELECT * FROM transitions FINAL ORDER BY ALL",
    "events": "SELECT node, time, type, amount, currency, part, off, hex(payload) FROM events FINAL ORDER BY ALL",
    "ids": "SELECT key, part, off FROM ids FINAL ORDER BY ALL",
    "tellings": "SELECT * FROM tellings FINAL ORDER BY ALL",
    "retellings": "SELECT * FROM retellings FINAL ORDER BY ALL",
    "order_tellings": "SELECT * FROM order_tellings FINAL ORDER BY ALL",
    "traits": "SELECT * FROM traits FINAL ORDER BY ALL",
    "consents": "SELECT * FROM consents FINAL ORDER BY ALL",
    "identifiers": """SELECT node, type, value, min(first_seen), max(last_seen) FROM identifiers GROUP BY ALL
        ORDER BY ALL""",
    "rows": "SELECT part, off, dup FROM log_rows FINAL ORDER BY ALL",
}


def run(dsn: str, folder: Path, *, cached: int, examples: int, steps: int) -> None:
    machine = type("Workers", (Workers,), {"dsn": dsn, "folder": folder, "cached": cached})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )


CACHED: Final = (1, 1_000)
"""Profiles that an owner remembers."""


@pytest.mark.parametrize("cached", CACHED)
def test_every_effect_comes_once(chdb_dsn: str, tmp_path: Path, cached: int) -> None:
    run(chdb_dsn, tmp_path, cached=cached, examples=2, steps=25)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("cached", CACHED)
def test_every_effect_comes_once_for_long(chdb_dsn: str, tmp_path: Path, cached: int) -> None:
    run(chdb_dsn, tmp_path, cached=cached, examples=150, steps=50)
