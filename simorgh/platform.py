"""One box: log, warehouse, processors, triggers and both HTTP faces wired together in one process."""

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from eventlog.watched import WatchedLog
from producers.metrics import CollectorMetrics
from producers.router import collector_router
from producers.shortcut import add_collector
from profile_api.app import create_api
from profile_api.deps import ApiDeps
from profile_api.readiness import Readiness, log_takes_events, stages_run, tables_answer
from profile_api.watch import literal_paths, watch
from schemas import topics
from schemas.catalog import Catalog
from schemas.clock import system_clock
from schemas.errors import Conflict
from simorgh.conditions import BoxConditions
from simorgh.crash import checkpoint_from_environment
from simorgh.datadir import DataDir
from simorgh.logs import open_log
from simorgh.metrics import StageMetrics
from simorgh.retry import retry_rejected
from simorgh.settings import Settings
from simorgh.shared import Declarations
from stream_processors import deliveries, generation
from stream_processors.pipeline import WarehouseBehind
from stream_processors.recent import RecentViews
from stream_processors.replay import Replay
from stream_processors.runner import Runner
from stream_processors.triggers.stage import TriggerStage
from stream_processors.views import Views
from warehouse.client import OtherTables, Warehouse, Writer

_LOG = logging.getLogger(__name__)
_REST_BESIDE_LIVE = 0.5


def open_warehouse(settings: Settings) -> Warehouse:
    """What the settings name. Connects at the first use."""
    return Warehouse(
        settings.warehouse_dsn,
        settings.workspace,
        read_dsn=settings.warehouse_read_dsn,
        cluster=settings.clickhouse_cluster,
    )


