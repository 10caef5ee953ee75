"""SIMULATED: what the customers do in their mail, in chats, at the help desk, on the telephone and in surveys.

Each is said as the vendor's webhook says it: SendGrid (newsletters), Intercom and WhatsApp (chats), Zendesk (tickets),
Twilio (calls), Typeform (surveys). Only the till and the web know loyalty cards and browsers; these know an address, a
number, or an id of their own, and the platform has to find out who that is.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import orjson

from schemas.clock import iso
from simorgh.demo.people import Person

SITE: Final = "https://shop.example.com"
BATCH: Final = 100
"""Events of a request, where vendors send several at once."""

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_CAMPAIGNS: Final = 12
_CAMPAIGN_EVERY: Final = 14 * _DAY
_SHOP_PHONE: Final = "+442079460000"
_SHOP_NUMBER_ID: Final = "106540352242922"
_QUESTIONS: Final = ("Is the lantern in stock?", "Do you gift-wrap?", "When does my parcel come?", "Can I pay later?")
_ANSWERS: Final = ("Yes, of course.", "Let me look that up.", "It will be with you tomorrow.", "I am afraid not.")
_TROUBLES: Final = ("My order is late", "A mug arrived broken", "Wrong item in the parcel", "I was charged twice")

Json = dict[str, Any]


class DemoRequest(NamedTuple):
    """One request to the collector. `vendor`: whose webhook it is; "": a batch as Segment's SDKs send it. `events`: how
    many are in it."""

    vendor: str
    body: bytes
    events: int
    content_type: str = "application/json"


class Notice(NamedTuple):
    """One event as its vendor says it. `time`: when it happened, in ms."""

    vendor: str
    time: int
    content: Json


def notices(person: Person, now: int) -> list[Notice]:
    """All that the vendors say of a person. Nothing lies after `now` (ms)."""
    return [
        *_emails(person, now),
        *_chats(person, now),
        *_tickets(person, now),
        *_calls(person, now),
        *_surveys(person, now),
    ]


def requests(said: Iterable[Notice]) -> Iterator[DemoRequest]:
    """As the vendors post it, in the order of time within each vendor."""
    by_vendor: dict[str, list[Json]] = {}
    for notice in sorted(said, key=lambda one: (one.vendor, one.time, orjson.dumps(one.content))):
        by_vendor.setdefault(notice.vendor, []).append(notice.content)
    for vendor, contents in by_vendor.items():
        size = BATCH if vendor in ("sendgrid", "whatsapp") else 1
        for start in range(0, len(contents), size):
            yield _request(vendor, contents[start : start + size])


def _request(vendor: str, contents: list[Json]) -> DemoRequest:
    if vendor == "sendgrid":
        return DemoRequest(vendor, orjson.dumps(contents), len(contents))
    if vendor == "whatsapp":
        entry = {"id": "102290129340398", "changes": contents}
        return DemoRequest(
            vendor, orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]}), len(contents)
        )
    if vendor == "twilio":
        return DemoRequest(vendor, urlencode(contents[0]).encode(), 1, "application/x-www-form-urlencoded")
    return DemoRequest(vendor, orjson.dumps(contents[0]), 1)


# --- Newsletters: SendGrid knows the address


def _emails(person: Person, now: int) -> Iterator[Notice]:
    if not person.wants_email:
        return
    random = person.random
    for back in range(_CAMPAIGNS, 0, -1):
        sent = now - back * _CAMPAIGN_EVERY
        letter = {
            "email": person.email if random.random() < 0.9 else person.email.title(),  # as some mail servers write it
            "sg_message_id": f"newsletter-{_CAMPAIGNS - back + 1}.{person.card}.recvd",
            "singlesend_id": f"newsletter-{_CAMPAIGNS - back + 1}",
            "singlesend_name": "What is new in the shop",
        }
        yield _of_email(person, "delivered", sent + random.randint(0, _HOUR), letter)
        if random.random() < person.keenness:
            opened = sent + random.randint(_HOUR, 3 * _DAY)
            yield _of_email(person, "open", opened, letter)
            if random.random() < 0.35:
                yield _of_email(person, "click", opened + 20_000, {**letter, "url": f"{SITE}/new"})


def _of_email(person: Person, event: str, time: int, letter: Json) -> Notice:
    content = {**letter, "event": event, "timestamp": time // 1000, "sg_event_id": person.next_id()}
    return Notice("sendgrid", time, content)


# --- Chats: WhatsApp knows the number, Intercom's messenger who is signed in


def _chats(person: Person, now: int) -> Iterator[Notice]:
    """One in eight asks something."""
    random = person.random
    if random.random() > 0.125:
        return
    person.channels.add("chat")
    start = now - random.randint(_DAY, 120 * _DAY)
    by_phone = bool(person.phone) and random.random() < 0.6
    turns = [
        (who, random.choice(texts))
        for _ in range(random.randint(1, 2))
        for who, texts in (("customer", _QUESTIONS), ("agent", _ANSWERS))
    ]
    if by_phone:
        for number, (who, text) in enumerate(turns):
            yield _whatsapp(person, start + number * 45_000, text if who == "customer" else None)
        return
    agent = str(random.randint(1, 6))
    topics = {"customer": "conversation.user.replied", "agent": "conversation.admin.replied"}
    for number, (who, text) in enumerate(turns):
        topic = topics[who] if number else "conversation.user.created"
        yield _intercom(person, start + number * 45_000, topic, agent, text)
    yield _intercom(person, start + len(turns) * 45_000, "conversation.admin.closed", agent, None)


def _whatsapp(person: Person, time: int, text: str | None) -> Notice:
    """What the customer wrote; or, without a text, that the shop's answer was sent."""
    number, id = person.phone.removeprefix("+"), f"wamid.{person.next_id()}"
    said: Json = {"id": id, "timestamp": str(time // 1000)}
    about = {"display_phone_number": _SHOP_PHONE, "phone_number_id": _SHOP_NUMBER_ID}
    value: Json = {"messaging_product": "whatsapp", "metadata": about}
    if text is None:
        value["statuses"] = [{**said, "recipient_id": number, "status": "sent"}]
    else:
        value["messages"] = [{**said, "from": number, "type": "text", "text": {"body": text}}]
    return Notice("whatsapp", time, {"field": "messages", "value": value})


def _intercom(person: Person, time: int, topic: str, agent: str, text: str | None) -> Notice:
    contact = {
        "type": "user",
        "id": md5(person.card.encode(), usedforsecurity=False).hexdigest()[:24],
        "user_id": person.user_id,
        "email": person.email,
    }
    part = {"type": "conversation_part", "id": person.next_id(), "body": text and f"<p>{text}</p>"}
    item = {
        "type": "conversation",
        "id": f"chat-{person.card}",
        "user": contact,
        "assignee": {"type": "admin", "id": agent},
        "conversation_parts": {"type": "conversation_part.list", "conversation_parts": [part]},
    }
    content = {
        "type": "notification_event",
        "id": f"notif_{person.next_id()}",
        "topic": topic,
        "created_at": time // 1000,
        "data": {"type": "notification_event_data", "item": item},
    }
    return Notice("intercom", time, content)


# --- Tickets: Zendesk has ids of its own, and says once whose they are


def _tickets(person: Person, now: int) -> Iterator[Notice]:
    """One in ten has trouble with an order. Most of it is solved."""
    random = person.random
    if random.random() > 0.1:
        return
    person.channels.add("ticket")
    start, requester = now - random.randint(4 * _DAY, 90 * _DAY), f"84470{person.card}"
    who = {"id": requester, "email": person.email, "external_id": person.user_id, "name": person.name}
    yield _zendesk(person, start, "user.created", f"zen:user:{requester}", who, {})
    ticket: Json = {
        "id": f"5{person.card}",
        "requester_id": requester,
        "subject": random.choice(_TROUBLES),
        "status": "OPEN",
        "priority": random.choice(("NORMAL", "NORMAL", "HIGH")),
        "type": "PROBLEM",
        "via": {"channel": "web_service"},
    }
    about = f"zen:ticket:{ticket['id']}"
    yield _zendesk(person, start + 1000, "ticket.created", about, ticket, {})
    answered = start + random.randint(_HOUR, _DAY)
    comment = {"body": "We are looking into it.", "is_public": True, "author": {"id": "8447388090495"}}
    yield _zendesk(person, answered, "ticket.comment_added", about, ticket, {"comment": comment})
    if random.random() < 0.8:
        change = {"current": "SOLVED", "previous": "OPEN"}
        solved = answered + random.randint(_HOUR, 2 * _DAY)
        yield _zendesk(person, solved, "ticket.status_changed", about, {**ticket, "status": "SOLVED"}, change)


def _zendesk(person: Person, time: int, kind: str, subject: str, detail: Json, event: Json) -> Notice:
    content = {
        "id": person.next_id(),
        "type": f"zen:event-type:{kind}",
        "subject": subject,
        "time": iso(time),
        "detail": detail,
        "event": event,
        "zendesk_event_version": "2022-11-06",
    }
    return Notice("zendesk", time, content)


# --- Calls: Twilio knows the number that the shop rang


def _calls(person: Person, now: int) -> Iterator[Notice]:
    """Of those with a number one in four is rung about a delivery; one in three of them is out."""
    random = person.random
    if not person.phone or random.random() > 0.25:
        return
    person.channels.add("call")
    start, call = now - random.randint(_DAY, 60 * _DAY), f"CA{person.next_id()}"
    yield _twilio(person, start, call, 0, "ringing")
    if random.random() < 0.35:
        yield _twilio(person, start + 30_000, call, 1, "no-answer")
        return
    seconds = random.randint(20, 400)
    yield _twilio(person, start + 12_000, call, 1, "in-progress")
    yield _twilio(person, start + 12_000 + seconds * 1000, call, 2, "completed", CallDuration=str(seconds))


def _twilio(person: Person, time: int, call: str, number: int, status: str, **more: str) -> Notice:
    content = {
        "CallSid": call,
        "CallStatus": status,
        "Direction": "outbound-api",
        "From": _SHOP_PHONE,
        "To": person.phone,
        "SequenceNumber": str(number),
        "Timestamp": format_datetime(datetime.fromtimestamp(time // 1000, UTC)),
        **more,
    }
    return Notice("twilio", time, content)


# --- Surveys: Typeform knows the address that was typed


def _surveys(person: Person, now: int) -> Iterator[Notice]:
    """One in eight says, some days after the last purchase, whether they would recommend the shop."""
    random = person.random
    if random.random() > 0.125:
        return
    person.channels.add("survey")
    time = min(person.purchases[-1].time + random.randint(2, 9) * _DAY, now - _HOUR)
    score = min(10, max(0, round(random.gauss(6 + 4 * person.keenness, 2))))
    answers = [
        {"type": "number", "number": score, "field": {"id": "q1", "ref": "recommend", "type": "nps"}},
        {"type": "email", "email": person.email, "field": {"id": "q2", "ref": "address", "type": "email"}},
    ]
    response = {
        "form_id": "lT4Z3j",
        "token": person.next_id(),
        "submitted_at": iso(time),
        "definition": {"id": "lT4Z3j", "title": "Would you recommend us?"},
        "answers": answers,
    }
    content = {"event_id": person.next_id(), "event_type": "form_response", "form_response": response}
    yield Notice("typeform", time, content)
