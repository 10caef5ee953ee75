"""The paths that accept events, found by one look-up.

FastAPI tries one route after the other, and those of included routers twice. That alone cost a request 0.1 to 0.3 ms,
in an app without other paths. Its work around every route, for parameters and files, is not needed here.
"""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.router import WEBHOOKS, Handler, Plain

_METHOD: Final = "POST"


def add_collector(app: FastAPI, router: APIRouter) -> None:
    """Add `collector_router`'s paths to an app. FastAPI describes them, and answers their other methods."""
    app.include_router(router)
    routes = [route for route in router.routes if isinstance(route, Plain) and _METHOD in (route.methods or ())]
    webhooks = next((route for route in routes if route.path.startswith(WEBHOOKS)), None)
    app.add_middleware(_Shortcut, handlers={route.path: route.endpoint for route in routes}, webhooks=webhooks)


class _Shortcut:
    """Answers POST requests to these paths, and to vendors' webhooks; all others go to the app."""

    def __init__(self, app: ASGIApp, handlers: Mapping[str, Handler], webhooks: Plain | None) -> None:
        self._app = app
        self._handlers = handlers
        self._webhooks = webhooks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == _METHOD
        handler = self._handlers.get(scope["path"]) if is_post else None
        if handler is None and is_post and self._webhooks is not None and scope["path"].startswith(WEBHOOKS):
            scope["route"] = self._webhooks  # the name of the request in metrics: its path is the caller's
            handler = self._webhooks.endpoint
        if handler is None:
            await self._app(scope, receive, send)
        else:
            response = await handler(Request(scope, receive))
            await response(scope, receive, send)
