"""WhatsApp's Cloud API: messages, their status, calls and preferences; many in one request.

A person has a number, or an id for this business (`US.1234`), or both: `from` may be either, and may be absent. Only
digits are a number. Both are WhatsApp's own knowledge, so both are proven; the name is what the person typed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, digest_of
from producers.vendors.meta_transport import SECRETS, SIGNATURE, challenged
from producers.vendors.request import VendorRequest
from schemas.errors import Unmappable

_LISTS: Final = {
    "messages": "message",
    "statuses": "status",
    "message_echoes": "echo",
    "calls": "call",
    "user_preferences": "preference",
}
_TELLING: Final = ("interactive", "system")
"""Types of messages that have types of their own."""


def items(request: VendorRequest) -> Sequence[object]:
    message = parsed(request)
    entries = message.get("entry") if isinstance(message, dict) else None
    if not isinstance(entries, list):
        raise Unmappable("entry: wanted a list, got something else; see the rejected event")
    return [item for entry in entries for item in _of_entry(entry)]


def _of_entry(entry: object) -> Iterator[object]:
    changes = entry.get("changes") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(changes, list):
        yield entry
        return
    for change in changes:
        value = change.get("value") if isinstance(change, dict) else None
        if not isinstance(change, dict) or not isinstance(value, dict):
            yield change
            continue
        known = [(name, one) for name in _LISTS for one in _list(value.get(name))]
        for name, one in known:
            yield _item(_LISTS[name], one, value, entry.get("id")) if isinstance(one, dict) else one
        if not known:
            digest = digest_of(orjson.dumps([entry.get("id"), change]).decode())
            yield {"kind": change.get("field"), "id": digest, "account": entry.get("id"), "time": entry.get("time")} | {
                "value": value
            }


def _item(what: str, one: dict[str, Any], value: Mapping[str, object], account: object) -> dict[str, object]:
    person = _person(what, one)
    contact = _contact(person, _list(value.get("contacts")))
    return {
        "kind": ".".join((what, *_kind(what, one))),
        "of": one,
        "account": account,
        "number_id": _get(value.get("metadata"), "phone_number_id"),
        "contact": contact,
        "person": {
            "end": person["end"] or _get(contact, "wa_id"),
            "user": person["user"] or _get(contact, "user_id"),
        },
        "answers": _answers(one),
    }


def _kind(what: str, one: Mapping[str, Any]) -> Iterator[str]:
    kind = one.get("type") if what in ("message", "echo") else None
    if isinstance(kind, str):
        yield kind
        inner = _get(one.get(kind), "type") if kind in _TELLING else None
        if isinstance(inner, str):
            yield inner
            response = _get(_get(one.get(kind), inner), "response")
            if isinstance(response, str):
                yield response
    if what == "status" and one.get("type") == "call":
        yield "call"
    if what == "status":
        yield str(one.get("status")).lower()
    elif what == "preference":
        yield str(one.get("value"))
    elif what == "call":
        yield str(one.get("event"))
        if one.get("event") == "terminate":
            yield "answered" if one.get("duration") else "missed"


def _person(what: str, one: Mapping[str, Any]) -> dict[str, object]:
    """The customer's end: a number or an id, and their id for this business. The map tells them apart."""
    if what == "status" and one.get("recipient_type") == "group":
        return {"end": one.get("recipient_participant_id"), "user": one.get("recipient_participant_user_id")}
    if what == "status":
        return {"end": one.get("recipient_id"), "user": one.get("recipient_user_id")}
    if what == "preference":
        return {"end": one.get("wa_id"), "user": one.get("user_id")}
    side = "to" if what == "echo" or one.get("direction") == "BUSINESS_INITIATED" else "from"
    return {"end": one.get(side), "user": one.get(f"{side}_user_id")}


def _contact(person: Mapping[str, object], contacts: Sequence[object]) -> object:
    """What the request says of this person besides. Another's id is never taken for theirs."""
    ends = [end for end in person.values() if end]
    fitting = [one for one in contacts if any(end in (_get(one, "wa_id"), _get(one, "user_id")) for end in ends)]
    return (fitting or (contacts if len(contacts) == 1 and not ends else [None]))[0]


def _answers(one: Mapping[str, Any]) -> object:
    """Of a form, without the token that belongs to the business."""
    text = _get(_get(one.get("interactive"), "nfm_reply"), "response_json")
    try:
        answers = orjson.loads(text) if isinstance(text, str) else None
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None
    return (
        {name: value for name, value in answers.items() if name != "flow_token"} if isinstance(answers, dict) else None
    )


