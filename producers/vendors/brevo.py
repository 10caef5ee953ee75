"""Brevo: what happened to emails and text messages, and emails that came in; one in a request, or batches.

Nothing is signed: its users give it a password in the address, a token or a header. Brevo drops an event after most
errors, but not after 429. Only `ts_epoch` is certain to be UTC. `id` is the account, so copies are recognised by their
content. A first open may come under two names: opens of one moment are one.
"""

from collections.abc import Sequence
from typing import Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import SENT_SECRET

_MESSAGE: Final[dict[str, Field]] = {"message_id": "message-id"}
_REASON: Final[dict[str, Field]] = {"reason": "reason"}
_DROPPED: Final = Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON})
_HARD: Final = Meaning(type="email.bounced", properties={**_REASON, "bounce": ValueField(value="hard")})
_LIST: Final[dict[str, Field]] = {"list_id": ValueField(path="list_id.0|list_id", read="text")}
_LEFT: Final = Meaning(type="email.unsubscribed", properties=_LIST)
_SPAM: Final = Meaning(type="email.marked_as_spam")
_MOMENT: Final = "#open|{message-id}|{email}|{ts_epoch|ts_event}"
_OPENED: Final = Meaning(type="email.opened", id=(_MOMENT,))
_MACHINE: Final = Meaning(type="email.opened", id=(_MOMENT,), properties={"machine": ValueField(value=True)})
_SMS: Final[dict[str, Field]] = {
    "message_id": ValueField(path="messageId", read="text"),
    "to": "to",
}
_FAILED: Final = Meaning(type="sms.failed", properties={**_SMS, "reason": "description"})
_PURPOSE: Final[dict[str, Field]] = {"purpose": ValueField(value="sms"), "method": ValueField(value="keyword")}

_CASES: Final = {
    "request": Meaning(type="email.sent", properties=_MESSAGE),
    "delivered": Meaning(type="email.delivered"),
    "deferred": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
    "soft_bounce": Meaning(type="email.bounced", properties={**_REASON, "bounce": ValueField(value="soft")}),
    "hard_bounce": _HARD,
    "invalid_email": _HARD,
    "blocked": _DROPPED,
    "error": _DROPPED,
    "spam": _SPAM,
    "complaint": _SPAM,
    "unsubscribe": _LEFT,
    "unsubscribed": _LEFT,
    "click": Meaning(type="email_link.clicked", properties={"link_url": "link"}),
    "opened": _OPENED,
    "unique_opened": _OPENED,
    "proxy_open": _MACHINE,
    "unique_proxy_open": _MACHINE,
    "list_addition": Meaning(type="email.subscribed", properties=_LIST),
    "contact_updated": Meaning(type="profile.identified", traits={"email": "email"}),
    "inbound": Meaning(
        type="email.received",
        id=("{Uuid.0}",),
        time=TimeField(path="SentAtDate"),
        identifiers=(IdentifierField(type="email", value="From.Address"),),
        properties={
            "message_id": "MessageId",
            "email_subject": "Subject",
            "direction": ValueField(value="inbound"),
            "text": "ExtractedMarkdownMessage|RawTextBody",
        },
    ),
    "sms.sent": Meaning(type="sms.sent", properties=_SMS),
    "sms.delivered": Meaning(type="sms.delivered", properties=_SMS),
    "sms.soft_bounce": _FAILED,
    "sms.hard_bounce": _FAILED,
    "sms.rejected": _FAILED,
    "sms.reply": Meaning(type="sms.received", properties={"message_id": _SMS["message_id"], "text": "reply|content"}),
    "sms.unsubscribe": Meaning(type="consent.withdrawn", properties=_PURPOSE),
    "sms.subscribe": Meaning(type="consent.given", properties=_PURPOSE),
}


def items(request: VendorRequest) -> Sequence[object]:
    """One event, a batch, or the emails that came in."""
    message = parsed(request)
    inside = message.get("items") if isinstance(message, dict) else message
    return inside if isinstance(inside, list) else [message]


BREVO: Final = Connector(
    name="brevo",
    title="Brevo",
    channel="email",
    verify=SENT_SECRET,
    guessable=True,
    store_down=429,
    secrets={SIGNING: "user:password of the webhook's address, or its token"},
    items=items,
    map=EventMap(
        kind=(
            ValueField(template="sms.{msg_status}", read="lower"),
            ValueField(path="event", read="lower"),
            ValueField(value="inbound"),
        ),
        id=(
            "#sms|{msg_status}|{messageId}|{to}|{ts_event|date?}",
            "#{event}|{message-id?}|{email.0|email}|{ts_epoch|ts_event|date?}|{link?}",
        ),
        time=TimeField(path="ts_epoch|ts_event|ts"),
        identifiers=(
            IdentifierField(type="email", value=ValueField(path="email", read="address")),
            IdentifierField(type="phone", value=ValueField(path="to", strip="+", matches="[0-9]{5,15}", prefix="+")),
        ),
        somebody=True,
        properties={
            "email_id": "message-id",
            "email_subject": "subject",
            "campaign_id": ValueField(path="camp_id", read="text"),
            "campaign_name": "campaign name",
            "categories": ValueField(path="tags", read="names"),
        },
        context={"userAgent": "user_agent"},
        # names come as hard_bounce and as hardBounce
        cases={
            name: case for long, case in _CASES.items() for name, case in ((long, case), (long.replace("_", ""), case))
        },
    ),
)
