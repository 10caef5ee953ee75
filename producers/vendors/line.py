"""LINE's Messaging API: messages, and people who follow or block the account; none or many in one request.

LINE waits two seconds. A person's id holds for one provider's accounts; in groups it may be absent. Reply and quote
tokens are credentials, and are not kept.
"""

from collections.abc import Sequence
from typing import Final

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import Hmac
from schemas.errors import Unmappable

_NETWORK: Final = ValueField(value="line")
_CONSENT: Final[dict[str, Field]] = {"purpose": _NETWORK, "account_id": "destination"}


def items(request: VendorRequest) -> Sequence[object]:
    """Each event with the account that it came to; of people who joined or left a group, one for each."""
    message = parsed(request)
    events = message.get("events") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(events, list):
        raise Unmappable("events: wanted a list, got something else; see the rejected event")
    return [item for event in events for item in _items(event, message.get("destination"))]


def _items(event: object, destination: object) -> list[object]:
    if not isinstance(event, dict):
        return [event]
    item = {name: value for name, value in event.items() if name != "replyToken"} | {"destination": destination}
    if isinstance(message := item.get("message"), dict):
        item["message"] = {
            name: value for name, value in message.items() if name not in ("quoteToken", "markAsReadToken")
        }
    change = event.get("joined") or event.get("left")
    members = change.get("members") if isinstance(change, dict) else None
    return [item | {"member": one} for one in members] if isinstance(members, list) and members else [item]


LINE: Final = Connector(
    name="line",
    title="LINE Messaging API",
    channel="chat",
    verify=Hmac("x-line-signature"),
    secrets={SIGNING: "the channel's secret"},
    items=items,
    map=EventMap(
        kind=(
            ValueField(path="follow.isUnblocked", table={"true": "follow.unblocked"}),
            ValueField(template="{type}.{beacon.type|membership.type|link.result}"),
            "type",
        ),
        id=(
            "#{webhookEventId}|{member.userId}",
            "{webhookEventId}",
            "#{destination}|{type}|{timestamp}|{source.userId?}|{message.id?}|{postback.data?}",
        ),
        time=TimeField(path="timestamp", unit="ms"),
        identifiers=(
            IdentifierField(
                type="line_user",
                value=ValueField(path="member.userId|source.userId", matches="U[0-9a-f]{32}"),
                trust="proven",
            ),
        ),
        cases={
            "message": Meaning(
                type="live_chat_message.sent",
                properties={
                    "message_id": "message.id",
                    "message_body": "message.text",
                    "kind": "message.type",
                    "conversation_id": "source.groupId|source.roomId",
                    "account_id": "destination",
                },
            ),
            "postback": Meaning(
                type="live_chat_message.sent",
                properties={
                    "message_id": "webhookEventId",
                    "message_body": "postback.data",
                    "kind": ValueField(value="postback"),
                    "conversation_id": "source.groupId|source.roomId",
                    "account_id": "destination",
                },
            ),
            "follow": Meaning(type="live_chat_conversation.started", properties={"account_id": "destination"}),
            "follow.unblocked": Meaning(
                type="consent.given", properties={**_CONSENT, "method": ValueField(value="unblock")}
            ),
            "unfollow": Meaning(type="consent.withdrawn", properties={**_CONSENT, "method": ValueField(value="block")}),
            # what was written is to be forgotten, so nothing of it is kept here
            "unsend": Meaning(
                type="custom.line_unsend", properties={"message_id": "unsend.messageId", "account_id": "destination"}
            ),
            # the nonce is a credential: it stands for a user's id at the company, until it is used
            "accountLink.ok": Meaning(type="custom.line_account_linked", properties={"account_id": "destination"}),
            "accountLink.failed": Meaning(
                type="custom.line_account_link_failed", properties={"account_id": "destination"}
            ),
        },
    ),
)
