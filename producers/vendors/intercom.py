"""Intercom: conversations and contacts. Of a person only Intercom's own id is proven: the others are typed in the
messenger, unless identity verification is on; then let the hints of the source link."""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING
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

INTERCOM: Final = Connector(
    name="intercom",
    title="Intercom",
    channel="chat",
    verify=Hmac("x-hub-signature", hash="sha1", encoding="hex", prefix="sha1="),
    secrets={SIGNING: "the app's client secret"},
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
            **dict.fromkeys(
                (
                    *("user.created", "user.email.updated", "contact.created", "contact.added_email"),
                    *("contact.email.updated", "contact.user.created", "contact.lead.created", "contact.user.updated"),
                ),
                _KNOWN,
            ),
            "contact.signed_up": Meaning(type="user.signed_up", traits=_TRAITS, identifiers=_SELF),
            "contact.lead.signed_up": Meaning(type="user.signed_up", traits=_TRAITS, identifiers=_SELF),
            "user.unsubscribed": Meaning(type="email.unsubscribed", identifiers=_SELF),
            "contact.unsubscribed": Meaning(type="email.unsubscribed", identifiers=_SELF),
        },
    ),
)
