"""Several workers of the cluster's stages in one process, on one log and one warehouse, on a clock that stands.

The host is the test: it shares partitions out, reads, commits, kills workers at checkpoints, and stops them there to
wake them up later (zombies run in a thread of their own; the test waits for them, so that every run is the same).
"""

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

from eventlog.fences import Fences
from eventlog.port import EventLog, Record
from eventlog.sqlite import SqliteEventLog
from identity.graph import IdentityGraph
from registry.registry import Registry
from schemas import topics
from schemas.errors import Conflict
from schemas.records import read_transition
from stream_processors.checkpoints import Checkpoint, no_checkpoint
from stream_processors.flow import rejected
from stream_processors.flow.declarations import Declarations
from stream_processors.flow.events import EventsStage
from stream_processors.flow.identity import IdentityStage
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.host import generation
from stream_processors.host.following import Following, OnceLevel
from stream_processors.host.generation import GenerationLog, LiveGeneration
from stream_processors.host.lane import RecordSource, Replaced
from stream_processors.host.replay_keeper import ReplayKeeper
from stream_processors.host.worker import WorkerStages
from stream_processors.state.graphs import Graphs
from stream_processors.state.stage import Stage, Superseded
from tests.properties.installation import Clock, House
from tests.properties.pipeline_world import SECRET
from tests.properties.points import Killed, Points
from tests.properties.rebuilt import Rebuilt
from tests.properties.segments_world import T0
from warehouse.client import Warehouse
from warehouse.connect import Embedded

STAGES: Final = ("events", "identity", "profiles")
REPLAYED: Final = ("rebuilt", "differing", "noted")
"""The side effects of a replay that its own thread does."""
PARTITIONS: Final = 3
_numbers = count(1)


class FinalWarehouse(Warehouse):
    """As on a server: every query sees rows that were written twice once."""

    def __init__(self, dsn: str, workspace: str) -> None:
        super().__init__(dsn, workspace)
        self._connections = Embedded(dsn, final=True)


class Worker:
    """One process: an object of each stage, and what it holds."""

    def __init__(self, cluster: "Cluster") -> None:
        self.points = Points()
        self._cluster = cluster
        self.live = LiveGeneration(cluster.log)
        self._opened: dict[int, WorkerStages] = {}
        profiles = Following(ProfilesStage, self.live, lambda number: self.of(number).profiles)
        self.stages: dict[str, Stage] = {
            "events": Following(EventsStage, self.live, lambda number: self.of(number).events),
            "identity": Following(IdentityStage, self.live, lambda number: self.of(number).identity),
            "profiles": profiles,
        }
        self.sources: dict[str, RecordSource] = {
            name: WholeLog(cluster.log, one.topic) for name, one in self.stages.items()
        }
        self.sources["profiles"] = OnceLevel(self.sources["profiles"], cluster.log, lambda: profiles.generation)
        self.positions: dict[str, dict[int, int]] = {name: {} for name in STAGES}
        self.zombie: threading.Thread | None = None
        self.ended_by: BaseException | None = None

    @property
    def own(self) -> WorkerStages:
        """The stages of the generation that this worker takes for the live one."""
        return self.of(self.live.number)

    def of(self, number: int) -> WorkerStages:
        cluster = self._cluster
        if number not in self._opened:
            self._opened[number] = WorkerStages(
                GenerationLog(cluster.log, lambda: number),
                cluster.warehouse.writer(number),
                cluster.warehouse.reader(lambda: number),
                cluster.clock,
                checkpoint=self.points,
                graphs=Graphs(cluster.snapshots, least=1),
                cached_profiles=cluster.cached,
                keyring=cluster.keyring,
            )
        return self._opened[number]


class WholeLog:
    """See `lane.RecordSource`: so many records of each partition, and no waiting."""

    def __init__(self, log: EventLog, topic: str) -> None:
        self._log = log
        self._topic = topic

    def take(self, positions: Mapping[int, int], limit: int, timeout: float) -> list[Record]:
        records: list[Record] = []
        for part, position in sorted(positions.items()):
            records += self._log.read(self._topic, part, position, limit)
        return records


