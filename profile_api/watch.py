"""What stands around a whole app: every request is counted by its route, and an error that nobody expected is answered.

Labels and log lines name routes as they are declared, such as `/v1/profiles/{key}`: a path may hold a customer's
identifier, and every customer would be a series of their own.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from profile_api.problems import route_of, told, unexpected

_LOG = logging.getLogger(__name__)

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0)


def watch(app: FastAPI, registry: CollectorRegistry, literal: Iterable[str] = ()) -> None:
    """Call it last: what is added to the app afterwards stands outside. `literal`: paths that are answered before
    the app's own routing, and are their own route."""
    seconds = Histogram(
        "simorgh_http_request_seconds",
        "From the request's head to the head of its answer.",
        ["method", "route", "status"],
        buckets=_BUCKETS,
        registry=registry,
    )
    app.add_middleware(_Watch, seconds=seconds, literal=frozenset(literal))


def literal_paths(router: APIRouter) -> list[str]:
    """The paths of a router that hold no parameter."""
    paths = (getattr(route, "path", "") for route in router.routes)
    return [path for path in paths if path and "{" not in path]


class _Watch:
    def __init__(self, app: ASGIApp, seconds: Histogram, literal: frozenset[str]) -> None:
        self._app = app
        self._seconds = seconds
        self._literal = literal
        self._series: dict[tuple[str, str, int], Any] = {}
        """Bounded: methods, routes and statuses are of our making."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        path = scope["path"]
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if not status and message["type"] == "http.response.start":
                status = message["status"]
                route = path if path in self._literal else route_of(scope)
                self._count(scope["method"], route, status, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            _LOG.error("%s %s failed: %s", scope["method"], route_of(scope), told(error))
            if not status:  # else the answer has begun, and its end is missing: the client sees that
                await unexpected()(scope, receive, counted)

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method if method in _METHODS else "other", route, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._seconds.labels(*map(str, key))
        series.observe(seconds)
