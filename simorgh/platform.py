"""One box: log, warehouse, processors, triggers and both HTTP faces wired together in one process."""

import logging
import random
import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from destinations import deliveries
from destinations.senders.choice import senders
from destinations.stage import TriggerStage
from eventlog.watched import WatchedLog
from privacy.log import SealedLog
from profile_api.deps import Projections
from profile_api.readiness import Readiness, log_takes_events, stages_run, tables_answer
from schemas import topics
from schemas.clock import system_clock
from schemas.errors import Conflict
from schemas.retry import Failures, Pauses
from simorgh import data_keys, secret
from simorgh.conditions import BoxConditions
from simorgh.crash import checkpoint_from_environment
from simorgh.datadir import DataDir, keep_files_private, require_log_where_tables_are
from simorgh.faces import api_and_collector, api_deps
from simorgh.logs import OneBox
from simorgh.metrics import StageMetrics
from simorgh.retention import expire
from simorgh.settings import Settings
from simorgh.shared import DeclarationsFollower
from simorgh.stores import heavy_queries, open_warehouse
from stream_processors.flow.filling import FillingProgress
from stream_processors.host import generation
from stream_processors.host.box import WarehouseBehind
from stream_processors.host.replay import on_one_box
from stream_processors.host.runner import Runner
from stream_processors.state.graphs import Graphs
from stream_processors.views.consent import who_allows
from stream_processors.views.find import Views
from stream_processors.views.recent import RecentViews
from warehouse.client import OtherTables, Writer
from warehouse.connect import is_server

_LOG = logging.getLogger(__name__)
_REST_BESIDE_LIVE = 0.5
_PAUSES = Pauses(0.5, 30.0)
"""Pauses between two attempts to bring the projections up to date at a start."""


