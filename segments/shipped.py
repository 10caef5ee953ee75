"""Computed traits that many want, ready to be declared under their names (`simorgh traits add`). Data only.

None is on unless somebody declares it, and each costs nothing where its events do not occur.
"""

from collections.abc import Mapping
from typing import Any, Final

_BOUGHT: Final = "order.completed"
_HEARD_OF: Final = [
    "page.viewed", "screen.viewed", "product.viewed", "email.opened", "email_link.clicked", "sms.clicked",
    "sms.received", "call.answered", "call.ended", "live_chat_conversation.started", "live_chat_message.sent",
    "order.completed",
]  # fmt: skip
_SPOKEN_WITH: Final = [
    "call.answered", "call.ended", "email.sent", "email.received", "sms.sent", "sms.received",
    "live_chat_message.sent", "live_chat_message.received", "ticket.replied",
]  # fmt: skip
_CATEGORY: Final = "products.category"
_SEEN_FROM: Final = ["page.viewed", "screen.viewed", "order.completed"]
_TICKETS: Final = ["ticket.opened", "ticket.reopened", "ticket.solved", "ticket.closed"]


def _answer(kind: str) -> Mapping[str, Any]:
    asked = [{"property": "kind", "eq": kind}]
    return {"event": "survey.answered", "where": asked, "take": "last", "of": "score"}


def _points(verb: str) -> Mapping[str, Any]:
    return {"event": f"points.{verb}", "take": "sum", "of": "points"}


ZONED: Final = frozenset({"usual_gap", "lifecycle", "preferred_hour"})
"""Those that depend on a time zone."""

SHIPPED: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "lifecycle": ("Stage of the life cycle", {"event": _BOUGHT, "take": "lifecycle"}),
    "usual_gap": ("Usual gap between orders, in days", {"event": _BOUGHT, "take": "usual_gap"}),
    "preferred_channel": ("Channel used most", {"event": _HEARD_OF, "take": "most_frequent", "of": "$channel"}),
    "preferred_hour": (
        "Hour when most active",
        {"event": _HEARD_OF, "take": "most_frequent", "of": "$hour"},
    ),
    "preferred_category": (
        "Category bought most",
        {"event": _BOUGHT, "take": "most_frequent", "of": _CATEGORY},
    ),
    "preferred_brand": ("Brand bought most", {"event": _BOUGHT, "take": "most_frequent", "of": "products.brand"}),
    "products_bought": ("Products bought", {"event": _BOUGHT, "take": "unique", "of": "products.product_id"}),
    "first_source": ("First source", {"event": _SEEN_FROM, "take": "first", "of": "context.campaign.source"}),
    "last_source": ("Latest source", {"event": _SEEN_FROM, "take": "last", "of": "context.campaign.source"}),
    "loyalty_balance": (
        "Balance of points",
        {"add": [_points("earned"), _points("corrected")], "subtract": [_points("redeemed"), _points("expired")]},
    ),
    "open_tickets": (
        "Tickets that are open",
        {"event": _TICKETS, "take": "open", "of": "ticket_id", "opens": ["ticket.opened", "ticket.reopened"]},
    ),
    "last_contact": ("Latest contact", {"event": _SPOKEN_WITH, "take": "last", "of": "$time"}),
    "last_contact_by": ("By whom the latest contact was", {"event": _SPOKEN_WITH, "take": "last", "of": "agent_id"}),
    "last_nps": ("Latest answer to NPS", _answer("nps")),
    "last_csat": ("Latest answer to CSAT", _answer("csat")),
}
"""Name -> title, and what it is made of."""
