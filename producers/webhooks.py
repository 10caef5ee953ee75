"""Vendors' webhooks over HTTP: `/v1/webhooks/{vendor}/{source}`.

A request that the vendor did not sign is answered with 401, counted, and kept nowhere. One that it signed is answered
with 200, whatever is in it: what cannot be understood is kept as rejected. One request is one append, as at the other
paths. Requests of people go to the privacy queue before that, so a crash in between lets the vendor send them again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from fastapi import Request, Response

from identity.nodes import to_hex
from privacy.secret_box import SecretBox
from producers import limits
from producers.collector import ALL_ACCEPTED, SLICE, Collector, Judged, report
from producers.door import Refused
from producers.fetching import Fetching
from producers.http import RequestRefused, answer, read_raw
from producers.vendor_message import VendorMessage
from producers.vendor_secrets import opened
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import Connector, PrivacyRequest
from producers.vendors.request import Headers, Reply, VendorRequest
from registry.models import Source
from registry.registry import Registry
from schemas.errors import Backpressure, InvalidEvent, SimorghError, Unmappable, Unverified

MAX_BODY: Final = limits.MAX_IMPORT_BODY

NodeOf = Callable[[Source, str, object], int | None]
"""The node of an identifier as a source sends it: `Door.node`."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Handles requests; holds no state but the certificates at hand."""

    collector: Collector
    box: SecretBox
    fetching: Fetching
    public_url: str = ""
    connectors: Mapping[str, Connector] = field(default_factory=lambda: CONNECTORS)

    async def handle(self, request: Request, vendor: str, source: str) -> Response:
        return await self.collector.guarded(lambda: self._handle(request, vendor, source))

    async def _handle(self, request: Request, vendor: str, name: str) -> Response:
        connector, source = self._addressed(vendor, name)
        self._slow_down(connector, source, request)
        self.collector.ask(source)
        heard = await self._heard(request, connector, source)
        secrets = opened(self.box, source, heard.received_at)
        try:
            heard = await self._certified(connector, heard)
            reply = connector.greet(heard, secrets) if connector.greet else None
            if reply is None and request.method == "GET" and not connector.get:
                raise RequestRefused(405, "method: wanted POST, got GET; send a POST", code="method_not_allowed")
            if reply is None:
                connector.verify(heard, secrets)
            elif reply.visit:
                await asyncio.to_thread(self.fetching.confirm, reply.visit)
        except (Unverified, Unmappable) as error:  # what cannot even be read proves nothing
            if connector.guessable:
                self.collector.throttle.failed(_throttled(source), _address(request), public=True)
            raise RequestRefused(401, error.message, code=Unverified.default_code) from error
        except Backpressure as error:
            raise RequestRefused(429, error.message, code=error.code) from error
        if connector.guessable:
            self.collector.throttle.succeeded(_throttled(source), _address(request))
        return _response(reply) if reply is not None else await self._take(connector, source, heard)

    def _addressed(self, vendor: str, name: str) -> tuple[Connector, Source]:
        """Raises `RequestRefused` 404."""
        connector, source = self.connectors.get(vendor), self.collector.registry.sources.get(name)
        if connector is None or source is None or source.vendor != vendor:
            raise RequestRefused(
                404,
                "webhook: wanted a vendor and a source for it, got another pair; give the source this vendor",
                code="unknown_webhook",
            )
        if not source.enabled:
            raise RequestRefused(
                404, "source: wanted an enabled one, got a disabled one; enable it", code="source_disabled"
            )
        return connector, source

    def _slow_down(self, connector: Connector, source: Source, request: Request) -> None:
        """Raises `RequestRefused` 429 after too many wrong secrets from one address, where secrets are sent."""
        if connector.guessable and (
            seconds := self.collector.throttle.wait(_throttled(source), _address(request), public=True)
        ):
            raise RequestRefused(
                429,
                "secret: wanted the source's, got too many wrong ones from this address; wait, then send the right one",
                code="too_many_failures",
                retry_after=seconds,
            )

    async def _heard(self, request: Request, connector: Connector, source: Source) -> VendorRequest:
        body = await read_raw(request, MAX_BODY)
        settings = source.webhook
        query = request.scope["query_string"].decode("latin-1")  # request.url would be put together to be taken apart
        url = settings.url or f"{self.public_url}{request.scope['path']}{'?' + query if query else ''}"
        return VendorRequest(
            method=request.method,
            headers=Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw),
            body=body,
            received_at=self.collector.clock(),
            query=dict(reversed(request.query_params.multi_items())) if query else {},
            url=url,
            zone=source.zone,
            settings=source.heard,
        )

    async def _certified(self, connector: Connector, heard: VendorRequest) -> VendorRequest:
        """With the certificate that it names. Raises `Unverified`, and `Backpressure` where it cannot be had now."""
        url = connector.certificate_url(heard) if connector.certificate_url else None
        if url is None:
            return heard
        certificate = self.fetching.known(url) or await asyncio.to_thread(self.fetching.certificate, url)
        return replace(heard, certificate=certificate)

    # --- what was verified

    async def _take(self, connector: Connector, source: Source, heard: VendorRequest) -> Response:
        message = VendorMessage(connector, source, heard, links_hints=source.webhook.hints == "link")
        try:
            asked = list(connector.privacy(heard)) if connector.privacy else []
            items = connector.items_of(heard)
            _check_count(items)
        except InvalidEvent as error:
            asked, items = [], []
            judged = Judged(refused={0: message.refuse_whole(self.collector.door, error)})
        else:
            judged = await self._judged(message, items)
        try:
            if asked:
                await self._pass_on(message, asked)
            self.collector.budgets.take(source, max(1, len(items)), len(heard.body), heard.received_at)
            await self.collector.append(source, judged)
        except RequestRefused as refused:
            if refused.status == 503:
                refused.status = connector.store_down
            raise
        try:
            reply = connector.reply(heard) if connector.reply else None
        except Unmappable:
            reply = None
        if reply is not None:
            return _response(reply)
        return answer({"success": True, "rejected": report(judged)}) if judged.refused else ALL_ACCEPTED

    async def _pass_on(self, message: VendorMessage, asked: list[PrivacyRequest]) -> None:
        """Raises `RequestRefused`."""
        try:
            await asyncio.to_thread(
                pass_on, self.collector.registry, message, asked, self.collector.door.identifiers.node
            )
        except SimorghError as error:
            status = 429 if isinstance(error, Backpressure) else 503
            raise RequestRefused(
                status,
                "log: wanted to store a person's request, got no room or no answer; send it again",
                code=error.code,
            ) from error

    async def _judged(self, message: VendorMessage, items: list[object]) -> Judged:
        """Other requests run in between, as at the other paths."""
        judged, place = Judged(), 0
        for index, item in enumerate(items):
            if index and index % SLICE == 0:
                await asyncio.sleep(0)
            for verdict in message.verdicts(self.collector.door, self.collector.catalog, item, place):
                place += 1
                if isinstance(verdict, Refused):
                    judged.refused[index] = verdict
                else:
                    judged.accepted.append(verdict)
        return judged


