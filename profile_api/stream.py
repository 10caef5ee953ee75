"""`GET /v1/segments/{id}/stream`: transitions as they are published, as server-sent events."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from eventlog.fences import Fences
from eventlog.port import EventLog, Record
from identity.nodes import from_hex, profile_id
from profile_api.auth import scope
from profile_api.declaring import SEGMENTS
from profile_api.deps import ApiDeps, Deps, one_per_app
from profile_api.params import Name
from profile_api.replies import encode
from profile_api.routes import guarded
from registry.models import Token
from registry.scopes import READ
from schemas import topics
from schemas.clock import iso
from schemas.errors import Throttled
from schemas.records import read_transition

_POLL_SECONDS = 0.1
_QUIET_POLLS = 150
"""After so many polls without a transition (15 s) a comment is sent, so that proxies keep the connection."""
_STEP = 500
_ASK_SECONDS = 1.0
"""How often a stream looks whether its token still holds."""
_RETRY_AFTER = 15


class Streams:
    """The open streams of each token, and whether they may continue. For the event loop."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._open: Counter[str] = Counter()

    def open(self, token: Token) -> None:
        """Raises `Throttled` if the token has too many; otherwise `close` must follow."""
        if self._open[token.id] >= self._deps.streams_per_token:
            raise Throttled(
                f"stream: wanted at most {self._deps.streams_per_token} open ones of one token, got one more; close one"
                " first",
                code="too_many_streams",
                seconds=_RETRY_AFTER,
            )
        self._open[token.id] += 1

    def close(self, token: Token) -> None:
        self._open[token.id] -= 1
        if not self._open[token.id]:
            del self._open[token.id]

    def watch(self, token: Token, segment: str) -> Callable[[], Awaitable[bool]]:
        """Whether a stream may continue: its token and its segment still exist, and the process is not stopping."""
        deps, asked = self._deps, time.monotonic()

        async def may_go_on() -> bool:
            nonlocal asked
            if deps.stopping():
                return False
            if time.monotonic() - asked < _ASK_SECONDS:
                return True
            await run_in_threadpool(deps.registry.refresh)
            asked = time.monotonic()
            return deps.registry.holds(token) and segment in deps.registry.segments

        return may_go_on


async def always() -> bool:
    return True


async def transitions(
    log: EventLog, segment: str, after: int, may_go_on: Callable[[], Awaitable[bool]] = always
) -> AsyncIterator[bytes]:
    """A segment's transitions from the log offset `after` on, as long as the stream may continue. No thread waits while
    none arrive.
    """
    quiet = 0
    fences = await run_in_threadpool(Fences.at, log, after)
    yield b": connected\n\n"
    while await may_go_on():
        records = await run_in_threadpool(log.read, topics.SEGMENTS, 0, after, _STEP)
        for record in records:
            after = record.offset + 1
            if fences.counts(record.value) and (told := message(record, segment)) is not None:
                quiet = 0
                yield told
        if not records:
            quiet += 1
            if quiet % _QUIET_POLLS == 0:
                yield b": quiet\n\n"
            await asyncio.sleep(_POLL_SECONDS)


class StreamReply(StreamingResponse):
    """A stream that gives its place back, however it ends."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(events)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


def message(record: Record, segment: str) -> bytes | None:
    """One transition as a server-sent event whose id is its offset; None for another segment's."""
    told = read_transition(record.value)
    if told is None or told.segment != segment:
        return None
    data = {
        "segment": segment,
        "profile_id": profile_id(from_hex(told.profile)),
        "kind": told.kind,
        "at": iso(told.at),
        "entered_at": iso(told.entered_at),
        "cause": told.cause,
        "transition_id": told.id,
    }
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (record.offset, told.kind.encode(), encode(data))


StreamsOf = Annotated[Streams, Depends(one_per_app(Streams))]

routes = guarded("segments", "/v1/segments")


@routes.get(
    "/{name}/stream",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": 'id: 7\nevent: entered\ndata: {"kind":"entered"}\n'}}}
    },
)
@scope(READ)
async def stream_segment(
    deps: Deps,
    name: Name,
    request: Request,
    streams: StreamsOf,
    last_event_id: Annotated[
        str | None, Header(description="The last id of a broken stream, to continue from there.")
    ] = None,
) -> StreamReply:
    """Stream each profile that enters or leaves a segment from now on, as server-sent events (`entered`, `exited`).

    The stream ends when its token is deleted or expires, or when the segment is deleted.
    """
    SEGMENTS.found(deps, name)
    token: Token = request.state.token
    resumed = last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 19
    after = int(last_event_id or 0) + 1 if resumed else deps.log.ends(topics.SEGMENTS)[0]
    streams.open(token)
    return StreamReply(transitions(deps.log, name, after, streams.watch(token, name)), lambda: streams.close(token))
