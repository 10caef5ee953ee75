"""The role `collect`: events over HTTP to Kafka. It knows nothing of the projections."""

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from eventlog.port import RecordLog
from producers.fetching import get_past_the_guard
from producers.metrics import CollectorMetrics
from producers.router import collector_router
from producers.shortcut import add_collector
from profile_api import health, problems
from profile_api.framing import Framing
from profile_api.readiness import Readiness, keys_are_known, log_takes_events
from profile_api.watch import literal_paths, watch
from registry.throttle import Throttle
from schemas import topics
from schemas.catalog import Catalog
from schemas.clock import system_clock
from simorgh.cluster import Base, opened
from simorgh.front import binds, run_app
from simorgh.settings import Settings
from simorgh.shared import DeclarationsFollower


def collect(settings: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Accept events over HTTP until SIGTERM. Acknowledged events are on Kafka's replicas."""
    addresses = binds(settings, host, port)
    with opened(settings) as base:
        metrics = CollectorRegistry()
        app = collector(base, settings, metrics)
        run_app(app, addresses, lambda: ready(addresses[0].url), settings, metrics)


def _readiness(base: Base) -> Readiness:
    return Readiness({"log": log_takes_events(base.log, topics.REGISTRY), "keys": keys_are_known(base.keyring)})


def collector(base: Base, settings: Settings, metrics: CollectorRegistry) -> FastAPI:
    app = FastAPI(title="Simorgh collector", openapi_url="/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    throttle = Throttle(system_clock, settings.failures_per_minute)
    routes = collector_routes(base.log, base.declarations, settings, throttle, metrics)
    add_collector(app, routes)
    health.add_health(app, _readiness(base), metrics)
    app.add_middleware(Framing)
    watch(app, metrics, literal_paths(routes))
    return app


def collector_routes(
    log: RecordLog,
    declarations: DeclarationsFollower,
    settings: Settings,
    throttle: Throttle,
    metrics: CollectorRegistry,
) -> APIRouter:
    return collector_router(
        log,
        declarations.registry,
        declarations.door,
        catalog=Catalog.load(),
        clock=system_clock,
        metrics=CollectorMetrics(metrics),
        budgets=declarations.budgets,
        throttle=throttle,
        public_url=settings.public_url,
        box=declarations.box,
        get=partial(get_past_the_guard, allow_private=settings.allow_private_webhooks),
    )