def pass_on(registry: Registry, message: VendorMessage, asked: list[PrivacyRequest], node_of: NodeOf) -> None:
    """Put people's requests into the privacy queue. One that comes again has the same id, and changes nothing.

    An erasure names one profile: with several identifiers there is one for each, since they may be of several.
    """
    by = f"webhook {message.source.id}"
    known = registry.erasures.requests
    for one in asked:
        found = (node_of(message.source, type_, value) for type_, value in one.identifiers)
        nodes = list(dict.fromkeys(to_hex(node) for node in found if node is not None))
        for index, node in enumerate(nodes[:1] if one.kind == "access" else nodes):
            id = one.id if index == 0 else f"{one.id}-{index + 1}"
            kind, body = ("asked", {"type": "access"}) if one.kind == "access" else ("erase", {})
            if id not in known:
                registry.declare(kind, id, {**body, "profile": node, "reason": one.reason}, by)  # type: ignore[arg-type]
        if not nodes and one.id not in known:
            type_ = "access" if one.kind == "access" else "shop_erasure"
            registry.declare("asked", one.id, {"type": type_, "reason": one.reason}, by)


def _check_count(items: list[object]) -> None:
    if len(items) > limits.MAX_BATCH:
        raise Unmappable(f"body: wanted at most {limits.MAX_BATCH} items, got {len(items)}; let the vendor send fewer")


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, media_type=reply.content_type)


def _throttled(source: Source) -> str:
    return f"webhook {source.id}"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
