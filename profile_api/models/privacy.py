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
    """State of an erasure: `requested`; `unreadable`: no process can open anything of the person, and no answer shows
    it; `destroyed`: the bytes are gone, too; `nobody`: the profile no longer existed. People answer requests of `type`
    `access` (somebody wants to see their data) and `shop_erasure` (a shop has left its vendor) by hand; the state is
    `answered` then. Without a `profile_id` the request matched no profile. `returning`, of erasures: whether later
    events that name the identities are refused, or belong to a new person."""

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
    """`items`: a request for each profile. `unknown`: the positions, from 0, of keys that match no profile, or
    several."""

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