class Platform:
    """Opens the data folder. `start` begins the processors, `close` ends them in order. Not reusable.

    There is none over a cluster's log: it owns everything, and would be a second owner there.
    """

    def __init__(self, settings: Settings, purpose: str = "this") -> None:
        """Locks the folder for this process. `purpose` is for the error. Raises `InvalidSettings` for a Kafka log, and
        `Conflict` if another process has the folder or the log was written with another secret.
        """
        box = OneBox(settings, purpose)
        self.settings = settings
        keep_files_private()
        self.folder = DataDir(settings.data).take()
        with ExitStack() as undo:
            undo.callback(self.folder.release)
            require_log_where_tables_are(settings.data, settings.log_path)
            log = box.open_log()
            undo.callback(log.close)
            self.secret = secret.of_one_box(settings, self.folder, log)
            self.keyring = data_keys.of_one_box(settings, self.folder, log)
            undo.callback(self.keyring.close)
            self._file = log
            self.log = WatchedLog(SealedLog(log, self.keyring))
            self.warehouse = open_warehouse(settings)
            undo.callback(self.warehouse.close)
            self._unsynced = not is_server(settings.warehouse_dsn)
            """Whether the tables are this process's files."""
            self._suspect = self._unsynced and self.folder.tables_may_lack_rows()
            if self._unsynced and not self._suspect:
                self.folder.tables_opened()
            self._prepare()
            undo.pop_all()

    def _prepare(self) -> None:
        self.generation = generation.current(self.log)
        self._drop_other_generations()
        self._other_tables = self._migrate()
        self.reader = self.warehouse.reader(lambda: self.generation)
        self.local_token = secrets.token_urlsafe(32)
        self._declarations = DeclarationsFollower(self.log, self.settings, self.secret, self.keyring)
        self.registry, self.door = self._declarations.registry, self._declarations.door
        self.registry.trust(self.local_token)
        self.registry.refresh()
        self.heavy = heavy_queries(self.settings, self.reader)
        self.metrics = CollectorRegistry()
        self._checkpoint = checkpoint_from_environment()
        self.recent = RecentViews()
        self.progress = FillingProgress()
        self._graphs = Graphs(self.folder.root)
        self.runner = self._new_runner()
        self.triggers: TriggerStage | None = None
        self.conditions = BoxConditions(lambda: self.runner, lambda: self.triggers, lambda: self._processes)
        self.replaying: dict[str, Any] = {"state": "idle"}
        self._replay_lock = threading.Lock()
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._starting: threading.Thread | None = None
        self._replaying: threading.Thread | None = None
        self._processes = False
        """Whether `start` was called: a command that opens the folder for itself does not process."""

    def writer(self) -> Writer:
        """Of the live generation."""
        return self.warehouse.writer(self.generation)

    def start(self) -> None:
        """Start processing. Returns at once; unfinished work is finished first, in the background."""
        self._processes = True
        self._starting = threading.Thread(target=self._start_processing, name="start", daemon=True)
        self._starting.start()

    def _start_processing(self) -> None:
        if self._recover_insisting():
            self._start_stages()
            _LOG.info("processing: generation %d, caught up with the log", self.generation)

    def _start_stages(self) -> None:
        """Triggers start after the projections: views show transitions first."""
        triggers = TriggerStage(
            self.log,
            self.registry,
            lambda profiles: deliveries.identities_of(Views(self.reader, self.recent), profiles),
            who_allows(lambda: self.registry.purposes, lambda: Views(self.reader, self.recent), self.reader),
            lambda found: self.writer().insert("deliveries", deliveries.rows(found)),
            lambda due, limit: deliveries.pending(self.writer(), due, limit),
            senders(system_clock, allow_private=self.settings.allow_private_webhooks),
            reached=self._checkpoint,
            shown=lambda: [self.recent.position],
        )
        with self._changing:
            if self._closing.is_set():
                return
            self.runner.start()
            self.conditions.started()
            self.triggers = triggers
            triggers.start()

    def _recover_insisting(self) -> bool:
        """Recover, with retries while a store is unavailable or full. False if that fails for good, or the process is
        stopping.

        Events are accepted meanwhile.
        """
        failures = Failures(_PAUSES)
        while not self._closing.is_set():
            try:
                self.recover()
            except Exception as error:
                if self._closing.is_set():
                    break
                failures.add(error)
                _LOG.log(
                    logging.ERROR if failures.of_ours else logging.WARNING,
                    "start: the projections cannot be brought up to date; events are accepted all the same",
                    exc_info=error,
                )
                if failures.is_final:
                    self.conditions.stopped(error)
                    _LOG.error(
                        "start: given up; nothing is lost. Look at the lines above, then restart; simorgh doctor"
                    )
                    return False
                self._closing.wait(failures.pause(random.random()))
            else:
                return True
        return False

    def recover(self) -> None:
        """Finish the work of an earlier process; rebuild the warehouse if it has lost rows, or has other table
        definitions."""
        if self._other_tables:
            self._rebuild(f"warehouse: the tables in {self._other_tables.database} are of another version")
            self._other_tables = None
        elif self._suspect:
            self._rebuild("warehouse: the machine went down while the tables were open, so rows may be missing")
        else:
            try:
                self.runner.recover()
            except WarehouseBehind as error:
                self._rebuild(error.message)
        if self._suspect:
            self.folder.tables_opened()
            self._suspect = False
        self.conditions.started()

    def _rebuild(self, why: str) -> None:
        _LOG.warning("%s: rebuilding all tables from the log", why)
        told = _tenths("rebuilding")

        def progress(done: int, total: int) -> None:
            self.conditions.rebuilding(done, total)
            told(done, total)

        progress(0, sum(self.log.ends(topics.EVENTS)))
        self.replay(progress, live=False)
        _LOG.warning("rebuilt: generation %d is live", self.generation)

    def close(self) -> None:
        """End in order. A start or a replay that is under way ends at its next batch."""
        with self._changing:
            self._closing.set()
        for thread in (self._starting, self._replaying):
            if thread:
                thread.join()
        if self.triggers:
            self.triggers.stop()
        self.runner.stop()
        self._graphs.close()
        self.log.close()
        self.warehouse.close()
        if self._unsynced and not self._suspect:
            self.folder.tables_closed()
        self.folder.release()

    # ---- replay

    def replay(self, progress: Callable[[int, int], None] = lambda done, total: None, *, live: bool = True) -> None:
        """Take what is too old out of the log, rebuild the projections next to the live ones, and swap.
        Blocks. `live`: keep processing until the swap."""
        if not self._replay_lock.acquire(blocking=False):
            raise generation.one_runs()
        try:
            self.registry.refresh()
            expire(self._file, self.registry.retentions.values(), system_clock())
            replay = on_one_box(
                self.log,
                self.warehouse,
                system_clock,
                _REST_BESIDE_LIVE if live else 0.0,
                self.settings.most_set_aside,
                self.keyring.names,
            )
            try:
                replay.catch_up(self._unless_closing(progress))
                if live:
                    self.conditions.swapping()
                self.runner.stop()
                replay.finish()
                old, self.generation = self.generation, replay.generation
                replay.copy_on()
            finally:
                replay.close()
            self.recent.forget(owners=True)
            self.runner = self._new_runner()
            self.runner.recover()
            if live and self._processes and (self.triggers is None or self.triggers.status().error):
                self._start_stages()  # they had not begun, or had ended, for a cause that this has cured
            elif live:
                self.runner.start()
                self.conditions.started()
            self.warehouse.drop(old)
        except BaseException as error:
            if self.runner.condition.state == "stopped":
                self.conditions.stopped(error)
            raise
        finally:
            self._replay_lock.release()

    def _unless_closing(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Reports progress, and ends the rebuild if the process is stopping."""

        def told(done: int, total: int) -> None:
            if self._closing.is_set():
                raise Conflict(
                    "replay: wanted to finish, got the end of the process; start it again, the live tables are intact"
                )
            progress(done, total)

        return told

    def replay_in_background(self) -> dict[str, Any]:
        """Start a replay; returns its state. Raises `Conflict` (`replay_running`) if one is running."""
        if self.replaying["state"] == "running":
            raise generation.one_runs()
        self.replaying = {"state": "running", "done": 0, "total": 0}
        self._replaying = threading.Thread(target=self._replay, name="replay", daemon=True)
        self._replaying.start()
        return dict(self.replaying)

    def _replay(self) -> None:
        def progress(done: int, total: int) -> None:
            self.replaying.update(done=done, total=total)

        _LOG.info("replay: begins")
        try:
            self.replay(progress)
            self.replaying.update(state="done", generation=self.generation)
            _LOG.info("replay: done, generation %d is live", self.generation)
        except Exception as error:
            self.replaying.update(state="failed", reason=type(error).__name__)
            if not self._closing.is_set():
                _LOG.exception("replay: failed; the live generation is untouched")

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
            self.log,
            self.warehouse,
            self.generation,
            system_clock,
            checkpoint=self._checkpoint,
            recent=self.recent,
            graphs=self._graphs,
            progress=self.progress,
            most_set_aside=self.settings.most_set_aside,
            keyring=self.keyring,
        )

    def _drop_other_generations(self) -> None:
        """Drop the leftovers of a killed replay, or of one that has not cleaned up yet."""
        for number in self.warehouse.generations():
            if number != self.generation:
                self.warehouse.drop(number)

    def app(self, stopping: Callable[[], bool] = lambda: False) -> FastAPI:
        """Both HTTP faces on one app. `stopping`: whether streams are to end."""
        self.metrics.register(StageMetrics(lambda: self.triggers, self.conditions))
        deps = api_deps(
            self.log,
            self._declarations,
            self.settings,
            secret=self.secret,
            reader=self.reader,
            generation=lambda: self.generation,
            projections=Projections(
                conditions=self.conditions,
                at_hand=True,
                recent=self.recent,
                filled=self.progress.of,
                replay=self.replay_in_background,
                replay_state=lambda: dict(self.replaying),
            ),
            readiness=self._readiness(),
            heavy=self.heavy,
            stopping=stopping,
            metrics=self.metrics,
        )
        return api_and_collector(deps, self._declarations, self.settings)

    def _readiness(self) -> Readiness:
        return Readiness(
            {
                "log": log_takes_events(self.log, topics.EVENTS),
                "warehouse": tables_answer(self.reader, lambda: self.warehouse.damage(self.generation)),
            },
            at_once=[stages_run(self.conditions)],
        )


def _tenths(what: str) -> Callable[[int, int], None]:
    """A replay's progress in the process's log: a line for each tenth."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if 10 * done // total > told:
            told = 10 * done // total
            _LOG.info("%s: %d %% of %s events", what, 10 * told, f"{total:,}")

    return progress
