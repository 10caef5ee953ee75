"""The collector: SDKs' and CloudEvents requests in, records in the log, then the answer.

One request is one append: its accepted events go to simorgh.events and its refused ones to simorgh.rejected
in the same transaction, and the answer waits for the disk. A well-formed SDK request is answered 200 whatever
becomes of its events; what is wrong with single ones stands in the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from fastapi import Request, Response

from eventlog.port import EventLog
from producers import cloudevents, limits
from producers.door import Accepted, Door, Refused, Verdict
from producers.http import RequestRefused, answer, key_in_header, problem, read_body
from producers.metrics import CollectorMetrics
from producers.parsing import parse
from producers.verdicts import SdkRequest, cloudevent_verdict
from registry.keys import sha256_hex
from registry.models import Source
from registry.registry import Registry
from schemas.catalog import Catalog
from schemas.clock import Clock, IdMaker
from schemas.errors import Backpressure, InvalidEvent, SimorghError
from schemas.topics import EVENTS, REJECTED

SLICE: Final = 100
"""Events that are admitted before other requests get their turn: some 3 ms."""

RETRY_AFTER: Final = 1
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Handles requests; holds no state but its metrics. Never blocks the loop: the log has its own thread."""

    log: EventLog
    registry: Registry
    door: Door
    catalog: Catalog
    clock: Clock
    new_id: IdMaker
    metrics: CollectorMetrics

    async def sdk(self, request: Request, kind: str | None, limit: int) -> Response:
        """A Segment or RudderStack request: one event of `kind`, or a batch where `kind` is None."""
        return await self._guarded(lambda: self._sdk(request, kind, limit))

    async def cloudevents(self, request: Request) -> Response:
        """A CloudEvents request. One bad event answers 400; the good ones of its batch are kept anyway."""
        return await self._guarded(lambda: self._cloudevents(request))

    def source_of(self, key: str | None) -> Source | None:
        """The source of a write key, None for an unknown one. Raises `RequestRefused` for a disabled one."""
        if not key:
            return None
        source = self.registry.authenticate_write_key(key)
        if source is None and self._is_disabled(key):
            raise RequestRefused(404, "write key: its source is disabled; enable it", code="source_disabled")
        return source

    def _is_disabled(self, key: str) -> bool:
        digest = sha256_hex(key)
        sources = self.registry.sources.values()
        return any(digest in source.write_key_sha256 and not source.enabled for source in sources)

    async def _guarded(self, handle: Callable[[], Awaitable[Response]]) -> Response:
        try:
            with self.metrics.seconds.time():
                return await handle()
        except RequestRefused as refused:
            self.metrics.refused.labels(str(refused.status), refused.code).inc()
            retry_after = RETRY_AFTER if refused.status in (429, 503) else None
            return problem(refused.status, refused.code, refused.message, retry_after=retry_after)

    # --- Segment and RudderStack ---

    async def _sdk(self, request: Request, kind: str | None, limit: int) -> Response:
        source = self._source_in_head(request)
        body = await self._body(request, limit, source)
        received_at = self.clock()
        try:
            parsed, doubtful = parse(body)
            if not isinstance(parsed, dict):
                raise InvalidEvent("body: wanted a JSON object, got something else", code="invalid_body")
            source = source or self._source_in_body(request, parsed)
            messages: list[object] = [parsed] if kind is not None else _batch_of(parsed)
        except InvalidEvent as error:
            return await self._keep_whole(error, body, source, received_at)
        sdk = SdkRequest(
            source=source,
            kind=kind,
            members=parsed,
            body=body,
            received_at=received_at,
            ip=request.client.host if request.client else None,
            doubtful=doubtful,
            large=doubtful or limits.may_be_large(messages, len(body)),
        )
        verdicts = await _judge(messages, partial(sdk.verdict, self.door, self.catalog, self.new_id))
        await self._append(source, verdicts)
        rejected = _report(verdicts)
        return answer({"success": True, "rejected": rejected} if rejected else {"success": True})

    def _source_in_head(self, request: Request, *, bearer: bool = False) -> Source | None:
        """By the header, else by `?writeKey=`. Raises `RequestRefused`."""
        key = key_in_header(request, bearer=bearer) or request.query_params.get("writeKey")
        source = self.source_of(key)
        return source and _check_origin(source, request)

    def _source_in_body(self, request: Request, parsed: dict[str, object]) -> Source:
        key = parsed.get("writeKey")
        source = self.source_of(key if isinstance(key, str) else None)
        if source is None:
            raise _unauthorised()
        return _check_origin(source, request)

    # --- CloudEvents ---

    async def _cloudevents(self, request: Request) -> Response:
        source = self._source_in_head(request, bearer=True)
        if source is None:
            raise _unauthorised()
        body = await self._body(request, limits.MAX_BODY, source)
        received_at = self.clock()
        try:
            events, batched = cloudevents.events_of(request.headers, body)
            _check_count(events)
        except InvalidEvent as error:
            return await self._keep_whole(error, body, source, received_at)
        judge = partial(
            cloudevent_verdict,
            self.door,
            self.catalog,
            self.new_id,
            source=source,
            received_at=received_at,
            large=len(body) > limits.MAX_EVENT,
        )
        verdicts = await _judge(events, judge)
        await self._append(source, verdicts)
        return _cloudevents_answer(verdicts, batched)

    # --- What both share ---

    async def _body(self, request: Request, limit: int, source: Source | None) -> bytes:
        try:
            return await read_body(request, limit)
        except RequestRefused as refused:
            if source is not None and refused.body:
                error = InvalidEvent(refused.message, code=refused.code)
                await self._keep_whole(error, refused.body, source, self.clock())
            raise

    async def _keep_whole(self, error: InvalidEvent, body: bytes, source: Source | None, received_at: int) -> Response:
        """400, the body being kept as one rejected event if it is known who sent it."""
        if source is None:
            raise RequestRefused(400, error.message, code=error.code)
        refused = self.door.refuse(error, self.new_id(), body, source=source, received_at=received_at)
        await self._append(source, [refused])
        return problem(400, error.code, error.message, id=refused.id)

    async def _append(self, source: Source, verdicts: Sequence[Verdict]) -> None:
        """Durable when this returns. Raises `RequestRefused`: 429 for a full log, 503 for a broken one."""
        accepted = [verdict.message for verdict in verdicts if isinstance(verdict, Accepted)]
        rejected = [verdict for verdict in verdicts if isinstance(verdict, Refused)]
        writes = [(EVENTS, accepted), (REJECTED, [refused.message for refused in rejected])]
        try:
            future = self.log.submit([(topic, messages) for topic, messages in writes if messages])
            # Shielded: a request that is cancelled must not cancel what the log's thread is writing.
            await asyncio.shield(asyncio.wrap_future(future))
        except Backpressure as error:
            raise RequestRefused(429, error.message, code=error.code) from error
        except SimorghError as error:
            raise RequestRefused(503, "log: it takes nothing now; try again", code=error.code) from error
        self.metrics.accepted.labels(source.id).inc(len(accepted))
        for refused in rejected:
            self.metrics.rejected.labels(source.id, refused.code).inc()


