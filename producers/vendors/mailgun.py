"""Mailgun: what happened to emails, one event in each request; JSON, or the forms of before 2018.

The signature is in the body and covers only its own time and token, not the event. So the token is the event's id: a
message with a used token is a copy and changes nothing. Retries carry the same token.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, Secrets, VendorRequest
from producers.vendors.signing import as_bytes, held, match, signature, unverified
from schemas.errors import Unmappable

_ADDRESS: Final = ValueField(path="recipient|member.address|message.headers.to", read="address")
_WROTE: Final = Meaning(
    type="email.received",
    identifiers=(
        IdentifierField(type="email", value=ValueField(path="envelope.sender|message.headers.from", read="address")),
    ),
    properties={"message_id": "message.headers.message-id", "direction": ValueField(value="inbound")},
)
_MESSAGE: Final[dict[str, Field]] = {"message_id": "message.headers.message-id|Message-Id"}
_REASON: Final[dict[str, Field]] = {
    "reason": "delivery-status.message|delivery-status.description|reject.reason|error|description|reason",
}
_LINK: Final[dict[str, Field]] = {"link_url": "url"}
_DROPPED: Final = Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON})


def verify(request: VendorRequest, secrets: Secrets) -> None:
    keys = held(secrets)
    try:
        message = parsed(request, "either")
    except Unmappable:
        raise unverified() from None
    signed = message.get("signature") if isinstance(message, dict) else None
    proof = signed if isinstance(signed, Mapping) else message if isinstance(message, dict) else {}
    time, token, given = (proof.get(name) for name in ("timestamp", "token", "signature"))
    if not (isinstance(time, str) and isinstance(token, str) and isinstance(given, str)):
        raise unverified()
    content = as_bytes(time + token)
    match([given], (signature(key.encode(), content, "sha256", "hex") for key in keys))


def items(request: VendorRequest) -> Sequence[object]:
    """The event with its token, without the signature. `routed` reports an incoming email that Mailgun forwarded to the
    company."""
    message = parsed(request, "either")
    if not isinstance(message, dict):
        raise Unmappable("body: wanted an object, got something else; see the rejected event")
    proof, event = message.get("signature"), message.get("event-data")
    if isinstance(proof, Mapping) and isinstance(event, dict):
        flags = event.get("flags")
        routed = isinstance(flags, Mapping) and flags.get("is-routed") is True
        kind = {"event": f"routed.{event.get('event')}"} if routed else {}
        return [event | {"token": proof.get("token")} | kind]
    return [{name: value for name, value in message.items() if name != "signature"}]


MAILGUN: Final = Connector(
    name="mailgun",
    title="Mailgun",
    channel="email",
    body="either",
    verify=verify,
    items=items,
    secrets={SIGNING: "the HTTP webhook signing key"},
    map=EventMap(
        kind=(
            ValueField(template="{event}.{reason}", matches=r"failed\.suppress-[a-z]+"),
            ValueField(template="{event}.{severity}", matches=r"failed\.[a-z]+"),
            "event",
        ),
        id=("{token}",),
        time=TimeField(path="timestamp", unit="s"),
        identifiers=(IdentifierField(type="email", value=_ADDRESS),),
        properties={
            "email_id": "message.headers.message-id|Message-Id",
            "email_subject": "message.headers.subject",
            "campaign_id": "campaigns.0.id|campaign-id",
            "campaign_name": "campaigns.0.name|campaign-name",
            "categories": ValueField(path="tags|tag", read="names"),
        },
        context={"ip": "ip", "userAgent": "client-info.user-agent|user-agent"},
        cases={
            "accepted": Meaning(type="email.sent", properties=_MESSAGE),
            "delivered": Meaning(type="email.delivered"),
            "failed.permanent": Meaning(
                type="email.bounced", properties={**_REASON, "bounce": ValueField(value="hard")}
            ),
            "failed.temporary": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
            "failed.suppress-bounce": _DROPPED,
            "failed.suppress-complaint": _DROPPED,
            "failed.suppress-unsubscribe": _DROPPED,
            "rejected": _DROPPED,
            "opened": Meaning(
                type="email.opened",
                properties={
                    # Gmail fetches pictures when somebody opens the email, Apple before that
                    "machine": ValueField(
                        path="client-info.bot", matches="apple|gmail", table={"apple": True, "gmail": False}
                    )
                },
            ),
            "clicked": Meaning(type="email_link.clicked", properties=_LINK),
            "unsubscribed": Meaning(type="email.unsubscribed", properties={"list_id": "mailing-list.address"}),
            "complained": Meaning(type="email.marked_as_spam"),
            "routed.accepted": _WROTE,
            "stored": _WROTE,
            # the forms of before 2018
            "bounced": Meaning(type="email.bounced", properties={**_REASON, "bounce": ValueField(value="hard")}),
            "dropped": _DROPPED,
        },
    ),
)
