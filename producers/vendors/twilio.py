"""Twilio: text messages, WhatsApp messages and calls, as forms. Its signature covers the address and the sorted fields.

A message proves the sender's number. A caller's number can be forged, so it is a hint. Legs of one call carry the id of
the first. The answer is empty TwiML, so a call's own webhook must not lead here, only its status callback.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from producers.consent import said_in_text
from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.paths import as_text
from producers.vendors.request import SIGNING, Reply, Secrets, VendorRequest
from producers.vendors.signing import held, match, same, signature, unverified, with_headers
from schemas.errors import Unmappable

_HEADER: Final = "x-twilio-signature"
_MOST_FIELDS: Final = 2_000
_BODY_HASH: Final = re.compile(r"[?&]bodySHA256=([0-9a-fA-F]{64})(?:&|$)")
"""In the signed address, not in the query as it came: that may be another one."""
_NOBODY: Final = ("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253", "anonymous", "unknown")
"""What stands for a hidden number, such as ANONYMOUS on a telephone's keys."""
_OF_A_CALL: Final = frozenset(("RecordingStatus", "TranscriptionSid"))
"""Words for a part of a call, not for the whole call."""
_NOT_YET: Final = ("queued", "accepted", "scheduled", "sending", "receiving")


# --- the proof


@dataclass(frozen=True)
class TwilioSignature:
    """Base64 of HMAC-SHA1 over the address, with and without its default port, and every field's name and value in the
    order of the names. A JSON body is covered by its hash, which stands in the address."""

    def __call__(self, request: VendorRequest, secrets: Secrets) -> None:
        keys = [secret.encode() for secret in held(secrets)]
        given = request.headers.one(_HEADER)
        found = _BODY_HASH.search(request.url)
        digest = found[1] if found else None
        if digest is not None and not same(sha256(request.body).hexdigest(), digest.lower()):
            raise unverified()
        content = "" if digest is not None else _sorted_fields(request.body)
        texts = [_bytes(url + content) for url in _spellings(request.url)]
        match([given], [signature(key, text, "sha1") for key in keys for text in texts])

    def sign(self, request: VendorRequest, secret: str) -> VendorRequest:
        """For a form."""
        made = signature(secret.encode(), _bytes(request.url + _sorted_fields(request.body)), "sha1")
        return with_headers(request, {_HEADER: made})


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _sorted_fields(body: bytes) -> str:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise unverified() from None
    return "".join(name + value for name, value in sorted(set(pairs)))


def _spellings(url: str) -> Iterator[str]:
    yield url
    try:
        parts = urlsplit(url)
        port = 443 if parts.scheme == "https" else 80
        if parts.port is None:
            yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
        elif parts.port == port:
            yield urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(f":{port}")))
    except ValueError:
        return


# --- events


def items(request: VendorRequest) -> Sequence[object]:
    """[{kind, id, network, proven, claimed or hint: the customer's number, of: Twilio's fields}]"""
    of = parsed(request, "either")
    if not isinstance(of, dict):
        raise Unmappable("body: wanted fields, got something else; see the rejected event")
    status = as_text(of.get("MessageStatus") or of.get("SmsStatus"))
    if "CallStatus" in of and not _OF_A_CALL & of.keys():
        return [_call(of)]
    if status is not None and ("MessageSid" in of or "SmsSid" in of):
        return list(_message(of, status))
    return [_other(of)]


def _other(of: Mapping[str, object]) -> object:
    kinds = {"TranscriptionSid": "transcription", "RecordingSid": "recording", "EventType": "conversation"}
    kind = next((kind for name, kind in kinds.items() if name in of), "unknown")
    state = as_text(of.get("TranscriptionStatus") or of.get("RecordingStatus") or of.get("EventType")) or ""
    sid = as_text(of.get("TranscriptionSid") or of.get("RecordingSid") or of.get("MessageSid") or of.get("CallSid"))
    return {"kind": kind, "id": f"{sid}:{state}" if sid else None, "of": of}


def _call(of: Mapping[str, object]) -> object:
    status, direction = as_text(of.get("CallStatus")) or "", as_text(of.get("Direction")) or ""
    customer = as_text(of.get("To" if direction == "outbound-api" else "From"))
    return {
        "kind": f"call {status}",
        "id": ":".join(as_text(of.get(name)) or "" for name in ("CallSid", "CallStatus", "SequenceNumber")),
        "claimed" if direction == "outbound-api" else "hint": None if customer in _NOBODY else customer,
        "of": of,
    }


def _message(of: Mapping[str, object], status: str) -> Iterator[object]:
    network, _, number = (as_text(of.get("From")) or "").rpartition(":")
    came = status == "received"
    if not came:
        network, _, number = (as_text(of.get("To")) or "").rpartition(":")
    sid = as_text(of.get("MessageSid") or of.get("SmsSid"))
    item: dict[str, object] = {
        "kind": f"{'chat' if network else 'message'} {'not yet' if status in _NOT_YET else status}",
        "id": f"{sid}:{status}",
        "network": network or "sms",
        "proven" if came else "claimed": number,
        "of": of,
    }
    yield item
    said = said_in_text(as_text(of.get("OptOutType") or of.get("Body")) or "")
    if came and said:
        yield item | {"kind": "start" if said["sms"] else "stop", "id": f"{sid}:consent"}


