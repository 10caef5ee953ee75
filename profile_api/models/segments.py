"""Answers about segments, triggers and deliveries."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel

from profile_api.masking import DELIVERY, RULE, SHOWN, WHY
from profile_api.models.examples import AT, CURSOR, EXAMPLE_RULE, PROFILE_ID, with_example

_SEGMENT: dict[str, Any] = {
    "id": "repeat-buyers",
    "name": "Repeat buyers",
    "rule": EXAMPLE_RULE,
    "version": 1,
    "created_at": AT,
    "size": 128,
    "state": "live",
}


class Warned(BaseModel):
    """A name in the rule that was never seen. `near`: names that may have been meant."""

    path: str
    message: str
    near: list[str] = []


class Segment(BaseModel):
    """`size`: the number of members now. `version` grows by one with each change of the rule.

    `state`: `live`; `pending` or `filling` (not yet in effect); `deleting` (members are leaving); or `set_aside`: it
    cannot take effect, for a `reason`, and the former version stays in effect. `progress`: while the segment is filled,
    the share of all profiles that has been processed, from 0 to 1; absent if other processes fill it. Only the answer
    to a declaration has `warnings`.
    """

    model_config = with_example(_SEGMENT)
    id: str
    name: str
    rule: Annotated[dict[str, Any], RULE]
    version: int
    created_at: str
    size: int
    state: Literal["live", "pending", "filling", "deleting", "set_aside"]
    progress: float | None = None
    reason: str | None = None
    warnings: list[Warned] = []


class SegmentPage(BaseModel):
    model_config = with_example({"items": [_SEGMENT], "next_cursor": None})
    items: list[Segment]
    next_cursor: str | None


class Preview(BaseModel):
    model_config = with_example({"count": 128, "sample": [PROFILE_ID]})
    count: int
    sample: list[str]
    warnings: list[Warned] = []


class Members(BaseModel):
    model_config = with_example({"items": [{"profile_id": PROFILE_ID, "entered_at": AT}], "next_cursor": CURSOR})
    items: list[dict[str, str]]
    next_cursor: str | None


class Why(BaseModel):
    """`why` is a tree like the rule: each `node` as written, whether it `holds`, and its `children` or the `evidence`.
    `member` is the membership that was published last.
    """

    model_config = with_example(
        {
            "segment": "repeat-buyers",
            "version": 1,
            "profile_id": PROFILE_ID,
            "member": True,
            "at": AT,
            "why": {
                "node": {"trait": "country", "in": ["IR", "DE"]},
                "holds": True,
                "evidence": {"value": "DE"},
            },
        }
    )
    segment: str
    version: int
    profile_id: str
    member: bool
    at: str
    why: Annotated[dict[str, Any], WHY]


_TRIGGER: dict[str, Any] = {
    "id": "welcome",
    "segment": "repeat-buyers",
    "on": ["entered"],
    "causes": ["event", "time", "merge", "consent"],
    "webhook": {"url": "https://example.com/hooks/simorgh", "secret": "whsec_********"},
    "purpose": "marketing",
    "enabled": True,
    "created_at": AT,
}


class TriggerView(BaseModel):
    """Only the answer that creates the trigger shows its secret."""

    model_config = with_example(_TRIGGER)
    id: str
    segment: str
    on: list[str]
    causes: list[str]
    webhook: Annotated[dict[str, Any], SHOWN]
    enabled: bool = True
    created_at: str | None = None


class TriggerPage(BaseModel):
    model_config = with_example({"items": [_TRIGGER], "next_cursor": None})
    items: list[TriggerView]
    next_cursor: str | None


class DeliveryView(BaseModel):
    """A call of a trigger. `response_code`: null if there was no answer. `next_at`: null after the last attempt."""

    id: str
    trigger: str
    status: str
    attempts: int
    next_at: str | None
    created_at: str
    updated_at: str
    response_code: int | None
    error: str | None
    body: Annotated[Any, DELIVERY]


class Deliveries(BaseModel):
    model_config = with_example(
        {
            "items": [
                {
                    "id": "msg_1",
                    "trigger": "welcome",
                    "status": "delivered",
                    "attempts": 1,
                    "next_at": None,
                    "created_at": AT,
                    "updated_at": AT,
                    "response_code": 204,
                    "error": None,
                    "body": {"type": "segment.entered"},
                }
            ],
            "next_cursor": None,
        }
    )
    items: list[DeliveryView]
    next_cursor: str | None
