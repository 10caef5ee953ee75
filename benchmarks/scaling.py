"""How the cluster goes on to a billion identifiers and a million events a second: a simulation, no servers.

Two steps. The stages run for real, on SQLite and chDB, over the seeded workload: what an event, a link and a touched
profile cost on this machine, and how many links and touches events come to. Then deployments of growing size are played
with these costs: how often a person is met again while a worker remembers them is drawn by chance (seeded), the rest
is arithmetic. People come alone, as if nobody ever sent two events in a minute but by chance: the worst case for caches
and for touches. The table says what each step needs and, in the last column, what breaks first.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from benchmarks import report
from benchmarks.world import EVENTS_PER_PERSON, fill_log
from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from schemas.clock import system_clock
from simorgh.interpreter import tune_interpreter
from stream_processors.host.worker import WorkerStages
from stream_processors.state.stage import Stage
from warehouse.client import Warehouse

EVENTS, RULES, BATCH = 40_000, 20, 5_000
SIZES: Final = ((10**6, 10**3), (10**7, 10**4), (10**8, 10**5), (10**9, 10**6))
"""Identifiers, events a second."""

IDENTIFIERS_PER_PERSON: Final = 3
NODE_BYTES: Final = 212
"""Of the identity graph in memory, measured on a running cluster."""
FOLD: Final = 44
"""µs a link when the topic is folded at a start, measured there, too."""
WORKER_GB: Final = 64
LOOK_UP: Final = 8.2
"""µs of CPU to look an id up in the table, 5,000 at a time, of 2 M ids: these deployments have too many for memory."""
TUPLES: Final = 400_000
NEW_SHARE: Final = 0.02
"""Of events: those with an identifier, or a pair of them, that was never seen. Measured: 0.14 to 0.17 in the beginning,
0.02 once most people are known. It does not fall to nothing: browsers forget their cookies."""
MOST_PARTITIONS: Final = 64
BUSY: Final = 0.6
"""Of a core that a stage may use: the rest is for catching up."""


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU, chDB's included, in µs; links and touches by event. `late`: of the second half, where most is known."""

    event: float
    link: float
    touched: float
    links_by_event: float
    late_links_by_event: float
    touches_by_event: float


def main() -> None:
    tune_interpreter()
    costs = measure()
    rows = [
        ("events stage, µs an event", costs.event),
        ("identity stage, µs a link", costs.link),
        ("profiles stage, µs a touched profile", costs.touched),
        ("links told by event, all", costs.links_by_event),
        ("links told by event, second half", costs.late_links_by_event),
        ("touched profiles by event", costs.touches_by_event),
    ]
    note = (
        f"{EVENTS:,} events, {EVENTS_PER_PERSON} a person, {RULES} segments, batches of {BATCH:,}; {report.machine()}"
    )
    report.show("Unit costs of the cluster's stages, in CPU", ("step", "figure"), rows, note)
    columns = (
        "nodes", "events/s", "workers", "known %", "links/s", "id. core", "graph GB", "GB a day", "fold of a year, h",
        "touches/s", "pr. cores", "limit",
    )  # fmt: skip
    table = [play(identifiers, rate, costs) for identifiers, rate in SIZES]
    assumed = "workers: a core each for the events stage; id.: identity, pr.: profiles; limit: what to shard next; "
    assumed += f"{NEW_SHARE:.1%} of events bring news; a core is used to {BUSY:.0%}; a worker has {WORKER_GB} GB"
    report.show("Simulated deployments", columns, table, assumed)


# Unit costs


