"""The collector: SDKs' and CloudEvents requests in, records in the log, then the answer.

One request is one append: its accepted events go to simorgh.events and its refused ones to simorgh.rejected in the same
transaction, and the answer waits for the disk. A well-formed SDK request is answered with 200, whatever happens to its
events; the answer lists the refused ones.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fastapi import Request, Response

from eventlog.port import Message, Position, RecordLog
from producers import cloudevents, limits
from producers.budgets import Budgets
from producers.door import Door, Refused, Verdict
from producers.http import RequestRefused, answer, key_in_header, problem, read_body
from producers.metrics import CollectorMetrics
from producers.parsing import parse
from producers.verdicts import SdkRequest, cloudevent_verdict
from registry.keys import sha256_hex
from registry.models import UNLIMITED, Source
from registry.registry import Registry
from registry.throttle import Throttle
from schemas.catalog import Catalog
from schemas.clock import Clock, IdMaker
from schemas.errors import Backpressure, InvalidEvent, SimorghError, Throttled
from schemas.topics import EVENTS, REJECTED

SLICE: Final = 100
"""The number of events that are admitted before other requests get their turn: some 3 ms."""

RETRY_AFTER: Final = 1
"""Seconds."""

ALL_ACCEPTED: Final = answer({"success": True})
"""The answer to nearly every request."""


@dataclass(slots=True)
class Judged:
    """The events of one request: the records of accepted ones, and refused ones by their place in the request."""

    accepted: list[Message] = field(default_factory=list)
    refused: dict[int, Refused] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collector:
    """Handles requests; holds no state but its metrics. Never blocks the loop: the log has its own thread."""

    log: RecordLog
    registry: Registry
    door: Door
    catalog: Catalog
    clock: Clock
    new_id: IdMaker
    metrics: CollectorMetrics
    budgets: Budgets
    throttle: Throttle

    async def sdk(self, request: Request, kind: str | None, limit: int) -> Response:
        """A Segment or RudderStack request: one event of `kind`, or a batch if `kind` is None."""
        return await self.guarded(lambda: self._sdk(request, kind, limit))

    async def cloudevents(self, request: Request) -> Response:
        """A CloudEvents request. A refused event makes the answer 400; the valid events of its batch are accepted."""
        return await self.guarded(lambda: self._cloudevents(request))

    async def source(self, request: Request) -> Response:
        """The source of the request's key."""
        return await self.guarded(lambda: self._source(request))

    def source_of(self, key: str | None, request: Request) -> Source | None:
        """The source of a write key, None for an unknown one. Raises `RequestRefused`: 404 for a disabled one, 429 if
        too many unknown ones came from the same address."""
        if not key:
            return None
        address = request.client.host if request.client else ""
        if seconds := self.throttle.wait(key, address, public=True):
            raise RequestRefused(
                429,
                "write key: wanted a known one, got too many unknown ones from this address; wait, then send a known"
                " one",
                code="too_many_failures",
                retry_after=seconds,
            )
        source = self.registry.authenticate_write_key(key)
        if source is not None:
            self.throttle.succeeded(key, address)
            return source
        if self._is_disabled(key):
            raise RequestRefused(
                404,
                "write key: wanted one of an enabled source, got one of a disabled source; enable it",
                code="source_disabled",
            )
        self.throttle.failed(key, address, public=True)
        return None

    def _is_disabled(self, key: str) -> bool:
        digest = sha256_hex(key)
        sources = self.registry.sources.values()
        return any(digest in source.write_key_sha256 and not source.enabled for source in sources)

    async def _source(self, request: Request) -> Response:
        source = self._source_in_head(request, bearer=True)
        if source is None:
            raise _unauthorised()
        return answer({"id": source.id})

    async def guarded(self, handle: Callable[[], Awaitable[Response]]) -> Response:
        """The answer, timed; a `RequestRefused` counted and as a problem."""
        try:
            with self.metrics.seconds.time():
                return await handle()
        except RequestRefused as refused:
            self.metrics.refused.labels(str(refused.status), refused.code).inc()
            retry_after = RETRY_AFTER if refused.status in (429, 503) else None
            return problem(
                refused.status, refused.code, refused.message, retry_after=refused.retry_after or retry_after
            )
        except Backpressure as error:  # the keys that events are sealed under cannot be had
            self.metrics.refused.labels("503", error.code).inc()
            return problem(503, error.code, error.message, retry_after=RETRY_AFTER)

    # --- Segment and RudderStack ---

    async def _sdk(self, request: Request, kind: str | None, limit: int) -> Response:
        source = self._source_in_head(request)
        if source is not None:
            self.ask(source)
        body = await self._body(request, limit, source)
        received_at = self.clock()
        try:
            parsed, doubtful = parse(body)
            if not isinstance(parsed, dict):
                raise InvalidEvent(
                    "body: wanted a JSON object, got something else; send an object", code="invalid_body"
                )
            if source is None:
                source = self._source_in_body(request, parsed)
                self.ask(source)
            messages: list[object] = [parsed] if kind is not None else _batch_of(parsed)
        except InvalidEvent as error:
            return await self._keep_whole(error, body, source, received_at)
        self.budgets.take(source, len(messages), len(body), received_at)
        sdk = SdkRequest(
            source=source,
            kind=kind,
            members=parsed,
            body=body,
            received_at=received_at,
            ip=request.client.host if request.client else None,
            doubtful=doubtful,
            large=limits.may_be_large(messages, len(body)),
        )
        judged = await _judge(messages, partial(sdk.verdict, self.door, self.catalog, self.new_id))
        await self.append(source, judged)
        return answer({"success": True, "rejected": report(judged)}) if judged.refused else ALL_ACCEPTED

    def _source_in_head(self, request: Request, *, bearer: bool = False) -> Source | None:
        """By the header, else by `?writeKey=`. Raises `RequestRefused`."""
        key = key_in_header(request, bearer=bearer) or request.query_params.get("writeKey")
        source = self.source_of(key, request)
        return source and _check_origin(source, request)

    def _source_in_body(self, request: Request, parsed: dict[str, object]) -> Source:
        key = parsed.get("writeKey")
        source = self.source_of(key if isinstance(key, str) else None, request)
        if source is None:
            raise _unauthorised()
        return _check_origin(source, request)

    # --- CloudEvents ---

    async def _cloudevents(self, request: Request) -> Response:
        source = self._source_in_head(request, bearer=True)
        if source is None:
            raise _unauthorised()
        if (named := request.query_params.get("source")) is not None:
            source = self._as_source(source, named)
        self.ask(source)
        body = await self._body(request, limits.MAX_BODY, source)
        received_at = self.clock()
        try:
            events, batched, doubtful = cloudevents.events_of(request.headers, body)
            _check_count(events)
        except InvalidEvent as error:
            return await self._keep_whole(error, body, source, received_at)
        self.budgets.take(source, len(events), len(body), received_at)
        judge = partial(
            cloudevent_verdict,
            self.door,
            self.catalog,
            self.new_id,
            source=source,
            received_at=received_at,
            large=limits.may_be_large(events, len(body)),
            doubtful=doubtful,
        )
        ids = [cloudevents.event_id(event) for event in events]
        judged = await _judge(events, judge)
        await self.append(source, judged)
        return _cloudevents_answer(judged, ids, batched)

    def _as_source(self, own: Source, named: str) -> Source:
        """The declared source as which the operator's own key sends, without its budget: an import. Raises
        `RequestRefused` for any other key, and for an unknown source."""
        if own.id == named:
            return own
        if not self.registry.is_own(own):
            raise RequestRefused(
                403, "source: wanted the write key's own, got another; send with a key of it", code="other_source"
            )
        declared = self.registry.sources.get(named)
        if declared is None:
            raise RequestRefused(
                404, "source: wanted a declared one, got another; see `simorgh sources list`", code="unknown_source"
            )
        return declared.model_copy(update={"budget": UNLIMITED})

    # --- Shared by both ---

    def ask(self, source: Source) -> None:
        """Raises `RequestRefused` 429 if the source's budget is used up."""
        try:
            self.budgets.ask(source, self.clock())
        except Throttled as error:
            raise RequestRefused(429, error.message, code=error.code, retry_after=error.seconds) from error

    async def _body(self, request: Request, limit: int, source: Source | None) -> bytes:
        try:
            return await read_body(request, limit)
        except RequestRefused as refused:
            if source is not None and refused.body:
                error = InvalidEvent(refused.message, code=refused.code)
                await self._keep_whole(error, refused.body, source, self.clock())
            raise

    async def _keep_whole(self, error: InvalidEvent, body: bytes, source: Source | None, received_at: int) -> Response:
        """400. The body is kept as one rejected event if the sender is known."""
        if source is None:
            raise RequestRefused(400, error.message, code=error.code)
        self.budgets.take(source, 1, len(body), received_at)
        refused = self.door.refuse(error, self.new_id(), body, source=source, received_at=received_at)
        await self.append(source, Judged(refused={0: refused}))
        return problem(400, error.code, error.message, id=refused.id)

    async def append(self, source: Source, judged: Judged) -> None:
        """Durable when this returns. Raises `RequestRefused`: 429 for a full log, 503 for a broken one."""
        rejected = [refused.message for refused in judged.refused.values() if refused.message is not None]
        writes = [(EVENTS, judged.accepted), (REJECTED, rejected)]
        try:
            await _done(self.log.submit([(topic, messages) for topic, messages in writes if messages]))
        except Backpressure as error:
            raise RequestRefused(429, error.message, code=error.code) from error
        except SimorghError as error:
            raise RequestRefused(
                503, "log: wanted to store events, got no room or no answer; try again", code=error.code
            ) from error
        self.metrics.accepted.labels(source.id).inc(len(judged.accepted))
        for refused in judged.refused.values():
            self.metrics.rejected.labels(source.id, refused.code).inc()


