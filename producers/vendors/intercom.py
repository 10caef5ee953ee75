"""Intercom: conversations, contacts and companies, whose id is the one that you gave them.

Of a person only Intercom's own id is proven: the others are typed in the messenger, unless identity verification is on;
then let the hints of the source link."""

from collections.abc import Sequence
from typing import Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.paths import as_text
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import Hmac

_ITEM: Final = "data.item."
_PART: Final = _ITEM + "conversation_parts.conversation_parts.0."
_PEOPLE: Final = ("user.", "contact.", "contacts.contacts.0.", "source.author.")
"""Where the person stands, in the versions of Intercom's API."""


def _of_person(name: str) -> str:
    return "|".join(f"{_ITEM}{person}{name}" for person in _PEOPLE)


_CHAT: Final[dict[str, Field]] = {
    "conversation_id": _ITEM + "id",
    "agent_id": f"{_ITEM}assignee.id|{_ITEM}admin_assignee_id",
    "agent_name": _ITEM + "assignee.name",
}
_MESSAGE: Final[dict[str, Field]] = {
    **_CHAT,
    "message_id": f"{_PART}id|{_ITEM}conversation_message.id|{_ITEM}source.id",
    "message_body": f"{_PART}body|{_ITEM}conversation_message.body|{_ITEM}source.body",
}
_RATING: Final[dict[str, Field]] = {
    "kind": ValueField(value="csat"),
    "response_id": _ITEM + "id",
    "score": f"{_ITEM}conversation_rating.rating",
    "scale_min": ValueField(value=1),
    "scale": ValueField(value=5),
    "text": f"{_ITEM}conversation_rating.remark",
    "about": ValueField(value="conversation"),
}
_TRAITS: Final[dict[str, Field]] = {
    "email": _ITEM + "email",
    "phone": _ITEM + "phone",
    "name": _ITEM + "name",
    "company": f"{_ITEM}companies.companies.0.name",
}
_SELF: Final = (
    IdentifierField(type="intercom_contact", value=_ITEM + "id", trust="proven"),
    IdentifierField(type="user_id", value=f"{_ITEM}user_id|{_ITEM}external_id"),
    IdentifierField(type="email", value=_ITEM + "email"),
    IdentifierField(type="phone", value=_ITEM + "phone"),
)
_KNOWN: Final = Meaning(type="profile.identified", traits=_TRAITS, identifiers=_SELF)

_ABOUT_CONTACTS: Final = frozenset(
    (
        *("user.created", "user.email.updated", "contact.created", "contact.added_email", "contact.email.updated"),
        *("contact.user.created", "contact.lead.created", "contact.user.updated"),
    )
)
_ABOUT_COMPANIES: Final = frozenset({"company.created", "company.updated"})
_SIGNED_UP: Final = frozenset({"contact.signed_up", "contact.lead.signed_up"})
_IN_COMPANY: Final = "contact.in_company"


def items(request: VendorRequest) -> Sequence[object]:
    """The message; one about a company with its traits; and of one about a contact an item more for each of the
    contact's companies."""
    message = parsed(request)
    if not isinstance(message, dict):
        return [message]
    topic = as_text(message.get("topic"))
    if topic in _ABOUT_COMPANIES:
        return [{**message, "company": _traits_of(_within(message, "data", "item"))}]
    if topic not in _ABOUT_CONTACTS | _SIGNED_UP:
        return [message]
    listed = _within(message, "data", "item", "companies", "companies")
    companies = {
        key: {**message, "topic": _IN_COMPANY, "company_id": key, "company": _traits_of(one)}
        for one in (listed if isinstance(listed, list) else [])
        if (key := as_text(_within(one, "company_id")))
    }
    return [message, *companies.values()]


def _within(found: object, *names: str) -> object:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _traits_of(company: object) -> dict[str, object]:
    """What is there: a company in the list of a contact has its name at most."""
    named: dict[str, tuple[str, ...]] = {
        "name": ("name",),
        "industry": ("industry",),
        "website": ("website",),
        "employees": ("size",),
        "plan": ("plan", "name"),
    }
    return {ours: value for ours, theirs in named.items() if (value := _within(company, *theirs)) is not None}


INTERCOM: Final = Connector(
    name="intercom",
    title="Intercom",
    channel="chat",
    verify=Hmac("x-hub-signature", hash="sha1", encoding="hex", prefix="sha1="),
    secrets={SIGNING: "the app's client secret"},
    items=items,
    map=EventMap(
        kind="topic",
        id=("{id}",),
        time=TimeField(path="created_at", unit="s"),
        identifiers=(
            IdentifierField(type="intercom_contact", value=_of_person("id"), trust="proven"),
            IdentifierField(
                type="user_id", value=_of_person("user_id") + "|" + _of_person("external_id"), trust="claimed"
            ),
            IdentifierField(type="email", value=_of_person("email")),
        ),
        skip=("ping",),
        cases={
            "conversation.user.created": Meaning(type="live_chat_conversation.started", properties=_MESSAGE),
            "conversation.user.replied": Meaning(type="live_chat_message.sent", properties=_MESSAGE),
            "conversation.admin.replied": Meaning(type="live_chat_message.received", properties=_MESSAGE),
            "conversation.admin.single.created": Meaning(type="live_chat_message.received", properties=_MESSAGE),
            "conversation.admin.closed": Meaning(type="live_chat_conversation.ended", properties=_CHAT),
            "conversation.rating.added": Meaning(type="survey.answered", properties=_RATING),
            **dict.fromkeys(sorted(_ABOUT_CONTACTS), _KNOWN),
            **dict.fromkeys(sorted(_SIGNED_UP), Meaning(type="user.signed_up", traits=_TRAITS, identifiers=_SELF)),
            _IN_COMPANY: Meaning(
                type="group.joined",
                id=("{id}:{company_id}",),
                identifiers=_SELF,
                properties={"group_id": "company_id", "traits": "company"},
            ),
            **dict.fromkeys(
                sorted(_ABOUT_COMPANIES),
                Meaning(type="account.updated", properties={"account_id": f"{_ITEM}company_id", "traits": "company"}),
            ),
            "user.unsubscribed": Meaning(type="email.unsubscribed", identifiers=_SELF),
            "contact.unsubscribed": Meaning(type="email.unsubscribed", identifiers=_SELF),
        },
    ),
)
