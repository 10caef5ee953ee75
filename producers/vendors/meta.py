"""Meta: Messenger, Instagram, comments and posts of pages, and lead ads. One request holds entries of many pages.

A person has an id for each page (`facebook_user`) or Instagram account (`instagram_user`). A lead comes without its
answers, which are behind Meta's own API. Facebook's request to delete somebody's data is a form, signed inside.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson

from producers.vendors.connector import Connector, PrivacyRequest, form_of, json_of, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, digest_of
from producers.vendors.meta_transport import SECRETS, SIGNATURE, challenged
from producers.vendors.paths import as_text
from producers.vendors.request import Reply, Secrets, VendorRequest
from producers.vendors.signing import OneOf, held, match, same, signature, unverified
from schemas.errors import Unmappable

_LISTS: Final = ("messaging", "standby", "changes")
_KINDS: Final = ("message", "postback", "referral", "optin", "delivery", "read", "reaction", "account_linking")
_ENDS: Final = ("sender", "recipient", "timestamp")


def greet(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """The subscription's challenge; and the page to which Facebook sends whoever asked for deletion."""
    if request.method == "GET" and "deletion" in request.query:
        return Reply(b"Your request was taken in. Ask the company how far it is.\n")
    return challenged(request, secrets)


# --- requests for deletion


def verify_deletion(request: VendorRequest, secrets: Secrets) -> None:
    """`signed_request=SIGNATURE.PAYLOAD`, both in Base64 for URLs: the signature is over the payload as written."""
    keys = held(secrets)
    given, dot, payload = (_signed_request(request) or "").partition(".")
    if not dot:
        raise unverified()
    expected = [signature(key.encode(), payload.encode(errors="surrogatepass")) for key in keys]
    match([given.rstrip("=")], [one.translate(_FOR_URLS).rstrip("=") for one in expected])
    if not same(str(_payload(payload).get("algorithm", "")).upper(), "HMAC-SHA256"):
        raise unverified()


_FOR_URLS: Final = str.maketrans("+/", "-_")


def _signed_request(request: VendorRequest) -> str | None:
    if not request.body.startswith(b"signed_request="):
        return None
    try:
        found = form_of(request.body).get("signed_request")
    except Unmappable:
        return None
    return found if isinstance(found, str) else None


def _payload(text: str) -> Mapping[str, object]:
    try:
        found = json_of(base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)))
    except (ValueError, Unmappable):
        return {}
    return found if isinstance(found, dict) else {}


def privacy(request: VendorRequest) -> Sequence[PrivacyRequest]:
    text = _signed_request(request)
    user = as_text(_payload(text.partition(".")[2]).get("user_id")) if text else None
    if text is None or user is None:
        return []
    return [
        PrivacyRequest("erasure", _code(text), [("facebook_login", user)], "Asked for at Facebook: delete all data.")
    ]


def _code(text: str) -> str:
    return "meta-" + digest_of(text)[:16]


def reply(request: VendorRequest) -> Reply | None:
    text = _signed_request(request)
    if text is None:
        return None
    code = _code(text)
    told = {"url": f"{request.url.partition('?')[0]}?deletion={code}", "confirmation_code": code}
    return Reply(orjson.dumps(told), content_type="application/json")


# --- events


def items(request: VendorRequest) -> list[object]:
    """{kind, id, network, account, time, facebook_user or instagram_user, of: Meta's own object}"""
    if _signed_request(request) is not None:
        return []
    message = parsed(request)
    entries = message.get("entry") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(entries, list):
        raise Unmappable("entry: wanted a list, got something else; see the rejected event")
    return [item for entry in entries for item in _of_entry(entry, str(message.get("object")))]


def _of_entry(entry: object, object_: str) -> Iterator[object]:
    if not isinstance(entry, dict):
        yield entry
        return
    lists = [entry[name] for name in _LISTS if isinstance(entry.get(name), list)]
    if not lists:
        yield _item("entry", entry, None, entry, object_)
    for one in [one for found in lists for one in found]:
        if not isinstance(one, dict):
            yield one
            continue
        value = one.get("value")
        if "field" not in one:
            yield _message(one, entry, object_)
        elif isinstance(value, dict) and "sender" in value:
            yield _message(value, entry, object_)
        else:
            yield _change(str(one["field"]), value, entry, object_)


def _message(one: Mapping[str, object], entry: Mapping[str, object], object_: str) -> object:
    others = [name for name in one if name not in _ENDS]
    kind = next((name for name in _KINDS if name in one), others[0] if others else "standby")
    inside = one.get(kind)
    message = inside if isinstance(inside, dict) else {}
    if kind == "message" and message.get("is_echo"):
        kind = "message_echo"
    elif kind == "message" and message.get("is_deleted"):
        kind = "message_deleted"
    elif kind == "optin" and "notification" in str(message.get("type")):
        kind = "optin_stopped" if message.get("notification_messages_status") == "STOP_NOTIFICATIONS" else "optin_given"
    ends = [_id_of(one.get(end)) for end in ("sender", "recipient")]
    company = {as_text(entry.get("id")), ends.pop(0) if kind == "message_echo" else None}
    return _item(kind, one, next((end for end in ends if end not in company), None), entry, object_)


def _change(field: str, value: object, entry: Mapping[str, object], object_: str) -> object:
    of = value if isinstance(value, dict) else {"value": value}
    kind = f"feed {of.get('item')} {of.get('verb')}" if field == "feed" else field
    person = _id_of(of.get("from")) or as_text(of.get("sender_id"))
    if person is not None and person == as_text(entry.get("id")):
        return _item(f"own {kind}", of, None, entry, object_)
    return _item(kind, of, person, entry, object_)


