"""Real parts in process for the laws of the pipeline: a log, a door, a warehouse, a runner, on a clock that stands.

What happens in a world is drawn from one seed by plain `random` (see `segments_world`); Hypothesis chooses the
seeds, the splits into batches and the crashes.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings

from eventlog.sqlite import SqliteEventLog
from identity.graph import IdentityGraph
from identity.nodes import to_hex
from identity.rules import DEFAULT_RULES, IdentityRules
from producers.door import Door, Verdict
from producers.incoming import ClaimedAt, Context, Incoming, Traits
from registry.models import Source
from registry.registry import Registry
from schemas import topics
from schemas.catalog import Catalog
from schemas.fact_tables import ALL as FACT_TABLES
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow.declarations import Declarations
from stream_processors.host import generation
from stream_processors.host.replay import on_one_box
from stream_processors.host.runner import Runner
from stream_processors.rows.lingering import Linger
from stream_processors.state.graphs import Graphs
from stream_processors.views.recent import RecentViews
from tests.effort import examples
from tests.properties.installation import Clock, House, Installation
from tests.properties.segments_world import DAY, T0, make_rules
from warehouse.client import Warehouse, Writer

SECRET: Final = b"sixteen bytes ok"
CATALOG: Final = Catalog.load()
SOURCES: Final = (Source(id="shop", book="store"), Source(id="till", channel="pos", book="store"))
"""Of one book; of two tellings of one order, the till's counts."""
FREE: Final = IdentityRules(limits={}, default_limit=None, shared_after=None)
CAPPED: Final = FREE.model_copy(update={"shared_after": 2})
"""Rules under which who is who is a function of the set of links."""

Random = random.Random


def law(number: int = 1) -> settings:
    """Without shrinking: a smaller seed makes no smaller world. One example on each host costs seconds, and the next
    run draws others."""
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(
        max_examples=examples(number), deadline=None, phases=phases, suppress_health_check=list(HealthCheck)
    )


LINGERS: Final = (Linger(0, 0), Linger(3_600, 3_600))
"""Rows of each batch are written at once; or all are gathered until the box settles."""

_numbers = count(1)


# Boxes


class Box(House):
    """One installation: its own log, its own databases in the engine of the run, one runner that was recovered."""

    def __init__(
        self,
        dsn: str,
        folder: Path,
        *,
        cluster: str = "",
        now: int = T0,
        partitions: int = 2,
        batch: int = 5_000,
        cached_profiles: int = 100_000,
        checkpoint: Checkpoint = no_checkpoint,
        linger: Linger = Linger(0, 0),
        sealed: bool = False,
    ) -> None:
        number = next(_numbers)
        self.clock = Clock(now)
        self.log = SqliteEventLog(folder / f"{number}.sqlite", partitions=partitions, clock=self.clock)
        if sealed:
            self.seal(folder / f"{number}.keys.sqlite", SECRET)
        self.warehouse = Warehouse(dsn, f"box{number}", cluster=cluster)
        self.registry = Registry(self.log, self.clock)
        self.recent = RecentViews(most=7)
        snapshots = folder / f"box{number}"
        snapshots.mkdir()
        self.runner_settings: dict[str, Any] = {
            "batch": batch,
            "cached_profiles": cached_profiles,
            "checkpoint": checkpoint,
            "linger": linger,
            "recent": self.recent,
            "graphs": Graphs(snapshots, least=1),
        }
        self.warehouse.migrate(1)
        self.runner = self._new_runner()
        self.runner.recover()

    def _new_runner(self) -> Runner:
        settings = {"keyring": self.keyring, **self.runner_settings}
        return Runner(self.log, self.warehouse, self.generation, self.clock, **settings)

    @property
    def generation(self) -> int:
        return generation.current(self.log)

    @property
    def graph(self) -> IdentityGraph:
        return self.runner.box.graph

    @property
    def declarations(self) -> Declarations:
        return self.runner.declarations

    def settle(self) -> None:
        """Until there is nothing to do at this instant."""
        self.runner.drain()

    def restart(self) -> None:
        """As after a kill: what the runner had not begun to write is never written."""
        self.runner.box.close(begin=False)
        self.open_keys()
        self.runner = self._new_runner()
        self.runner.recover()

    def replay(self) -> None:
        """Rebuild everything in the next generation, and go on with that."""
        old = self.generation
        replay = on_one_box(self.log, self.warehouse, self.clock, names=self.names)
        replay.catch_up()
        self.runner.stop()
        replay.finish()
        replay.close()
        self.recent.forget(owners=True)
        self.runner = self._new_runner()
        self.runner.recover()
        self.warehouse.drop(old)

    def rebuild(self) -> None:
        """As after a kill where the tables are of no use: a replay before anything was recovered."""
        self.runner.box.close(begin=False)
        self.replay()

    def transitions(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in self.log.read(topics.SEGMENTS, 0, 0, 1_000_000)]

    def forget_states(self) -> None:
        self.runner.box.forget_states()

    def close(self) -> None:
        self.runner.stop()
        self.warehouse.drop(self.generation)
        self.warehouse.close()
        self.close_log()


