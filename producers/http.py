"""Shared by all HTTP connectors: reading a body within bounds, finding the write key, answering errors.

Nothing here knows events.
"""

import base64
import binascii
import codecs
import re
import zlib
from typing import Final

import orjson
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from schemas.errors import SimorghError
from schemas.problems import CONTENT_TYPE, problem_body

ENCODINGS: Final = ("gzip", "deflate")
"""The encodings of bodies. Brotli and Zstandard would expose another library to strangers' bytes."""

_GZIP: Final = b"\x1f\x8b"
_MOST_MEMBERS: Final = 100
"""A tool that compresses in blocks makes one for each 64 KB, so this allows over 4 MB."""

_DRAIN: Final = 32 * 1024 * 1024
"""How many bytes of a refused body are read and dropped, so that the client can read the answer."""

CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "retry-after",
}
"""Any page may send events: a write key is public by nature, and no answer holds anything of a customer."""

_USUAL: Final = "authorization, content-type, content-encoding, x-retry-count, anonymousid, sentat"
_HEADER_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
_LONGEST_ASKED: Final = 1000


def preflight(request: Request) -> Response:
    """The answer to a browser's preflight request before it sends an event to another origin. It allows the headers
    that the browser asks for: SDKs add headers to their retries, differently in each version, and a header that is not
    allowed would cost the events. `*` would leave out `Authorization`."""
    asked = request.headers.get("access-control-request-headers", "").strip()
    fits = len(asked) <= _LONGEST_ASKED and _HEADER_NAMES.fullmatch(asked)
    headers = {
        **CORS,
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": asked if fits else _USUAL,
        "access-control-max-age": "86400",
        "vary": "Access-Control-Request-Headers",
    }
    return Response(status_code=200, headers=headers)


class RequestRefused(SimorghError):
    """The whole request is refused with `status`. `body` is the part that was read, to keep it as rejected;
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
    """The body in UTF-8, decompressed from gzip or deflate. Raises `RequestRefused`: 413 above `limit` bytes, as read
    or decompressed (never more than that is in memory), 400 for broken compression, 415 for an unknown one."""
    raw = await read_raw(request, limit)
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


async def read_raw(request: Request, limit: int) -> bytes:
    """The body as it came. Raises `RequestRefused`: 413 above `limit` bytes, 400 if the client leaves."""
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
    """Decompress gzip (of one or several members), zlib or bare deflate to at most `limit` bytes. Raises
    `RequestRefused` if a part of `raw` does not belong to it.
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
    """`deflate` means zlib's format; some clients send it bare. A zlib header alone does not decide."""
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
    """At most `most` decompressed bytes, and the rest of the input."""
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
    """Removes a byte order mark. One of UTF-16, as PowerShell and .NET write, selects the decoding. Text that cannot be
    decoded stays as it is, and the parser refuses it."""
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
    # Keys may contain a colon; SDKs send an empty password.
    if colon and not password:
        return key or None
    return text or None
