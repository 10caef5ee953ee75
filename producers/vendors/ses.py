"""Amazon SES through SNS: what happened to emails, and emails that came in.

SNS signs with a certificate of its own, whose host is pinned here. But a valid signature only says that some topic of
SNS sent it, and anybody may have a topic: so the source's `topics` are the proof. One message may be about several
recipients; each of them is an item. Opens and clicks of a message to several people do not say whose they are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

import orjson

from privacy.signatures import is_signed_by_certificate
from producers.vendors.connector import Connector, json_of
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.request import Reply, Secrets, VendorRequest
from producers.vendors.signing import decoded, unverified
from schemas.errors import Unmappable, Unverified

_HOST: Final = r"https://sns\.[a-z0-9-]{3,30}\.amazonaws\.com(\.cn)?/"
_CERTIFICATE: Final = re.compile(_HOST + r"[A-Za-z0-9._-]{1,100}\.pem", re.ASCII)
_CONFIRMATION: Final = re.compile(_HOST + r"\?[!-~]{1,2000}", re.ASCII)
_NOTIFICATION: Final = "Notification"
_SIGNED: Final = {
    _NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_MAY_LACK: Final = "Subject"
_GREETINGS: Final = "Successfully validated SNS topic"

_MAIL: Final[dict[str, Field]] = {"message_id": "mail.commonHeaders.messageId|mail.messageId"}
_REASON: Final[dict[str, Field]] = {
    "reason": "recipient.diagnosticCode|bounce.bounceSubType|complaint.complaintSubType|reject.reason"
    "|failure.errorMessage|deliveryDelay.delayType",
}
_DROPPED: Final = Meaning(type="email.dropped", properties={**_MAIL, **_REASON})
_LIST: Final[dict[str, Field]] = {"list_id": "topic.topicName"}
_KIND: Final = "eventType|notificationType"


def message_of(request: VendorRequest) -> Mapping[str, str]:
    """The message of a topic that the source hears. Raises `Unverified`."""
    try:
        message = json_of(request.body)
    except Unmappable:
        raise unverified() from None
    topics = request.settings.get("topics")
    if (
        not isinstance(message, dict)
        or not all(isinstance(value, str) for name, value in message.items() if name != "MessageAttributes")
        or message.get("Type") not in _SIGNED
    ):
        raise unverified()
    if not isinstance(topics, (list, tuple)) or message.get("TopicArn") not in topics:
        raise Unverified("topic: wanted one of the source's `topics`, got another; add its ARN if it is yours")
    return message


def certificate_url(request: VendorRequest) -> str:
    url = message_of(request).get("SigningCertURL", "")
    if not _CERTIFICATE.fullmatch(url):
        raise Unverified("certificate: wanted one of Amazon SNS, got another address; look at who sends it")
    return url


def verify(request: VendorRequest, secrets: Secrets) -> None:
    message = message_of(request)
    version, given = message.get("SignatureVersion"), decoded(message.get("Signature", ""))
    names = [name for name in _SIGNED[message["Type"]] if name in message or name != _MAY_LACK]
    if request.certificate is None or version not in ("1", "2") or not all(name in message for name in names):
        raise unverified()
    content = "".join(f"{name}\n{message[name]}\n" for name in names).encode(errors="surrogatepass")
    if not is_signed_by_certificate(request.certificate, content, given, sha1=version == "1"):
        raise unverified()


def greet(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """Confirms the subscription to a topic that the source hears."""
    message = message_of(request)
    if message["Type"] == _NOTIFICATION:
        return None
    verify(request, secrets)
    if message["Type"] != "SubscriptionConfirmation":
        return Reply()
    url = message["SubscribeURL"]
    asked = parse_qs(urlsplit(url).query) if _CONFIRMATION.fullmatch(url) else {}
    if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [message["TopicArn"]]:
        raise Unverified("confirmation: wanted the address of Amazon SNS for this topic, got another; subscribe again")
    return Reply(visit=url)


def items(request: VendorRequest) -> Sequence[object]:
    """The event once for each person whom it is about, with SNS's id of the message."""
    message = message_of(request)
    text = message.get("Message", "")
    if text.startswith(_GREETINGS):
        return []
    try:
        event = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise Unmappable("Message: wanted JSON of SES, got another text; keep raw delivery off") from None
    if not isinstance(event, dict):
        raise Unmappable("Message: wanted an event of SES, got something else; see the rejected event")
    item = event | {"sns_id": message.get("MessageId")}
    about = list(_parts(item))
    return [item | part for part in about] or [item]