MakeBox = Callable[..., AbstractContextManager[Box]]


# What a box holds, in one canonical form


_TABLES: Final = {
    "profiles": "SELECT * EXCEPT (ver, due) FROM profile_rows FINAL WHERE live ORDER BY profile",
    "views": "SELECT * EXCEPT (ver, entered) FROM views FINAL WHERE live ORDER BY profile",
    "identity": "SELECT node, profile FROM identity FINAL ORDER BY node",
    "members": "SELECT profile, node FROM members FINAL WHERE live ORDER BY profile, node",
    "memberships": """SELECT segment, profile, entered_at AS entered FROM memberships FINAL WHERE member
        ORDER BY segment, profile""",
    "transitions": """SELECT segment, profile, argMax(entered_at, off) AS entered FROM transitions
        GROUP BY profile, segment HAVING argMax(kind, off) = 'entered' ORDER BY segment, profile""",
    "events": "SELECT node, time, type, amount, currency, fact, doc, hex(payload) FROM events ORDER BY ALL",
    "ids": "SELECT key FROM ids ORDER BY key",
    "tellings": "SELECT * EXCEPT (part, off) FROM tellings FINAL ORDER BY ALL",
    "retellings": "SELECT * FROM retellings FINAL ORDER BY ALL",
    **{table.name: f"SELECT * EXCEPT (part, off) FROM {table.name} FINAL ORDER BY ALL" for table in FACT_TABLES},
    "identity_log": "SELECT * FROM identity_log FINAL ORDER BY ALL",
    "order_tellings": "SELECT * FROM order_tellings FINAL ORDER BY ALL",
    "traits": "SELECT * FROM traits FINAL ORDER BY ALL",
    "consents": "SELECT * FROM consents FINAL ORDER BY ALL",
    "account_events": "SELECT * EXCEPT (part, off) FROM account_events FINAL ORDER BY ALL",
    "affiliations": "SELECT * FROM affiliations FINAL ORDER BY ALL",
    "account_traits": "SELECT * FROM account_traits FINAL ORDER BY ALL",
    "account_parents": "SELECT * FROM account_parents FINAL ORDER BY ALL",
    "identifiers": """SELECT node, type, value, min(first_seen), max(last_seen) FROM identifiers GROUP BY ALL
        ORDER BY ALL""",
    "rows": "SELECT dup, uniqExact(part, off), count() FROM log_rows FINAL GROUP BY dup ORDER BY dup",
    "rejected": "SELECT * EXCEPT ver REPLACE hex(payload) AS payload FROM rejected FINAL ORDER BY ALL",
}
_HISTORY: Final = {
    "decisions": "SELECT * FROM decisions FINAL ORDER BY ALL",
    "told": "SELECT * FROM transitions FINAL ORDER BY off",
    "log_rows": "SELECT part, off, dup FROM log_rows FINAL ORDER BY ALL",
}


