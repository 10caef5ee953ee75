"""What the API answers, with examples: the models behind /openapi.json.

Answers are built as plain JSON by `views`; their models here are the documentation: tests compare the two.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

_ID = "prf_0f8c1d2e3a4b5c6d7e8f9a0b1c2d3e4f"
_OTHER = "prf_9a0b1c2d3e4f0f8c1d2e3a4b5c6d7e8f"
_AT = "2024-05-01T12:00:00.000Z"
EXAMPLE_RULE: dict[str, Any] = {
    "all": [
        {
            "event": "order.completed",
            "where": [{"property": "revenue", "gte": 20}],
            "count": {"gte": 2},
            "within": "30d",
        },
        {"trait": "country", "in": ["IR", "DE"]},
    ]
}
_CURSOR = "x5Y0W3sxNzE0"


def with_example(value: Any, *, closed: bool = False) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]}, extra="forbid" if closed else "allow")


def example(model: type[BaseModel], status: int = 200, description: str = "Done.") -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers this model, with the model's example."""
    content = {"application/json": {"example": example_of(model)}}
    return {status: {"description": description, "content": content}}


def example_of(model: type[BaseModel]) -> Any:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    return examples[0]


# --- answers
# ---------------------------------------------------------------------------------------------------


class Problem(BaseModel):
    """An error (RFC 9457). `errors` names the parts of the request at fault by JSON pointer."""

    model_config = with_example(
        {
            "type": "urn:simorgh:problem:not_found",
            "title": "Not Found",
            "status": 404,
            "detail": "No profile has this key.",
            "code": "not_found",
            "message": "No profile has this key.",
        }
    )
    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    errors: list[dict[str, str]] | None = None


class Identity(BaseModel):
    model_config = with_example({"type": "user_id", "value": "u42", "first_seen": _AT, "last_seen": _AT})
    type: str
    value: str
    first_seen: str
    last_seen: str


class Membership(BaseModel):
    id: str
    entered_at: str


class Metrics(BaseModel):
    """`counts`: events by type. Money by currency, exact. `first_seen`, `last_seen`: null before the first
    event.
    """

    events: int
    first_seen: str | None
    last_seen: str | None
    orders: int
    revenue: dict[str, float]
    refunds: dict[str, float]
    counts: dict[str, int]


class Freshness(BaseModel):
    """The view holds everything received up to `as_of`, and the log's records before `positions`."""

    as_of: str
    positions: dict[str, list[int]]
    lag_seconds: float


_EVENT: dict[str, Any] = {
    "id": "m-1",
    "type": "order.completed",
    "time": _AT,
    "received_at": _AT,
    "channel": "web",
    "source": "shop",
    "properties": {"order_id": "o-1", "revenue": 361.5, "currency": "EUR"},
    "identifiers": [{"type": "user_id", "value": "u42"}],
}
_FRESH = {"as_of": _AT, "positions": {"simorgh.events": [120, 98]}, "lag_seconds": 0.0}
_VIEW: dict[str, Any] = {
    "profile_id": _ID,
    "workspace": "default",
    "traits": {"email": "sara@example.com", "city": "Isfahan"},
    "identities": [{"type": "user_id", "value": "u42", "first_seen": _AT, "last_seen": _AT}],
    "segments": [{"id": "repeat-buyers", "entered_at": _AT}],
    "metrics": {
        "events": 12,
        "first_seen": _AT,
        "last_seen": _AT,
        "orders": 3,
        "revenue": {"EUR": 361.5},
        "refunds": {},
        "counts": {"order.completed": 3, "page.viewed": 9},
    },
    "consent": {"marketing": True},
    "predictions": {},
    "freshness": _FRESH,
}


class Event(BaseModel):
    model_config = with_example(_EVENT)
    id: str
    type: str
    time: str
    received_at: str
    channel: str
    source: str
    identifiers: list[dict[str, Any]]


class EventPage(BaseModel):
    """Events, newest first."""

    model_config = with_example({"items": [_EVENT], "next_cursor": _CURSOR})
    items: list[Event]
    next_cursor: str | None


class Profile(BaseModel):
    """The 360° view. Parts that `include` does not name are absent.

    With `provenance=true` each trait is `{"value", "source", "channel", "time"}`. `predictions` is empty
    until there are models.
    """

    model_config = with_example(_VIEW)
    profile_id: str
    workspace: str
    traits: dict[str, Any] | None = None
    identities: list[Identity] | None = None
    segments: list[Membership] | None = None
    metrics: Metrics | None = None
    consent: dict[str, Any] | None = None
    predictions: dict[str, Any] | None = None
    events: EventPage | None = None
    freshness: Freshness