def measure() -> Costs:
    """Run the stages over a workload, one after the other, batch by batch."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        fill_log(root / "log.sqlite", EVENTS, RULES)
        log = SqliteEventLog(root / "log.sqlite")
        warehouse = Warehouse(f"chdb://{root / 'warehouse'}")
        warehouse.migrate(1)
        writer, reader = warehouse.writer(1), warehouse.reader(lambda: 1)
        own = WorkerStages(log, writer, reader, system_clock)
        events, identity, profiles = own.events, own.identity, own.profiles
        run = _Run(log, [events, identity, profiles])
        identity.idle()
        half = 0
        while run.turn():
            if not half and run.seen[events.name] >= EVENTS // 2:
                half = run.seen[identity.name]
        warehouse.close()
        log.close()
        return Costs(
            event=run.cost(events),
            link=run.cost(identity),
            touched=run.cost(profiles),
            links_by_event=run.seen[identity.name] / EVENTS,
            late_links_by_event=(run.seen[identity.name] - half) / (EVENTS // 2),
            touches_by_event=run.seen[profiles.name] / EVENTS,
        )


class _Run:
    """Drives stages, and says what their records cost."""

    def __init__(self, log: EventLog, stages: list[Stage]) -> None:
        self._log = log
        self._stages = stages
        self.seen = dict.fromkeys((stage.name for stage in stages), 0)
        self._cpu = dict.fromkeys(self.seen, 0.0)
        self._positions = {stage.name: stage.assign(range(len(log.ends(stage.topic))), 1) for stage in stages}

    def turn(self) -> int:
        return sum(self._step(stage) for stage in self._stages)

    def _step(self, stage: Stage) -> int:
        positions = self._positions[stage.name]
        records = [r for p, at in positions.items() for r in self._log.read(stage.topic, p, at, BATCH)]
        if not records:
            return 0
        began = time.process_time()
        stage.process(records)
        self._cpu[stage.name] += time.process_time() - began
        self.seen[stage.name] += len(records)
        positions.update({record.partition: record.offset + 1 for record in records})
        self._log.commit(stage.group, {stage.topic: dict(positions)})
        return len(records)

    def cost(self, stage: Stage) -> float:
        return 1e6 * self._cpu[stage.name] / max(1, self.seen[stage.name])


# Deployments


def play(identifiers: int, rate: int, costs: Costs, seed: int = 1) -> tuple[object, ...]:
    """One row: what a deployment of this size needs."""
    chance = np.random.default_rng(seed)
    people = identifiers // IDENTIFIERS_PER_PERSON
    cores = max(1.0, rate * (costs.event + LOOK_UP) / 1e6 / BUSY)
    workers = int(np.ceil(cores))
    per_worker = rate / workers
    known, people_per_batch = _memory(chance, people, int(min(10**7, per_worker * 60)))
    touches = rate * (1 - NEW_SHARE) * people_per_batch + rate * NEW_SHARE
    links = rate * NEW_SHARE
    identity_core = links * costs.link / 1e6
    graph = identifiers * NODE_BYTES / 1e9
    profile_cores = touches * costs.touched / 1e6 / BUSY
    return (
        f"{identifiers:.0e}", f"{rate:,}", workers, 100 * known, int(links), identity_core, graph,
        links * NODE_BYTES * 86_400 / 1e9, links * FOLD * 365 * 24 / 1e6, int(touches),
        int(np.ceil(profile_cores)), _limit(identity_core, graph, profile_cores),
    )  # fmt: skip


def _memory(chance: np.random.Generator, people: int, events: int) -> tuple[float, float]:
    """Of a worker's events in a minute (what its cache of tuples stays fresh for): the share that meets a tuple that it
    knows, and the people by event in a batch. People are met unevenly, as in the workload."""
    met = (people * chance.random(max(events, BATCH)) ** 1.5).astype(np.int64)
    tuples = met * 4 + chance.integers(0, 4, met.size)  # which of a person's identifiers an event carries
    distinct = min(np.unique(tuples).size, tuples.size)
    kept = min(1.0, TUPLES / max(1, distinct))
    known = (1 - distinct / tuples.size) * kept
    batch = met[:BATCH]
    return float(known), float(np.unique(batch).size / batch.size)


def _limit(identity_core: float, graph_gb: float, profile_cores: float) -> str:
    """What comes to its end first; a worker is one interpreter, and has a partition at least."""
    if identity_core > BUSY:
        return "identity core"
    if profile_cores > MOST_PARTITIONS:
        return "partitions"
    return "graph" if graph_gb > WORKER_GB else "none"


if __name__ == "__main__":
    main()
