"""Zendesk messaging (Sunshine Conversations): messages, and what becomes of users; several in one request.

The webhook's secret comes in a header. The user's id is Zendesk's own. `externalId` is proven only if the user logged
in (`authenticated`), and emails and numbers only if Zendesk verified them: else a form or the page's script gave them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import SharedToken
from schemas.errors import Unmappable

_VERIFIED: Final = ("verified", "confirmed", "sso")
_TYPES: Final = {"email": "email", "phoneNumber": "phone"}


def items(request: VendorRequest) -> Sequence[object]:
    """Each event, with what is proven of its user and what is claimed told apart."""
    message = parsed(request)
    events = message.get("events") if isinstance(message, dict) else None
    if not isinstance(events, list):
        raise Unmappable("events: wanted a list, got something else; see the rejected event")
    return [event | _user(event) if isinstance(event, dict) else event for event in events]


def _user(event: Mapping[str, Any]) -> dict[str, object]:
    payload = event.get("payload")
    author = _get(_get(payload, "message"), "author")
    user = _get(author, "user") or _get(payload, "user")
    found: dict[str, dict[str, object]] = {"proven": {}, "claimed": {}, "hint": {}}
    for trust, name, value in _told(user):
        found[trust].setdefault(name, value)
    return {**found, "user": _get(user, "id") or (_get(author, "userId") if _get(author, "type") == "user" else None)}


def _told(user: object) -> Iterator[tuple[str, str, object]]:
    """(trust, type, value)."""
    if value := _get(user, "externalId"):
        yield "proven" if _get(user, "authenticated") is True else "hint", "user_id", value
    identities = _get(user, "identities")
    for one in identities if isinstance(identities, list) else ():
        name = _TYPES.get(str(_get(one, "type")))
        if name is not None:
            proven = str(_get(one, "verification")).lower() in _VERIFIED
            yield "proven" if proven else "claimed", name, _get(one, "value")
    if value := _get(_get(user, "profile"), "email"):
        yield "claimed", "email", value


def _get(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


_MESSAGE: Final[dict[str, Field]] = {
    "conversation_id": "payload.conversation.id",
    "message_id": "payload.message.id",
    "message_body": "payload.message.content.text|payload.message.content.altText",
    "kind": "payload.message.content.type",
    "network": "payload.message.source.type",
}
_TRAITS: Final[dict[str, Field]] = {
    "firstName": "payload.user.profile.givenName",
    "lastName": "payload.user.profile.surname",
    "email": "payload.user.profile.email",
    "locale": "payload.user.profile.locale",
}

SUNSHINE: Final = Connector(
    name="sunshine",
    title="Zendesk messaging (Sunshine Conversations)",
    channel="chat",
    verify=SharedToken(header="x-api-key"),
    guessable=True,
    secrets={SIGNING: "the webhook's secret"},
    items=items,
    map=EventMap(
        kind=(
            ValueField(template="{type}.{payload.message.author.type}", matches="conversation:message\\.[a-z]+"),
            "type",
        ),
        id=("{id}",),
        time=TimeField(path="createdAt"),
        identifiers=(
            IdentifierField(type="sunshine_user", value="user", trust="proven"),
            IdentifierField(type="user_id", value="proven.user_id", trust="proven"),
            IdentifierField(type="email", value="proven.email", trust="proven"),
            IdentifierField(type="phone", value="proven.phone", trust="proven"),
            IdentifierField(type="user_id", value="hint.user_id", trust="hint"),
            IdentifierField(type="email", value="claimed.email"),
            IdentifierField(type="phone", value="claimed.phone"),
        ),
        cases={
            "conversation:message.user": Meaning(type="live_chat_message.sent", properties=_MESSAGE),
            "conversation:message.business": Meaning(type="live_chat_message.received", properties=_MESSAGE),
            "conversation:postback": Meaning(
                type="live_chat_message.sent",
                properties={
                    "conversation_id": "payload.conversation.id",
                    "message_id": "id",
                    "message_body": "payload.postback.text|payload.postback.payload",
                    "kind": ValueField(value="postback"),
                    "network": "payload.source.type",
                },
            ),
            "conversation:create": Meaning(
                type="live_chat_conversation.started", properties={"conversation_id": "payload.conversation.id"}
            ),
            "user:create": Meaning(type="profile.identified", traits=_TRAITS),
            "user:update": Meaning(type="profile.identified", traits=_TRAITS),
            "user:merge": Meaning(
                type="profile.aliased",
                identifiers=(
                    IdentifierField(type="sunshine_user", value="payload.mergedUsers.surviving.id", trust="proven"),
                    IdentifierField(type="sunshine_user", value="payload.mergedUsers.discarded.id", trust="proven"),
                ),
            ),
        },
    ),
)
