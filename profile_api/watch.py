"""The outer layer of an app: it counts every request by its route, and answers unexpected errors. Labels and log lines
name declared routes, such as `/v1/profiles/{key}`: a path may contain a customer's identifier, and every customer would
be a series of metrics.
"""

import logging
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from profile_api.problems import route_of, told, unexpected

_LOG = logging.getLogger(__name__)

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0)
_NAMES: Final = (*map(str, _BUCKETS), "+Inf")

Key = tuple[str, str, int]
"""Method, route and status."""


def watch(app: FastAPI, registry: CollectorRegistry, literal: Iterable[str] = ()) -> None:
    """Call it last: it makes the app ready for its first request, and later additions are not covered. `literal`: paths
    that are answered before the app's own routing, and are their own route."""
    times = RequestTimes()
    registry.register(times)
    app.add_middleware(_Watch, times=times, literal=frozenset(literal))
    deque(iter_route_contexts(app.routes), maxlen=0)  # FastAPI leaves included routers to the first request: not here


class RequestTimes(Collector):
    """A histogram for each method, route and status. All are our own, so their number is bounded. The event loop adds,
    any thread reads. Adding to the library's own histogram takes ten times as long, and every request to the collector
    does it.
    """

    def __init__(self) -> None:
        self._series: dict[Key, list[float]] = {}
        """How many fell into each bucket, and the sum of all seconds."""

    def add(self, key: Key, seconds: float) -> None:
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = [0.0] * (len(_NAMES) + 1)
        found[bisect_left(_BUCKETS, seconds)] += 1
        found[-1] += seconds

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "simorgh_http_request_seconds",
            "From the request's head to the head of its answer.",
            labels=["method", "route", "status"],
        )
        for (method, route, status), (*fell, total) in list(self._series.items()):
            upto = list(zip(_NAMES, accumulate(fell), strict=True))
            family.add_metric([method, route, str(status)], upto, total)
        yield family


def literal_paths(router: APIRouter) -> list[str]:
    """The paths of a router that hold no parameter."""
    paths = (getattr(route, "path", "") for route in router.routes)
    return [path for path in paths if path and "{" not in path]


class _Watch:
    def __init__(self, app: ASGIApp, times: RequestTimes, literal: frozenset[str]) -> None:
        self._app = app
        self._times = times
        self._literal = literal

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
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._times.add((method, route, status), time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            _LOG.error("%s %s failed: %s", scope["method"], route_of(scope), told(error))
            if not status:  # else the answer has begun, and its end is missing: the client sees that
                await unexpected()(scope, receive, counted)
