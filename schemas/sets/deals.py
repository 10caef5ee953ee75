"""Deals, quotes and invoices: what sellers negotiate, and what is billed.

An invoice asks for money, an order is what was bought: `invoice.*` never counts as revenue, `order.completed` does.
"""

from typing import Final

from schemas.fields import CURRENCY, EventRow, EventSet, date, fact, identifier, money, number, text

_AMOUNT: Final = (
    fact(money("amount", "Amount, in `currency`.")),
    CURRENCY,
)
_ACCOUNT: Final = fact(identifier("account_id", "Id of the organisation that it is about."))
_DEAL: Final = (
    identifier("deal_id", "Id of the deal."),
    _ACCOUNT,
    fact(text("pipeline", "Pipeline that the deal goes through.")),
    fact(text("stage", "Stage that it has reached, in the company's own words.")),
    *_AMOUNT,
    fact(number("probability", "Probability of winning it, from 0 to 1.", at_least=0)),
    fact(date("close_date", "Day on which it should be closed.")),
    fact(identifier("owner", "Seller in charge.")),
    fact(text("reason", "Why it was won or lost.")),
    fact(text("competitor", "The provider that it was lost to, or nearly.")),
    fact(text("region", "Region that it belongs to.")),
)


def _deal(verb: str, name: str, description: str, *, key: str | None = None) -> EventRow:
    return EventRow(f"deal.{verb}", name, description, _DEAL, business_key=key)


DEALS: Final = EventSet(
    name="deals",
    title="Deals",
    about="Opportunities that sellers work on, from the first talk to won or lost.",
    events=(
        _deal("created", "Deal Created", "A seller began to work on a deal.", key="deal_id"),
        _deal("stage_changed", "Deal Stage Changed", "The deal reached another stage."),
        _deal("won", "Deal Won", "The customer agreed."),
        _deal("lost", "Deal Lost", "The customer declined."),
        _deal("reopened", "Deal Reopened", "A closed deal was opened again."),
    ),
)

_DOCUMENT: Final = (
    identifier("document_id", "Id of the document."),
    identifier("deal_id", "Id of the deal."),
    identifier("order_id", "Id of the order."),
    _ACCOUNT,
    *_AMOUNT,
    fact(date("due_at", "When it is due, or until when it is valid.")),
    fact(text("method", "Means of payment, such as card, cash or transfer.")),
    fact(text("reason", "Reason given by either side.")),
)


def _document(type_: str, name: str, description: str, *, key: str | None = None) -> EventRow:
    return EventRow(type_, name, description, _DOCUMENT, business_key=key)


DOCUMENTS: Final = EventSet(
    name="documents",
    title="Quotes and invoices",
    about="Documents about money that is offered or asked for. Revenue is counted by `order.completed` only.",
    events=(
        _document("quote.sent", "Quote Sent", "The company sent a quote.", key="document_id"),
        _document("quote.accepted", "Quote Accepted", "The customer accepted the quote."),
        _document("quote.rejected", "Quote Rejected", "The customer rejected the quote."),
        _document("invoice.issued", "Invoice Issued", "The company sent an invoice.", key="document_id"),
        _document("invoice.paid", "Invoice Paid", "The invoice was paid."),
        _document("invoice.overdue", "Invoice Overdue", "The invoice was not paid in time."),
        _document("invoice.void", "Invoice Void", "The invoice was taken back."),
    ),
)
