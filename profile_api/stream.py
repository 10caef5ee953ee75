"""`GET /v1/segments/{id}/stream`: transitions as they are told, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from eventlog.port import EventLog, Record
from identity.nodes import from_hex, profile_id
from profile_api.auth import scope
from profile_api.deps import ApiDeps
from profile_api.params import Name
from profile_api.replies import encode
from profile_api.rules import found
from registry.scopes import READ
from schemas import topics
from schemas.clock import iso
from stream_processors.fences import Fences

_POLL_SECONDS = 0.1
_QUIET_POLLS = 150
"""After so many polls without a transition (15 s) a comment is sent, so that proxies keep the connection."""
_STEP = 500


async def transitions(log: EventLog, segment: str, after: int) -> AsyncIterator[bytes]:
    """A segment's transitions from the log offset `after` on, for ever. No thread is held while nothing
    comes.
    """
    quiet = 0
    fences = await run_in_threadpool(Fences.at, log, after)
    yield b": connected\n\n"
    while True:
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


def message(record: Record, segment: str) -> bytes | None:
    """One transition as a server-sent event whose id is its offset; None for another segment's."""
    body = orjson.loads(record.value)
    if body.get("segment") != segment:
        return None
    data = {
        "segment": segment,
        "profile_id": profile_id(from_hex(body["profile"])),
        "kind": body["kind"],
        "at": iso(body["at"]),
        "entered_at": iso(body["entered_at"]),
        "cause": body["cause"],
        "transition_id": body["id"],
    }
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (record.offset, body["kind"].encode(), encode(data))


def router(deps: ApiDeps) -> APIRouter:
    routes = APIRouter(prefix="/v1/segments", tags=["segments"])

    @routes.get(
        "/{name}/stream",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"example": 'id: 7\nevent: entered\ndata: {"kind":"entered"}\n'}}}
        },
    )
    @scope(READ)
    async def stream_segment(
        name: Name,
        last_event_id: Annotated[str | None, Header(description="Where a broken stream goes on.")] = None,
    ) -> StreamingResponse:
        """Who enters and leaves a segment from now on, as server-sent events (`entered`, `exited`)."""
        found(deps, name)
        resumed = last_event_id is not None and last_event_id.isdecimal() and len(last_event_id) < 19
        after = int(last_event_id or 0) + 1 if resumed else deps.log.ends(topics.SEGMENTS)[0]
        return StreamingResponse(transitions(deps.log, name, after), media_type="text/event-stream")

    return routes
