"""A delivery: one transition on its way to one trigger, from first to last attempt. Pure data and pure steps."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypedDict

import orjson

from destinations.schedule import next_attempt
from schemas.clock import iso
from schemas.errors import Broken
from schemas.records import Transition

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
GAVE_UP: Final = "gave_up"
REFUSED: Final = "refused"
"""Not sent, since the person does not allow the trigger's purpose."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Times in ms. `ver` is the offset of its latest record in simorgh.deliveries, -1 before there is one."""

    trigger: str
    id: str
    transition: str
    profile: str
    body: str
    created_at: int
    updated_at: int
    next_at: int
    status: str = PENDING
    attempts: int = 0
    response_code: int = 0
    error: str = ""
    ver: int = -1

    @property
    def is_of_erasure(self) -> bool:
        """Whether it only asks the destination to forget somebody, which needs no consent."""
        return _OF_ERASURE in self.body


_OF_ERASURE: Final = '"cause":"erased"'  # in a value, its quotation marks would be escaped


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of an attempt. `code`: the destination's own, 0 if it gave none. `error`: one of our words (see
    docs/webhooks.md), '' if the delivery has arrived. `retry_after`: ms from now. `gone`: the destination wants no more
    deliveries."""

    code: int
    error: str = ""
    retry_after: int | None = None
    gone: bool = False

    @property
    def ok(self) -> bool:
        return not self.error


class Identity(TypedDict):
    """An identifier of a profile, as a delivery names it."""

    type: str
    value: str


class DeliveryRow(TypedDict):
    """A row of table `deliveries`. Times in ms."""

    trigger: str
    id: str
    status: str
    attempts: int
    next_at: int
    created_at: int
    updated_at: int
    response_code: int
    error: str
    body: str
    ver: int


def delivery_id(trigger: str, transition: str) -> str:
    """The webhook-id: a function of the trigger and the transition, so that a crash cannot make a second one."""
    return "msg_" + hashlib.blake2b(f"{trigger}\x1f{transition}".encode(), digest_size=16).hexdigest()


def schedule(transition: Transition, trigger: str, identities: Sequence[Identity], now: int) -> Delivery:
    """The first state of a delivery: due at once. Its body is fixed here, so every attempt sends the same."""
    data: dict[str, object] = {
        "segment": transition.segment,
        "profile_id": f"prf_{transition.profile}",
        "identities": list(identities),
        "cause": transition.cause,
        "trigger": trigger,
        "transition_id": transition.id,
    }
    if transition.former:
        data["former_profile_ids"] = [f"prf_{profile}" for profile in transition.former]
    body = {"type": f"segment.{transition.kind}", "timestamp": iso(transition.at), "data": data}
    return Delivery(
        trigger=trigger,
        id=delivery_id(trigger, transition.id),
        transition=transition.id,
        profile=transition.profile,
        body=orjson.dumps(body).decode(),
        created_at=now,
        updated_at=now,
        next_at=now,
    )


def after(delivery: Delivery, answer: Answer, now: int, random: float) -> Delivery:
    """The state after one attempt."""
    attempts = delivery.attempts + 1
    attempted = replace(
        delivery,
        attempts=attempts,
        updated_at=now,
        response_code=answer.code,
        error=answer.error,
        next_at=now,
    )
    if answer.ok:
        return replace(attempted, status=DELIVERED)
    if answer.gone:
        return replace(attempted, status=GAVE_UP)
    due = next_attempt(attempts, now, retry_after=answer.retry_after, random=random)
    return replace(attempted, status=GAVE_UP) if due is None else replace(attempted, next_at=due)


def abandoned(delivery: Delivery, reason: str, now: int) -> Delivery:
    """The state if it will not be attempted again, for a reason other than the destination."""
    return replace(delivery, status=GAVE_UP, error=reason, updated_at=now, next_at=now)


def refused(delivery: Delivery, purpose: str, now: int) -> Delivery:
    """The state of one that is not sent for lack of consent: its record does not identify the person."""
    body = orjson.loads(delivery.body)
    body["data"]["identities"] = []
    return replace(
        delivery,
        status=REFUSED,
        error=f"no consent for {purpose}",
        body=orjson.dumps(body).decode(),
        updated_at=now,
        next_at=now,
    )


COLUMNS: Final = tuple(DeliveryRow.__annotations__)
_STORED: Final = tuple(name for name in COLUMNS if name != "ver")


def to_record(delivery: Delivery) -> tuple[bytes, bytes]:
    """The message for simorgh.deliveries, keyed by the webhook-id."""
    fields = {name: getattr(delivery, name) for name in (*_STORED, "transition")}
    return delivery.id.encode(), orjson.dumps(fields)


def to_row(delivery: Delivery) -> DeliveryRow:
    return DeliveryRow(
        trigger=delivery.trigger,
        id=delivery.id,
        status=delivery.status,
        attempts=delivery.attempts,
        next_at=delivery.next_at,
        created_at=delivery.created_at,
        updated_at=delivery.updated_at,
        response_code=delivery.response_code,
        error=delivery.error,
        body=delivery.body,
        ver=delivery.ver,
    )


def from_record(value: bytes, ver: int) -> Delivery:
    """A delivery from a record of the log, at the offset `ver`. Raises `Broken` if it is none: the records are ours."""
    try:
        return from_row(orjson.loads(value), ver)
    except ValueError as error:
        raise _no_delivery() from error


def from_row(row: DeliveryRow, ver: int = -1) -> Delivery:
    """A delivery from a row of the table, as if it had no record yet. Raises `Broken` likewise."""
    try:
        data = orjson.loads(row["body"])["data"]
        return Delivery(
            trigger=row["trigger"],
            id=row["id"],
            transition=data["transition_id"],
            profile=data["profile_id"].removeprefix("prf_"),
            body=row["body"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            next_at=row["next_at"],
            status=row["status"],
            attempts=row["attempts"],
            response_code=row["response_code"],
            error=row["error"],
            ver=ver,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _no_delivery() from error


def _no_delivery() -> Broken:
    return Broken("simorgh.deliveries: wanted a delivery, got something else; look at what wrote it")
