"""The roles of a cluster: each one process of its own, on Kafka and a ClickHouse server.

    collect   HTTP -> Kafka                              any number, behind a load balancer
    work      the stages, shared out by a consumer group  any number up to the partitions
    api       profiles, segments, triggers over HTTP      any number, behind a load balancer

`simorgh.work` has the worker. All roles hash identifiers with the same SIMORGH_SECRET.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from eventlog.kafka.client import Connection
from eventlog.port import EventLog
from eventlog.watched import WatchedLog
from producers.metrics import CollectorMetrics
from producers.router import collector_router
from producers.shortcut import add_collector
from profile_api import health, problems
from profile_api.deps import ApiDeps, Projections
from profile_api.framing import Framing
from profile_api.readiness import Readiness, log_takes_events, tables_answer
from profile_api.watch import literal_paths, watch
from registry.throttle import Throttle
from schemas import topics
from schemas.catalog import Catalog
from schemas.clock import system_clock
from schemas.errors import InvalidSettings
from simorgh import __version__, loglines
from simorgh.counts import MinuteCounts
from simorgh.front import Stop, binds, run_app
from simorgh.logs import open_cluster_log
from simorgh.platform import heavy_queries, open_warehouse
from simorgh.positions import StagePositions, ViewsHold
from simorgh.retry import retry_rejected
from simorgh.secret import of_cluster
from simorgh.serve import tune_interpreter
from simorgh.settings import Settings
from simorgh.shared import DeclarationsFollower
from stream_processors.flow.events import GROUP as EVENTS_GROUP
from stream_processors.flow.topology import TOPOLOGY, projections
from stream_processors.host import generation
from stream_processors.host.generation import GenerationLog, LiveGeneration
from warehouse.client import OtherTables

_LOG = logging.getLogger(__name__)

STAGES = projections(TOPOLOGY)


@dataclass(frozen=True, slots=True)
class Base:
    """What each role of a cluster opens first."""

    kafka: Connection
    log: WatchedLog
    secret: bytes
    declarations: DeclarationsFollower


def require_cluster(settings: Settings) -> None:
    """Raises `InvalidSettings` that names all that a role lacks."""
    missing = []
    if settings.kafka is None:
        missing.append("SIMORGH_LOG=kafka://host:port")
    if not settings.warehouse_dsn.startswith("http"):
        missing.append("SIMORGH_CLICKHOUSE=http://host:port")
    if settings.secret is None:
        missing.append("SIMORGH_SECRET (64 hexadecimal digits, the same in all roles; `openssl rand -hex 32`)")
    if missing:
        raise InvalidSettings(f"settings: wanted {', '.join(missing)} for the roles of a cluster, got none; set them")


@contextmanager
def opened(settings: Settings) -> Iterator[Base]:
    """Log and declarations, followed until the end. Raises `InvalidSettings` before anything is opened."""
    require_cluster(settings)
    assert settings.kafka is not None
    loglines.begin(settings)
    tune_interpreter()
    log = WatchedLog(open_cluster_log(settings))
    try:
        secret = of_cluster(settings, log)
        declarations = DeclarationsFollower(log, settings, secret)
    except BaseException:
        log.close()
        raise
    counts = MinuteCounts(log)
    try:
        declarations.registry.refresh()
        declarations.follow()
        counts.start()
        _LOG.info("starts: version %s, process %d, log on %s", __version__, os.getpid(), settings.kafka.bootstrap)
        yield Base(settings.kafka, log, secret, declarations)
        _LOG.info("stops: was told to")
    finally:
        counts.stop()
        declarations.close()
        log.close()
        loglines.end()


# ---- collect


def collect(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Take events over HTTP until SIGTERM; what is answered is on Kafka's replicas."""
    addresses = binds(settings, host, port)
    with opened(settings) as base:
        metrics = CollectorRegistry()
        app = collector(base, settings, metrics)
        run_app(app, addresses, lambda: ready(addresses[0].url), settings, metrics)