class Cluster(House):
    """A log, a warehouse, and workers that share the partitions out."""

    def __init__(
        self,
        dsn: str,
        folder: Path,
        *,
        workers: int = 2,
        partitions: int = PARTITIONS,
        cached_profiles: int = 1_000,
        batch: int = 1_000,
        now: int = T0,
        linger: object = None,
        sealed: bool = False,
        log: Path | None = None,
        keys: Path | None = None,
    ) -> None:
        """`linger`: rows do not. `log` and `keys`: what was restored, else new files."""
        self.cached = cached_profiles
        self.batch = batch
        self._folder = folder
        self._dsn = dsn
        self.number = next(_numbers)
        self.partitions = partitions
        self.clock = Clock(now)
        self.log_path = log or folder / f"cluster{self.number}.sqlite"
        self.keys_path = keys or folder / f"cluster{self.number}.keys.sqlite"
        self.log: EventLog = SqliteEventLog(self.log_path, partitions=partitions, clock=self.clock)
        if sealed:
            self.seal(self.keys_path, SECRET)
        self.snapshots = folder / f"cluster{self.number}"
        """Shared by all workers, as if they had one folder: what one writes the next one may find."""
        self.snapshots.mkdir()
        self.warehouse = FinalWarehouse(dsn, f"cluster{self.number}")
        self.warehouse.migrate(1)
        self.registry = Registry(self.log, self.clock)
        self.generations = dict.fromkeys(STAGES, 0)
        self.zombies: list[Worker] = []
        self.workers = [Worker(self) for _ in range(workers)]
        for stage in STAGES:
            self.rebalance(stage)

    @property
    def generation(self) -> int:
        return generation.current(self.log)

    @property
    def graph(self) -> IdentityGraph:
        return self._holder_of_identity.graph

    @property
    def declarations(self) -> Declarations:
        beside = self._holder_of_identity.beside
        assert isinstance(beside, Declarations)
        return beside

    @property
    def _holder_of_identity(self) -> IdentityStage:
        return next(worker.own.identity for worker in self.workers if worker.positions["identity"])

    def restart(self) -> None:
        """New workers in place of all."""
        self.open_keys()
        self.workers = [Worker(self) for _ in self.workers]
        for stage in STAGES:
            self.rebalance(stage)

    def forget_states(self) -> None:
        for worker in self.workers:
            worker.own.states.forget()

    # ---- who holds what

    def partitions_of(self, stage: str) -> range:
        return range(1 if stage == "identity" else self.partitions)

    def rebalance(self, stage: str, owners: Sequence[int] = ()) -> None:
        """Share the partitions out anew: partition n to worker `owners[n]`, or in turn."""
        self.generations[stage] += 1
        wanted: dict[int, list[int]] = {}
        for part in self.partitions_of(stage):
            wanted.setdefault(owners[part] if owners else part % len(self.workers), []).append(part)
        for worker in self.workers:
            self.let_go(worker, stage)
        for number, parts in wanted.items():
            self.take(self.workers[number], stage, parts)

    def let_go(self, worker: Worker, stage: str) -> None:
        worker.stages[stage].revoke(list(worker.positions[stage]))
        worker.positions[stage] = {}

    def take(self, worker: Worker, stage: str, parts: Collection[int]) -> None:
        worker.positions[stage] |= worker.stages[stage].assign(parts, self.generations[stage])

    def replace(self, worker: Worker) -> None:
        """The worker is gone, another process takes its place, and all partitions are shared out again."""
        self.workers[self.workers.index(worker)] = Worker(self)
        for stage in STAGES:
            self.rebalance(stage)

    # ---- the host's loop

    def step(self, worker: Worker, stage: str, limit: int = 1_000) -> int:
        """One turn of a stage's loop; returns how many records it held."""
        one = worker.stages[stage]
        held = worker.positions[stage]
        if not held:
            return 0
        try:
            records = self.read(worker, stage, limit)
            if records:
                one.process(records)
                self.commit(worker, stage, records)
            one.idle()
        except Replaced:
            self.let_go(worker, stage)
            self.take(worker, stage, list(held))
            return 1
        return len(records)

    def read(self, worker: Worker, stage: str, limit: int) -> list[Record]:
        return worker.sources[stage].take(worker.positions[stage], limit, 0.0)

    def commit(self, worker: Worker, stage: str, records: Sequence[Record]) -> None:
        one = worker.stages[stage]
        ends = {record.partition: record.offset + 1 for record in records}
        worker.positions[stage] |= ends
        self.log.commit(one.group, {one.topic: ends})

    def rewind(self, worker: Worker, stage: str) -> None:
        """What was seen to is given again."""
        worker.positions[stage] = {part: max(0, at - 7) for part, at in worker.positions[stage].items()}

    def dies(self, worker: Worker, stage: str, point: str, limit: int = 1_000) -> bool:
        """The worker steps, and is killed where it reaches the point."""
        worker.points.dies_at = point
        try:
            self.step(worker, stage, limit)
        except Killed:
            self.replace(worker)
            return True
        worker.points.dies_at = None
        return False

    def fails(self, worker: Worker, stage: str, point: str, limit: int = 1_000) -> bool:
        """The step fails at the point, and the same process tries again."""
        worker.points.dies_at = point
        try:
            self.step(worker, stage, limit)
        except Killed:
            self.step(worker, stage, limit)
            return True
        worker.points.dies_at = None
        return False

    def freezes(self, worker: Worker, stage: str, point: str, limit: int = 1_000) -> bool:
        """The worker stops where it reaches the point, and loses all it holds to others; it may wake up later."""
        worker.points.stops_at = point
        worker.zombie = threading.Thread(target=self._run_zombie, args=(worker, stage, limit))
        worker.zombie.start()
        while worker.zombie.is_alive() and not worker.points.stopped.wait(0.002):
            pass
        if not worker.points.stopped.is_set():
            worker.zombie.join()
            worker.points.stops_at = None
            if isinstance(worker.ended_by, Replaced):
                worker.ended_by = None
            if worker.ended_by:
                raise worker.ended_by
            return False
        self.zombies.append(worker)
        self.replace(worker)
        return True

    def _run_zombie(self, worker: Worker, stage: str, limit: int) -> None:
        try:
            records = self.read(worker, stage, limit)
            if records:
                worker.stages[stage].process(records)
                if not worker.points.stopped.is_set():  # a broker takes no commit of an earlier generation
                    self.commit(worker, stage, records)
            if not worker.points.stopped.is_set():
                worker.stages[stage].idle()
        except (Exception, Killed) as error:
            worker.ended_by = error

    def wake(self, zombie: Worker) -> BaseException | None:
        """Let a zombie finish what it was at; how it ended."""
        self.zombies.remove(zombie)
        zombie.points.wake()
        assert zombie.zombie
        zombie.zombie.join()
        if zombie.ended_by and not isinstance(zombie.ended_by, Superseded | Replaced):
            raise zombie.ended_by
        return zombie.ended_by

    def settle(self, limit: int = 0) -> None:
        """`limit`: of records that a stage takes at once from a partition."""
        for worker in self.workers:
            worker.live.look()
        log = GenerationLog(self.log, lambda: self.generation)
        for _ in range(2_000):
            done = sum(self.step(worker, stage, limit or self.batch) for worker in self.workers for stage in STAGES)
            done += rejected.step(log, self.writer)
            if not done and self._is_quiet():
                return
        raise AssertionError("it never comes to rest")

    def _is_quiet(self) -> bool:
        end = self.log.ends(topics.REGISTRY)[0]
        log = GenerationLog(self.log, lambda: self.generation)
        return log.committed(topics.PROJECTIONS, topics.REGISTRY)[0] == end and not any(
            self.read(worker, stage, 1) for worker in self.workers for stage in STAGES
        )

    # ---- replay

    def replay(self, *dies_at: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Ask for a replay, and let one process after another do it: each is killed at its point, the last goes on to
        the end. `meanwhile` is done after each side effect of the replay's own."""
        with suppress(Conflict):  # one that was killed is wanted still
            generation.want(self.log)
        for point in (*dies_at, None):
            points = Points()
            points.dies_at = point

            def reached(name: str, points: Points = points) -> None:
                points(name)
                if name in REPLAYED:
                    meanwhile()

            with suppress(Killed):
                self.keeper(reached, keep=float("inf")).look()

    def keeper(self, reached: Checkpoint = no_checkpoint, keep: float = 0.0) -> ReplayKeeper:
        """The owner of simorgh.registry in a process of its own. `keep`: seconds, of the tables of earlier
        generations."""
        made = ReplayKeeper(
            self.log,
            self.warehouse,
            self.clock,
            lambda topic, positions: None,
            checkpoint=reached,
            keep=keep,
            rest=0.0,
            names=self.names,
        )
        made.own([0], 1)
        return made

    # ---- what came of it

    def transitions(self) -> list[dict[str, Any]]:
        """As anybody who reads the topic knows it."""
        fences = Fences()
        records = self.log.read(topics.SEGMENTS, 0, 0, 1_000_000)
        counted = [record.value for record in records if fences.counts(record.value)]
        return [json.loads(value) for value in counted if read_transition(value)]

    def embedded(self) -> Rebuilt:
        """What one process makes of the same log."""
        return Rebuilt(self.log, self.clock, self._dsn, self._folder)

    def close(self) -> None:
        for zombie in list(self.zombies):
            self.wake(zombie)
        for number in self.warehouse.generations():
            self.warehouse.drop(number)
        self.warehouse.close()
        self.close_log()
