"""Answers about computed traits."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel

from profile_api.masking import PERSONAL, RULE, WHY
from profile_api.models.examples import AT, EXAMPLE_COMPUTE, PROFILE_ID, with_example

_TRAIT: dict[str, Any] = {
    "id": "orders_90d",
    "name": "Orders of 90 days",
    "compute": EXAMPLE_COMPUTE,
    "version": 1,
    "created_at": AT,
    "state": "live",
}


class ComputedTrait(BaseModel):
    """`version` grows by one with each change. `state`, `progress` and `reason`: as of a segment."""

    model_config = with_example(_TRAIT)
    id: str
    name: str
    compute: Annotated[dict[str, Any], RULE]
    version: int
    created_at: str
    state: Literal["live", "pending", "filling", "deleting", "set_aside"]
    progress: float | None = None
    reason: str | None = None


class ComputedTraitPage(BaseModel):
    model_config = with_example({"items": [_TRAIT], "next_cursor": None})
    items: list[ComputedTrait]
    next_cursor: str | None


class WhyEvent(BaseModel):
    source: str
    id: Annotated[str, PERSONAL]
    time: str


class WhyCase(BaseModel):
    value: Annotated[Any, PERSONAL]
    why: Annotated[dict[str, Any], WHY]


class WhyValue(BaseModel):
    """`value`: what the events of this moment give; null if nothing does. `events`: the newest of those that count, of
    which there are `matched`. A trait that is made of rules has `cases` instead, up to the one that holds. `reason`:
    why nobody without a rhythm of their own has a value yet."""

    model_config = with_example(
        {
            "trait": "orders_90d",
            "version": 1,
            "profile_id": PROFILE_ID,
            "at": AT,
            "value": 2,
            "events": [{"source": "shop", "id": "m-3", "time": AT}],
            "matched": 2,
        }
    )
    trait: str
    version: int
    profile_id: str
    at: str
    value: Annotated[Any, PERSONAL]
    events: list[WhyEvent] = []
    matched: int | None = None
    reason: str | None = None
    cases: list[WhyCase] = []