def dump(box: Installation, *, history: bool = False) -> dict[str, str]:
    """All projections, a text for each. `history`: also what depends on the order in which it came to this."""
    wanted = _TABLES | _HISTORY if history else _TABLES
    found = {name: [_canonical(row) for row in _rows(box.writer, sql)] for name, sql in wanted.items()}
    assert found["transitions"] == found["memberships"]
    return {name: json.dumps(rows, default=str, indent=0) for name, rows in found.items()}


def _rows(writer: Writer, sql: str) -> list[dict[str, Any]]:
    table = writer.arrow(sql)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _canonical(row: dict[str, Any]) -> dict[str, Any]:
    """Without the order of what has none: maps, and the identities of a profile."""
    nested = [name for name in row if name.startswith("identities.")]
    if nested:
        row["identities"] = sorted(zip(*(row.pop(name) for name in nested), strict=True), key=str)
    return {name: sorted(value) if name in ("counts", "revenue", "refunds") else value for name, value in row.items()}


# What happens


TRAITS: Final = ("kind", "when", "address", "revenue", "name", "plan")
VALUES: Final = (None, "a", "ab", "2026-01-31", 1, 1.5, True, {"city": "x"}, [1], "1900-01-01", "2026-02-20T10:00:00Z")
AMOUNTS: Final = ("19.99", 20, 0.1, -5, "0.000001", 123456789012.123456, 10**29, "x", None)
AGES: Final = (-60_000, 0, 1, 999, 60_000, DAY - 1, DAY, DAY + 1, 7 * DAY - 1, 7 * DAY, 8 * DAY, 30 * DAY, 40 * DAY)
STEPS: Final = (2_000, 60_000, 60_001, DAY - 1, DAY, 6 * DAY, 7 * DAY - 2_000, 23 * DAY)
"""How far the clock is moved: at least as far as the runner looks at due profiles."""

KINDS: Final = ("order.completed",) * 3 + (
    "order.refunded",
    "order.updated",
    "order.cancelled",
    "page.viewed",
    "page.viewed",
    "custom.سفارش",
    "profile.identified",
    "profile.identified",
)

NAMED: Final[dict[str, dict[str, Any]]] = {
    "buyers": {"event": "order.completed", "count": {"gte": 2}, "within": "30d"},
    "spenders": {"event": "order.completed", "sum": {"gte": 30}, "of": "revenue", "within": "7d"},
    "quiet": {"all": [{"identity": "user_id"}, {"not": {"event": "page.viewed", "within": "7d"}}]},
    "lapsed": {"event": "order.completed", "days_since_last": {"gte": 7}},
    "agreed": {"consent": "marketing", "eq": True},
    "recent": {"metric": "last_seen", "within": "1d"},
    "dated": {"trait": "when", "within": "7d"},
    "rich": {"metric": "revenue", "currency": "EUR", "gte": 40},
    "known-buyers": {
        "all": [{"segment": "buyers"}, {"any": [{"trait": "kind", "exists": True}, {"segment": "quiet"}]}]
    },
    "neither": {"not": {"any": [{"segment": "known-buyers"}, {"segment": "recent"}]}},
}


def make_door(rules: IdentityRules = DEFAULT_RULES) -> Door:
    fresh = count()
    return Door(SECRET, "default", lambda: rules, CATALOG, lambda: f"fresh-{next(fresh)}")


def make_segments(r: Random) -> dict[str, dict[str, Any]]:
    """Some named ones with those that they name, and three random trees that name each other."""
    chosen = r.sample(list(NAMED), 4)
    if "neither" in chosen:
        chosen += ["recent", "known-buyers"]
    if "known-buyers" in chosen:
        chosen += ["buyers", "quiet"]
    return {name: rule for name, rule in NAMED.items() if name in chosen} | make_rules(r)


