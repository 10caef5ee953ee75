"""The API put together: routers, errors, and how paths and bodies are read.

`create_api` needs nothing but its `ApiDeps`; the composition root adds the collector's router to the same
app.
"""

from fastapi import Depends, FastAPI, HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from profile_api import (
    events,
    health,
    identity_rules,
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
from profile_api.models.examples import example_of
from profile_api.models.operations import Problem

API_PREFIXES = tuple(
    f"/v1/{name}"
    for name in (
        "profiles",
        "segments",
        "triggers",
        "status",
        "rejected",
        "schemas",
        "sources",
        "tokens",
        "replay",
        "identity-rules",
    )
)
MAX_BODY = 1_000_000

_TOPICS = (
    profiles,
    stewards,
    segments,
    stream,
    triggers,
    status,
    events,
    rejected,
    schemata,
    sources,
    tokens,
    identity_rules,
)

_FAULTS: dict[int | str, dict[str, object]] = {
    "4XX": {
        "model": Problem,
        "description": "The request is at fault: `code` says how, `errors` where.",
        "content": {"application/problem+json": {"example": example_of(Problem)}},
    }
}


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
        app.include_router(topic.router(deps), dependencies=[guard], responses=_FAULTS)
    app.include_router(health.router(deps))
    app.include_router(reference.router(app.openapi))
    app.add_middleware(ApiPaths)
    return app


class ApiPaths:
    """Two rules for the API's own paths, before routing.

    They are matched still percent-encoded, so that `user_id:a%2Fevents` is one key and `%2B` stays a plus;
    the endpoints decode (see `params.PathText`). And a body may have `MAX_BODY` bytes, declared or not.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API_PREFIXES):
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
            receive = _limited(receive)
        await self._app(scope, receive, send)


def _limited(receive: Receive) -> Receive:
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY:
            raise HTTPException(413, f"body: at most {MAX_BODY} bytes were wanted; more came. Send it in parts.")
        return message

    return limited
