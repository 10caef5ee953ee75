"""What every way in over HTTP needs: reading a body within bounds, finding the write key, answering errors.

Nothing here knows events.
"""

import base64
import binascii
import zlib
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from schemas.errors import SimorghError

_DRAIN: Final = 32 * 1024 * 1024
"""How much of a refused body is read and thrown away, so that the client gets to read the answer."""

CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "retry-after",
}
"""Any page may send events: a write key is public by nature, and no answer holds anything of a customer."""

PREFLIGHT: Final = {
    **CORS,
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": ", ".join(
        ("authorization", "content-type", "content-encoding", "x-retry-count", "anonymousid", "sentat")
    ),
    "access-control-max-age": "86400",
}
"""What a browser asks before it sends; in other answers it does not look for these."""


class RequestRefused(SimorghError):
    """The whole request is answered with `status`. `body` is what was read of it, for keeping as rejected."""

    def __init__(self, status: int, message: str, *, code: str, body: bytes = b"") -> None:
        super().__init__(message, code=code)
        self.status = status
        self.body = body


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON for any origin."""
    return Response(orjson.dumps(content), status, {**CORS, **(headers or {})}, media_type="application/json")


def problem(status: int, code: str, message: str, *, retry_after: int | None = None, **more: object) -> Response:
    """RFC 9457, with the `code` and `message` that the SDKs read. `more` are further members."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "message": message,
        **more,
    }
    headers = dict(CORS)
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")


async def read_body(request: Request, limit: int) -> bytes:
    """The body, undone from gzip or deflate. Raises `RequestRefused`: 413 above `limit` bytes, read or undone
    (never more than that is held), 400 for broken compression, 415 for a compression that is not known."""
    raw = await _read_capped(request, limit)
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity") and not raw.startswith(b"\x1f\x8b"):
        return raw
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise RequestRefused(
            415,
            "Content-Encoding: wanted gzip, deflate or none, got another",
            code="unsupported_encoding",
            body=raw,
        )
    return _decompress(raw, limit)


async def _read_capped(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > limit + _DRAIN:
                break
    except ClientDisconnect as error:
        raise RequestRefused(400, "body: wanted all of it, the client left", code="client_left") from error
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def _decompress(raw: bytes, limit: int) -> bytes:
    # 47: zlib finds out itself whether it is gzip or zlib. One byte over the limit is enough to know.
    decompressor = zlib.decompressobj(wbits=47)
    try:
        body = decompressor.decompress(raw, limit + 1)
    except zlib.error as error:
        raise RequestRefused(400, "body: wanted gzip, got broken data", code="invalid_gzip", body=raw) from error
    if len(body) > limit:
        raise _too_large(limit)
    if not decompressor.eof:
        raise RequestRefused(400, "body: wanted whole gzip data, got a part", code="invalid_gzip", body=raw)
    return body


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(
        413, f"body: wanted at most {limit} bytes, got more; send smaller batches", code="payload_too_large"
    )


def key_in_header(request: Request, *, bearer: bool = False) -> str | None:
    """The write key of `Authorization: Basic` (with or without the colon), or of `Bearer` where allowed."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return _basic(credentials.strip())
    if bearer and scheme.lower() == "bearer":
        return credentials.strip() or None
    return None


def _basic(credentials: str) -> str | None:
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    key, colon, password = text.rpartition(":")
    # Keys may hold a colon themselves; SDKs send an empty password.
    if colon and not password:
        return key or None
    return text or None