def collector(base: Base, settings: Settings, metrics: CollectorRegistry) -> FastAPI:
    app = FastAPI(title="Simorgh collector", openapi_url="/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    routes = collector_router(
        base.log,
        base.declarations.registry,
        base.declarations.door,
        catalog=Catalog.load(),
        clock=system_clock,
        metrics=CollectorMetrics(metrics),
        budgets=base.declarations.budgets,
        throttle=Throttle(system_clock, settings.failures_per_minute),
        public_url=settings.public_url,
    )
    add_collector(app, routes)
    health.add_health(app, Readiness({"log": log_takes_events(base.log, topics.REGISTRY)}), metrics)
    app.add_middleware(Framing)
    watch(app, metrics, literal_paths(routes))
    return app


# ---- api


def api(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer the profile API until SIGTERM."""
    from profile_api.app import create_api  # declares its routes when it is imported: not for the other roles

    addresses = binds(settings, host, port)
    with opened(settings) as base:
        live = LiveGeneration(base.log)
        warehouse = open_warehouse(settings)
        try:
            with suppress(OtherTables):  # a worker builds others: until then what is asked of these may fail
                warehouse.migrate(live.number)
            log = StagePositions(GenerationLog(base.log, live), STAGES)
            holds = ViewsHold(log)
            live.moved.append(holds.forget)
            live.follow()
            reader = warehouse.reader(live)
            heavy, stop = heavy_queries(settings, reader), Stop()
            deps = ApiDeps(
                log=log,
                registry=base.declarations.registry,
                reader=reader,
                secret=base.secret,
                workspace=settings.workspace,
                retry_rejected=lambda record, payload: retry_rejected(
                    base.log, base.declarations.registry, base.declarations.door, record, payload
                ),
                phone_region=settings.phone_region,
                allow_private_webhooks=settings.allow_private_webhooks,
                generation=live,
                projections=Projections(
                    stages=STAGES,
                    shown=holds.positions,
                    visible_within=30.0,
                    replay=lambda: replay(base.log, live),
                    replay_state=lambda: replay_state(base.log, live),
                ),
                readiness=Readiness(
                    {
                        "log": log_takes_events(base.log, topics.REGISTRY),
                        "warehouse": tables_answer(reader, lambda: warehouse.damage(live.number)),
                    }
                ),
                heavy=heavy,
                throttle=Throttle(system_clock, settings.failures_per_minute),
                streams_per_token=settings.streams_per_token,
                stopping=stop.asked.is_set,
            )
            stop.at_once.append(heavy.close)
            app = create_api(deps)
            watch(app, deps.metrics)
            run_app(app, addresses, lambda: ready(addresses[0].url), settings, deps.metrics, stop)
        finally:
            live.close()
            warehouse.close()


# ---- replay: asked for here, done by a worker


def replay(log: EventLog, live: LiveGeneration) -> dict[str, Any]:
    """Ask for a replay; how it stands. Raises `Conflict` (`replay_running`) where one is under way."""
    generation.want(log)
    return replay_state(log, live)


def replay_state(log: EventLog, live: LiveGeneration) -> dict[str, Any]:
    """How the replay that is under way, or the latest one, stands. Once it is said to be done, this process reads the
    new tables."""
    stands = generation.wanted(log)
    live.look()
    if stands.is_under_way:
        done = GenerationLog(log, lambda: stands.wanted).committed(EVENTS_GROUP, topics.EVENTS)
        total = GenerationLog(log, lambda: stands.live).committed(EVENTS_GROUP, topics.EVENTS)
        return {"state": "running", "done": min(sum(done), sum(total)), "total": sum(total)}
    if stands.wanted > stands.live:
        return {"state": "failed", "reason": "see the workers' logs"}
    return {"state": "done", "generation": stands.live} if stands.wanted else {"state": "idle"}
