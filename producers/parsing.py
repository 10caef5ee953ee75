"""Request bodies to parsed JSON.

JavaScript writes half an emoji as a lone surrogate, Python's SDKs write NaN: neither is JSON, and one such
event must not cost the other events of its batch.
"""

import json

import orjson

from schemas.errors import InvalidEvent


def parse(body: bytes) -> tuple[object, bool]:
    """The parsed body, and whether its events need `recheck` one by one. Raises `InvalidEvent`."""
    try:
        return orjson.loads(body), False
    except orjson.JSONDecodeError as error:
        parsed = _parse_batch_leniently(body)
        if parsed is None:
            raise invalid_json(error) from error
        return parsed, True


def recheck(event: object) -> None:
    """Raises `InvalidEvent` for an event that only the lenient parser could read."""
    try:
        orjson.loads(json.dumps(event))
    except orjson.JSONDecodeError as error:
        raise InvalidEvent(
            "event: wanted JSON, got NaN, an infinite number or half a character; leave it out",
            code="invalid_json",
        ) from error


def invalid_json(error: orjson.JSONDecodeError) -> InvalidEvent:
    """The place is told, the text is not."""
    return InvalidEvent(
        f"body: wanted JSON in UTF-8, got something else in line {error.lineno}, column {error.colno}",
        code="invalid_json",
    )


def _parse_batch_leniently(body: bytes) -> object | None:
    try:
        parsed = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    if isinstance(parsed, dict) and isinstance(parsed.get("batch"), list):
        return parsed
    return None
