"""Square: sales at tills, refunds, customers and loyalty.

The registered address is signed before the body, so the source needs `webhook: {"url": …}` exactly as Square has it,
unless it is `SIMORGH_PUBLIC_URL` with the path. A payment that is completed is the sale. Its order names it, so that
two reports of it count once; of an order that is paid in several parts only the first part counts.
"""

from collections.abc import Sequence
from typing import Final

from producers.vendors.connector import Connector
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, VendorEvent
from producers.vendors.paths import Scope, find
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import Hmac

_OBJECT: Final = "data.object."


def _money(at: str, name: str = "total") -> dict[str, Field]:
    return {name: ValueField(path=f"{at}.amount", minor=f"{at}.currency"), "currency": f"{at}.currency"}


def _of(kind: str, **names: str) -> dict[str, Field]:
    return {name: f"{_OBJECT}{kind}.{path}" for name, path in names.items()}


_PAYMENT: Final = f"{_OBJECT}payment."
_REFUND: Final = f"{_OBJECT}refund."
_SALE: Final[dict[str, Field]] = {
    **_of("payment", payment_id="id", affiliation="location_id", payment_method="source_type"),
    "order_id": f"{_PAYMENT}order_id|{_PAYMENT}id",
    **_money(f"{_PAYMENT}total_money"),
}
_FAILED: Final[dict[str, Field]] = {
    **_of("payment", payment_id="id", order_id="order_id", method="source_type", reason="card_details.errors.0.code"),
    **_money(f"{_PAYMENT}amount_money", "amount"),
}
_BACK: Final[dict[str, Field]] = {
    **_of("refund", refund_id="id", order_id="order_id", payment_id="payment_id", reason="reason"),
    **_money(f"{_REFUND}amount_money"),
}
_CUSTOMER: Final = Meaning(
    type="profile.identified",
    traits=_of(
        "customer",
        first_name="given_name",
        last_name="family_name",
        email="email_address",
        phone="phone_number",
        birthday="birthday",
        address="address",
        company="company_name",
    ),
    time=TimeField(path=f"{_OBJECT}customer.updated_at|created_at"),
)
_LOYALTY: Final = f"{_OBJECT}loyalty_event."
_MOVES: Final = (
    "accumulate_points",
    "accumulate_promotion_points",
    "redeem_reward",
    "adjust_points",
    "expire_points",
)
_POINTS: Final[dict[str, Field]] = {
    "entry_id": f"{_LOYALTY}id",
    "member_id": f"{_LOYALTY}loyalty_account_id",
    "points": "|".join(f"{_LOYALTY}{name}.points" for name in _MOVES),
    "programme": "|".join(f"{_LOYALTY}{name}.loyalty_program_id" for name in _MOVES),
    "order_id": f"{_LOYALTY}accumulate_points.order_id|{_LOYALTY}redeem_reward.order_id",
    "reason": f"{_LOYALTY}adjust_points.reason",
}
_SUBSCRIBED: Final = _of(
    "subscription", subscription_id="id", plan="plan_variation_id", ends_at="charged_through_date", status="status"
)
_INVOICE: Final[dict[str, Field]] = {
    **_of("invoice", document_id="id", order_id="order_id", due_at="payment_requests.0.due_date"),
    "payment_id": f"{_OBJECT}invoice.id",
    **_money(f"{_OBJECT}invoice.payment_requests.0.total_completed_amount_money", "amount"),
}

MAP: Final = EventMap(
    kind=ValueField(
        template=f"{{type}}/{{{_PAYMENT}status|{_REFUND}status|{_LOYALTY}type?}}",
    ),
    id=("{event_id}",),
    time=TimeField(path=f"{_PAYMENT}updated_at|{_REFUND}updated_at|created_at"),
    identifiers=(
        IdentifierField(
            type="square_customer",
            value="|".join(
                _OBJECT + path
                for path in (
                    *("payment.customer_id", "customer.id", "loyalty_account.customer_id"),
                    *("subscription.customer_id", "invoice.primary_recipient.customer_id", "linked_customer_id"),
                )
            ),
            trust="proven",
        ),
        IdentifierField(type="phone", value=f"{_OBJECT}loyalty_account.mapping.phone_number", trust="proven"),
        IdentifierField(type="user_id", value=f"{_OBJECT}customer.reference_id"),
        IdentifierField(
            type="email",
            value=f"{_PAYMENT}buyer_email_address|{_OBJECT}customer.email_address"
            f"|{_OBJECT}invoice.primary_recipient.email_address",
        ),
        IdentifierField(
            type="phone",
            value=f"{_OBJECT}customer.phone_number|{_OBJECT}invoice.primary_recipient.phone_number",
        ),
    ),
    cases={
        "payment.created/COMPLETED": Meaning(type="order.completed", properties=_SALE),
        "payment.updated/COMPLETED": Meaning(type="order.completed", properties=_SALE),
        "payment.updated/FAILED": Meaning(type="payment.failed", properties=_FAILED),
        "payment.created/FAILED": Meaning(type="payment.failed", properties=_FAILED),
        "refund.created/COMPLETED": Meaning(type="order.refunded", properties=_BACK, id=("refund:{data.id}",)),
        "refund.updated/COMPLETED": Meaning(type="order.refunded", properties=_BACK, id=("refund:{data.id}",)),
        "customer.created/": _CUSTOMER,
        "customer.updated/": _CUSTOMER,
        "loyalty.account.created/": Meaning(
            type="loyalty.joined", properties=_of("loyalty_account", member_id="id", programme="program_id")
        ),
        "loyalty.account.deleted/": Meaning(
            type="loyalty.left", properties=_of("loyalty_account", member_id="id", programme="program_id")
        ),
        "loyalty.event.created/ACCUMULATE_POINTS": Meaning(type="points.earned", properties=_POINTS),
        "loyalty.event.created/ACCUMULATE_PROMOTION_POINTS": Meaning(type="points.earned", properties=_POINTS),
        "loyalty.event.created/REDEEM_REWARD": Meaning(type="points.redeemed", properties=_POINTS),
        "loyalty.event.created/EXPIRE_POINTS": Meaning(type="points.expired", properties=_POINTS),
        "loyalty.event.created/ADJUST_POINTS": Meaning(type="points.corrected", properties=_POINTS),
        "subscription.created/": Meaning(type="subscription.started", properties=_SUBSCRIBED),
        "subscription.updated/": Meaning(type="subscription.changed", properties=_SUBSCRIBED),
        "invoice.payment_made/": Meaning(type="payment.made", properties=_INVOICE),
    },
)


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    """Where Square merged customers, their ids are one person's."""
    events = MAP.read(item, request, vendor="square")
    merged = find(f"{_OBJECT}event_context.merge.from_customer_ids", Scope(item, request))
    former = [("square_customer", one) for one in merged if isinstance(one, str)] if isinstance(merged, list) else []
    for event in events:
        event.name = event.name.rstrip("/")
        event.identifiers = [*event.identifiers, *former[:100]]
    return events


SQUARE: Final = Connector(
    name="square",
    title="Square",
    channel="pos",
    verify=Hmac("x-square-hmacsha256-signature", signed="{url}{body}"),
    secrets={SIGNING: "the subscription's signature key"},
    map=MAP,
    read=read,
)
