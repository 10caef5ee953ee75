"""One meaning, one type: no two types of the contract say the same, however vendors call it."""

from collections import defaultdict

from producers.money import FIELDS
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.mapping import Meaning
from schemas.catalog import Catalog
from schemas.custom import PREFIX
from schemas.sets import ALL

EVENTS = {event.type: event for table in ALL for event in table.events}

SAME_OBJECTS = {
    "message": "live_chat_message",
    "chat": "live_chat_message",
    "direct_message": "live_chat_message",
    "conversation": "live_chat_conversation",
    "feedback": "survey",
    "survey_response": "survey",
    "nps": "survey",
    "csat": "survey",
    "review": "product",
    "sale": "order",
    "purchase": "order",
    "commerce": "order",
    "billing": "payment",
    "charge": "payment",
    "person": "profile",
    "identity": "profile",
    "web": "page",
    "sms_link": "sms",
    "opt_in": "consent",
    "case": "ticket",
    "comment": "social",
}
SAME_VERBS = {
    "complained": "marked_as_spam",
    "created": "started",
    "opened": "started",
    "submitted": "started",
    "paid": "made",
    "succeeded": "made",
    "posted": "answered",
    "reviewed": "answered",
    "responded": "answered",
    "canceled": "cancelled",
    "resolved": "solved",
    "messaged": "sent",
    "granted": "given",
    "revoked": "withdrawn",
    "denied": "withdrawn",
    "ended": "completed",
    "finished": "completed",
    "returned": "refunded",
    "resubscribed": "subscribed",
}


def meaning(type: str) -> tuple[str, str]:
    """Object and verb, each by one word of those that mean the same."""
    object, _, verb = type.partition(".")
    return SAME_OBJECTS.get(object, object), SAME_VERBS.get(verb, verb)


def test_no_two_types_have_one_meaning() -> None:
    found = defaultdict(list)
    for type in EVENTS:
        found[meaning(type)].append(type)
    assert {key: types for key, types in found.items() if len(types) > 1} == {}


def test_no_two_types_are_described_alike() -> None:
    found = defaultdict(set)
    for event in EVENTS.values():
        found[event.description].add(event.type)
    assert {text: types for text, types in found.items() if len(types) > 1} == {}


def test_names_that_only_describe_are_no_types() -> None:
    for type in (
        *("email.clicked", "email.complained", "chat.message_received", "feedback.nps", "feedback.csat"),
        *("review.posted", "social.messaged", "sms_link.clicked", "lead.submitted", "pos.sale_completed"),
        *("commerce.order_created", "identity.identified", "survey_response.completed", "channel.blocked"),
    ):
        assert Catalog.load().by_type(type) is None, type


def test_only_orders_move_money() -> None:
    assert set(FIELDS) == {"order.completed", "order.updated", "order.refunded"}
    assert not any(type.startswith("payment.") for type in FIELDS)


def test_connectors_use_types_of_the_contract() -> None:
    for connector in CONNECTORS.values():
        for kind, case in connector.map.cases.items():
            type = case.type if isinstance(case, Meaning) else case
            assert type in EVENTS or type.startswith(PREFIX), f"{connector.name}, {kind}: {type}"
