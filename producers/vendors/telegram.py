"""Telegram bots: each request is one update, proven by the secret token that was given with `setWebhook`.

A private chat's id is the person's. Messages of bots, and of channels or admins that write as their group, are of no
person. A shared contact counts as the sender's own phone only if it carries the sender's id.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import (
    EventMap,
    Field,
    IdentifierField,
    Meaning,
    TimeField,
    ValueField,
    VendorEvent,
)
from producers.vendors.paths import as_text
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import SharedToken
from schemas.errors import Unmappable

_CONTENT: Final = frozenset(("text", "caption", "photo", "video", "animation", "audio", "voice", "video_note")) | {
    "document",
    "sticker",
    "story",
    "dice",
    "location",
    "contact",
    "poll",
}
"""Of what somebody wrote; other messages in groups are notices, such as that somebody came."""
_IN, _OUT = ("member", "administrator", "creator", "restricted"), ("left", "kicked")


def items(request: VendorRequest) -> Sequence[object]:
    """[{kind, update_id, of: Telegram's own object, person: the user, own_phone}]"""
    update = parsed(request)
    if not isinstance(update, dict):
        raise Unmappable("update: wanted an object, got something else; see the rejected event")
    kind, of = next(((name, one) for name, one in update.items() if isinstance(one, dict)), ("", None))
    item: dict[str, object] = {"update_id": update.get("update_id"), "kind": kind, "of": of}
    return [item | _details(kind, of) if isinstance(of, dict) else update]


def _details(kind: str, of: Mapping[str, object]) -> dict[str, object]:  # noqa: PLR0911 - one for each kind
    sender, chat = _member(of, "from"), _member(of, "chat")
    person = sender if sender and not sender.get("is_bot") and "sender_chat" not in of else None
    if kind == "message":
        return _message(of, chat, person)
    if kind == "business_message":
        mine = person is not None and person.get("id") == chat.get("id")
        return {"kind": "message" if mine else "business_answer", "person": person if mine else chat}
    if kind == "message_reaction":
        gone = not of.get("new_reaction")
        return {"kind": "reaction_removed" if gone else kind, "person": _member(of, "user") or None}
    if kind == "my_chat_member":
        return {"kind": f"bot_{_change(of)}", "person": person} if chat.get("type") == "private" else {}
    if kind == "chat_member":
        return {"kind": f"member_{_change(of)}", "person": _member(_member(of, "new_chat_member"), "user") or None}
    if kind == "business_connection":  # the company itself
        return {}
    if kind in ("chat_boost", "removed_chat_boost"):
        return {"person": _member(_member(_member(of, "boost") or of, "source"), "user") or None}
    return {"person": person or _member(of, "user") or None}


def _message(
    of: Mapping[str, object], chat: Mapping[str, object], person: Mapping[str, object] | None
) -> dict[str, object]:
    contact = _member(of, "contact")
    is_own = person is not None and contact.get("user_id") is not None and contact.get("user_id") == person.get("id")
    found: dict[str, object] = {"person": person, "own_phone": contact.get("phone_number") if is_own else None}
    if "successful_payment" in of:
        return found | {"kind": "payment"}
    if "refunded_payment" in of:
        return found | {"kind": "refunded_payment"}
    if person is None:
        return found | {"kind": "message_of_nobody"}
    if chat.get("type") != "private":
        return found | {"kind": "group_message" if _CONTENT & of.keys() else "group_notice"}
    text = as_text(of.get("text")) or ""
    ref = text.removeprefix("/start ").strip() if text.startswith("/start ") else None
    return found | {"kind": "start" if text == "/start" or ref else "message", "ref": ref}


def _change(of: Mapping[str, object]) -> str:
    before, after = (_member(of, name).get("status") for name in ("old_chat_member", "new_chat_member"))
    if before in _OUT and after in _IN:
        return "came"
    return "left" if before in _IN and after in _OUT else "changed"


def _member(value: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


_CHAT: Final[dict[str, Field]] = {"conversation_id": ValueField(path="of.chat.id|of.message.chat.id", read="text")}
_NETWORK: Final[dict[str, Field]] = {"network": ValueField(value="telegram")}
_MESSAGE: Final[dict[str, Field]] = {
    **_CHAT,
    **_NETWORK,
    # a message's own id is one only in its chat
    "message_id": ValueField(template="{of.chat.id}:{of.message_id}"),
    "message_body": "of.text|of.caption",
    "ref": "ref",
}
_PUBLIC: Final[dict[str, Field]] = {
    **_NETWORK,
    "post_id": ValueField(template="{of.chat.id}:{of.message_id}"),
    "parent_id": ValueField(template="{of.chat.id}:{of.reply_to_message.message_id}"),
    "text": "of.text|of.caption",
}
_BOT: Final[dict[str, Field]] = {"purpose": ValueField(value="telegram"), "method": ValueField(value="block")}
_GROUP: Final[dict[str, Field]] = {**_NETWORK, "account_id": ValueField(path="of.chat.id", read="text")}


def _payment(name: str) -> dict[str, Field]:
    return {
        "payment_id": f"of.{name}.telegram_payment_charge_id",
        "amount": ValueField(path=f"of.{name}.total_amount", minor=f"of.{name}.currency"),
        "currency": f"of.{name}.currency",
        "payload": f"of.{name}.invoice_payload",
        "method": ValueField(value="telegram"),
    }


def _custom(name: str, **properties: Field) -> Meaning:
    chat = ValueField(path="of.chat.id|of.message.chat.id", read="text")
    return Meaning(type=f"custom.telegram_{name}", properties={"chat_id": chat, **properties})


_MESSAGE_ID: Final = ValueField(template="{of.chat.id}:{of.message_id}")

MAP: Final = EventMap(
    kind="kind",
    id=("{update_id}",),
    rest="of",
    time=TimeField(path="of.edit_date|of.date|of.boost.add_date|of.remove_date", unit="s"),
    identifiers=(
        IdentifierField(type="telegram_user", value=ValueField(path="person.id", read="text"), trust="proven"),
        IdentifierField(
            type="phone", value=ValueField(path="own_phone", read="text", strip="+", prefix="+"), trust="proven"
        ),
    ),
    traits={
        "first_name": "person.first_name",
        "last_name": "person.last_name",
        "telegram_username": "person.username",
    },
    cases={
        "message": Meaning(type="live_chat_message.sent", properties=_MESSAGE),
        "start": Meaning(type="live_chat_message.sent", properties=_MESSAGE),
        "business_answer": Meaning(type="live_chat_message.received", properties=_MESSAGE),
        "callback_query": Meaning(
            type="live_chat_message.sent",
            properties={**_CHAT, **_NETWORK, "message_id": "of.id", "message_body": "of.data|of.game_short_name"},
        ),
        "group_message": Meaning(type="social.commented", properties=_PUBLIC),
        "group_notice": _custom("group_notice", message_id=_MESSAGE_ID),
        "message_of_nobody": _custom("message_of_nobody", message_id=_MESSAGE_ID),
        "edited_message": _custom("edited_message", message_id=_MESSAGE_ID),
        "channel_post": _custom("channel_post", message_id=_MESSAGE_ID),
        "edited_channel_post": _custom("edited_channel_post", message_id=_MESSAGE_ID),
        "edited_business_message": _custom("edited_business_message", message_id=_MESSAGE_ID),
        "deleted_business_messages": _custom("deleted_business_messages", message_ids="of.message_ids"),
        "business_connection": _custom("business_connection", is_enabled="of.is_enabled"),
        "inline_query": _custom("inline_query", chat_type="of.chat_type"),
        "chosen_inline_result": _custom("chosen_inline_result", result_id="of.result_id"),
        "message_reaction": Meaning(
            type="social.reacted",
            properties={
                **_NETWORK,
                "parent_id": _MESSAGE_ID,
                "reaction": "of.new_reaction.0.emoji|of.new_reaction.0.custom_emoji_id|of.new_reaction.0.type",
            },
        ),
        "reaction_removed": _custom("reaction_removed", message_id=_MESSAGE_ID),
        "message_reaction_count": _custom("message_reaction_count", message_id=_MESSAGE_ID, reactions="of.reactions"),
        "bot_left": Meaning(type="consent.withdrawn", properties=_BOT),
        "bot_came": Meaning(type="consent.given", properties={**_BOT, "method": ValueField(value="unblock")}),
        "my_chat_member": _custom("my_chat_member", status="of.new_chat_member.status"),
        "member_came": Meaning(type="social.followed", properties=_GROUP),
        "member_left": Meaning(type="social.unfollowed", properties=_GROUP),
        "chat_join_request": _custom("chat_join_request", invite="of.invite_link.name"),
        "poll": _custom("poll", poll_id="of.id", voters="of.total_voter_count", is_closed="of.is_closed"),
        "poll_answer": Meaning(
            type="survey.answered",
            properties={
                "survey_id": "of.poll_id",
                "response_id": ValueField(template="{of.poll_id}:{person.id?}:{update_id}"),
                "kind": ValueField(value="other"),
                "answers": "of.option_ids",
            },
        ),
        "pre_checkout_query": _custom(
            "pre_checkout_query",
            amount=ValueField(path="of.total_amount", minor="of.currency"),
            currency="of.currency",
            payload="of.invoice_payload",
        ),
        "shipping_query": _custom("shipping_query", payload="of.invoice_payload"),
        "payment": Meaning(
            type="payment.made",
            properties=_payment("successful_payment"),
            identifiers=(
                IdentifierField(type="email", value="of.successful_payment.order_info.email"),
                IdentifierField(type="phone", value="of.successful_payment.order_info.phone_number"),
            ),
        ),
        "refunded_payment": Meaning(
            type="payment.refunded",
            properties={
                **_payment("refunded_payment"),
                "refund_id": "of.refunded_payment.telegram_payment_charge_id",
            },
        ),
        "purchased_paid_media": _custom("purchased_paid_media", payload="of.paid_media_payload"),
        "chat_boost": _custom("chat_boost", boost_id="of.boost.boost_id"),
        "removed_chat_boost": _custom("removed_chat_boost", boost_id="of.boost_id"),
    },
)


def read(item: object, request: VendorRequest) -> list[VendorEvent]:
    """/start is a message, and begins the conversation."""
    found = MAP.read(item, request, vendor="telegram")
    starts = [
        msgspec.structs.replace(
            one,
            type="live_chat_conversation.started",
            id=f"{one.id}:start",
            properties={name: one.properties[name] for name in ("conversation_id", "ref") if name in one.properties},
        )
        for one in found
        if one.name == "start"
    ]
    return [*found, *starts]


TELEGRAM: Final = Connector(
    name="telegram",
    title="Telegram bots",
    channel="social",
    verify=SharedToken(header="x-telegram-bot-api-secret-token"),
    secrets={SIGNING: "the secret_token that was given to setWebhook"},
    map=MAP,
    items=items,
    read=read,
    guessable=True,
)