def make_events(
    r: Random, number: int, now: int, door: Door, *, group: str = "", first: int = 0, people: int = 4
) -> list[Verdict]:
    """Events of a few people, received up to now. `group` is in the names of people and ids: groups never meet."""
    return [door.admit(make_event(r, f"{group}e{first + n}", now, group, people), b"{}") for n in range(number)]


def make_event(r: Random, id: str, now: int, group: str, people: int) -> Incoming:
    kind = r.choice(KINDS)
    received = now - r.choice((0, 0, 1, 5_000))
    source = r.choice(SOURCES)
    return Incoming(
        type=kind,
        id=id,
        source=source,
        channel=source.channel,
        received_at=received,
        original_time=ClaimedAt(received - r.choice(AGES)),
        identifiers=make_identifiers(r, group, people),
        traits=make_traits(r) if "identified" in kind else None,
        properties=make_properties(r, kind, group),
        context=Context({"kind": r.choice(VALUES)}),
        consent={"marketing": r.choice((True, False, "later"))} if r.random() < 0.2 else None,
        alias=r.random() < 0.05,
    )


def make_traits(r: Random) -> Traits:
    return Traits({name: r.choice(VALUES) for name in r.sample(TRAITS, r.randint(0, 3))})


def make_identifiers(r: Random, group: str, people: int) -> list[tuple[str, str]]:
    """Mostly one person's, sometimes what joins two, sometimes nobody's."""
    person = r.randrange(people)
    found = [
        ("user_id", f"{group}u{person}"),
        ("email", f"{group}p{person}@example.com"),
        ("anonymous_id", f"{group}a{person}-{r.randrange(3)}"),
        ("anonymous_id", f"{group}kiosk"),
        ("email", f"{group}p{r.randrange(people)}@example.com"),
    ]
    weights = (5, 3, 5, 1, 1)
    chosen = r.choices(range(5), weights, k=r.choice((0, 1, 1, 1, 2, 2, 3)))
    return [found[i] for i in sorted(set(chosen))]


def make_properties(r: Random, kind: str, group: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: r.choice(VALUES) for name in r.sample(("kind", "when", "address"), r.randint(0, 2))
    }
    if kind.startswith("order"):
        properties["currency"] = r.choice(("EUR", "EUR", "IRR", ""))
        if r.random() < 0.6:
            properties["order_id"] = f"{group}o{r.randrange(6)}"
        amount = r.choice(AMOUNTS)
        if amount is not None:
            properties["revenue"] = amount
    return properties


def delivered(r: Random, verdicts: Sequence[Verdict], copies: float = 0.3) -> list[Verdict]:
    """In another order, some of them several times."""
    again = [verdict for verdict in verdicts if r.random() < copies]
    shuffled = [*verdicts, *again]
    r.shuffle(shuffled)
    return shuffled


def chunks(r: Random, verdicts: Sequence[Verdict], largest: int) -> list[Sequence[Verdict]]:
    found, start = [], 0
    while start < len(verdicts):
        size = r.randint(1, largest)
        found.append(verdicts[start : start + size])
        start += size
    return found


# Crashes


class Crash(BaseException):
    """Stands for the end of the process: nothing catches it, and tries again."""


class Crashes:
    """A checkpoint that ends the process at chosen hits of chosen names, one after the other.

    Once dead, every other checkpoint that is reached (by another thread) ends too, until `revive`.
    """

    def __init__(self, plan: Sequence[tuple[str, int]]) -> None:
        self.plan = list(plan)
        self._hits: Counter[str] = Counter()
        self.dead = False
        self.happened: list[str] = []

    def __call__(self, name: str) -> None:
        if self.dead:
            raise Crash(name)
        self._hits[name] += 1
        if self.plan and self.plan[0][0] == name and self._hits[name] >= self.plan[0][1]:
            self.plan.pop(0)
            self._hits.clear()
            self.dead = True
            self.happened.append(name)
            raise Crash(name)

    def revive(self) -> None:
        self.dead = False


def nodes_hex(nodes: Iterable[int]) -> list[str]:
    return [to_hex(node) for node in sorted(nodes)]