def _item(kind: str, of: object, person: str | None, entry: Mapping[str, object], object_: str) -> object:
    is_instagram = object_ == "instagram"
    account = as_text(entry.get("id"))
    return {
        "kind": kind,
        "id": _id(kind, of, account),
        "network": "instagram" if is_instagram else "facebook",
        "account": account,
        "time": entry.get("time"),
        "instagram_user" if is_instagram else "facebook_user": person,
        "of": of,
    }


def _id(kind: str, of: object, account: str | None) -> str:
    """Meta's own id of the message or lead, where it has one; else a digest of all that it says."""
    inside = of.get(kind.partition("_")[0]) if isinstance(of, dict) else None
    mid = as_text(inside.get("mid")) if isinstance(inside, dict) else None
    lead = as_text(of.get("leadgen_id")) if isinstance(of, dict) else None
    if kind in ("message", "message_echo", "postback") and mid:
        return mid
    return f"lead:{lead}" if lead else digest_of(orjson.dumps([kind, account, of]).decode())


def _id_of(end: object) -> str | None:
    return as_text(end.get("id")) if isinstance(end, dict) else None


_MESSAGE: Final[dict[str, Field]] = {
    "message_id": "of.message.mid|of.postback.mid|id",
    "message_body": "of.message.text|of.postback.title|of.postback.payload",
    "network": "network",
    "account_id": "account",
    "attachments": ValueField(path="of.message.attachments", each={"type": "type"}),
    "campaign_id": "of.message.referral.ad_id|of.postback.referral.ad_id",
    "ref": "of.message.referral.ref|of.postback.referral.ref",
}
_POST: Final[dict[str, Field]] = {
    "network": "network",
    "account_id": "account",
    "post_id": "of.comment_id|of.id|of.post_id|of.media_id",
    "parent_id": "of.parent_id|of.media.id|of.media_id",
    "text": "of.message|of.text",
    "url": "of.post.permalink_url|of.permalink_url",
}
_REACTION: Final[dict[str, Field]] = {
    "network": "network",
    "account_id": "account",
    "parent_id": "of.comment_id|of.post_id",
    "reaction": ValueField(path="of.reaction_type|of.item"),
}
_LETTERS: Final[dict[str, Field]] = {
    "purpose": ValueField(path="network", table={"facebook": "messenger"}),
    "method": ValueField(value="opt-in"),
    "account_id": "account",
}


def _custom(name: str, **properties: Field) -> Meaning:
    return Meaning(type=f"custom.meta_{name}", properties={"network": "network", "account_id": "account", **properties})


MAP: Final = EventMap(
    kind=ValueField(
        path="kind",
        table={"feed comment edited": "feed comment edit", "feed like add": "feed reaction add"},
    ),
    id=("{id}",),
    rest="of",
    time=TimeField(path="of.timestamp|of.created_time|time"),
    identifiers=(
        IdentifierField(type="facebook_user", value="facebook_user", trust="proven"),
        IdentifierField(type="instagram_user", value="instagram_user", trust="proven"),
    ),
    cases={
        "message": Meaning(type="live_chat_message.sent", properties=_MESSAGE),
        "message_echo": Meaning(type="live_chat_message.received", properties=_MESSAGE),
        "message_deleted": _custom("message_deleted", message_id="of.message.mid"),
        "postback": Meaning(type="live_chat_message.sent", properties=_MESSAGE),
        "referral": _custom(
            "referral",
            ref="of.referral.ref",
            source="of.referral.source",
            kind="of.referral.type",
            campaign_id="of.referral.ad_id",
        ),
        "optin": _custom("optin", ref="of.optin.ref", source="of.optin.type"),
        # the token of these is a credential, and is not kept
        "optin_given": Meaning(type="consent.given", properties=_LETTERS),
        "optin_stopped": Meaning(type="consent.withdrawn", properties=_LETTERS),
        "delivery": _custom("delivery", watermark="of.delivery.watermark", message_ids="of.delivery.mids"),
        "read": _custom("read", watermark="of.read.watermark", message_id="of.read.mid"),
        "reaction": _custom(
            "reaction",
            message_id="of.reaction.mid",
            reaction="of.reaction.reaction|of.reaction.emoji",
            action="of.reaction.action",
        ),
        "account_linking": _custom("account_linking", status="of.account_linking.status"),
        "feed comment add": Meaning(type="social.commented", properties=_POST),
        "comments": Meaning(type="social.commented", properties=_POST),
        "live_comments": Meaning(type="social.commented", properties=_POST),
        "feed reaction add": Meaning(type="social.reacted", properties=_REACTION),
        "mention": Meaning(type="social.mentioned", properties=_POST),
        "mentions": Meaning(type="social.mentioned", properties=_POST),
        "leadgen": Meaning(
            type="lead.created",
            properties={
                "lead_id": ValueField(path="of.leadgen_id", read="text"),
                "form_id": ValueField(path="of.form_id", read="text"),
                "ad_id": ValueField(path="of.ad_id", read="text"),
                "ad_set_id": ValueField(path="of.adgroup_id", read="text"),
                "source": ValueField(value="facebook_lead_ad"),
                "account_id": "account",
            },
        ),
    },
)

META: Final = Connector(
    name="meta",
    title="Meta: Messenger, Instagram, pages and lead ads",
    channel="social",
    verify=OneOf((SIGNATURE, verify_deletion)),
    secrets=SECRETS,
    map=MAP,
    greet=greet,
    items=items,
    privacy=privacy,
    reply=reply,
    guessable=True,
)