def _parts(event: Mapping[str, object]) -> Iterator[dict[str, object]]:
    for name, listed in (
        ("bounce", "bouncedRecipients"),
        ("complaint", "complainedRecipients"),
        ("deliveryDelay", "delayedRecipients"),
        ("delivery", "recipients"),
    ):
        if isinstance(detail := event.get(name), Mapping):
            return (yield from ({"recipient": _recipient(one)} for one in _list(detail.get(listed))))
    mail = event.get("mail")
    people = [
        {"recipient": _recipient(one)} for one in _list(mail.get("destination") if isinstance(mail, Mapping) else 0)
    ]
    if isinstance(subscription := event.get("subscription"), Mapping):
        topics = [{"topic": topic} for topic in _changed(subscription)] or [{}]
        yield from (person | topic for person in people[:1] for topic in topics)
    elif "receipt" not in event and (len(people) == 1 or not ("open" in event or "click" in event)):
        yield from people


def _recipient(one: object) -> object:
    return {"emailAddress": one} if isinstance(one, str) else one


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _changed(subscription: Mapping[str, object]) -> list[object]:
    """The topics of the list whose status is another one now; none if the person left all of them."""
    new, old = (subscription.get(name) for name in ("newTopicPreferences", "oldTopicPreferences"))
    if not isinstance(new, Mapping) or new.get("unsubscribeAll") is True:
        return []
    before = _list(old.get("topicSubscriptionStatus")) if isinstance(old, Mapping) else []
    return [topic for topic in _list(new.get("topicSubscriptionStatus")) if topic not in before]


SES: Final = Connector(
    name="ses",
    title="Amazon SES through SNS",
    channel="email",
    secrets={},
    verify=verify,
    greet=greet,
    items=items,
    certificate_url=certificate_url,
    map=EventMap(
        kind=(
            ValueField(
                template=f"{{{_KIND}}}.{{bounce.bounceSubType|complaint.complaintSubType}}",
                matches=r"[A-Za-z]+\.(Suppressed|OnAccountSuppressionList)",
            ),
            ValueField(template=f"{{{_KIND}}}.{{complaint.complaintFeedbackType}}", matches=r"Complaint\.not-spam"),
            ValueField(template=f"{{{_KIND}}}.{{topic.subscriptionStatus}}", matches=r"Subscription\.[A-Za-z]+"),
            ValueField(path="subscription.newTopicPreferences.unsubscribeAll", table={"true": "Subscription.OptOut"}),
            _KIND,
        ),
        id=("#{sns_id}|{recipient.emailAddress}|{topic.topicName?}", "{sns_id}"),
        time=TimeField(
            path="bounce.timestamp|complaint.timestamp|delivery.timestamp|open.timestamp|click.timestamp"
            "|deliveryDelay.timestamp|subscription.timestamp|mail.timestamp"
        ),
        identifiers=(IdentifierField(type="email", value=ValueField(path="recipient.emailAddress", read="address")),),
        properties={"email_id": "mail.messageId", "email_subject": "mail.commonHeaders.subject"},
        context={"ip": "open.ipAddress|click.ipAddress", "userAgent": "open.userAgent|click.userAgent"},
        cases={
            "Send": Meaning(type="email.sent", properties=_MAIL),
            "Delivery": "email.delivered",
            "DeliveryDelay": Meaning(type="email.deferred", properties={**_MAIL, **_REASON}),
            "Bounce": Meaning(
                type="email.bounced",
                properties={
                    **_REASON,
                    "bounce": ValueField(path="bounce.bounceType", table={"Permanent": "hard"}, otherwise="soft"),
                },
            ),
            "Bounce.Suppressed": _DROPPED,
            "Bounce.OnAccountSuppressionList": _DROPPED,
            "Complaint": "email.marked_as_spam",
            "Complaint.OnAccountSuppressionList": _DROPPED,
            "Reject": _DROPPED,
            "Rendering Failure": _DROPPED,
            "RenderingFailure": _DROPPED,
            "Open": "email.opened",
            "Click": Meaning(type="email_link.clicked", properties={"link_url": "click.link"}),
            "Subscription.OptIn": Meaning(type="email.subscribed", properties=_LIST),
            "Subscription.OptOut": Meaning(type="email.unsubscribed", properties=_LIST),
            "Received": Meaning(
                type="email.received",
                identifiers=(
                    IdentifierField(
                        type="email", value=ValueField(path="mail.commonHeaders.from.0|mail.source", read="address")
                    ),
                ),
                properties={**_MAIL, "direction": ValueField(value="inbound")},
            ),
        },
    ),
)
