"""Health, readiness and metrics of any process with HTTP, without a key. None of them waits for a thread that requests
use: a busy process is healthy.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from profile_api.models.examples import example, example_of
from profile_api.models.operations import NotReady, Ready
from profile_api.problems import problem
from profile_api.readiness import Readiness
from profile_api.replies import JsonReply

_NOT_READY: dict[str, object] = {
    "model": NotReady,
    "description": "Send requests elsewhere, or later: `code` and `message` say why, and `faults` lists all faults.",
    "content": {"application/problem+json": {"example": example_of(NotReady)}},
}


@dataclass(frozen=True, slots=True)
class _Health:
    readiness: Readiness
    metrics: CollectorRegistry
    before_scrape: Callable[[], None]
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="metrics"))

    def scraped(self) -> bytes:
        self.before_scrape()
        return generate_latest(self.metrics)


def add_health(
    app: FastAPI, readiness: Readiness, metrics: CollectorRegistry, before_scrape: Callable[[], None] = lambda: None
) -> None:
    """`before_scrape` sets what is not kept up to date otherwise; it may block."""
    app.state.health = _Health(readiness, metrics, before_scrape)
    app.router.routes.extend(routes.routes)


async def _health(request: Request) -> _Health:
    health: _Health = request.app.state.health
    return health


HealthOf = Annotated[_Health, Depends(_health)]

routes = APIRouter(tags=["health"])


@routes.get("/healthz", response_model=Ready, responses=example(Ready))
async def healthz() -> JsonReply:
    """Report that the process is alive."""
    return JsonReply({"status": "ok"})


@routes.get("/readyz", response_model=Ready, responses={**example(Ready), 503: _NOT_READY})
async def readyz(health: HealthOf) -> JsonReply:
    """Report whether to send requests here: 200 as soon as they are accepted, whatever the lag of the projections.

    503 while events are refused, a stage has stopped, views are being rebuilt, or a store that this process needs does
    not answer.
    """
    faults = await health.readiness.faults()
    if not faults:
        return JsonReply({"status": "ok"})
    listed = [{"code": fault.code, "message": fault.message} for fault in faults]
    return problem(503, faults[0].code, faults[0].message, headers={"Retry-After": "1"}, faults=listed)


@routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": 'simorgh_lag_events{projection="profiles"} 0.0'}}}},
)
async def scrape(health: HealthOf) -> Response:
    """Metrics in Prometheus' text format."""
    text = await asyncio.get_running_loop().run_in_executor(health.thread, health.scraped)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
