"""Health, readiness and metrics: what a supervisor asks, without a key."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from profile_api.deps import ApiDeps
from profile_api.models.examples import example
from profile_api.models.operations import Ready
from profile_api.replies import JsonReply
from profile_api.status import projections


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(tags=["health"])
    lag_events = _gauge(deps.metrics, "simorgh_lag_events", "Records of the log that a projection has not read yet.")
    lag_seconds = _gauge(deps.metrics, "simorgh_lag_seconds", "How long the oldest of them has been waiting.")

    @routes.get("/healthz", response_model=Ready, responses=example(Ready))
    async def healthz() -> JsonReply:
        """Whether the process lives."""
        return JsonReply({"status": "ok"})

    @routes.get("/readyz", response_model=Ready, responses=example(Ready))
    def readyz() -> JsonReply:
        """Whether requests are taken, however far the projections are."""
        return JsonReply({"status": "ok"})

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"example": 'simorgh_lag_events{projection="profiles"} 0.0'}}}},
    )
    def metrics() -> Response:
        """Metrics in Prometheus' text format."""
        for stage in projections(deps.log, deps.clock, deps.stages):
            lag_events.labels(stage["name"]).set(stage["lag_events"])
            lag_seconds.labels(stage["name"]).set(stage["lag_seconds"])
        return Response(generate_latest(deps.metrics), media_type=CONTENT_TYPE_LATEST)

    return routes


def _gauge(registry: CollectorRegistry, name: str, says: str) -> Gauge:
    return Gauge(name, says, ["projection"], registry=registry)
