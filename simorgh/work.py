"""`simorgh work`: the stages of this worker's partitions, until it is told to stop."""

import asyncio
import logging
import signal
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import faust
from aiokafka.codec import has_lz4
from faust.types.auth import CredentialsT
from faust.types.web import Request, Response, View
from prometheus_client import CollectorRegistry, generate_latest

from destinations import deliveries
from destinations.senders.choice import senders
from destinations.stage import TriggerStage
from privacy import records
from profile_api.readiness import (
    Readiness,
    ReadinessFault,
    keys_are_known,
    log_takes_events,
    stages_run,
    tables_answer,
)
from registry.models import Retention
from schemas import topics
from schemas.clock import system_clock
from schemas.condition import Condition
from schemas.errors import Broken, InvalidSettings
from schemas.problems import CONTENT_TYPE, problem_body
from simorgh.cluster import Base, opened
from simorgh.conditions import of_triggers
from simorgh.crash import checkpoint_from_environment
from simorgh.metrics import TriggerMetrics
from simorgh.settings import Settings
from simorgh.stores import open_warehouse
from stream_processors.flow.events import EventsStage
from stream_processors.flow.identity import IdentityStage
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.host.faust_app import GroupSettings, Membership
from stream_processors.host.following import Following, Kind, OnceLevel
from stream_processors.host.generation import GenerationLog, LiveGeneration
from stream_processors.host.keeper import TriggerKeeper
from stream_processors.host.lane import Lane, LogSource, RecordSource
from stream_processors.host.metrics import BatchMetrics, LaneMetrics
from stream_processors.host.rejected import AgentSource, RejectedStage
from stream_processors.host.replay_keeper import ReplayKeeper
from stream_processors.host.watchdog import Watchdog
from stream_processors.host.worker import StagesByGeneration
from stream_processors.state.graphs import Graphs
from stream_processors.state.stage import Stage
from stream_processors.views.consent import who_allows
from stream_processors.views.find import Views
from stream_processors.views.recent import RecentViews
from warehouse.client import Warehouse

_LOG = logging.getLogger(__name__)

AGENT_MOST, AGENT_WITHIN = 500, 0.1
BATCH_EVERY = 0.2
"""Seconds. A batch costs the warehouse some ten queries and three to six parts, whatever it holds: so at most five of
each stage in a second."""


