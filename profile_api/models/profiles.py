"""Answers about people: the 360° view, its parts, events, identities."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from profile_api.masking import CONSENT, CONTEXT, FLAGS, IDENTIFIER, PERSONAL, PROPERTIES, REASON, STANDINGS, TRAITS
from profile_api.models.consent import MaskedProfile, StandingOfPurpose
from profile_api.models.examples import AT, CURSOR, OTHER_ID, PROFILE_ID, with_example


class IdentityView(BaseModel):
    model_config = with_example({"type": "user_id", "value": "u42", "first_seen": AT, "last_seen": AT})
    type: str
    value: Annotated[str, IDENTIFIER]
    first_seen: str
    last_seen: str


class MembershipView(BaseModel):
    id: str
    entered_at: str


class Metrics(BaseModel):
    """`counts`: events by type. `orders`: without cancelled ones. Money by currency, exact. `first_seen`, `last_seen`:
    null before the first event.
    """

    events: int
    first_seen: str | None
    last_seen: str | None
    orders: int
    orders_placed: int
    revenue: dict[str, float]
    refunds: dict[str, float]
    net_revenue: dict[str, float]
    counts: dict[str, int]


class PlaceView(BaseModel):
    """A person in an account. `reports_to`: the profile of another person."""

    key: str
    since: str
    role: str | None
    reports_to: str | None


class Freshness(BaseModel):
    """The view includes everything received up to `as_of`, and the log's records before `positions`."""

    as_of: str
    positions: dict[str, list[int]]
    lag_seconds: float


_EVENT: dict[str, Any] = {
    "id": "m-1",
    "type": "order.completed",
    "time": AT,
    "received_at": AT,
    "channel": "web",
    "source": "shop",
    "properties": {"order_id": "o-1", "revenue": 361.5, "currency": "EUR"},
    "identifiers": [{"type": "user_id", "value": "u42"}],
}
_FRESH = {"as_of": AT, "positions": {"simorgh.events": [120, 98]}, "lag_seconds": 0.0}
_VIEW: dict[str, Any] = {
    "profile_id": PROFILE_ID,
    "workspace": "default",
    "traits": {"email": "sara@example.com", "city": "Isfahan"},
    "identities": [{"type": "user_id", "value": "u42", "first_seen": AT, "last_seen": AT}],
    "segments": [{"id": "repeat-buyers", "entered_at": AT}],
    "metrics": {
        "events": 12,
        "first_seen": AT,
        "last_seen": AT,
        "orders": 3,
        "orders_placed": 3,
        "revenue": {"EUR": 361.5},
        "refunds": {},
        "net_revenue": {"EUR": 361.5},
        "counts": {"order.completed": 3, "page.viewed": 9},
    },
    "consent": {"marketing": True},
    "predictions": {},
    "freshness": _FRESH,
}


class IdentifierView(BaseModel):
    """`trust` is present only for a hint, which links nobody."""

    type: str | None
    value: Annotated[str | None, IDENTIFIER]
    trust: str | None = None


class EventView(BaseModel):
    """Members without a value are absent. `counts`: false if another event reports the same fact and counts instead."""

    model_config = with_example(_EVENT)
    id: Annotated[str, PERSONAL]
    type: str
    time: str
    received_at: str
    channel: str
    source: str
    identifiers: list[IdentifierView]
    name: Annotated[str | None, PERSONAL] = None
    original_time: str | None = None
    dataschema: str | None = None
    subject: Annotated[str | None, PERSONAL] = None
    properties: Annotated[dict[str, Any] | None, PROPERTIES] = None
    traits: Annotated[dict[str, Any] | None, TRAITS] = None
    context: Annotated[dict[str, Any] | None, CONTEXT] = None
    consent: Annotated[dict[str, Any] | None, CONSENT] = None
    flags: Annotated[list[str] | None, FLAGS] = None
    original: Annotated[dict[str, Any] | None, PERSONAL] = None
    counts: bool | None = None