class Platform:
    """Opens the data folder. `start` begins the processors, `close` ends them in order. Not reusable."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = DataDir(settings.data).create()
        self.folder.require_free()
        self.log = WatchedLog(open_log(settings))
        self.warehouse = open_warehouse(settings)
        self.generation = generation.current(self.log)
        self._drop_other_generations()
        self._other_tables = self._migrate()
        self.reader = self.warehouse.reader(lambda: self.generation)
        self.secret = self.folder.secret()
        self.local_token = secrets.token_urlsafe(32)
        declarations = Declarations(self.log, settings, self.secret)
        self.registry, self.door = declarations.registry, declarations.door
        self.registry.trust(self.local_token)
        self.registry.refresh()
        self._checkpoint = checkpoint_from_environment()
        self.recent = RecentViews()
        self.runner = self._new_runner()
        self.triggers: TriggerStage | None = None
        self.conditions = BoxConditions(lambda: self.runner, lambda: self.triggers, lambda: self._processes)
        self.replaying: dict[str, Any] = {"state": "idle"}
        self._replay_lock = threading.Lock()
        self._processes = False
        """Whether `start` was called: a command that opens the folder for itself does not process."""

    def writer(self) -> Writer:
        """Of the live generation."""
        return self.warehouse.writer(self.generation)

    def start(self) -> None:
        """Begin to process. Returns at once; what was left unfinished is finished first, in the background."""
        self._processes = True
        threading.Thread(target=self._start_processing, name="start", daemon=True).start()

    def _start_processing(self) -> None:
        try:
            self.recover()
        except Exception as error:
            self.conditions.stopped(error)
            _LOG.exception("start: the projections cannot be brought up to date; events are taken all the same")
            return
        self.runner.start()
        self._start_triggers()

    def _start_triggers(self) -> None:
        """After the projections: what is told shows in views first."""
        self.triggers = TriggerStage(
            self.log,
            self.registry,
            lambda profiles: deliveries.identities_of(Views(self.reader, self.recent), profiles),
            lambda found: self.writer().insert("deliveries", deliveries.rows(found)),
            lambda due, limit: deliveries.pending(self.writer(), due, limit),
            allow_private=self.settings.allow_private_webhooks,
            reached=self._checkpoint,
            shown=lambda: [self.recent.position],
        )
        self.triggers.start()

    def recover(self) -> None:
        """Finish what an earlier process began; rebuild the warehouse where it has lost rows, or has other tables."""
        if self._other_tables:
            self._rebuild(f"warehouse: the tables in {self._other_tables.database} are of another version")
            self._other_tables = None
        else:
            try:
                self.runner.recover()
            except WarehouseBehind as error:
                self._rebuild(error.message)
        self.conditions.started()

    def _rebuild(self, why: str) -> None:
        _LOG.warning("%s: rebuilding all tables from the log", why)
        told = _tenths("rebuilding")

        def progress(done: int, total: int) -> None:
            self.conditions.rebuilding(done, total)
            told(done, total)

        progress(0, sum(self.log.ends(topics.EVENTS)))
        self.replay(progress, live=False)

    def close(self) -> None:
        if self.triggers:
            self.triggers.stop()
        self.runner.stop()
        self.log.close()
        self.warehouse.close()

    # ---- replay

    def replay(self, progress: Callable[[int, int], None] = lambda done, total: None, *, live: bool = True) -> None:
        """Rebuild the projections beside the live ones and swap. Blocks. `live`: keep processing until the swap."""
        if not self._replay_lock.acquire(blocking=False):
            raise Conflict("replay: one is running already; wait for its end", code="replay_running")
        try:
            replay = Replay(self.log, self.warehouse, system_clock, _REST_BESIDE_LIVE if live else 0.0)
            replay.catch_up(progress)
            if live:
                self.conditions.swapping()
            self.runner.stop()
            replay.finish()
            old, self.generation = self.generation, replay.generation
            self.recent.forget(owners=True)
            self.runner = self._new_runner()
            self.runner.recover()
            if live:
                self.runner.start()
                self.conditions.started()
                if self._processes and (self.triggers is None or self.triggers.status().error):
                    self._start_triggers()  # they had not begun, or had ended, for a cause that this has cured
            self.warehouse.drop(old)
        except BaseException as error:
            if self.runner.condition.state == "stopped":
                self.conditions.stopped(error)
            raise
        finally:
            self._replay_lock.release()

    def replay_in_background(self) -> dict[str, Any]:
        """Begin a replay unless one runs; answers how it stands."""
        if self.replaying["state"] != "running":
            self.replaying = {"state": "running", "done": 0, "total": 0}
            threading.Thread(target=self._replay, name="replay", daemon=True).start()
        return dict(self.replaying)

    def _replay(self) -> None:
        def progress(done: int, total: int) -> None:
            self.replaying.update(done=done, total=total)

        try:
            self.replay(progress)
            self.replaying.update(state="done", generation=self.generation)
        except Exception as error:
            _LOG.exception("replay: failed; the live generation is untouched")
            self.replaying.update(state="failed", reason=type(error).__name__)

    # ---- wiring

    def _migrate(self) -> OtherTables | None:
        """Create what is missing. Tables of another version stay as they are until `recover` has rebuilt them."""
        try:
            self.warehouse.migrate(self.generation)
        except OtherTables as error:
            return error
        return None

    def _new_runner(self) -> Runner:
        return Runner(
            self.log, self.warehouse, self.generation, system_clock, checkpoint=self._checkpoint, recent=self.recent
        )

    def _drop_other_generations(self) -> None:
        """What a replay left behind when it was killed, or had not dropped yet."""
        for number in self.warehouse.generations():
            if number != self.generation:
                self.warehouse.drop(number)

    def app(self) -> FastAPI:
        """Both HTTP faces on one app."""
        metrics = CollectorRegistry()
        metrics.register(StageMetrics(lambda: self.triggers, self.conditions))
        deps = ApiDeps(
            log=self.log,
            registry=self.registry,
            reader=self.reader,
            secret=self.secret,
            workspace=self.settings.workspace,
            retry_rejected=lambda record, payload: retry_rejected(self.log, self.registry, self.door, record, payload),
            allow_private_webhooks=self.settings.allow_private_webhooks,
            metrics=metrics,
            generation=lambda: self.generation,
            replay=self.replay_in_background,
            replay_state=lambda: dict(self.replaying),
            recent=self.recent,
            at_hand=True,
            conditions=self.conditions,
            readiness=self._readiness(),
        )
        app = create_api(deps)
        collector = collector_router(
            self.log,
            self.registry,
            self.door,
            catalog=Catalog.load(),
            clock=system_clock,
            metrics=CollectorMetrics(metrics),
        )
        add_collector(app, collector)
        watch(app, metrics, literal_paths(collector))
        return app

    def _readiness(self) -> Readiness:
        return Readiness(
            {
                "log": log_takes_events(self.log, topics.EVENTS),
                "warehouse": tables_answer(self.reader, lambda: self.warehouse.damage(self.generation)),
            },
            at_once=[stages_run(self.conditions)],
        )


def _tenths(what: str) -> Callable[[int, int], None]:
    """A replay's progress for the process's log: a line for each tenth, as it is passed."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if 10 * done // total > told:
            told = 10 * done // total
            _LOG.warning("%s: %d %% of %s events", what, 10 * told, f"{total:,}")

    return progress