def work(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Join the workers' group and process its partitions until SIGTERM; the current batch is finished first. Raises
    `Broken` if Faust ended by itself: the supervisor should start the worker again.
    """
    with opened(settings) as base, tempfile.TemporaryDirectory(prefix="simorgh-work-") as folder:
        warehouse = open_warehouse(settings)
        try:
            asyncio.run(_run(settings, base, warehouse, GroupSettings(
                brokers=base.kafka.bootstrap,
                group=settings.worker_group,
                folder=folder,
                host=host,
                port=port or _free_port(host),
                session=settings.worker_session_seconds,
                credentials=credentials(base.kafka.security),
            ), ready))  # fmt: skip
        finally:
            warehouse.close()


async def _run(
    settings: Settings, base: Base, warehouse: Warehouse, group: GroupSettings, ready: Callable[[str], None]
) -> None:
    worker = Worker(settings, base, warehouse, group)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, worker.membership.leave)
    worker.start()
    loop.call_soon(ready, f"http://{group.host}:{group.port}")
    try:
        crash = await worker.membership.run()
    finally:
        await asyncio.to_thread(worker.close)
    if crash is not None:
        raise Broken(f"work: wanted Faust to run, got {type(crash).__name__}; start the worker again, nothing is lost")


class Worker:
    """The stages, their lanes, and the place in the group, wired together. Made in a running loop."""

    def __init__(self, settings: Settings, base: Base, warehouse: Warehouse, group: GroupSettings) -> None:
        self._settings = settings
        self._log = base.log
        self._registry = base.declarations.registry
        self._checkpoint = checkpoint_from_environment()
        self._live = LiveGeneration(base.log)
        self._warehouse = warehouse
        self._reader = reader = warehouse.reader(self._live)
        self._views = Views(reader, RecentViews())
        self.metrics = CollectorRegistry()
        self._batches = BatchMetrics(self.metrics)
        log, clock, checkpoint = base.log, system_clock, self._checkpoint
        graphs = Graphs(settings.data if settings.data.is_dir() else None)  # a worker needs no folder, and may have one
        stages = StagesByGeneration(
            log,
            warehouse,
            clock,
            checkpoint=checkpoint,
            graphs=graphs,
            most_set_aside=settings.most_set_aside,
            keyring=base.keyring,
        )
        rejected = (
            AgentSource(log, topics.REJECTED, lambda found: records.opened(topics.REJECTED, found, base.keyring))
            if has_lz4()  # otherwise Faust cannot read the log's records
            else None
        )
        profiles = self._following(ProfilesStage, lambda number: stages.of(number).profiles)
        touches = OnceLevel(LogSource(log, topics.TOUCHED), log, lambda: profiles.generation)
        self.lanes = [
            self._lane(self._following(EventsStage, lambda number: stages.of(number).events)),
            self._lane(self._following(IdentityStage, lambda number: stages.of(number).identity)),
            self._lane(profiles, touches),
            self._lane(self._following(RejectedStage, lambda number: stages.of(number).rejected), rejected),
        ]
        self.keeper = TriggerKeeper(self._new_triggers)
        self._live.moved.append(self.keeper.renew)
        self.replays = ReplayKeeper(
            log,
            warehouse,
            clock,
            self._fence,
            checkpoint=checkpoint,
            most_set_aside=settings.most_set_aside,
            names=base.keyring.names,
            retentions=self._retentions,
        )
        self._parts: list[Lane | TriggerKeeper | ReplayKeeper] = [*self.lanes, self.keeper, self.replays]
        self.membership = Membership(group, self._parts, rebalanced=self._batches.rebalances.inc)
        if rejected is not None:
            self.membership.agent(topics.REJECTED, rejected.offer, AGENT_MOST, AGENT_WITHIN)
        self.watchdog = Watchdog(log, self.lanes, settings.worker_stuck_seconds)
        self.metrics.register(LaneMetrics(self.lanes, log, self._triggers_run))
        self.metrics.register(TriggerMetrics(lambda: self.keeper.stage))
        self._readiness = Readiness(
            {
                "log": log_takes_events(log, topics.REGISTRY),
                "keys": keys_are_known(base.keyring),
                "warehouse": tables_answer(reader, lambda: warehouse.damage(self._live.number)),
            },
            at_once=[self._is_in_its_group, stages_run(self._conditions)],
        )
        self._add_pages()

    def _retentions(self) -> Iterable[Retention]:
        """As they are declared now."""
        return self._registry.retentions.values()

    def _conditions(self) -> dict[str, Condition]:
        """The conditions of the lanes, and of the triggers if this worker has them."""
        found = {lane.stage.name: lane.condition for lane in self.lanes}
        if (stage := self.keeper.stage) is not None:
            found["triggers"] = of_triggers(stage.status())
        return found

    def _triggers_run(self) -> bool | None:
        """None if another worker has them, or none yet."""
        stage = self.keeper.stage
        return None if stage is None else stage.status().running

    def _is_in_its_group(self) -> ReadinessFault | None:
        app = self.membership.app
        if app.unassigned or (not app.rebalancing and any(lane.held for lane in self.lanes)):
            return None
        return ReadinessFault(
            "joining", "The worker is being given its partitions by the group: ask again in a few seconds."
        )

    def _following(self, kind: Kind, open: Callable[[int], Stage]) -> Following:
        return Following(kind, self._live, open)

    def _lane(self, stage: Stage, source: RecordSource | None = None) -> Lane:
        return Lane(
            stage,
            self._log,
            self._fence,
            source,
            superseded=self._rejoin,
            counted=self._batches.batch,
            every=BATCH_EVERY,
        )

    def _fence(self, topic: str, positions: Mapping[int, int]) -> None:
        self.membership.fence(topic, positions)

    def _rejoin(self) -> None:
        self.membership.rejoin()

    def _new_triggers(self) -> TriggerStage:
        number = self._live.number
        writer = self._warehouse.writer(number)
        return TriggerStage(
            GenerationLog(self._log, lambda: number),
            self._registry,
            lambda profiles: deliveries.identities_of(self._views, profiles),
            who_allows(lambda: self._registry.purposes, lambda: self._views, self._reader),
            lambda found: writer.insert("deliveries", deliveries.rows(found)),
            lambda due, limit: deliveries.pending(writer, due, limit),
            senders(system_clock, allow_private=self._settings.allow_private_webhooks),
            reached=self._checkpoint,
        )

    def start(self) -> None:
        for part in self._parts:
            part.start()
        self._live.follow()
        self.watchdog.start()

    def close(self) -> None:
        self.watchdog.stop()
        self._live.close()
        patience = self._settings.worker_session_seconds
        with ThreadPoolExecutor(len(self._parts)) as stopping:
            stops = stopping.map(lambda part: part.stop(patience), self._parts)
            for part, stopped in zip(self._parts, stops, strict=True):
                if not stopped:
                    _LOG.warning("%s: still busy after %.0f s; left as it is, nothing is lost", part.topic, patience)

    # ---- the web face

    def _add_pages(self) -> None:
        app = self.membership.app

        @app.page("/healthz")
        async def healthz(web: View, request: Request) -> Response:
            return web.json({"status": "ok"})

        @app.page("/readyz")
        async def readyz(web: View, request: Request) -> Response:
            faults = await self._readiness.faults()
            if not faults:
                return web.json({"status": "ok"})
            listed = [{"code": fault.code, "message": fault.message} for fault in faults]
            body = problem_body(503, faults[0].code, faults[0].message, faults=listed)
            return web.json(body, status=503, content_type=CONTENT_TYPE)

        @app.page("/metrics")
        async def metrics(web: View, request: Request) -> Response:
            return web.bytes(await asyncio.to_thread(generate_latest, self.metrics), content_type="text/plain")


def credentials(security: Mapping[str, str]) -> CredentialsT | None:
    """librdkafka's security settings as Faust wants them. None: plain text."""
    protocol = security.get("security.protocol", "PLAINTEXT").upper()
    if protocol == "PLAINTEXT":
        return None
    context = _tls(security) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        mechanism=security.get("sasl.mechanism", "PLAIN"),
        username=security.get("sasl.username", ""),
        password=security.get("sasl.password", ""),
        ssl_context=context,
    )


def _tls(security: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
    if certificate := security.get("ssl.certificate.location"):
        context.load_cert_chain(certificate, security.get("ssl.key.location"), security.get("ssl.key.password"))
    return context


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise InvalidSettings(
                f"--host: wanted an address of this machine, got {host} ({error}); name another"
            ) from None
        return int(probe.getsockname()[1])