class EventPage(BaseModel):
    """Events, newest first."""

    model_config = with_example({"items": [_EVENT], "next_cursor": CURSOR})
    items: list[EventView]
    next_cursor: str | None


class Profile(BaseModel):
    """The 360° view. Parts that `include` omits are absent.

    With `provenance=true` each trait is `{"value", "source", "channel", "time"}`. `predictions` is empty until there
    are models. `consent`: what the person stated; `purposes`, present if `include` names consent: what is allowed, by a
    statement or by default.
    """

    model_config = with_example(_VIEW)
    profile_id: str
    workspace: str
    traits: Annotated[dict[str, Any] | None, TRAITS] = None
    identities: list[IdentityView] | None = None
    segments: list[MembershipView] | None = None
    metrics: Metrics | None = None
    consent: Annotated[dict[str, Any] | None, CONSENT] = None
    purposes: Annotated[dict[str, StandingOfPurpose] | None, STANDINGS] = None
    predictions: dict[str, Any] | None = None
    accounts: list[PlaceView] | None = None
    events: EventPage | None = None
    freshness: Freshness


class ProfilePage(BaseModel):
    model_config = with_example({"items": [_VIEW], "next_cursor": None})
    items: list[Profile | MaskedProfile]
    next_cursor: str | None


class Profiles(BaseModel):
    """The profiles after a merge or a split."""

    model_config = with_example({"profiles": [_VIEW]})
    profiles: list[Profile]


class Side(BaseModel):
    """`profile_id`: null for the side that gets another id, which is not known before the split."""

    profile_id: str | None
    keeps_id: bool
    identities: list[IdentityView]


class SplitPreview(BaseModel):
    """The result that a split would have: the side that stays, then the side that leaves."""

    model_config = with_example(
        {
            "dry_run": True,
            "profiles": [
                {
                    "profile_id": PROFILE_ID,
                    "keeps_id": True,
                    "identities": [{"type": "user_id", "value": "u42", "first_seen": AT, "last_seen": AT}],
                },
                {
                    "profile_id": None,
                    "keeps_id": False,
                    "identities": [{"type": "email", "value": "info@example.com", "first_seen": AT, "last_seen": AT}],
                },
            ],
        }
    )
    dry_run: Literal[True]
    profiles: list[Side]


class Found(BaseModel):
    key: str
    profile: Profile | MaskedProfile | None


class LookupAnswer(BaseModel):
    """One item per key, in the order of the request; `profile` is null if nobody has the key."""

    model_config = with_example(
        {"items": [{"key": "user_id:u42", "profile": _VIEW}, {"key": OTHER_ID, "profile": None}]}
    )
    items: list[Found]


class NamedEvent(BaseModel):
    source: str
    id: Annotated[str, PERSONAL]
    time: str


class Decision(BaseModel):
    """What identity decided, and why. Of `survivor` to `event` each kind of decision has its own."""

    outcome: str
    at: str
    survivor: str | None = None
    absorbed: str | None = None
    from_: str | None = Field(default=None, alias="from")
    to: list[str] | None = None
    between: list[IdentifierView | None] | None = None
    identifier: IdentifierView | None = None
    reason: Annotated[str | None, REASON] = None
    by: str | None = None
    event: NamedEvent | None = None


class Identities(BaseModel):
    """With `explain=true`, `decisions` lists the merges, refusals and splits of the profile, with their reasons."""

    model_config = with_example(
        {
            "items": [{"type": "user_id", "value": "u42", "first_seen": AT, "last_seen": AT}],
            "next_cursor": None,
            "decisions": [
                {
                    "outcome": "refused",
                    "at": AT,
                    "between": [
                        {"type": "user_id", "value": "u42"},
                        {"type": "device_id", "value": "kiosk-1"},
                    ],
                    "reason": "limit:user_id",
                }
            ],
        }
    )
    items: list[IdentityView]
    next_cursor: str | None
    decisions: list[Decision] | None = None
