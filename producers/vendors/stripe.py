"""Stripe: payments, invoices, subscriptions and checkouts. Each event comes alone, and every attempt is signed anew.

Amounts are in minor units. Payments never move an order's money: a shop's own order does. Thin events (`v2.core.event`)
carry only ids, and are kept as custom events.
"""

from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField
from producers.vendors.signing import SignedPairs

_OBJECT: Final = "data.object."


def _at(*names: str) -> str:
    return "|".join(_OBJECT + name for name in names)


def _amount(*names: str) -> dict[str, Field]:
    return {
        "amount": ValueField(path=_at(*names), minor=_at("currency", "plan.currency", "items.data.0.price.currency")),
        "currency": ValueField(path=_at("currency", "plan.currency", "items.data.0.price.currency"), read="upper"),
    }


_PAYMENT: Final[dict[str, Field]] = {
    "payment_id": _at("payment_intent.id", "payment_intent", "id"),
    "document_id": _at("invoice.id", "invoice"),
    "order_id": _at("metadata.order_id", "client_reference_id"),
    "method": _at("payment_method_details.type", "payment_method_types.0"),
}
_FAILURE: Final[dict[str, Field]] = {
    "reason": _at("last_payment_error.code", "failure_code", "last_payment_error.message", "failure_message"),
}
_INVOICE: Final[dict[str, Field]] = {
    "payment_id": _at("payment_intent.id", "payment_intent", "charge", "id"),
    "document_id": _at("id"),
    "due_at": ValueField(path=_at("due_date"), read="text"),
}
_SUBSCRIPTION: Final[dict[str, Field]] = {
    "subscription_id": _at("id"),
    "plan": _at("plan.id", "items.data.0.price.id"),
    "period": _at("plan.interval", "items.data.0.price.recurring.interval"),
    "reason": _at("cancellation_details.reason"),
    **_amount("plan.amount", "items.data.0.price.unit_amount"),
}
_TRAITS: Final[dict[str, Field]] = {
    "email": _at("email"),
    "name": _at("name"),
    "phone": _at("phone"),
    "address": _at("address"),
}
_CUSTOMER: Final = (
    IdentifierField(type="stripe_customer", value=_at("id"), trust="proven"),
    IdentifierField(type="user_id", value=_at("metadata.user_id"), trust="hint"),
)

STRIPE: Final = Connector(
    name="stripe",
    title="Stripe",
    channel="pos",
    verify=SignedPairs("stripe-signature"),
    map=EventMap(
        kind="type",
        id=("{id}",),
        time=TimeField(path="created", unit="s"),
        identifiers=(
            IdentifierField(type="stripe_customer", value=_at("customer.id", "customer"), trust="proven"),
            IdentifierField(
                type="email",
                value=_at(
                    "customer_details.email", "customer_email", "billing_details.email", "receipt_email", "email"
                ),
            ),
            IdentifierField(
                type="phone", value=_at("customer_details.phone", "customer_phone", "billing_details.phone", "phone")
            ),
            IdentifierField(type="user_id", value=_at("client_reference_id"), trust="hint"),
        ),
        cases={
            "payment_intent.succeeded": Meaning(
                type="payment.made", properties={**_PAYMENT, **_amount("amount_received", "amount")}
            ),
            "payment_intent.payment_failed": Meaning(
                type="payment.failed", properties={**_PAYMENT, **_FAILURE, **_amount("amount")}
            ),
            "charge.succeeded": Meaning(type="payment.made", properties={**_PAYMENT, **_amount("amount")}),
            "charge.failed": Meaning(type="payment.failed", properties={**_PAYMENT, **_FAILURE, **_amount("amount")}),
            "charge.refunded": Meaning(
                type="payment.refunded",
                properties={**_PAYMENT, "refund_id": _at("refunds.data.0.id"), **_amount("amount_refunded")},
            ),
            "invoice.paid": Meaning(type="payment.made", properties={**_INVOICE, **_amount("amount_paid")}),
            "invoice.payment_failed": Meaning(
                type="payment.failed", properties={**_INVOICE, **_FAILURE, **_amount("amount_due")}
            ),
            "customer.created": Meaning(type="profile.identified", traits=_TRAITS, identifiers=_CUSTOMER),
            "customer.updated": Meaning(type="profile.identified", traits=_TRAITS, identifiers=_CUSTOMER),
            "customer.subscription.created": Meaning(type="subscription.started", properties=_SUBSCRIPTION),
            "customer.subscription.updated": Meaning(type="subscription.changed", properties=_SUBSCRIPTION),
            "customer.subscription.paused": Meaning(type="subscription.paused", properties=_SUBSCRIPTION),
            "customer.subscription.deleted": Meaning(type="subscription.cancelled", properties=_SUBSCRIPTION),
        },
    ),
)
