"""Opaque cursors: the place at which a list continues, as signed text. A cursor holds sort keys, never a row number, so
rows that come or go between two pages neither shift nor repeat the others.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

from schemas.errors import InvalidInput

_SIGNATURE_BYTES = 8


def write_cursor(secret: bytes, kind: str, keys: Sequence[int | str]) -> str:
    """The cursor of list `kind` after the row with these sort keys."""
    body = orjson.dumps([str(key) if isinstance(key, int) else key for key in keys])
    return base64.urlsafe_b64encode(_sign(secret, kind, body) + body).rstrip(b"=").decode()


def read_cursor(secret: bytes, kind: str, cursor: str, shape: Sequence[type]) -> list[Any]:
    """The sort keys of a cursor of this list, as the types of `shape`. `InvalidInput` for any other text."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _not_a_cursor(kind) from None
    signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(secret, kind, body)):
        raise _not_a_cursor(kind)
    return [convert(key) for convert, key in zip(shape, orjson.loads(body), strict=True)]


def _sign(secret: bytes, kind: str, body: bytes) -> bytes:
    key = hashlib.blake2b(secret, person=b"simorgh cursor").digest()
    return hashlib.blake2b(kind.encode() + b"\0" + body, digest_size=_SIGNATURE_BYTES, key=key).digest()


def _not_a_cursor(kind: str) -> InvalidInput:
    return InvalidInput(
        f"cursor: wanted a next_cursor of {kind}, got another text; start again without a cursor",
        code="invalid_cursor",
    )
