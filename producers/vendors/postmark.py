"""Postmark: what happened to emails, and emails that came in; one event in each request, and none is signed.

Its users give it a password in the address (`https://user:password@…`) or a header. Only bounces have an id of their
own, so copies are recognised by their content. Many of its bounces are not bounces: automatic replies, people who
unsubscribe by email.
"""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING
from producers.vendors.signing import SENT_SECRET

_MESSAGE: Final[dict[str, Field]] = {"message_id": "MessageID"}
_REASON: Final[dict[str, Field]] = {"reason": "Details|Description|Name"}
_LIST: Final[dict[str, Field]] = {"list_id": "MessageStream"}
_HARD: Final = Meaning(type="email.bounced", properties={**_REASON, "bounce": ValueField(value="hard")})
_SOFT: Final = Meaning(type="email.bounced", properties={**_REASON, "bounce": ValueField(value="soft")})
_DROPPED: Final = Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON})
_SPAM: Final = Meaning(type="email.marked_as_spam")

POSTMARK: Final = Connector(
    name="postmark",
    title="Postmark",
    channel="email",
    verify=SENT_SECRET,
    guessable=True,
    secrets={SIGNING: "user:password of the webhook's address, or the value of its header X-Webhook-Token"},
    map=EventMap(
        kind=(
            ValueField(template="{RecordType}.{Type}", matches=r"Bounce\.[A-Za-z]+"),
            ValueField(template="{RecordType}.{SuppressionReason}", matches=r"SubscriptionChange\.[A-Za-z]+"),
            "RecordType",
            ValueField(value="Inbound"),
        ),
        id=(
            "#{RecordType?}|{MessageID}|{ID?}|{Recipient|Email|FromFull.Email?}"
            "|{DeliveredAt|BouncedAt|ReceivedAt|ChangedAt|Date?}|{OriginalLink?}|{SuppressSending?}",
        ),
        time=TimeField(path="DeliveredAt|BouncedAt|ReceivedAt|ChangedAt|Date"),
        identifiers=(IdentifierField(type="email", value="Recipient|Email"),),
        somebody=True,
        properties={"email_id": "MessageID", "email_subject": "Subject", "categories": "Tag"},
        context={"ip": "Geo.IP", "userAgent": "UserAgent"},
        cases={
            "Delivery": "email.delivered",
            "Bounce.HardBounce": _HARD,
            "Bounce.BadEmailAddress": _HARD,
            "Bounce.SoftBounce": _SOFT,
            "Bounce.DnsError": _SOFT,
            "Bounce.Blocked": _SOFT,
            "Bounce.SpamNotification": _SOFT,
            "Bounce.VirusNotification": _SOFT,
            "Bounce.DMARCPolicy": _SOFT,
            "Bounce.Undeliverable": _SOFT,
            "Bounce.Unknown": _SOFT,
            "Bounce.Transient": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
            "Bounce.ManuallyDeactivated": _DROPPED,
            "Bounce.SMTPApiError": _DROPPED,
            "Bounce.TemplateRenderingFailed": _DROPPED,
            "Bounce.SpamComplaint": _SPAM,
            "Bounce.Unsubscribe": Meaning(type="email.unsubscribed", properties=_LIST),
            "Bounce.Subscribe": Meaning(type="email.subscribed", properties=_LIST),
            "SpamComplaint": _SPAM,
            "Open": "email.opened",
            "Click": Meaning(type="email_link.clicked", properties={"link_url": "OriginalLink"}),
            # a suppression after a bounce or a complaint follows an event of its own
            "SubscriptionChange.ManualSuppression": Meaning(type="email.unsubscribed", properties=_LIST),
            "SubscriptionChange": Meaning(type="email.subscribed", properties=_LIST),
            "Inbound": Meaning(
                type="email.received",
                identifiers=(
                    IdentifierField(type="email", value=ValueField(path="FromFull.Email|From", read="address")),
                ),
                properties={
                    **_MESSAGE,
                    "direction": ValueField(value="inbound"),
                    "text": "StrippedTextReply|TextBody",
                },
            ),
        },
    ),
)