async def _done(stored: Future[list[list[Position]]]) -> None:
    """Wait for the log, and raise its errors. Cancelling a request does not cancel the log's write.

    `asyncio.wrap_future` in `shield` does as much, with three times the callbacks.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def tell(_: Future[list[list[Position]]]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(wake)

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    stored.add_done_callback(tell)
    await waiter
    stored.result()


async def _judge(events: list[object], verdict: Callable[[object, int], Verdict]) -> Judged:
    """The verdict on each, given its place, letting other requests run in between. Empties `events`.

    Each event is freed before the next is read: memory that is still in the processor's cache is used again.
    """
    judged = Judged()
    accepted, refused, count = judged.accepted, judged.refused, len(events)
    events.reverse()
    while events:
        for _ in range(min(len(events), SLICE)):
            place = count - len(events)
            one = verdict(events.pop(), place)
            if isinstance(one, Refused):
                refused[place] = one
            else:
                accepted.append(one)
        if events:
            await asyncio.sleep(0)
    return judged


def _batch_of(parsed: dict[str, object]) -> list[object]:
    """The events of a batch request. Raises `InvalidEvent`."""
    batch = parsed.get("batch")
    if not isinstance(batch, list):
        raise InvalidEvent("batch: wanted a list of events, got something else; send a list", code="invalid_batch")
    _check_count(batch)
    return batch


def _check_count(events: Sequence[object]) -> None:
    if len(events) > limits.MAX_BATCH:
        raise InvalidEvent(
            f"batch: wanted at most {limits.MAX_BATCH} events, got {len(events)}; send smaller batches",
            code="batch_too_long",
        )


def report(judged: Judged) -> list[dict[str, object]]:
    """The refused events, for the answer."""
    return [{"index": index, "code": one.code, "reason": one.reason} for index, one in judged.refused.items()]


def _cloudevents_answer(judged: Judged, ids: Sequence[str | None], batched: bool) -> Response:
    """`ids` of the events, in order."""
    if not judged.refused:
        return answer({"success": True, "ids": ids})
    rejected, accepted = report(judged), len(judged.accepted)
    if not batched:
        return problem(400, str(rejected[0]["code"]), str(rejected[0]["reason"]), rejected=rejected)
    every = accepted + len(rejected)
    message = f"batch: {len(rejected)} of {every} events were rejected and kept, the others accepted"
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
        401, "write key: wanted a known one, got another or none; send it in Authorization", code="unknown_write_key"
    )
