"""Shared by the routes of all topics: a token with their scope, JSON as the body, problems as errors. A topic declares
its routes when it is imported, for every app: with `deps` a route finds the dependencies of its own app.
"""

from fastapi import APIRouter, Depends, FastAPI

from profile_api.auth import guard
from profile_api.framing import only_json
from profile_api.recording import RecordedRoute
from schemas.problems import RESPONSES


def guarded(tag: str, prefix: str = "") -> APIRouter:
    """An empty router for a topic's routes. A route that declares no scope (`auth.scope`) is closed to everybody."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        dependencies=[Depends(guard), Depends(only_json)],
        responses=RESPONSES,
        route_class=RecordedRoute,
        strict_content_type=False,  # what says nothing of itself is JSON (see `framing`)
    )


def add(app: FastAPI, routes: APIRouter) -> None:
    """Add a topic's routes as they are. (`include_router` would read each of them again at the first request, and look
    at one more list in every request.)"""
    app.router.routes.extend(routes.routes)
