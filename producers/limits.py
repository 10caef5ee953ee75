"""How much one request and one event may hold. Segment's published limits where it has one."""

from collections.abc import Mapping
from typing import Final

import orjson

from schemas.errors import InvalidEvent

MAX_BODY: Final = 500 * 1024
MAX_IMPORT_BODY: Final = 4 * 1024 * 1024
MAX_BATCH: Final = 2_500
MAX_EVENT: Final = 32 * 1024
MAX_ID: Final = 200
MAX_KEYS: Final = 300
MAX_DEPTH: Final = 32


def check_id(event_id: str) -> bytes:
    """The id as a log key. Raises `InvalidEvent` unless it is 1-200 characters of Unicode without NUL."""
    try:
        key = event_id.encode()
    except UnicodeEncodeError:
        key = b""
    if not 0 < len(event_id) <= MAX_ID or not key or b"\x00" in key:
        raise InvalidEvent(
            f"id: wanted 1 to {MAX_ID} characters without NUL, got {len(event_id)}; send an id of that form",
            code="invalid_id",
        )
    return key


def check_size(raw: bytes) -> None:
    """Raises `InvalidEvent` for an event of more than 32 KB."""
    if len(raw) > MAX_EVENT:
        raise InvalidEvent(
            f"event: wanted at most {MAX_EVENT} bytes, got {len(raw)}; send less with one event",
            code="event_too_large",
        )


def check_keys(field: str, values: Mapping[str, object]) -> None:
    """Raises `InvalidEvent` for more than 300 keys."""
    if len(values) > MAX_KEYS:
        raise InvalidEvent(
            f"{field}: wanted at most {MAX_KEYS} keys, got {len(values)}; send fewer",
            code="too_many_keys",
        )


def too_deep() -> InvalidEvent:
    return InvalidEvent(
        f"event: wanted at most {MAX_DEPTH} levels of nesting, got more; flatten it", code="too_deep"
    )


def encode(envelope: Mapping[str, object]) -> bytes:
    """The envelope as JSON. Raises `InvalidEvent` where it is nested too deeply or holds no valid Unicode."""
    try:
        value = orjson.dumps(envelope)
    except TypeError as error:
        raise _unwritable(error) from error
    # Only a document with that many brackets can be that deep: the walk is for the very few.
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _deeper_than(envelope, MAX_DEPTH):
        raise too_deep()
    return value


def _unwritable(error: TypeError) -> InvalidEvent:
    if "surrogates" in str(error):
        return InvalidEvent(
            "event: wanted valid Unicode text, got a lone surrogate; cut text between characters",
            code="invalid_text",
        )
    return too_deep()


def _deeper_than(value: object, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, dict | list)]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, dict | list)]
    return []
