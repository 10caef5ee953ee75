"""The API put together: routers, errors, and how requests are read.

`create_api` needs nothing but its `ApiDeps`; the composition root adds the collector's router to the same
app, and calls `watch` last.
"""

from fastapi import Depends, FastAPI

from profile_api import (
    events,
    health,
    identity_rules,
    known,
    problems,
    profiles,
    reference,
    rejected,
    schemata,
    segments,
    sources,
    status,
    stewards,
    stream,
    tokens,
    triggers,
)
from profile_api.auth import Guard
from profile_api.deps import ApiDeps
from profile_api.framing import Framing, only_json
from schemas.problems import RESPONSES

_TOPICS = (
    profiles,
    stewards,
    segments,
    stream,
    triggers,
    status,
    events,
    known,
    rejected,
    schemata,
    sources,
    tokens,
    identity_rules,
)


def create_api(deps: ApiDeps) -> FastAPI:
    """The whole API as an app. Every `/v1` route needs a token with the scope that it declares."""
    app = FastAPI(
        title="Simorgh",
        version="0.1.0",
        description="Profiles, segments and triggers of an event-sourced customer data platform.",
        docs_url=None,  # Swagger UI and ReDoc load their scripts from elsewhere; see `reference`
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
    )
    problems.install(app)
    guard = Depends(Guard(deps.registry, deps.throttle, at_hand=deps.at_hand))
    for topic in _TOPICS:
        app.include_router(topic.router(deps), dependencies=[guard, Depends(only_json)], responses=RESPONSES)
    app.include_router(health.router(deps.readiness, deps.metrics, status.gauges(deps)))
    app.include_router(reference.router(app.openapi))
    app.add_middleware(Framing)
    return app
