"""Parameters that many routes share, with their descriptions in OpenAPI."""

from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from schemas.errors import InvalidInput

# Paths are matched still percent-encoded (see `framing`), so that a value may hold an encoded slash.
PathText = Annotated[str, AfterValidator(unquote)]

ProfileKey = Annotated[
    PathText,
    Path(
        description="`type:value`, split at the first colon and percent-encoded if necessary, or a profile id.",
        examples=["user_id:u42", "email:sara%40example.com", "prf_0123456789abcdef0123456789abcdef"],
    ),
]
Name = Annotated[PathText, Path(description="The id.", examples=["repeat-buyers"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="The largest number of items.")]
Cursor = Annotated[str | None, Query(max_length=4000, description="`next_cursor` of the previous page.")]


END_OF_TIME: Final = 10_413_791_999_000
"""The end of 2299, in ms: the last moment that a table holds."""


def ms_of(text: str) -> int | None:
    """A moment as ISO 8601 or RFC 3339, or as ms since 1970, in ms; None for other text. Without a zone it is UTC. What
    lies outside 1970 to 2299 is the nearest moment inside."""
    if text.isdecimal() and text.isascii():
        return min(int(text[:20]), END_OF_TIME)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    ms = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return min(max(ms, 0), END_OF_TIME)


def moment_of(name: str, text: str | int | None) -> int | None:
    """A moment of a body, in ms. Raises `InvalidInput`, which names the member."""
    ms = ms_of(str(text)) if text is not None else None
    if text is not None and ms is None:
        raise InvalidInput(f"{name}: {_WANTED}; correct it", code="invalid_moment")
    return ms


_WANTED: Final = "wanted a moment such as 2026-01-02T03:04:05Z, or ms since 1970, got another value"


def _query_moment(text: str) -> int:
    ms = ms_of(text)
    if ms is None:
        raise ValueError(_WANTED)
    return ms


Moment = Annotated[
    int,
    BeforeValidator(_query_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]}),
    Field(examples=["2026-01-02T03:04:05Z"]),
]
"""A query parameter that is a moment, in ms."""