class ProfilePage(BaseModel):
    model_config = with_example({"items": [_VIEW], "next_cursor": None})
    items: list[Profile]
    next_cursor: str | None


class Profiles(BaseModel):
    """The profiles that a merge or a split left."""

    model_config = with_example({"profiles": [_VIEW]})
    profiles: list[Profile]


class Found(BaseModel):
    key: str
    profile: Profile | None


class LookupAnswer(BaseModel):
    """One item per key, in the request's order; `profile` is null where nobody has the key."""

    model_config = with_example({"items": [{"key": "user_id:u42", "profile": _VIEW}, {"key": _OTHER, "profile": None}]})
    items: list[Found]


class Identities(BaseModel):
    """With `explain=true`, `decisions` holds the merges, refusals and splits that concern the profile, with
    reasons.
    """

    model_config = with_example(
        {
            "items": [{"type": "user_id", "value": "u42", "first_seen": _AT, "last_seen": _AT}],
            "next_cursor": None,
            "decisions": [
                {
                    "outcome": "refused",
                    "at": _AT,
                    "between": [
                        {"type": "user_id", "value": "u42"},
                        {"type": "device_id", "value": "kiosk-1"},
                    ],
                    "reason": "limit:user_id",
                }
            ],
        }
    )
    items: list[Identity]
    next_cursor: str | None
    decisions: list[dict[str, Any]] | None = None


class EventCounts(BaseModel):
    logged: int
    unique: int
    duplicates: int
    rejected: int


class Projection(BaseModel):
    """`lag_seconds`: how long the oldest record that waits has been waiting."""

    name: str
    positions: dict[str, list[int]]
    lag_events: int
    lag_seconds: float


class Status(BaseModel):
    """`logged` = `unique` + `duplicates`; `identities`: identifiers that belong to one of the `profiles`."""

    model_config = with_example(
        {
            "events": {"logged": 218, "unique": 210, "duplicates": 8, "rejected": 3},
            "profiles": 40,
            "identities": 95,
            "projections": [
                {
                    "name": "profiles",
                    "positions": {"simorgh.events": [120, 98]},
                    "lag_events": 0,
                    "lag_seconds": 0.0,
                }
            ],
        }
    )
    events: EventCounts
    profiles: int
    identities: int
    projections: list[Projection]


class LatestEvents(BaseModel):
    """`status` is `accepted`, or `rejected` with `code` and `reason`."""

    model_config = with_example(
        {
            "items": [
                {
                    "status": "accepted",
                    "id": "m-1",
                    "type": "page.viewed",
                    "source": "shop",
                    "received_at": _AT,
                },
                {
                    "status": "rejected",
                    "id": "m-2",
                    "type": None,
                    "source": "shop",
                    "received_at": _AT,
                    "code": "missing_identifier",
                    "reason": "event: userId or anonymousId was wanted; neither came.",
                },
            ],
            "next_cursor": None,
        }
    )
    items: list[dict[str, Any]]
    next_cursor: str | None


_REJECTED = {
    "id": "m-2",
    "code": "missing_identifier",
    "reason": "event: userId or anonymousId was wanted; neither came.",
    "source": "shop",
    "channel": "web",
    "received_at": _AT,
    "payload": '{"type":"track"}',
}


class RejectedEvent(BaseModel):
    """`payload_base64` instead of `payload` where the original bytes are not UTF-8."""

    model_config = with_example(_REJECTED)
    id: str
    code: str
    reason: str
    source: str
    channel: str
    received_at: str
    payload: str | None = None
    payload_base64: str | None = None
    resolved: bool | None = None


class RejectedPage(BaseModel):
    model_config = with_example({"items": [_REJECTED], "next_cursor": None})
    items: list[RejectedEvent]
    next_cursor: str | None


class Outcome(BaseModel):
    model_config = with_example({"id": "m-2", "status": "accepted"})


class Items(BaseModel):
    model_config = with_example({"items": [{"id": "order.completed/1"}], "next_cursor": None})
    items: list[dict[str, Any]]
    next_cursor: str | None


class Anything(BaseModel):
    model_config = with_example({"type": "object", "properties": {"order_id": {"type": "string"}}})


