"""Parameters that many routes share, and what they say about themselves in OpenAPI."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Path, Query
from pydantic import AfterValidator

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