async def _judge(events: list[object], verdict: Callable[[object], Verdict]) -> list[Verdict]:
    """The verdict on each, letting other requests run in between. Empties `events`.

    Each event is freed before the next is read: memory that is still in the processor's cache is used again.
    """
    verdicts: list[Verdict] = []
    events.reverse()
    while events:
        for _ in range(min(len(events), SLICE)):
            verdicts.append(verdict(events.pop()))
        if events:
            await asyncio.sleep(0)
    return verdicts


def _batch_of(parsed: dict[str, object]) -> list[object]:
    """The events of a batch request. Raises `InvalidEvent`."""
    batch = parsed.get("batch")
    if not isinstance(batch, list):
        raise InvalidEvent("batch: wanted a list of events, got something else", code="invalid_batch")
    _check_count(batch)
    return batch


def _check_count(events: Sequence[object]) -> None:
    if len(events) > limits.MAX_BATCH:
        raise InvalidEvent(
            f"batch: wanted at most {limits.MAX_BATCH} events, got {len(events)}; send smaller batches",
            code="batch_too_long",
        )


def _report(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """What the answer says of refused events."""
    return [
        {"index": index, "code": verdict.code, "reason": verdict.reason}
        for index, verdict in enumerate(verdicts)
        if isinstance(verdict, Refused)
    ]


def _cloudevents_answer(verdicts: Sequence[Verdict], batched: bool) -> Response:
    rejected = _report(verdicts)
    if not rejected:
        return answer({"success": True, "ids": [verdict.id for verdict in verdicts]})
    accepted = len(verdicts) - len(rejected)
    if not batched:
        return problem(400, str(rejected[0]["code"]), str(rejected[0]["reason"]), rejected=rejected)
    message = f"batch: {len(rejected)} of {len(verdicts)} events were rejected and kept, the others accepted"
    return problem(400, "rejected_events", message, accepted=accepted, rejected=rejected)


def _check_origin(source: Source, request: Request) -> Source:
    """Raises `RequestRefused` 403 for a page of an origin that the source does not list."""
    origin = request.headers.get("origin")
    if origin is None or "*" in source.allowed_origins or origin in source.allowed_origins:
        return source
    raise RequestRefused(
        403, "Origin: wanted one that the source allows, got another; add it", code="origin_not_allowed"
    )


def _unauthorised() -> RequestRefused:
    return RequestRefused(
        401, "write key: wanted a known one in Authorization or in the body", code="unknown_write_key"
    )
