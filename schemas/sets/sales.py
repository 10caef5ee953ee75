"""Leads, payments, subscriptions and loyalty.

A payment is money that moves; an order is what was bought. `payment.*` never counts as an order's revenue or refund:
`order.completed` and `order.refunded` do.
"""

from typing import Final

from schemas.fields import CURRENCY, EventRow, EventSet, date, fact, identifier, money, number, personal, text

_AMOUNT: Final = (
    fact(money("amount", "Amount, in `currency`.")),
    CURRENCY,
)
_REASON: Final = fact(text("reason", "Reason given by the vendor or the customer."))
_LEAD: Final = (
    identifier("lead_id", "Id of the lead."),
    fact(text("source", "Where the lead came from, such as a form, a fair or an advertisement.")),
    fact(identifier("campaign_id", "Id of the campaign.")),
    identifier("form_id", "Id of the form."),
    identifier("ad_id", "Id of the advertisement."),
    fact(identifier("owner", "Seller in charge.")),
    _REASON,
    fact(money("value", "Expected value, in `currency`.")),
    CURRENCY,
)


def _lead(verb: str, name: str, description: str, *, key: str | None = None) -> EventRow:
    return EventRow(f"lead.{verb}", name, description, _LEAD, business_key=key)


LEADS: Final = EventSet(
    name="leads",
    title="Leads",
    about="People who may become customers, and what sellers do about them.",
    events=(
        _lead(
            "created", "Lead Created", "Somebody showed interest: filled in a form, asked, left a card.", key="lead_id"
        ),
        _lead("assigned", "Lead Assigned", "The lead was assigned to a seller."),
        _lead("contacted", "Lead Contacted", "A seller spoke or wrote to the lead."),
        _lead("qualified", "Lead Qualified", "A seller considers the lead a likely customer."),
        _lead("disqualified", "Lead Disqualified", "A seller gave up on the lead."),
        _lead("converted", "Lead Converted", "The lead became a customer.", key="lead_id"),
    ),
)

_PAYMENT: Final = (
    identifier("payment_id", "Id of the payment."),
    identifier("document_id", "Id of the invoice that is paid."),
    identifier("order_id", "Id of the order that is paid."),
    *_AMOUNT,
    date("due_at", "When it was due."),
    fact(text("method", "Means of payment, such as card, cash or transfer.")),
    _REASON,
)

PAYMENTS: Final = EventSet(
    name="payments",
    title="Payments",
    about="Money that was paid or refunded, or not. Orders are counted by `order.completed` and `order.refunded` only.",
    events=(
        EventRow("payment.made", "Payment Made", "A customer paid.", _PAYMENT, business_key="payment_id"),
        EventRow("payment.failed", "Payment Failed", "A payment did not go through.", _PAYMENT),
        EventRow(
            "payment.refunded",
            "Payment Refunded",
            "A payment was refunded, in full or in part.",
            (*_PAYMENT, identifier("refund_id", "Id of the refund.")),
            business_key="refund_id",
        ),
    ),
)

_SUBSCRIPTION: Final = (
    identifier("subscription_id", "Id of the subscription."),
    fact(identifier("plan", "Name or id of the plan.")),
    *_AMOUNT,
    fact(text("period", "How often it is paid, such as month or year.")),
    _REASON,
    fact(text("competitor", "The provider that the customer switches to.")),
    date("ends_at", "When it ends or renews."),
)

SUBSCRIPTIONS: Final = EventSet(
    name="subscriptions",
    title="Subscriptions",
    about="Products that are paid for at regular intervals.",
    events=(
        EventRow(
            "subscription.started",
            "Subscription Started",
            "A subscription began.",
            _SUBSCRIPTION,
            business_key="subscription_id",
        ),
        EventRow("subscription.renewed", "Subscription Renewed", "A subscription was renewed.", _SUBSCRIPTION),
        EventRow(
            "subscription.changed",
            "Subscription Changed",
            "The plan or price of a subscription changed.",
            _SUBSCRIPTION,
        ),
        EventRow("subscription.paused", "Subscription Paused", "A subscription was paused.", _SUBSCRIPTION),
        EventRow(
            "subscription.cancelled", "Subscription Cancelled", "A subscription ended, or will end.", _SUBSCRIPTION
        ),
    ),
)

_PROGRAMME: Final = (
    fact(identifier("programme", "Name or id of the loyalty programme.")),
    personal(identifier("member_id", "Number of the card or account.")),
)
_POINTS: Final = (
    *_PROGRAMME,
    identifier("entry_id", "Id of the booking of points."),
    fact(number("points", "Number of points.")),
    identifier("lot_id", "Id of the lot that the points belong to."),
    date("expires_at", "When they expire."),
    identifier("order_id", "Id of the order."),
    _REASON,
)
_VOUCHER: Final = (
    *_PROGRAMME,
    identifier("voucher_id", "Id of the voucher."),
    *_AMOUNT,
    date("expires_at", "When it expires."),
    identifier("order_id", "Id of the order."),
)


def _points(verb: str, name: str, description: str) -> EventRow:
    return EventRow(f"points.{verb}", name, description, _POINTS, business_key="entry_id")


LOYALTY: Final = EventSet(
    name="loyalty",
    title="Loyalty",
    about="Programmes, their points, vouchers and tiers.",
    events=(
        EventRow("loyalty.joined", "Loyalty Joined", "A customer joined a programme.", _PROGRAMME),
        EventRow("loyalty.left", "Loyalty Left", "A customer left a programme.", (*_PROGRAMME, _REASON)),
        _points("earned", "Points Earned", "Points were credited."),
        _points("redeemed", "Points Redeemed", "Points were spent."),
        _points("expired", "Points Expired", "Points expired."),
        _points(
            "corrected", "Points Corrected", "Somebody corrected a balance; the number is negative if it decreased."
        ),
        EventRow(
            "voucher.issued", "Voucher Issued", "A customer was given a voucher.", _VOUCHER, business_key="voucher_id"
        ),
        EventRow("voucher.redeemed", "Voucher Redeemed", "A customer used a voucher.", _VOUCHER),
        EventRow(
            "tier.changed",
            "Tier Changed",
            "A customer moved to another tier.",
            (*_PROGRAMME, fact(text("tier", "The new tier.")), fact(text("former_tier", "The tier until now."))),
        ),
    ),
)