def reply(request: VendorRequest) -> Reply:
    return Reply(b"<Response/>", content_type="text/xml")


_NUMBER: Final = r"\+[0-9]{5,15}"
_CALL: Final[dict[str, Field]] = {
    "call_id": "of.ParentCallSid|of.CallSid",
    # a leg to an agent, `outbound-dial`, belongs to a call of either direction
    "direction": ValueField(path="of.Direction", matches="inbound|outbound-api", table={"outbound-api": "outbound"}),
    "from": "of.From",
    "to": "of.To",
    "outcome": "of.CallStatus",
}
_ENDED: Final[dict[str, Field]] = {
    **_CALL,
    "talk_s": ValueField(path="of.CallDuration", read="number"),
    "recording_url": "of.RecordingUrl",
}
_SMS: Final[dict[str, Field]] = {
    "message_id": "of.MessageSid|of.SmsSid",
    "direction": ValueField(value="outbound"),
    "from": "of.From",
    "to": "of.To",
    "parts": ValueField(path="of.NumSegments", read="number"),
}
_CAME: Final[dict[str, Field]] = {**_SMS, "direction": ValueField(value="inbound"), "text": "of.Body"}
_CHAT: Final[dict[str, Field]] = {
    "message_id": "of.MessageSid|of.SmsSid",
    "message_body": "of.Body",
    "network": "network",
}
_CONSENT: Final[dict[str, Field]] = {
    "purpose": "network",
    "method": ValueField(value="keyword"),
    "text": "of.Body|of.OptOutType",
}


def _custom(name: str, **properties: Field) -> Meaning:
    return Meaning(type=f"custom.twilio_{name}", properties=properties)


MAP: Final = EventMap(
    kind="kind",
    id=("{id}", "#{of.AccountSid?}|{of.Sid?}|{of.Timestamp?}|{of.EventType?}|{of.ConversationSid?}"),
    rest="of",
    skip=("message not yet", "chat not yet"),
    time=TimeField(path="of.Timestamp|of.RecordingStartTime|of.DateCreated", zone="UTC"),
    identifiers=(
        IdentifierField(type="phone", value=ValueField(path="proven", matches=_NUMBER), trust="proven"),
        IdentifierField(type="phone", value=ValueField(path="claimed", matches=_NUMBER), trust="claimed"),
        IdentifierField(type="phone", value=ValueField(path="hint", matches=_NUMBER), trust="hint"),
        IdentifierField(type="whatsapp_user", value="of.ExternalUserId", trust="proven"),
    ),
    cases={
        **{
            f"call {status}": Meaning(type="call.started", properties=_CALL)
            for status in ("queued", "initiated", "ringing")
        },
        "call in-progress": Meaning(type="call.answered", properties=_CALL),
        "call completed": Meaning(type="call.ended", properties=_ENDED),
        **{
            f"call {status}": Meaning(type="call.missed", properties=_CALL)
            for status in ("busy", "no-answer", "failed", "canceled")
        },
        "message received": Meaning(type="sms.received", properties=_CAME),
        "message sent": Meaning(type="sms.sent", properties=_SMS),
        "message delivered": Meaning(type="sms.delivered", properties=_SMS),
        **{
            f"message {status}": Meaning(
                type="sms.failed", properties={**_SMS, "reason": "of.ErrorCode|of.ErrorMessage|of.MessageStatus"}
            )
            for status in ("undelivered", "failed")
        },
        "message canceled": _custom("message_canceled", message_id="of.MessageSid"),
        "message read": _custom("message_read", message_id="of.MessageSid"),
        "chat received": Meaning(type="live_chat_message.sent", properties=_CHAT),
        "chat sent": Meaning(type="live_chat_message.received", properties=_CHAT),
        **{
            f"chat {status}": _custom(
                f"chat_{status}", message_id="of.MessageSid", network="network", reason="of.ErrorCode"
            )
            for status in ("delivered", "read", "undelivered", "failed", "canceled")
        },
        "stop": Meaning(type="consent.withdrawn", properties=_CONSENT),
        "start": Meaning(type="consent.given", properties=_CONSENT),
        "recording": _custom(
            "recording", call_id="of.CallSid", recording_id="of.RecordingSid", status="of.RecordingStatus"
        ),
        "transcription": _custom(
            "transcription", call_id="of.CallSid", recording_id="of.RecordingSid", status="of.TranscriptionStatus"
        ),
        "conversation": _custom(
            "conversation",
            kind="of.EventType",
            conversation_id="of.ConversationSid",
            message_id="of.MessageSid",
            participant_id="of.ParticipantSid",
        ),
    },
)

TWILIO: Final = Connector(
    name="twilio",
    title="Twilio: messages and calls",
    channel="phone",
    verify=TwilioSignature(),
    secrets={SIGNING: "the account's auth token"},
    map=MAP,
    body="either",
    items=items,
    reply=reply,
)
