"""WooCommerce: orders and customers of a shop. Nothing is sent twice, and a webhook that fails often is turned off.

The body is the object as it is at delivery, so one order comes in several states, and each time with all its refunds.
Every fact of an order has an id of its own: the delivery that shows it first tells it. `*_gmt` is UTC without a mark.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from typing import Final

import orjson

from producers.vendors.connector import Connector, parsed
from producers.vendors.mapping import EventMap, Field, IdentifierField, Meaning, TimeField, ValueField, digest_of
from producers.vendors.paths import as_text
from producers.vendors.request import SIGNING, Reply, Secrets, VendorRequest
from producers.vendors.signing import Hmac
from schemas.errors import Unmappable

_TOPIC: Final = "x-wc-webhook-topic"
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,19}")
_CHANGES: Final = ("order.created", "order.updated", "order.restored")
_FACTS: Final = {
    "pending": "checkout",
    "checkout-draft": "checkout",
    "processing": "placed",
    "on-hold": "placed",
    "completed": "placed",
    "refunded": "placed",
    "cancelled": "cancelled",
    "failed": "failed",
}
"""Status of an order -> what it says has happened."""


def key(secret: str) -> bytes:
    """WordPress keeps `&` as `&amp;`, and signs with the text that is meant."""
    return unescape(secret).encode()


def greet(request: VendorRequest, secrets: Secrets) -> Reply | None:
    """What is sent when the webhook is saved: unsigned, and nothing is in it."""
    is_ping = request.headers.get(_TOPIC) is None and _PING.fullmatch(request.body) is not None
    return Reply() if is_ping else None


def items(request: VendorRequest) -> Sequence[object]:
    """[{kind, id, of: the shop's object, refund: one of the order's}]"""
    topic, of = request.headers.get(_TOPIC) or "", parsed(request)
    if not topic or not isinstance(of, dict):
        raise Unmappable("body: wanted an object and its topic, got something else; see the rejected event")
    change = {"kind": topic, "id": digest_of(topic + orjson.dumps(of).decode()), "of": of}
    if topic not in _CHANGES:
        return [change]
    facts = [{"kind": kind, "id": id, "of": of, **more} for kind, id, more in _facts(of)]
    return facts if facts and topic == "order.created" else [*facts, change]


def _facts(order: Mapping[str, object]) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """(kind, id, more): what an order's state says, the same at each delivery that shows it."""
    status, id, refunds = order.get("status"), as_text(order.get("id")), order.get("refunds")
    fact = _FACTS.get(status) if isinstance(status, str) else None
    if fact is not None:
        yield fact, f"order:{id}:{fact}", {}
    known = [one for one in refunds if isinstance(one, dict) and one.get("id")] if isinstance(refunds, list) else []
    for one in known:
        amount = (as_text(one.get("total")) or "").removeprefix("-")
        yield "refund", f"refund:{as_text(one['id'])}", {"refund": one, "refunded": amount}
    if status == "refunded" and not known:
        yield "refund", f"order:{id}:refunded", {"refunded": order.get("total")}


def _gmt(name: str) -> TimeField:
    return TimeField(path=f"of.{name}_gmt", zone="UTC")


def _text(path: str) -> Field:
    return ValueField(path=path, read="text")


def _number(path: str) -> Field:
    return ValueField(path=path, read="number")


_WHO: Final = (
    IdentifierField(
        type="woocommerce_customer",
        value=ValueField(path="of.customer_id", matches="[1-9][0-9]*"),  # 0 is a guest
        trust="proven",
    ),
    IdentifierField(type="email", value="of.billing.email"),
    IdentifierField(type="phone", value="of.billing.phone"),
)
_ORDER: Final[dict[str, Field]] = {
    "order_id": _text("of.id"),
    "total": _number("of.total"),
    "shipping": _number("of.shipping_total"),
    "tax": _number("of.total_tax"),
    "discount": _number("of.discount_total"),
    "coupon": "of.coupon_lines.0.code",
    "currency": "of.currency",
    "products": ValueField(
        path="of.line_items",
        each={
            "product_id": ValueField(path="product_id", read="text"),
            "variant": ValueField(path="variation_id", matches="[1-9][0-9]*"),
            "sku": "sku",
            "name": "name",
            "price": ValueField(path="price", read="number"),
            "quantity": "quantity",
        },
    ),
}


def _order(type: str, time: str, **more: Field) -> Meaning:
    return Meaning(type=type, properties={**_ORDER, **more}, identifiers=_WHO, time=_gmt(time))


def _account(type: str, time: str = "date_modified") -> Meaning:
    return Meaning(
        type=type,
        traits={
            "email": "of.email",
            "first_name": "of.first_name|of.billing.first_name",
            "last_name": "of.last_name|of.billing.last_name",
            "phone": "of.billing.phone",
        },
        identifiers=(
            IdentifierField(type="woocommerce_customer", value=_text("of.id"), trust="proven"),
            IdentifierField(type="email", value="of.email"),
        ),
        time=_gmt(time),
    )


def _thing(kind: str) -> Meaning:
    """What is nobody's: the shop knows the rest of it."""
    thing, verb = kind.split(".")
    fields: dict[str, Field] = {f"{thing}_id": _text("of.id"), "name": "of.name|of.code"}
    return Meaning(type=f"custom.woocommerce_{thing}_{verb}", properties=fields)


MAP: Final = EventMap(
    kind="kind",
    id=("{id}",),
    rest="of",
    time=_gmt("date_modified"),
    cases={
        "checkout": _order("checkout.started", "date_created", checkout_id=_text("of.id")),
        "placed": _order("order.completed", "date_created"),
        "cancelled": _order("order.cancelled", "date_modified"),
        "failed": Meaning(
            type="payment.failed",
            identifiers=_WHO,
            properties={
                "order_id": _text("of.id"),
                "payment_id": "of.transaction_id",
                "amount": _number("of.total"),
                "currency": "of.currency",
                "method": "of.payment_method",
            },
        ),
        "refund": Meaning(
            type="order.refunded",
            identifiers=_WHO,
            properties={
                "order_id": _text("of.id"),
                "refund_id": _text("refund.id"),
                "total": _number("refunded"),
                "currency": "of.currency",
                "reason": "refund.reason",
            },
        ),
        **{kind: _order("order.updated", "date_modified", status="of.status") for kind in _CHANGES},
        "customer.created": _account("user.signed_up", "date_created"),
        "customer.updated": _account("profile.identified"),
        "customer.restored": _account("profile.identified"),
        "customer.deleted": _account("custom.woocommerce_customer_deleted"),
        **{
            kind: _thing(kind)
            for kind in (
                "order.deleted",
                *(f"{thing}.{verb}" for thing in ("product", "coupon") for verb in ("created", "updated")),
                *(f"{thing}.{verb}" for thing in ("product", "coupon") for verb in ("deleted", "restored")),
            )
        },
    },
)

WOOCOMMERCE: Final = Connector(
    name="woocommerce",
    title="WooCommerce",
    channel="web",
    verify=Hmac("x-wc-webhook-signature", key=key),
    secrets={SIGNING: "the webhook's secret"},
    map=MAP,
    greet=greet,
    items=items,
    keeps=(_TOPIC,),
)
