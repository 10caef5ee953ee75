"""Request bodies to parsed JSON, and back.

JavaScript writes half an emoji as a lone surrogate, Python's SDKs write NaN: neither is JSON, and one such
event must not cost the other events of its batch.
"""

import json
from typing import TypeVar

import orjson

from schemas.errors import InvalidEvent

T = TypeVar("T")


def parse(body: bytes) -> tuple[object, bool]:
    """The parsed body, and whether its events need `recheck` one by one. Raises `InvalidEvent`."""
    try:
        return orjson.loads(body), False
    except orjson.JSONDecodeError as error:
        parsed = _parse_batch_leniently(body)
        if parsed is None:
            raise invalid_json(error) from error
        return parsed, True


def recheck(event: T) -> T:
    """An event of a batch that only the lenient parser could read, as the strict one reads it alone.

    So its neighbours change nothing: a number of 30 digits stays the same next to a NaN. Raises `InvalidEvent`.
    """
    try:
        again: T = orjson.loads(json.dumps(event))
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise InvalidEvent(
            "event: wanted JSON in UTF-8, got NaN, an infinite number or half a character; leave it out",
            code="invalid_json",
        ) from error
    return again


def dump(value: object) -> bytes:
    """Parsed JSON as bytes again, including anything that the parser accepts (deep nesting, lone surrogates, NaN)."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return dump_as_sent(value)


def dump_as_sent(value: object) -> bytes:
    """The same for values outside JSON: NaN stays NaN, half a character becomes an escape."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"{}"  # deeper than any parser of ours reads: cannot come from a request


def invalid_json(error: orjson.JSONDecodeError) -> InvalidEvent:
    """The message names the position, without the text."""
    return InvalidEvent(
        f"body: wanted JSON in UTF-8, got something else in line {error.lineno}, column {error.colno}; fix it",
        code="invalid_json",
    )


def _parse_batch_leniently(body: bytes) -> object | None:
    """None if it is not a batch. A byte outside UTF-8 becomes half a character: it affects only its event."""
    try:
        parsed = json.loads(body.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None
    if isinstance(parsed, list) or (isinstance(parsed, dict) and isinstance(parsed.get("batch"), list)):
        return parsed
    return None
