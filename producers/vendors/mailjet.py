"""Mailjet's Event API: what happened to emails; one event in a request, or the list of a second.

Nothing is signed: its users put a password into the address. There is no id, so copies are recognised by their content.
Mailjet's `sent` means that the receiving server took the email.
"""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING
from producers.vendors.signing import BasicAuth

_ID: Final = "Message_GUID|mj_message_id|MessageID"
_MESSAGE: Final[dict[str, Field]] = {"message_id": ValueField(path=_ID, read="text")}
_REASON: Final[dict[str, Field]] = {"reason": "comment|error|error_related_to"}


def _bounced(how: str) -> Meaning:
    return Meaning(type="email.bounced", properties={**_REASON, "bounce": ValueField(value=how)})


MAILJET: Final = Connector(
    name="mailjet",
    title="Mailjet",
    channel="email",
    verify=BasicAuth(),
    guessable=True,
    secrets={SIGNING: "user:password of the webhook's address"},
    map=EventMap(
        kind=(
            ValueField(template="{event}.{error}", matches=r"bounce\.greylisted|[a-z]+\.duplicate in campaign"),
            ValueField(template="{event}.{hard_bounce}", matches=r"bounce\.(true|false)"),
            "event",
        ),
        id=(f"#{{event}}|{{{_ID}}}|{{email}}|{{time}}|{{url?}}",),
        time=TimeField(path="time", unit="s"),
        identifiers=(IdentifierField(type="email", value="email"),),
        somebody=True,
        properties={
            "email_id": ValueField(path=_ID, read="text"),
            "campaign_id": ValueField(path="mj_campaign_id", matches="[1-9][0-9]*"),
            "campaign_name": "customcampaign",
        },
        context={"ip": "ip", "userAgent": "agent"},
        cases={
            "sent": "email.delivered",
            "open": "email.opened",
            "click": Meaning(type="email_link.clicked", properties={"link_url": "url"}),
            "bounce": _bounced("soft"),
            "bounce.false": _bounced("soft"),
            "bounce.true": _bounced("hard"),
            "bounce.greylisted": Meaning(type="email.deferred", properties={**_MESSAGE, **_REASON}),
            "blocked": Meaning(type="email.dropped", properties={**_MESSAGE, **_REASON}),
            "spam": "email.marked_as_spam",
            "unsub": Meaning(
                type="email.unsubscribed",
                properties={"list_id": ValueField(path="mj_list_id", matches="[1-9][0-9]*")},
            ),
        },
    ),
)
