"""Answers about the platform: errors, status, rejected events, readiness, replay, rules."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from profile_api.masking import FLAGS, PERSONAL
from profile_api.models.examples import AT, CURSOR, PROFILE_ID, with_example


class Problem(BaseModel):
    """An error (RFC 9457). `errors` has a JSON pointer to each wrong part of the request."""

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


class EventCounts(BaseModel):
    logged: int | None
    unique: int | None
    duplicates: int | None
    rejected: int | None


class Rebuilt(BaseModel):
    """The number of events that a rebuild has processed, and of all that it must process."""

    done: int
    total: int


class Projection(BaseModel):
    """`lag_events`: records of the log whose effects may not be visible yet; 0 only if all are visible. `lag_seconds`:
    how long the oldest of them has waited. `state`: `running`, `starting` (it finishes the work of an earlier process),
    `rebuilding` (with `rebuilt`), `failing` (it retries) or `stopped` (both with `reason`), or `elsewhere` if workers
    run the stages.
    """

    name: str
    state: str
    reason: str | None = None
    rebuilt: Rebuilt | None = None
    positions: dict[str, list[int]]
    lag_events: int
    lag_seconds: float


class Status(BaseModel):
    """`logged` = `unique` + `duplicates`; `identities`: identifiers that belong to one of the `profiles`.
    `faults`: those of `/readyz`. Counts are null if the warehouse refuses to count."""

    model_config = with_example(
        {
            "events": {"logged": 218, "unique": 210, "duplicates": 8, "rejected": 3},
            "profiles": 40,
            "identities": 95,
            "faults": [],
            "projections": [
                {
                    "name": "profiles",
                    "state": "running",
                    "positions": {"simorgh.events": [120, 98]},
                    "lag_events": 0,
                    "lag_seconds": 0.0,
                }
            ],
        }
    )
    events: EventCounts
    profiles: int | None
    identities: int | None
    faults: list[dict[str, str]]
    projections: list[Projection]


class LatestEvent(BaseModel):
    status: str
    id: Annotated[str, PERSONAL]
    type: str | None = None
    name: Annotated[str | None, PERSONAL] = None
    source: str
    channel: str | None = None
    time: str | None = None
    received_at: str
    flags: Annotated[list[str] | None, FLAGS] = None
    code: str | None = None
    reason: str | None = None


class LatestEvents(BaseModel):
    """`status` is `accepted`, or `rejected` with `code` and `reason`. `follow` continues from here (`?after=`);
    `behind` is the number of records that are still to come."""

    model_config = with_example(
        {
            "items": [
                {
                    "status": "accepted",
                    "id": "m-1",
                    "type": "page.viewed",
                    "source": "shop",
                    "received_at": AT,
                },
                {
                    "status": "rejected",
                    "id": "m-2",
                    "type": None,
                    "source": "shop",
                    "received_at": AT,
                    "code": "missing_identifier",
                    "reason": "event: wanted a userId or an anonymousId, got neither; send one",
                },
            ],
            "next_cursor": None,
            "follow": CURSOR,
            "behind": 0,
        }
    )
    items: list[LatestEvent]
    next_cursor: str | None
    follow: str
    behind: int


class TellingView(BaseModel):
    source: str
    id: Annotated[str, PERSONAL]
    received_at: str
    profile_id: str | None
    amount: str | None
    currency: str | None
    counts: bool


class FactConflict(BaseModel):
    """A fact that several events report differently. `about`: `money`, `customer` or both. The telling that counts is
    the first; a `profile_id` is null where nobody is known, an `amount` where no money was read."""

    code: str
    type: str
    about: list[str]
    tellings: list[TellingView]


_TELLING = {"profile_id": PROFILE_ID, "currency": "EUR", "received_at": AT}


class FactConflictPage(BaseModel):
    model_config = with_example(
        {
            "items": [
                {
                    "code": "conflicting_telling",
                    "type": "order.completed",
                    "about": ["money"],
                    "tellings": [
                        {"source": "server", "id": "o-1", "amount": "361.5", "counts": True, **_TELLING},
                        {"source": "web", "id": "m-7", "amount": "316.5", "counts": False, **_TELLING},
                    ],
                }
            ],
            "next_cursor": None,
        }
    )
    items: list[FactConflict]
    next_cursor: str | None


class KnownEvent(BaseModel):
    """Whether each event of the request is here, and with which content."""

    model_config = with_example({"known": [True, False]})
    known: list[bool]
    contents: list[str | None] | None = Field(
        default=None,
        description="If asked for: a digest of each event's claimed time and properties as sent; null for "
        "one that is not here, or no longer in the log.",
    )


_REJECTED = {
    "id": "m-2",
    "code": "missing_identifier",
    "reason": "event: wanted a userId or an anonymousId, got neither; send one",
    "source": "shop",
    "channel": "web",
    "received_at": AT,
    "payload": '{"type":"track"}',
}


class RejectedEvent(BaseModel):
    """`payload_base64` instead of `payload` if the original bytes are not UTF-8. `webhook`, of a vendor's webhook: the
    vendor, the headers that say what the payload is, and whether it is the whole body."""

    model_config = with_example(_REJECTED)
    id: Annotated[str, PERSONAL]
    code: str
    reason: str
    source: str
    channel: str
    received_at: str
    payload: Annotated[str | None, PERSONAL] = None
    payload_base64: Annotated[str | None, PERSONAL] = None
    webhook: Annotated[dict[str, Any] | None, PERSONAL] = None
    resolved: bool | None = None


class RejectedPage(BaseModel):
    model_config = with_example({"items": [_REJECTED], "next_cursor": None})
    items: list[RejectedEvent]
    next_cursor: str | None


class RetryOutcome(BaseModel):
    OPEN: ClassVar = True
    model_config = with_example({"id": "m-2", "status": "accepted"})


class Retried(BaseModel):
    """How many of the matching events were accepted, and how many refused again. With `next_cursor` there are more."""

    model_config = with_example({"matched": 100, "accepted": 97, "rejected": 3, "next_cursor": None})
    matched: int
    accepted: int
    rejected: int
    next_cursor: str | None


class Dismissed(BaseModel):
    model_config = with_example({"dismissed": 100, "next_cursor": None})
    dismissed: int
    next_cursor: str | None


class Items(BaseModel):
    OPEN: ClassVar = True
    model_config = with_example({"items": [{"id": "order.completed/1"}], "next_cursor": None})
    items: list[dict[str, Any]]
    next_cursor: str | None


class SeenPage(BaseModel):
    """Each item is a `name`, or a `value` with its `count` in the sample."""

    OPEN: ClassVar = True
    """Its route shows what may be seen, and refuses the rest."""

    model_config = with_example({"items": [{"name": "currency"}, {"name": "products.sku"}], "next_cursor": None})
    items: list[dict[str, Any]]
    next_cursor: str | None


class Anything(BaseModel):
    OPEN: ClassVar = True
    model_config = with_example({"type": "object", "properties": {"order_id": {"type": "string"}}})


_REBUILDING = (
    "projections: the tables are being rebuilt from the log, 12,000 of 50,000 events are done. Ask again later."
)


class Ready(BaseModel):
    model_config = with_example({"status": "ok"})
    status: str


class NotReady(Problem):
    """Why this process is not ready. `faults` lists all faults, the gravest first."""

    model_config = with_example(
        {
            "type": "urn:simorgh:problem:rebuilding",
            "title": "Service Unavailable",
            "status": 503,
            "detail": _REBUILDING,
            "code": "rebuilding",
            "message": _REBUILDING,
            "faults": [{"code": "rebuilding", "message": _REBUILDING}],
        }
    )
    faults: list[dict[str, str]]


class ReplayState(BaseModel):
    """The state of a replay: `idle`, `running`, `done` (then `generation` is live) or `failed`."""

    model_config = with_example({"state": "running", "done": 20000, "total": 91148})

    state: str
    done: int = 0
    total: int = 0
    generation: int | None = None
    reason: str | None = None


class RulesView(BaseModel):
    """All identity rules."""

    OPEN: ClassVar = True

    model_config = with_example({"rules": {"version": 1, "priorities": ["user_id", "email"], "max_nodes": 1000}})

    rules: dict[str, Any]
