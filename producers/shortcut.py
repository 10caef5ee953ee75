"""The paths by which events get in, found by one look.

FastAPI asks one route after the other, and those of included routers twice: that alone cost a request 0.1 to 0.3 ms,
in an app without other paths (docs/benchmarks.md).
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from producers.router import Handler, Plain

_METHOD: Final = "POST"


def add_collector(app: FastAPI, router: APIRouter) -> None:
    """Add `collector_router`'s paths to an app. FastAPI describes them, and answers their other methods."""
    app.include_router(router)
    routes = (route for route in router.routes if isinstance(route, Plain) and _METHOD in (route.methods or ()))
    app.router.routes.insert(0, _Shortcut({route.path: route.endpoint for route in routes}))


class _Shortcut(BaseRoute):
    """The first route of an app: all of these paths."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_ours = scope["type"] == "http" and scope["method"] == _METHOD and scope["path"] in self._handlers
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handlers[scope["path"]](Request(scope, receive))
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)
