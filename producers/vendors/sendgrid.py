"""SendGrid's Event Webhook: lists of what happened to emails, signed with the account's private key.

Custom arguments stand beside SendGrid's own fields, so only known names are read. A retried list has the same time and
signature, so the time has no window; `sg_event_id` tells copies. Group events lack it at times: then the content does.
"""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
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
            "processed": Meaning(type="email.sent", properties=_MESSAGE),
            "delivered": Meaning(type="email.delivered"),
            "deferred": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
            "dropped": Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON}),
            "bounce": Meaning(
                type="email.bounced",
                properties={
                    **_REASON,
                    "bounce": ValueField(path="type", table={"bounce": "hard", "blocked": "soft"}, otherwise="hard"),
                },
            ),
            "open": Meaning(type="email.opened", properties={"machine": "sg_machine_open"}),
            "click": Meaning(type="email_link.clicked", properties={"link_url": "url", "link_id": "url_offset.index"}),
            "spamreport": Meaning(type="email.marked_as_spam"),
            "unsubscribe": Meaning(type="email.unsubscribed"),
            "group_unsubscribe": Meaning(type="email.unsubscribed", properties=_LIST),
            "group_resubscribe": Meaning(type="email.subscribed", properties=_LIST),
        },
    ),
)
