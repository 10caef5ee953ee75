"""Zendesk's webhooks for events of tickets and users. Every attempt is signed anew, with a time in ISO 8601."""

from collections.abc import Sequence
from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, VendorEvent
from producers.vendors.request import VendorRequest
from producers.vendors.signing import Hmac, Timestamp
from schemas.errors import Unmappable

_TICKET: Final[dict[str, Field]] = {
    "ticket_id": "detail.id",
    "subject": "detail.subject",
    "kind": ValueField(
        path="detail.type",
        read="lower",
        table={"problem": "error", "incident": "error", "task": "wish", "question": "question"},
    ),
    "channel": "detail.via.channel",
    "agent_id": "detail.assignee_id",
    "team": "detail.group_id",
    "priority": ValueField(path="detail.priority", read="lower"),
}
_COMMENT: Final[dict[str, Field]] = {
    **_TICKET,
    "text": "event.comment.body",
    "public": "event.comment.is_public",
    "agent_id": "event.comment.author.id",
}
_OPENED: Final[dict[str, Field]] = {**_TICKET, "text": "detail.description", "public": "detail.is_public"}
_USER: Final = (
    IdentifierField(type="zendesk_user", value="detail.id", trust="proven"),
    IdentifierField(type="user_id", value="detail.external_id"),
    IdentifierField(type="email", value="detail.email"),
    IdentifierField(type="phone", value="detail.phone"),
)
_KNOWN: Final = Meaning(
    type="profile.identified",
    traits={"email": "detail.email", "name": "detail.name", "phone": "detail.phone"},
    identifiers=_USER,
)
_STATUS: Final = "ticket.status_changed"


def _ticket(type_: str) -> Meaning:
    return Meaning(
        type=type_,
        properties={"ticket.opened": _OPENED, "ticket.replied": _COMMENT}.get(type_, _TICKET),
        identifiers=(IdentifierField(type="zendesk_user", value="detail.requester_id", trust="proven"),),
    )


MAP: Final = EventMap(
    kind=ValueField(path="type", strip="zen:event-type:"),
    id=("{id}",),
    time=TimeField(path="time"),
    cases={
        "ticket.created": _ticket("ticket.opened"),
        "ticket.comment_added": _ticket("ticket.replied"),
        "ticket.agent_assignment_changed": _ticket("ticket.assigned"),
        "ticket.group_assignment_changed": _ticket("ticket.assigned"),
        "ticket.status_changed to pending": _ticket("ticket.pending"),
        "ticket.status_changed to hold": _ticket("ticket.pending"),
        "ticket.status_changed to solved": _ticket("ticket.solved"),
        "ticket.status_changed to closed": _ticket("ticket.closed"),
        "ticket.status_changed from solved": _ticket("ticket.reopened"),
        "ticket.priority_changed to urgent": _ticket("ticket.escalated"),
        "user.created": _KNOWN,
        "user.identity_created": _KNOWN,
    },
)


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    """What a change of status or priority means depends on where from and where to."""
    change = item.get("event") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(change, dict):
        raise Unmappable("body: wanted an object with an event, got something else; see the rejected event")
    kind = str(item.get("type")).removeprefix("zen:event-type:")
    current, previous = (str(change.get(name)).lower() for name in ("current", "previous"))
    if kind == _STATUS and previous in ("solved", "closed"):
        kind = f"{kind} from solved" if current not in ("solved", "closed") else f"{kind} to {current}"
    elif kind in (_STATUS, "ticket.priority_changed"):
        kind = f"{kind} to {current}"
    if kind not in MAP.cases:
        return MAP.read(item, request, vendor="zendesk")
    return MAP.read(item, request, vendor="zendesk", kind=kind)


ZENDESK: Final = Connector(
    name="zendesk",
    title="Zendesk, tickets and users",
    channel="chat",
    verify=Hmac(
        "x-zendesk-webhook-signature",
        signed="{timestamp}{body}",
        timestamp=Timestamp("x-zendesk-webhook-signature-timestamp", "iso"),
    ),
    map=MAP,
    read=read,
)
