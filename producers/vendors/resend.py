"""Resend: what happened to emails and contacts, one event in each request, signed as Standard Webhooks by Svix.

An event of an email to several people does not say which of them it is about, so it is nobody's. Emails that came in
are told without their text.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, VendorEvent
from producers.vendors.paths import Scope, find
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import StandardWebhooks

_MESSAGE: Final[dict[str, Field]] = {"message_id": "data.message_id|data.email_id"}
_REASON: Final[dict[str, Field]] = {
    "reason": "data.bounce.message|data.failed.reason|data.suppressed.message|data.suppressed.reason",
}
_DROPPED: Final = Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON})
_TRAITS: Final[dict[str, Field]] = {
    "email": "data.email",
    "firstName": "data.first_name",
    "lastName": "data.last_name",
}
_LEFT: Final = Meaning(type="email.unsubscribed", traits=_TRAITS)
_RECEIVED: Final = "email.received"

MAP: Final = EventMap(
    kind=(ValueField(template="{type}.{data.unsubscribed}", matches=r"contact\.(created|updated)\.true"), "type"),
    id=("{header:svix-id|header:webhook-id}",),
    time=TimeField(path="created_at"),
    identifiers=(IdentifierField(type="email", value=ValueField(path="data.email|data.to", read="address")),),
    properties={
        "email_id": "data.email_id",
        "email_subject": "data.subject",
        "campaign_id": "data.broadcast_id",
    },
    context={"ip": "data.click.ipAddress|data.open.ipAddress", "userAgent": "data.click.userAgent|data.open.userAgent"},
    cases={
        "email.sent": Meaning(type="email.sent", properties=_MESSAGE),
        "email.delivered": "email.delivered",
        "email.delivery_delayed": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
        "email.bounced": Meaning(
            type="email.bounced",
            properties={
                **_REASON,
                "bounce": ValueField(
                    path="data.bounce.type",
                    table={"Transient": "soft", "Undetermined": "soft", "soft": "soft"},
                    otherwise="hard",
                ),
            },
        ),
        "email.failed": _DROPPED,
        "email.suppressed": _DROPPED,
        "email.complained": "email.marked_as_spam",
        "email.opened": "email.opened",
        "email.clicked": Meaning(type="email_link.clicked", properties={"link_url": "data.click.link"}),
        _RECEIVED: Meaning(
            type="email.received",
            identifiers=(IdentifierField(type="email", value=ValueField(path="data.from", read="address")),),
            properties={**_MESSAGE, "direction": ValueField(value="inbound")},
        ),
        "contact.created": Meaning(type="profile.identified", traits=_TRAITS),
        "contact.updated": Meaning(type="profile.identified", traits=_TRAITS),
        "contact.created.true": _LEFT,
        "contact.updated.true": _LEFT,
    },
)


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    scope = Scope(item, request)
    copied = find("data.cc.0|data.bcc.0", scope) is not None
    return [
        replace(event, identifiers=()) if copied and event.name != _RECEIVED else event
        for event in MAP.read(item, request, vendor="resend")
    ]


RESEND: Final = Connector(
    name="resend",
    title="Resend",
    channel="email",
    verify=StandardWebhooks(("svix", "webhook")),
    secrets={SIGNING: "the signing secret, whsec_…"},
    keeps=("svix-id", "webhook-id"),
    read=read,
    map=MAP,
)
