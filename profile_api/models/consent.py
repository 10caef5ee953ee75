"""Answers about purposes and consent."""

from typing import Annotated, Any

from pydantic import BaseModel

from profile_api.masking import CHOICE, PERSONAL, PURPOSE, STANDINGS
from profile_api.models.examples import AT, CURSOR, PROFILE_ID, with_example

_PURPOSE: dict[str, Any] = {
    "id": "marketing",
    "name": "Newsletters and offers",
    "lawful_basis": "consent",
    "default": "denied",
    "created_at": AT,
}
STANDING: dict[str, Any] = {
    "allowed": True,
    "by": "statement",
    "choice": True,
    "since": AT,
    "source": "shop",
    "channel": "web",
    "lawful_basis": "consent",
}
_STATEMENT: dict[str, Any] = {
    "purpose": "marketing",
    "choice": False,
    "at": AT,
    "received_at": AT,
    "source": "simorgh.platform",
    "channel": "server",
    "reason": "asked by phone",
    "stated_by": "token:support",
}


class PurposeView(BaseModel):
    """`default`: whether it is allowed where a person has stated nothing."""

    model_config = with_example(_PURPOSE)
    id: str
    name: str
    lawful_basis: str
    default: str
    created_at: str


class PurposePage(BaseModel):
    model_config = with_example({"items": [_PURPOSE], "next_cursor": None})
    items: list[PurposeView]
    next_cursor: str | None


class StandingOfPurpose(BaseModel):
    """Whether a purpose is allowed, and by what: the `statement` that holds, or the purpose's `default`. `since`,
    `source` and `channel` are the statement's. `lawful_basis`: null where the purpose is not declared."""

    model_config = with_example(STANDING)
    allowed: bool
    by: str
    choice: Annotated[bool | str | None, CHOICE]
    since: str | None
    source: str | None
    channel: str | None
    lawful_basis: str | None


class MaskedProfile(BaseModel):
    """What is answered under a purpose that the profile does not allow."""

    model_config = with_example(
        {
            "profile_id": PROFILE_ID,
            "purposes": {"marketing": STANDING | {"allowed": False, "choice": False}},
        }
    )
    profile_id: str
    purposes: Annotated[dict[str, StandingOfPurpose], STANDINGS]


class StatementView(BaseModel):
    """What a person stated. `reason` and `stated_by` are present if it was stated over the API."""

    model_config = with_example(_STATEMENT)
    purpose: Annotated[str, PURPOSE]
    choice: Annotated[bool | str | None, CHOICE]
    at: str
    received_at: str
    source: str
    channel: str
    reason: Annotated[str | None, PERSONAL] = None
    stated_by: str | None = None


class StatementPage(BaseModel):
    """Statements, the latest first."""

    model_config = with_example({"items": [_STATEMENT], "next_cursor": CURSOR})
    items: list[StatementView]
    next_cursor: str | None
