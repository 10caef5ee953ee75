"""Mailchimp's audiences: forms without a signature, so the secret is in the address that Mailchimp is given.

Times are UTC without saying so. Deleting a contact is staff's work, neither an opt-out nor a request of the person.
"""

from collections.abc import Sequence
from typing import Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, Reply, Secrets, VendorRequest
from producers.vendors.signing import SharedToken
from schemas.errors import Unmappable


def greet(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """Mailchimp's check of the address when it is saved: an empty request that wants 200."""
    return Reply() if request.method == "GET" else None


def items(request: VendorRequest) -> Sequence[object]:
    """[{kind: the type, with what makes it another event, of: the form}]"""
    of = parsed(request, "form")
    if not isinstance(of, dict) or not isinstance(of.get("type"), str):
        raise Unmappable("type: wanted the kind of event, got none; see the rejected event")
    data = of.get("data")
    said = data if isinstance(data, dict) else {}
    kind = of["type"]
    if kind in ("unsubscribe", "cleaned") and said.get("reason") == "abuse":
        kind = "abuse"
    elif kind == "unsubscribe" and said.get("action") == "delete":
        kind = "delete"
    return [{"kind": kind, "of": of}]


_LIST: Final[dict[str, Field]] = {"list_id": "of.data.list_id", "campaign_id": "of.data.campaign_id"}
_REASON: Final[dict[str, Field]] = {"reason": "of.data.reason"}
_TRAITS: Final[dict[str, Field]] = {
    "email": "of.data.email",
    "first_name": "of.data.merges.FNAME",
    "last_name": "of.data.merges.LNAME",
    "phone": "of.data.merges.PHONE",
    "birthday": "of.data.merges.BIRTHDAY",
    "interests": "of.data.merges.INTERESTS",
}

MAILCHIMP: Final = Connector(
    name="mailchimp",
    title="Mailchimp audiences",
    channel="email",
    verify=SharedToken(query="secret"),
    secrets={SIGNING: "what the address has as ?secret="},
    greet=greet,
    items=items,
    body="form",
    map=EventMap(
        kind="kind",
        id=(
            "#{of.type}|{of.fired_at?}|{of.data.list_id?}|{of.data.id?}|{of.data.email?}|{of.data.new_email?}"
            "|{of.data.action?}|{of.data.reason?}|{of.data.campaign_id?}",
        ),
        rest="of.data",
        time=TimeField(path="of.fired_at", zone="UTC"),
        identifiers=(
            IdentifierField(type="email", value="of.data.new_email|of.data.email"),
            IdentifierField(type="email", value="of.data.old_email", trust="hint"),
        ),
        cases={
            "subscribe": Meaning(type="email.subscribed", properties=_LIST, traits=_TRAITS),
            "unsubscribe": Meaning(type="email.unsubscribed", properties={**_LIST, **_REASON}),
            "abuse": Meaning(type="email.marked_as_spam", properties=_LIST),
            "cleaned": Meaning(
                type="email.bounced", properties={**_LIST, **_REASON, "bounce": ValueField(value="hard")}
            ),
            "profile": Meaning(type="profile.identified", properties=_LIST, traits=_TRAITS),
            "upemail": Meaning(type="profile.aliased", properties=_LIST, traits={"email": "of.data.new_email"}),
            "delete": Meaning(type="custom.mailchimp_delete", properties=_LIST),
            "campaign": Meaning(
                type="custom.mailchimp_campaign",
                properties={
                    "campaign_id": "of.data.id",
                    "list_id": "of.data.list_id",
                    "email_subject": "of.data.subject",
                    "status": "of.data.status",
                },
            ),
        },
    ),
    guessable=True,
)
