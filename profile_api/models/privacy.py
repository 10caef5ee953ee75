"""Answers about privacy requests."""

from typing import Annotated, Literal

from pydantic import BaseModel

from profile_api.masking import REASON
from profile_api.models.examples import AT, PROFILE_ID, with_example

_ERASURE = {
    "id": "5f0c7a52b3",
    "type": "erasure",
    "state": "unreadable",
    "profile_id": PROFILE_ID,
    "identities": 3,
    "reason": "asked by email, ticket 4711",
    "by": "support",
    "requested_at": AT,
    "returning": "refuse",
    "unreadable_at": AT,
}


class ErasureView(BaseModel):
    """`requested`; `unreadable`: no process opens anything of the person, and no answer shows it; `destroyed`: the
    bytes are gone, too; `nobody`: there was no such profile any more. A request of `type` `access` (somebody wants to
    see their data) or `shop_erasure` (a shop has left its vendor) is seen to by hand, and then `answered`. Without a
    `profile_id` it names nobody. `returning` is of erasures: whether later events that name the identities are refused,
    or are somebody new's."""

    model_config = with_example(_ERASURE)
    id: str
    type: Literal["erasure", "access", "shop_erasure"]
    state: Literal["requested", "unreadable", "destroyed", "nobody", "answered"]
    profile_id: str | None
    identities: int
    reason: Annotated[str, REASON]
    by: str
    requested_at: str
    returning: Literal["refuse", "start_anew"] | None = None
    unreadable_at: str | None = None
    destroyed_at: str | None = None


class ErasureList(BaseModel):
    model_config = with_example({"items": [_ERASURE], "next_cursor": None})
    items: list[ErasureView]
    next_cursor: str | None


class ErasedMany(BaseModel):
    """`items`: a request for each profile. `unknown`: which of the keys are of no profile, or of several, by their
    places from 0."""

    model_config = with_example({"items": [_ERASURE], "unknown": []})
    items: list[ErasureView]
    unknown: list[int]


_RETENTION = {"id": "page-views", "type": "page.viewed", "source": "", "days": 400, "created_at": AT}


class RetentionView(BaseModel):
    """`type`, `source`: "" is any."""

    model_config = with_example(_RETENTION)
    id: str
    type: str
    source: str
    days: int
    created_at: str


class RetentionPage(BaseModel):
    model_config = with_example({"items": [_RETENTION], "next_cursor": None})
    items: list[RetentionView]
    next_cursor: str | None
