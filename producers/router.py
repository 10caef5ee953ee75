"""The collector's paths, described for /openapi.json."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from eventlog.port import RecordLog
from privacy.secret_box import SecretBox
from producers import limits
from producers.budgets import Budgets
from producers.collector import Collector
from producers.door import Door
from producers.fetching import Fetching, Get, get_past_the_guard
from producers.http import RequestRefused, answer, key_in_header, preflight, problem
from producers.metrics import CollectorMetrics
from producers.settings import address_of, browser_settings, source_config
from producers.webhooks import Webhooks
from registry.models import UNLIMITED
from registry.registry import Registry
from registry.throttle import Throttle
from schemas.catalog import Catalog
from schemas.clock import Clock, Forward, IdMaker, random_id
from schemas.problems import RESPONSES

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_EXAMPLES: Final[dict[str, dict[str, object]]] = {
    "identify": {
        "userId": "u42",
        "anonymousId": "a-1",
        "traits": {"email": "sara@example.com", "city": "Isfahan"},
        "messageId": "m-1",
    },
    "track": {
        "userId": "u42",
        "event": "Order Completed",
        "properties": {"order_id": "o-1", "revenue": 361.5, "currency": "EUR"},
        "messageId": "m-2",
        "timestamp": "2026-01-02T03:04:05.678Z",
    },
    "page": {"anonymousId": "a-1", "name": "Home", "properties": {"url": "https://example.com/"}},
    "screen": {"userId": "u42", "name": "Settings"},
    "group": {"userId": "u42", "groupId": "org-9", "traits": {"name": "ACME"}},
    "alias": {"userId": "u42", "previousId": "a-1"},
}
_BATCH_EXAMPLE: Final[dict[str, object]] = {
    "batch": [{"type": kind, **example} for kind, example in _EXAMPLES.items()],
    "sentAt": "2026-01-02T03:04:06.000Z",
}
_OBJECT: Final[dict[str, object]] = {"type": "object"}
_BATCH: Final[dict[str, object]] = {
    "type": "object",
    "properties": {"batch": {"type": "array", "maxItems": limits.MAX_BATCH}},
    "required": ["batch"],
}
_CLOUDEVENT: Final[dict[str, object]] = {
    "type": "object",
    "properties": {
        **{name: {"type": "string", "minLength": 1} for name in ("specversion", "source", "type")},
        "id": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]},
    },
    "required": ["specversion", "id", "source", "type"],
}
_CLOUDEVENT_EXAMPLE: Final[dict[str, object]] = {
    "specversion": "1.0",
    "id": "4711",
    "source": "https://shop.example.com",
    "type": "order.completed",
    "time": "2026-01-02T03:04:05.678Z",
    "data": {
        "identifiers": [{"type": "email", "value": "sara@example.com"}],
        "properties": {"order_id": "o-1", "revenue": 361.5, "currency": "EUR"},
    },
}
_SETTINGS: Final = ("/v1/projects/", "/sourceConfig")
_SOURCE: Final = "/v1/source"
WEBHOOKS: Final = "/v1/webhooks/"
_SHORT: Final = {"identify": "i", "track": "t", "page": "p", "screen": "s", "group": "g", "alias": "a"}

_POSTED: Final = frozenset(
    [
        *(f"/v1/{name}" for kind, short in _SHORT.items() for name in (kind, short)),
        *("/v1/batch", "/v1/b", "/beacon/v1/batch", "/v1/import", "/v1/events", "/v1/m"),
    ]
)
"""Where events are posted."""


def collector_router(
    log: RecordLog,
    registry: Registry,
    door: Door,
    *,
    catalog: Catalog,
    clock: Clock,
    metrics: CollectorMetrics,
    new_id: IdMaker = random_id,
    budgets: Budgets | None = None,
    throttle: Throttle | None = None,
    public_url: str = "",
    box: SecretBox | None = None,
    get: Get = get_past_the_guard,
) -> APIRouter:
    """Every path that accepts events, and the settings that browser SDKs fetch first.

    `public_url`: the address in these settings; empty: the address that a request arrived at. `budgets`: none by
    default. `box`: opens the secrets of vendors' webhooks; without one there are no such paths. `get`:
    asks vendors for certificates and confirmations.
    """
    budgets = budgets or Budgets(UNLIMITED, catalog)
    throttle = throttle or Throttle(clock)
    collector = Collector(log, registry, door, catalog, Forward(clock), new_id, metrics, budgets, throttle)
    router = APIRouter(tags=["collector"], responses=RESPONSES)
    # Batches first: paths are tried in this order.
    _post(router, "/v1/batch", _sdk(collector, None), "Up to 2,500 calls of any type", _BATCH_EXAMPLE, _BATCH)
    _post(router, "/v1/b", _sdk(collector, None), "Short for /v1/batch", _BATCH_EXAMPLE, _BATCH)
    _post(router, "/beacon/v1/batch", _sdk(collector, None), "RudderStack's beacon: ?writeKey=", _BATCH_EXAMPLE, _BATCH)
    for kind, example in _EXAMPLES.items():
        _post(router, f"/v1/{kind}", _sdk(collector, kind), f"One {kind} call", example)
        _post(router, f"/v1/{_SHORT[kind]}", _sdk(collector, kind), f"Short for /v1/{kind}", example)
    whole_import = _sdk(collector, None, limits.MAX_IMPORT_BODY)
    _post(router, "/v1/import", whole_import, "A batch of up to 4 MB", _BATCH_EXAMPLE, _BATCH)
    _post(
        router,
        "/v1/events",
        collector.cloudevents,
        "CloudEvents: structured, binary, batch",
        _CLOUDEVENT_EXAMPLE,
        _CLOUDEVENT,
    )
    _post(router, "/v1/m", _ignore, "The browser SDKs' own metrics: accepted and ignored", {"series": []}, {})
    _add_source(router, collector)
    _add_settings(router, collector, public_url)
    if box is not None:
        _add_webhooks(router, Webhooks(collector, box, Fetching(clock, get), public_url))
    return router


class Plain(APIRoute):
    """A described path whose handler takes the request as it is: FastAPI need not look for parameters."""

    def get_route_handler(self) -> Handler:
        handler: Handler = self.endpoint
        return handler


_PATH: Final = f"{WEBHOOKS}{{vendor}}/{{source}}"
_IN_PATH: Final = [
    {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}
    for name, description in (("vendor", "The vendor, such as stripe."), ("source", "Id of a source for it."))
]


def _add_webhooks(router: APIRouter, webhooks: Webhooks) -> None:
    async def hear(request: Request) -> Response:
        vendor, _, source = str(request.scope["path"]).removeprefix(WEBHOOKS).partition("/")
        return await webhooks.handle(request, vendor, source)

    content: dict[str, dict[str, dict[str, object]]] = {
        name: {"schema": {}} for name in ("application/json", "application/x-www-form-urlencoded")
    }
    extra: dict[str, Any] = {"parameters": _IN_PATH}
    for method, summary, more in (
        ("POST", "A vendor's webhook: signed by one of the source's secrets", {"requestBody": {"content": content}}),
        ("GET", "A vendor's handshake", {}),
    ):
        router.add_api_route(
            _PATH,
            hear,
            methods=[method],
            summary=summary,
            openapi_extra=extra | more,
            response_model=None,
            name=f"{method} {_PATH}",
            route_class_override=Plain,
        )
    router.add_api_route(_PATH, hear, methods=["HEAD"], include_in_schema=False, route_class_override=Plain)


def _sdk(collector: Collector, kind: str | None, limit: int = limits.MAX_BODY) -> Handler:
    async def handle(request: Request) -> Response:
        return await collector.sdk(request, kind, limit)

    return handle


def _post(
    router: APIRouter,
    path: str,
    handler: Handler,
    summary: str,
    example: dict[str, object],
    schema: dict[str, object] = _OBJECT,
) -> None:
    """An empty `schema` accepts any body, and none."""
    content = {"application/json": {"schema": schema, "example": example}}
    extra: dict[str, Any] = {"requestBody": {"required": bool(schema), "content": content}}
    router.add_api_route(
        path,
        handler,
        methods=["POST"],
        summary=summary,
        openapi_extra=extra,
        response_model=None,
        name=path,
        route_class_override=Plain,
    )
    router.add_api_route(path, _preflight, methods=["OPTIONS"], include_in_schema=False, name=f"OPTIONS {path}")


async def _preflight(request: Request) -> Response:
    return preflight(request)


async def _ignore(request: Request) -> Response:
    return answer({"success": True})


def is_collectors(method: str, path: str) -> bool:
    """Whether a request belongs to this router: other methods of the same paths may belong to another."""
    if path == _SOURCE or path.startswith((*_SETTINGS, WEBHOOKS)):
        return True
    return method in ("POST", "OPTIONS") and path in _POSTED


def _add_source(router: APIRouter, collector: Collector) -> None:
    async def source(request: Request) -> Response:
        return await collector.source(request)

    router.add_api_route(
        _SOURCE,
        source,
        summary="The source of a write key",
        description="Return the source of a write key. The id of an event is unique within its source.",
        response_model=None,
        responses={200: {"content": {"application/json": {"schema": _OBJECT, "example": {"id": "shop-web"}}}}},
    )
    router.add_api_route(_SOURCE, _preflight, methods=["OPTIONS"], include_in_schema=False)


def _add_settings(router: APIRouter, collector: Collector, public_url: str) -> None:
    def settings_for(key: str | None, describe: Callable[[str, str], object], request: Request) -> Response:
        try:
            known = collector.source_of(key, request)
        except RequestRefused as refused:
            return problem(refused.status, refused.code, refused.message, retry_after=refused.retry_after)
        if key is None or known is None:
            return problem(404, "unknown_write_key", "write key: wanted a known one, got another")
        return answer(describe(key, public_url or address_of(request)))

    async def segment(write_key: str, request: Request) -> Response:
        return settings_for(write_key, browser_settings, request)

    async def rudderstack(request: Request) -> Response:
        key = request.query_params.get("writeKey") or key_in_header(request)
        return settings_for(key, source_config, request)

    path = "/v1/projects/{write_key}/settings"
    router.add_api_route(
        path, segment, summary="The settings that Segment's browser SDK fetches first", response_model=None
    )
    router.add_api_route(path, _preflight, methods=["OPTIONS"], include_in_schema=False)
    for config in ("/sourceConfig", "/sourceConfig/"):
        router.add_api_route(
            config,
            rudderstack,
            summary="The settings that RudderStack's browser SDK fetches first",
            response_model=None,
        )
        router.add_api_route(config, _preflight, methods=["OPTIONS"], include_in_schema=False)
