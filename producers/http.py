"""What every way in over HTTP needs: reading a body within bounds, finding the write key, answering errors.

Nothing here knows events.
"""

import base64
import binascii
import codecs
import zlib
from typing import Final

import orjson
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from schemas.errors import SimorghError
from schemas.problems import CONTENT_TYPE, problem_body

ENCODINGS: Final = ("gzip", "deflate")
"""Of bodies. Brotli and Zstandard would need a library in the way of every stranger's bytes."""

_GZIP: Final = b"\x1f\x8b"
_MOST_MEMBERS: Final = 100
"""A tool that compresses in blocks makes one of each 64 KB: that is 4 MB and more."""

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
    """The whole request is answered with `status`. `body` is what was read of it, for keeping as rejected;
    `retry_after`: seconds after which the same may be sent again."""

    def __init__(
        self, status: int, message: str, *, code: str, body: bytes = b"", retry_after: int | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.body = body
        self.retry_after = retry_after


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON for any origin."""
    return Response(orjson.dumps(content), status, {**CORS, **(headers or {})}, media_type="application/json")


def problem(status: int, code: str, message: str, *, retry_after: int | None = None, **more: object) -> Response:
    """RFC 9457, with the `code` and `message` that the SDKs read. `more` are further members."""
    headers = dict(CORS)
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    if status == 415:
        headers["accept-encoding"] = ", ".join(ENCODINGS)
    return Response(orjson.dumps(problem_body(status, code, message, **more)), status, headers, media_type=CONTENT_TYPE)


async def read_body(request: Request, limit: int) -> bytes:
    """The body in UTF-8, undone from gzip or deflate. Raises `RequestRefused`: 413 above `limit` bytes, read or undone
    (never more than that is held), 400 for broken compression, 415 for a compression that is not known."""
    raw = await _read_capped(request, limit)
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "x-gzip", *ENCODINGS):
        raise RequestRefused(
            415,
            f"Content-Encoding: wanted {' or '.join(ENCODINGS)} or none, got another; compress with one of these",
            code="unsupported_encoding",
            body=raw,
        )
    if encoding in ("", "identity") and not raw.startswith(_GZIP):
        return in_utf8(raw)
    return in_utf8(undone(raw, limit))


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
        raise RequestRefused(400, "body: wanted all of it, got a part; send it again", code="client_left") from error
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def undone(raw: bytes, limit: int) -> bytes:
    """What gzip (of one or several members), zlib or bare deflate made of at most `limit` bytes.

    All of `raw` belongs to it, or `RequestRefused` says that it does not.
    """
    body = _members(raw, limit) if raw.startswith(_GZIP) else _deflated(raw, limit)
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _members(raw: bytes, limit: int) -> bytes:
    body, rest = b"", raw
    for _ in range(_MOST_MEMBERS):
        part, rest = _undo(rest, limit + 1 - len(body), 31, raw)
        body += part
        if len(body) > limit or not rest.strip(b"\0"):  # some tools fill up the last block
            return body
        if not rest.startswith(_GZIP):
            raise _broken("gzip data to the end", "something after it", raw)
    raise _broken(f"at most {_MOST_MEMBERS} gzip members", "more", raw)


def _deflated(raw: bytes, limit: int) -> bytes:
    """`deflate` means zlib's format; some clients send it bare. A zlib header does not say for certain which it is."""
    is_zlib = len(raw) > 1 and raw[0] & 15 == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
    if is_zlib:
        try:
            return _whole(raw, limit, 15)
        except RequestRefused:
            pass
    return _whole(raw, limit, -15)


def _whole(raw: bytes, limit: int, wbits: int) -> bytes:
    body, rest = _undo(raw, limit + 1, wbits, raw)
    if rest:
        raise _broken("compressed data to the end", "something after it", raw)
    return body


def _undo(data: bytes, most: int, wbits: int, raw: bytes) -> tuple[bytes, bytes]:
    """At most `most` bytes of what was compressed, and what follows it."""
    decompressor = zlib.decompressobj(wbits=wbits)
    try:
        body = decompressor.decompress(data, most)
    except zlib.error as error:
        raise _broken("gzip or deflate", "broken data", raw) from error
    if len(body) < most and not decompressor.eof:
        raise _broken("complete gzip or deflate data", "a part", raw)
    return body, decompressor.unused_data


def _broken(wanted: str, came: str, raw: bytes) -> RequestRefused:
    return RequestRefused(400, f"body: wanted {wanted}, got {came}; compress it again", code="invalid_gzip", body=raw)


def in_utf8(body: bytes) -> bytes:
    """Without a byte order mark. One of UTF-16 says how to read the text: PowerShell and .NET write such. What cannot
    be read so stays as it is, for the parser to refuse."""
    if body.startswith(codecs.BOM_UTF8):
        return body[len(codecs.BOM_UTF8) :]
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return body.decode("utf-16").encode()
        except UnicodeError:
            return body
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
