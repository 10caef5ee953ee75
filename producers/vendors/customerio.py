"""Customer.io's reporting webhooks: what happened to emails, text messages and pushes; one event in each request.

`customer_id` is the company's own id of the person, as it gave it to Customer.io. The forms of before 2020 say
`event_type`. `attempted` means that sending failed, and is tried again.
"""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING
from producers.vendors.signing import Hmac, Timestamp

_RECIPIENT: Final = "data.recipient|data.identifiers.email|data.email_address"
_MAIL: Final[dict[str, Field]] = {
    "email_id": "data.delivery_id|data.email_id",
    "email_subject": "data.subject",
}
_MESSAGE: Final[dict[str, Field]] = {**_MAIL, "message_id": "data.delivery_id|data.email_id"}
_REASON: Final[dict[str, Field]] = {"reason": "data.failure_message|data.reason"}
_DROPPED: Final = Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON})
_SMS: Final[dict[str, Field]] = {"message_id": "data.delivery_id", "to": "data.recipient"}
_FAILED: Final = Meaning(type="sms.failed", properties={**_SMS, **_REASON})

_EMAIL: Final = {
    "sent": Meaning(type="email.sent", properties=_MESSAGE),
    "attempted": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
    "deferred": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
    "delivered": Meaning(type="email.delivered", properties=_MAIL),
    "opened": Meaning(type="email.opened", properties=_MAIL),
    "clicked": Meaning(
        type="email_link.clicked",
        properties={
            **_MAIL,
            "link_url": "data.href|data.link_url",
            "link_id": ValueField(path="data.link_id", read="text"),
        },
    ),
    "bounced": Meaning(type="email.bounced", properties={**_MAIL, **_REASON, "bounce": ValueField(value="hard")}),
    "dropped": _DROPPED,
    "failed": _DROPPED,
    "undeliverable": _DROPPED,
    "spammed": Meaning(type="email.marked_as_spam", properties=_MAIL),
    "subscribed": Meaning(type="email.subscribed", properties=_MAIL),
    "unsubscribed": Meaning(type="email.unsubscribed", properties=_MAIL),
}

CUSTOMERIO: Final = Connector(
    name="customerio",
    title="Customer.io",
    channel="email",
    verify=Hmac(
        "x-cio-signature",
        encoding="hex",
        signed="v0:{timestamp}:{body}",
        timestamp=Timestamp("x-cio-timestamp", window=None),
    ),
    secrets={SIGNING: "the webhook signing key"},
    map=EventMap(
        kind=(ValueField(template="{object_type}.{metric}"), "event_type"),
        id=("{event_id}",),
        time=TimeField(path="timestamp", unit="s"),
        identifiers=(
            IdentifierField(type="user_id", value=ValueField(path="data.identifiers.id|data.customer_id", read="text")),
            IdentifierField(type="email", value=ValueField(path=_RECIPIENT, read="address", matches="[^@]+@[^@]+")),
            IdentifierField(type="phone", value=ValueField(path="data.recipient", matches=r"\+?[0-9]{5,15}")),
        ),
        properties={
            "campaign_id": ValueField(path="data.campaign_id|data.newsletter_id|data.broadcast_id", read="text"),
            "campaign_name": "data.campaign_name",
        },
        cases={
            **{f"email.{metric}": case for metric, case in _EMAIL.items()},
            **{f"email_{metric}": case for metric, case in _EMAIL.items()},
            "customer.subscribed": Meaning(type="email.subscribed"),
            "customer.unsubscribed": Meaning(type="email.unsubscribed"),
            "customer_subscribed": Meaning(type="email.subscribed"),
            "customer_unsubscribed": Meaning(type="email.unsubscribed"),
            "sms.sent": Meaning(type="sms.sent", properties=_SMS),
            "sms.delivered": Meaning(type="sms.delivered", properties=_SMS),
            "sms.bounced": _FAILED,
            "sms.failed": _FAILED,
            "sms.undeliverable": _FAILED,
            "sms.clicked": Meaning(type="sms.clicked", properties={**_SMS, "link_url": "data.href"}),
        },
    ),
)
