"""Parameters that many routes share, and what they say about themselves in OpenAPI."""

from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator, Field

from schemas.errors import InvalidInput

# Paths are matched still percent-encoded (see `app.ApiPaths`), so that a value may hold an encoded slash.
PathText = Annotated[str, AfterValidator(unquote)]

ProfileKey = Annotated[
    PathText,
    Path(
        description="`type:value`, split at the first colon, percent-encoded where needed, or a profile id.",
        examples=["user_id:u42", "email:sara%40example.com", "prf_0123456789abcdef0123456789abcdef"],
    ),
]
Name = Annotated[PathText, Path(description="The id.", examples=["repeat-buyers"])]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=4000, description="`next_cursor` of the page before.")]


END_OF_TIME: Final = 10_413_791_999_000
"""The end of 2299, in ms: the last moment that a table holds."""


def ms_of(text: str) -> int | None:
    """A moment as ISO 8601, or as ms since 1970, in ms; None for other text. Without a zone it is UTC."""
    if text.isdecimal():
        return int(text) if len(text) <= 14 else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def moment_of(name: str, text: str | int | None) -> int | None:
    """A moment in ms, as `ms_of` reads it. Raises `InvalidInput`, which names what it is of."""
    ms = ms_of(text) if isinstance(text, str) else text
    if text is not None and (ms is None or not 0 <= ms < END_OF_TIME):
        raise InvalidInput(
            f"{name}: a moment as ISO 8601, such as 2026-01-02T03:04:05Z, or in ms since 1970 was wanted; another value"
            " came. Correct it.",
            code="invalid_moment",
        )
    return ms


def _query_moment(text: str) -> int:
    ms = ms_of(text)
    if ms is None or not 0 <= ms < END_OF_TIME:
        raise ValueError("wanted a moment as ISO 8601 or in ms since 1970, got another text")
    return ms


Moment = Annotated[
    int,
    BeforeValidator(_query_moment, json_schema_input_type=str),
    Field(examples=["2026-01-02T03:04:05Z"], json_schema_extra={"format": "date-time"}),
]
"""A query parameter that is a moment, in ms."""
