"""How a request is read before it is routed: its path, its method, its body.

- The API's paths are matched still percent-encoded, so that `user_id:a%2Fevents` is one key and `%2B` stays a plus;
  the endpoints decode (see `params.PathText`).
- HEAD is GET without the body of the answer.
- A body is JSON, whatever clients that say nothing of it call it (curl says that it is a form), and has `MAX_BODY`
  bytes at most, declared or not.
"""

import asyncio
from typing import Final

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 1_000_000

PREFIXES: Final = tuple(
    f"/v1/{name}"
    for name in (
        "profiles",
        "segments",
        "triggers",
        "status",
        "rejected",
        "schemas",
        "seen",
        "sources",
        "tokens",
        "replay",
        "identity-rules",
        "audit",
        "privacy",
        "purposes",
        "retentions",
    )
)
"""The API's own; others may be the collector's."""

_CONTENT_TYPE: Final = b"content-type"
_UNSAID: Final = frozenset({"", "application/x-www-form-urlencoded", "text/plain", "application/octet-stream"})
"""Types that clients send by default if the user names none."""


class Framing:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"].startswith(PREFIXES):
                scope["path"] = scope["raw_path"].decode("latin-1")
                scope["headers"] = _as_json(scope["headers"])
                receive = _limited(receive)
            if scope["method"] == "HEAD":
                await _head(self._app, scope, receive, send)
                return
        await self._app(scope, receive, send)


def _as_json(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    said = next((value for name, value in headers if name == _CONTENT_TYPE), b"")
    if _media_type(said.decode("latin-1")) not in _UNSAID:
        return headers
    return [(name, value) for name, value in headers if name != _CONTENT_TYPE] + [(_CONTENT_TYPE, b"application/json")]


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


async def only_json(request: Request) -> None:
    """A dependency of every route of the API: a body that says of itself that it is something else is refused (415)."""
    media_type = _media_type(request.headers.get("content-type", ""))
    if media_type in _UNSAID or media_type == "application/json" or media_type.endswith("+json"):
        return
    if request.method in ("POST", "PUT", "PATCH") and _has_body(request):
        raise HTTPException(
            415, "Content-Type: wanted application/json, got another. Send JSON and say so, or leave the header out."
        )


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _limited(receive: Receive) -> Receive:
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY:
            raise HTTPException(413, f"body: wanted at most {MAX_BODY} bytes, got more. Send it in parts.")
        return message

    return limited


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as GET would, and end after the head, since the body may be endless."""
    inner = {**scope, "method": "GET"}
    begun = asyncio.Event()

    async def only_head(message: Message) -> None:
        if message["type"] == "http.response.start" and not begun.is_set():
            scope["route"] = inner.get("route")
            await send(message)
            await send({"type": "http.response.body", "body": b""})
            begun.set()

    answering = asyncio.ensure_future(app(inner, receive, only_head))
    head = asyncio.ensure_future(begun.wait())
    await asyncio.wait((answering, head), return_when=asyncio.FIRST_COMPLETED)
    head.cancel()
    if not answering.done():
        answering.cancel()
        await asyncio.wait((answering,))
    if not answering.cancelled() and (error := answering.exception()) is not None and not begun.is_set():
        raise error
