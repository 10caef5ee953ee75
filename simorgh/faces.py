"""The profile API over HTTP, made of what a process has open; on one machine with the collector on the same app."""

from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from eventlog.port import EventLog
from producers.shortcut import add_collector
from profile_api.deps import ApiDeps, Projections
from profile_api.heavy import Heavy
from profile_api.readiness import Readiness
from profile_api.watch import literal_paths, watch
from registry.throttle import Throttle
from schemas.clock import system_clock
from simorgh.collect import collector_routes
from simorgh.retry import retry_rejected
from simorgh.settings import Settings
from simorgh.shared import DeclarationsFollower
from simorgh.statements import state_consent
from warehouse.reader import Reader


def api_deps(
    log: EventLog,
    declarations: DeclarationsFollower,
    settings: Settings,
    *,
    secret: bytes,
    reader: Reader,
    generation: Callable[[], int],
    projections: Projections,
    readiness: Readiness,
    heavy: Heavy,
    stopping: Callable[[], bool],
    metrics: CollectorRegistry | None = None,
) -> ApiDeps:
    return ApiDeps(
        log=log,
        registry=declarations.registry,
        reader=reader,
        secret=secret,
        workspace=settings.workspace,
        retry_rejected=lambda record, payload: retry_rejected(
            log, declarations.registry, declarations.door, record, payload
        ),
        state_consent=lambda stated: state_consent(log, declarations.door, stated),
        phone_region=settings.phone_region,
        allow_private_webhooks=settings.allow_private_webhooks,
        metrics=metrics or CollectorRegistry(),
        generation=generation,
        projections=projections,
        readiness=readiness,
        heavy=heavy,
        throttle=Throttle(system_clock, settings.failures_per_minute),
        streams_per_token=settings.streams_per_token,
        connectors=declarations.desk,
        stopping=stopping,
    )


def api_and_collector(deps: ApiDeps, declarations: DeclarationsFollower, settings: Settings) -> FastAPI:
    """Both on one app. They count wrong keys and tokens together."""
    from profile_api.app import create_api  # declares its routes when it is imported: not for every command

    app = create_api(deps)
    collector = collector_routes(deps.log, declarations, settings, deps.throttle, deps.metrics)
    add_collector(app, collector)
    watch(app, deps.metrics, literal_paths(collector))
    return app