_SEGMENT: dict[str, Any] = {
    "id": "repeat-buyers",
    "name": "Repeat buyers",
    "rule": EXAMPLE_RULE,
    "version": 1,
    "created_at": _AT,
    "size": 128,
}


class Segment(BaseModel):
    """`size`: how many profiles are in it now. `version` grows by one with each change of the rule."""

    model_config = with_example(_SEGMENT)
    id: str
    name: str
    rule: dict[str, Any]
    version: int
    created_at: str
    size: int


class SegmentPage(BaseModel):
    model_config = with_example({"items": [_SEGMENT], "next_cursor": None})
    items: list[Segment]
    next_cursor: str | None


class Preview(BaseModel):
    model_config = with_example({"count": 128, "sample": [_ID]})
    count: int
    sample: list[str]


class Members(BaseModel):
    model_config = with_example({"items": [{"profile_id": _ID, "entered_at": _AT}], "next_cursor": _CURSOR})
    items: list[dict[str, str]]
    next_cursor: str | None


class Why(BaseModel):
    """`why` is a tree like the rule: each `node` as it was written, whether it `holds`, its `children` or the
    `evidence` that decided. `member` is what was told last.
    """

    model_config = with_example(
        {
            "segment": "repeat-buyers",
            "version": 1,
            "profile_id": _ID,
            "member": True,
            "at": _AT,
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
    why: dict[str, Any]


_TRIGGER: dict[str, Any] = {
    "id": "welcome",
    "segment": "repeat-buyers",
    "on": ["entered"],
    "webhook": {"url": "https://example.com/hooks/simorgh", "secret": "whsec_********"},
    "enabled": True,
    "created_at": _AT,
}


class Trigger(BaseModel):
    """The secret is shown once, in the answer that creates it."""

    model_config = with_example(_TRIGGER)
    id: str
    segment: str
    on: list[str]
    webhook: dict[str, Any]


class TriggerPage(BaseModel):
    model_config = with_example({"items": [_TRIGGER], "next_cursor": None})
    items: list[Trigger]
    next_cursor: str | None


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
                    "created_at": _AT,
                    "updated_at": _AT,
                    "response_code": 204,
                    "error": None,
                    "body": {"type": "segment.entered"},
                }
            ],
            "next_cursor": None,
        }
    )
    items: list[dict[str, Any]]
    next_cursor: str | None


_SOURCE: dict[str, Any] = {
    "id": "shop",
    "name": "The shop",
    "channel": "web",
    "enabled": True,
    "unplanned": "accept",
    "allowed_origins": ["*"],
    "keys": [{"id": "9f86d081884c"}],
}


class Source(BaseModel):
    model_config = with_example(_SOURCE)
    id: str


class SourcePage(BaseModel):
    model_config = with_example({"items": [_SOURCE], "next_cursor": None})
    items: list[Source]
    next_cursor: str | None


class NewKey(BaseModel):
    """A write key; it is shown this once."""

    model_config = with_example({"id": "9f86d081884c", "source": "shop", "write_key": "smg_wk_…"})
    id: str
    source: str
    write_key: str


class TokenView(BaseModel):
    model_config = with_example({"id": "tok_1", "name": "dashboard", "scopes": ["read"], "expires_at": None})
    id: str
    scopes: list[str]


class NewToken(BaseModel):
    """A token; it is shown this once."""

    model_config = with_example(
        {"id": "tok_1", "name": "dashboard", "scopes": ["read"], "expires_at": None, "token": "smg_at_…"}
    )
    id: str
    scopes: list[str]
    token: str


class TokenPage(BaseModel):
    model_config = with_example({"items": [example_of(TokenView)], "next_cursor": None})
    items: list[TokenView]
    next_cursor: str | None


class Ready(BaseModel):
    model_config = with_example({"status": "ok"})
    status: str


class ReplayState(BaseModel):
    """How a replay stands: `idle`, `running`, `done` (then `generation` is live) or `failed`."""

    model_config = with_example({"state": "running", "done": 20000, "total": 91148})

    state: str
    done: int = 0
    total: int = 0
    generation: int | None = None
    reason: str | None = None


class RulesView(BaseModel):
    """The identity rules, whole."""

    model_config = with_example({"rules": {"version": 1, "priorities": ["user_id", "email"], "max_nodes": 1000}})

    rules: dict[str, Any]
