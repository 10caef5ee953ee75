"""SendGrid's Event Webhook: lists of what happened to emails, signed with the account's private key.

Custom arguments stand beside SendGrid's own fields, so only known names are read. A retried list has the same time and
signature, so the time has no window; `sg_event_id` tells copies. Group events lack it at times: then the content does.
"""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import Case, EventMap, Field, IdentifierField, TimeField, ValueField
from producers.vendors.request import SIGNING
from producers.vendors.signing import Ecdsa, Timestamp

_REASON: Final[dict[str, Field]] = {"reason": "reason|response"}
_MESSAGE: Final[dict[str, Field]] = {"message_id": "smtp-id|sg_message_id"}
_LIST: Final[dict[str, Field]] = {"list_id": "asm_group_id"}

SENDGRID: Final = Connector(
    name="sendgrid",
    title="SendGrid Event Webhook",
    channel="email",
    verify=Ecdsa(
        "x-twilio-email-event-webhook-signature",
        Timestamp("x-twilio-email-event-webhook-timestamp", window=None),
    ),
    secrets={SIGNING: "the verification key of the signed event webhook"},
    map=EventMap(
        kind="event",
        id=("{sg_event_id}", "#{event}|{sg_message_id?}|{email}|{timestamp}|{url?}"),
        time=TimeField(path="timestamp", unit="s"),
        identifiers=(IdentifierField(type="email", value="email"),),
        somebody=True,
        properties={
            "email_id": "sg_message_id",
            "campaign_id": "marketing_campaign_id|singlesend_id",
            "campaign_name": "marketing_campaign_name|singlesend_name",
            "categories": ValueField(path="category", read="names"),
        },
        context={"ip": "ip", "userAgent": "useragent"},
        cases={
            "processed": Case(type="email.sent", properties=_MESSAGE),
            "delivered": Case(type="email.delivered"),
            "deferred": Case(type="email.deferred", properties={**_MESSAGE, **_REASON}),
            "dropped": Case(type="email.dropped", properties={**_MESSAGE, **_REASON}),
            "bounce": Case(
                type="email.bounced",
                properties={
                    **_REASON,
                    "bounce": ValueField(path="type", table={"bounce": "hard", "blocked": "soft"}, otherwise="hard"),
                },
            ),
            "open": Case(type="email.opened", properties={"machine": "sg_machine_open"}),
            "click": Case(type="email_link.clicked", properties={"link_url": "url", "link_id": "url_offset.index"}),
            "spamreport": Case(type="email.marked_as_spam"),
            "unsubscribe": Case(type="email.unsubscribed"),
            "group_unsubscribe": Case(type="email.unsubscribed", properties=_LIST),
            "group_resubscribe": Case(type="email.subscribed", properties=_LIST),
        },
    ),
)
