"""The API put together: routes, errors, and how requests are read.

`create_api` needs nothing but its `ApiDeps`; the composition root adds the collector's router to the same
app, and calls `watch` last.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from profile_api import (
    accounts,
    audit,
    consent,
    events,
    export,
    health,
    identity_rules,
    known,
    names,
    privacy,
    problems,
    profiles,
    purposes,
    reference,
    rejected,
    retention,
    schemata,
    secrets,
    segments,
    sources,
    status,
    stewards,
    stream,
    tellings,
    tokens,
    traits,
    triggers,
)
from profile_api.deps import ApiDeps, keep
from profile_api.framing import Framing
from profile_api.recording import settle
from profile_api.routes import add

_TOPICS: Final = (
    consent,  # before the profiles: theirs take any path for a key
    export,
    profiles,
    accounts,
    stewards,
    privacy,
    segments,
    stream,
    traits,
    triggers,
    purposes,
    retention,
    status,
    events,
    tellings,
    known,
    names,
    rejected,
    schemata,
    secrets,
    sources,
    tokens,
    identity_rules,
    audit,
)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await settle(app)


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
        lifespan=_lifespan,
    )
    keep(app, deps)
    problems.install(app)
    for topic in _TOPICS:
        add(app, topic.routes)
    health.add_health(app, deps.readiness, deps.metrics, status.gauges(deps))
    add(app, reference.routes)
    app.add_middleware(Framing)
    return app
