"""Limits of one request and one event. They are Segment's published limits where it has one."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from schemas.envelope import MAX_ID
from schemas.errors import InvalidEvent

MAX_BODY: Final = 500 * 1024
MAX_IMPORT_BODY: Final = 4 * 1024 * 1024
MAX_BATCH: Final = 2_500
MAX_EVENT: Final = 32 * 1024
MAX_KEYS: Final = 300
MAX_DEPTH: Final = 32

_OBJECT: Final = b"{"
_LIST: Final = ord("[")
_MEASURED: Final = 16
"""Events that are measured at once: cheaper than each of a batch."""


def check_id(event_id: str) -> bytes:
    """The id in UTF-8. Raises `InvalidEvent` unless it is 1-200 characters of Unicode without NUL."""
    try:
        key = event_id.encode()
    except UnicodeEncodeError:
        key = b""
    if not 0 < len(event_id) <= MAX_ID or not key or 0 in key:
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


def may_be_large(events: Sequence[object], size: int) -> bool:
    """Whether one of these events, from a body of `size` bytes, may be over the limit of one event.

    The size of an event is that of its UTF-8 JSON without blanks, however it was written. Subtracts events from the
    body until the rest is within the limit. This is cheaper than measuring each event, and escapes and blanks only make
    the rest look larger.
    """
    for start in range(0, len(events), _MEASURED):
        if size <= MAX_EVENT:
            return False
        try:
            measured = len(orjson.dumps(events[start : start + _MEASURED]))
        except TypeError:
            return True  # nested too deeply, for example: a later check finds it
        if measured > MAX_EVENT:
            return True
        size -= measured
    return size > MAX_EVENT


def too_many_keys(traits: Mapping[str, object], properties: Mapping[str, object]) -> InvalidEvent:
    """One of them has more than 300."""
    field, values = ("traits", traits) if len(traits) > MAX_KEYS else ("properties", properties)
    return InvalidEvent(
        f"{field}: wanted at most {MAX_KEYS} keys, got {len(values)}; send fewer",
        code="too_many_keys",
    )


def too_deep() -> InvalidEvent:
    return InvalidEvent(f"event: wanted at most {MAX_DEPTH} levels of nesting, got more; flatten it", code="too_deep")


def encode(envelope: Mapping[str, object]) -> bytes:
    """The envelope, or members of it, as JSON.

    Raises `InvalidEvent` if it is nested too deeply or contains invalid Unicode.
    """
    try:
        value = orjson.dumps(envelope)
    except TypeError as error:
        raise _unwritable(error) from error
    # Only a document with that many brackets can be that deep: the walk is for the very few. What is cut out is
    # looked for many bytes at a time, what is counted byte by byte; and most have no list.
    brackets = len(value) - len(value.replace(_OBJECT, b""))
    if _LIST in value:
        brackets += value.count(_LIST)
    if brackets > MAX_DEPTH and _deeper_than(MAX_DEPTH, envelope):
        raise too_deep()
    return value


def encode_members(values: Mapping[str, object]) -> bytes:
    """As `encode`, without the braces and with a comma at the end."""
    return encode(values)[1:-1] + b","


def _unwritable(error: TypeError) -> InvalidEvent:
    if "surrogates" in str(error):
        return InvalidEvent(
            "event: wanted valid Unicode text, got a lone surrogate; cut text between characters",
            code="invalid_text",
        )
    return too_deep()


def _deeper_than(levels: int, container: object) -> bool:
    """Whether it has more levels, counting itself. Most events end at the fourth."""
    for child in container.values() if type(container) is dict else container:  # type: ignore[attr-defined]
        kind = type(child)
        if (kind is dict or kind is list) and (levels == 1 or _deeper_than(levels - 1, child)):
            return True
    return False