def _get(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


_NUMBER: Final = r"[0-9]{5,15}"
_ID: Final = r"[A-Z]{2}\.[A-Za-z0-9.]{1,128}"
_WROTE: Final[dict[str, Field]] = {
    "message_id": "of.id",
    "message_body": "of.text.body|of.button.text|of.interactive.button_reply.title|of.interactive.list_reply.title"
    "|of.image.caption|of.video.caption|of.document.caption|of.order.text",
    "kind": "of.type",
    "account_id": "number_id",
}
_SENT: Final = Meaning(
    type="live_chat_message.sent",
    properties={
        **_WROTE,
        "ad_id": "of.referral.source_id",
        "products": ValueField(
            path="of.order.product_items",
            each={"product_id": "product_retailer_id", "quantity": "quantity", "price": "item_price"},
        ),
        "currency": "of.order.product_items.0.currency",
    },
)
_RECEIVED: Final = Meaning(type="live_chat_message.received", properties=_WROTE)
_CALL: Final[dict[str, Field]] = {
    "call_id": "of.id",
    "direction": ValueField(path="of.direction", table={"USER_INITIATED": "inbound", "BUSINESS_INITIATED": "outbound"}),
    "from": "of.from",
    "to": "of.to",
    "talk_s": "of.duration",
    "outcome": ValueField(path="of.status", read="lower"),
}
_CALLS: Final[dict[str, Field]] = {
    "purpose": ValueField(value="whatsapp_calls"),
    "method": ValueField(value="whatsapp"),
}
_LETTERS: Final[dict[str, Field]] = {
    "purpose": ValueField(value="whatsapp"),
    "method": ValueField(value="preference"),
    "text": "of.detail",
}


def _status(name: str) -> Meaning:
    return Meaning(
        type=f"custom.whatsapp_message_{name}",
        properties={
            "message_id": "of.id",
            "account_id": "number_id",
            "reason": "of.errors.0.title",
            "code": "of.errors.0.code",
            "category": "of.pricing.category",
        },
    )


WHATSAPP: Final = Connector(
    name="whatsapp",
    title="WhatsApp Cloud API",
    channel="chat",
    verify=SIGNATURE,
    secrets=SECRETS,
    greet=challenged,
    items=items,
    guessable=True,
    map=EventMap(
        kind="kind",
        id=(
            "{id}",
            "#{kind}|{of.id}|{of.recipient_participant_user_id|of.recipient_participant_id}",
            "#{account}|{kind}|{of.wa_id|of.user_id}|{of.timestamp}",
            "{of.id}:{of.status}",
            "{of.id}:{of.event}",
            "{of.id}",
        ),
        time=TimeField(path="of.timestamp|time", unit="s"),
        identifiers=(
            IdentifierField(
                type="phone", value=ValueField(path="person.end", matches=_NUMBER, prefix="+"), trust="proven"
            ),
            IdentifierField(type="whatsapp_user", value=ValueField(path="person.user", matches=_ID), trust="proven"),
            IdentifierField(type="whatsapp_user", value=ValueField(path="person.end", matches=_ID), trust="proven"),
        ),
        traits={"name": "contact.profile.name", "username": "contact.profile.username"},
        cases={
            **{
                f"message.{kind}": _SENT
                for kind in (
                    *("text", "image", "video", "audio", "document", "sticker", "location", "contacts", "button"),
                    *("interactive", "interactive.button_reply", "interactive.list_reply", "order", "unsupported"),
                )
            },
            **{
                f"echo.{kind}": _RECEIVED
                for kind in ("text", "image", "video", "audio", "document", "sticker", "location", "contacts")
            },
            "message.interactive.nfm_reply": Meaning(
                type="survey.answered",
                properties={
                    "response_id": "of.id",
                    "survey_id": "of.interactive.nfm_reply.name",
                    "kind": ValueField(value="other"),
                    "answers": "answers",
                },
            ),
            "message.interactive.call_permission_reply.accept": Meaning(type="consent.given", properties=_CALLS),
            "message.interactive.call_permission_reply.reject": Meaning(type="consent.withdrawn", properties=_CALLS),
            "message.system.user_changed_number": Meaning(
                type="profile.aliased",
                identifiers=(
                    IdentifierField(
                        type="phone",
                        value=ValueField(path="of.system.wa_id", matches=_NUMBER, prefix="+"),
                        trust="proven",
                    ),
                    IdentifierField(
                        type="phone", value=ValueField(path="of.from", matches=_NUMBER, prefix="+"), trust="proven"
                    ),
                ),
            ),
            "message.reaction": Meaning(
                type="custom.whatsapp_reaction",
                properties={
                    "message_id": "of.reaction.message_id",
                    "reaction": "of.reaction.emoji",
                    "account_id": "number_id",
                },
            ),
            "message.revoke": Meaning(
                type="custom.whatsapp_message_revoked",
                properties={"message_id": "of.revoke.original_message_id", "account_id": "number_id"},
            ),
            "status.sent": Meaning(
                type="live_chat_message.received",
                properties={"message_id": "of.id", "account_id": "number_id", "category": "of.pricing.category"},
            ),
            "status.delivered": _status("delivered"),
            "status.read": _status("read"),
            "status.played": _status("played"),
            "status.failed": _status("failed"),
            "status.call.accepted": Meaning(type="call.answered", properties={"call_id": "of.id"}),
            "call.connect": Meaning(type="call.started", properties=_CALL),
            "call.terminate.answered": Meaning(type="call.ended", properties=_CALL),
            "call.terminate.missed": Meaning(type="call.missed", properties=_CALL),
            "preference.stop": Meaning(type="consent.withdrawn", properties=_LETTERS),
            "preference.resume": Meaning(type="consent.given", properties=_LETTERS),
            "preference.signup": Meaning(type="consent.given", properties=_LETTERS),
        },
    ),
)
