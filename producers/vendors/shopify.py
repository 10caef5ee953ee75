"""Shopify: orders, refunds, checkouts and customers; and the three privacy webhooks that every app must answer.

The topic and the delivery's id stand in headers, with `X-` before their names or, lately, without. The address of an
order is proven only if the customer's account is enabled and the address verified: any other is what somebody typed.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from producers.vendors.connector import Connector, PrivacyRequest, json_of
from producers.vendors.mapping import (
    EventMap,
    Field,
    IdentifierField,
    Meaning,
    TimeField,
    ValueField,
    VendorEvent,
    digest_of,
)
from producers.vendors.paths import Scope, as_text, find
from producers.vendors.request import SIGNING, VendorRequest
from producers.vendors.signing import Hmac
from schemas.digits import exact_number
from schemas.errors import Unmappable

_TOPIC: Final = "header:x-shopify-topic|header:shopify-topic"
_DELIVERY: Final = "{header:x-shopify-webhook-id|header:shopify-webhook-id}"
_CHANNELS: Final = {"pos": "pos", "web": "web", "iphone": "pos", "android": "pos"}

_PRODUCTS: Final[dict[str, Field]] = {
    "product_id": "product_id",
    "sku": "sku",
    "name": "title|name",
    "variant": "variant_title",
    "brand": "vendor",
    "price": ValueField(path="price", read="number"),
    "quantity": ValueField(path="quantity", read="number"),
}
_ORDER: Final[dict[str, Field]] = {
    "order_id": "id",
    "order_name": "name",
    "total": ValueField(path="total_price", read="number"),
    "subtotal": ValueField(path="subtotal_price", read="number"),
    "tax": ValueField(path="total_tax", read="number"),
    "discount": ValueField(path="total_discounts", read="number"),
    "shipping": ValueField(path="total_shipping_price_set.shop_money.amount", read="number"),
    "currency": "currency",
    "coupon": "discount_codes.0.code",
    "affiliation": "source_name",
    "products": ValueField(path="line_items", each=_PRODUCTS),
}
_CHECKOUT: Final[dict[str, Field]] = {
    **{name: field for name, field in _ORDER.items() if name not in ("order_id", "order_name")},
    "checkout_id": "token|id",
}
_REFUND: Final[dict[str, Field]] = {
    "order_id": "order_id",
    "refund_id": "id",
    "reason": "note",
    "currency": "transactions.0.currency",
    "products": ValueField(
        path="refund_line_items",
        each={
            "product_id": "line_item.product_id",
            "sku": "line_item.sku",
            "name": "line_item.title",
            "price": ValueField(path="line_item.price", read="number"),
            "quantity": ValueField(path="quantity", read="number"),
        },
    ),
}
_PERSON: Final[dict[str, Field]] = {
    "email": "email",
    "phone": "phone",
    "first_name": "first_name",
    "last_name": "last_name",
    "address": "default_address",
    "tags": "tags",
}
_CREATED: Final = TimeField(path="processed_at|created_at")


def _person(at: str) -> tuple[IdentifierField, ...]:
    return (
        IdentifierField(type="shopify_customer", value=f"{at}id", trust="proven"),
        IdentifierField(type="email", value=f"{at}email"),
        IdentifierField(type="phone", value=f"{at}phone"),
    )


def _customer(type_: str) -> Meaning:
    return Meaning(type=type_, traits=_PERSON, identifiers=_person(""), time=TimeField(path="updated_at|created_at"))


def _consent(consent: str, purpose: str) -> dict[str, str | Meaning]:
    fields: dict[str, Field] = {"purpose": ValueField(value=purpose), "method": f"{consent}.opt_in_level"}
    person = (
        IdentifierField(type="shopify_customer", value="customer_id|id", trust="proven"),
        IdentifierField(type="email", value="email_address"),
    )
    time = TimeField(path=f"{consent}.consent_updated_at")
    return {
        f"{purpose} {state}": Meaning(type=type_, properties=fields, identifiers=person, time=time)
        for state, type_ in (
            ("subscribed", "consent.given"),
            ("unsubscribed", "consent.withdrawn"),
            ("not_subscribed", "consent.withdrawn"),
        )
    }


MAP: Final = EventMap(
    kind=_TOPIC,
    id=(_DELIVERY, "#{header:x-shopify-topic|header:shopify-topic}|{id}|{updated_at?}"),
    time=TimeField(path="updated_at|created_at|header:x-shopify-triggered-at|header:shopify-triggered-at"),
    identifiers=(
        *_person("customer."),
        IdentifierField(type="email", value="email|contact_email"),
        IdentifierField(type="phone", value="phone"),
        IdentifierField(type="shopify_cart", value="cart_token", trust="hint"),
    ),
    context={"ip": "browser_ip|client_details.browser_ip", "userAgent": "client_details.user_agent"},
    skip=("customers/data_request", "customers/redact", "shop/redact"),
    cases={
        "orders/create": Meaning(
            type="order.completed", properties=_ORDER, time=_CREATED, id=("orders/create:{id}", _DELIVERY)
        ),
        **{
            f"orders/{topic}": Meaning(type="order.updated", properties=_ORDER)
            for topic in ("updated", "paid", "fulfilled", "partially_fulfilled")
        },
        "orders/cancelled": Meaning(
            type="order.cancelled",
            properties={**_ORDER, "reason": "cancel_reason"},
            time=TimeField(path="cancelled_at|updated_at"),
        ),
        "refunds/create": Meaning(
            type="order.refunded", properties=_REFUND, time=_CREATED, id=("refunds/create:{id}", _DELIVERY)
        ),
        "checkouts/create": Meaning(type="checkout.started", properties=_CHECKOUT, time=TimeField(path="created_at")),
        "customers/create": _customer("profile.identified"),
        "customers/update": _customer("profile.identified"),
        "customers/enable": _customer("user.signed_up"),
        **_consent("email_marketing_consent", "email"),
        **_consent("sms_marketing_consent", "sms"),
    },
)
_CONSENTS: Final = {
    "customers_email_marketing_consent/update": ("email_marketing_consent.state", "email"),
    "customers_marketing_consent/update": ("sms_marketing_consent.state", "sms"),
}


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    """Test orders are no events. A consent's topic says only that it changed: its state says how."""
    if not isinstance(item, dict):
        raise Unmappable("body: wanted an object, got something else; see the rejected event")
    if item.get("test") is True:
        return []
    scope = Scope(item, request)
    topic = find(_TOPIC, scope)
    kind = None
    if isinstance(topic, str) and topic in _CONSENTS:
        path, purpose = _CONSENTS[topic]
        state = as_text(find(path, scope))
        if state is None:
            raise Unmappable(f"{path}: wanted the state of the consent, got none; see the rejected event")
        kind = f"{purpose} {state}"
    return [_completed(event, item, topic) for event in MAP.read(item, request, vendor="shopify", kind=kind)]


def _completed(event: VendorEvent, item: dict[str, object], topic: object) -> VendorEvent:
    source = item.get("source_name")
    if isinstance(source, str) and source in _CHANNELS:
        event.channel = _CHANNELS[source]
    customer = item if isinstance(topic, str) and topic.startswith("customers/") else item.get("customer")
    if isinstance(customer, dict) and customer.get("verified_email") is True and customer.get("state") == "enabled":
        proven = ("email", customer.get("email"))
        event.identifiers = [proven if one[:2] == proven else one for one in event.identifiers]
    if topic == "refunds/create":
        event.properties["total"] = _given_back(item)
    return event


def _given_back(refund: dict[str, object]) -> int | float:
    """What successful transactions gave back: lines do not say it, since shipping and goodwill are in none."""
    amounts = refund.get("transactions")
    total = Decimal(0)
    for one in amounts if isinstance(amounts, list) else ():
        if isinstance(one, dict) and one.get("kind") == "refund" and one.get("status") == "success":
            amount = exact_number(as_text(one.get("amount")) or "")
            total += amount if amount is not None and abs(amount) < 10**30 else 0
    return int(total) if total == total.to_integral_value() else float(total)


def privacy(request: VendorRequest) -> Sequence[PrivacyRequest]:
    """`customers/data_request`, `customers/redact` and `shop/redact`. A redaction may name only an address."""
    topic = find(_TOPIC, Scope(None, request))
    if topic not in MAP.skip:
        return []
    message = json_of(request.body)
    if not isinstance(message, dict):
        raise Unmappable("body: wanted an object, got something else; see the rejected event")
    customer = message.get("customer")
    known = customer if isinstance(customer, dict) else {}
    identifiers = [
        (type_, known[name])
        for type_, name in (("shopify_customer", "id"), ("email", "email"), ("phone", "phone"))
        if known.get(name) is not None
    ]
    return [
        PrivacyRequest(
            kind="access" if topic == "customers/data_request" else "erasure",
            id="shopify-" + digest_of(f"{topic}|{request.body.decode(errors='replace')}"),
            identifiers=identifiers,
            reason=f"Shopify's {topic}",
        )
    ]


SHOPIFY: Final = Connector(
    name="shopify",
    title="Shopify",
    channel="pos",
    verify=Hmac(("x-shopify-hmac-sha256", "shopify-hmac-sha256")),
    secrets={SIGNING: "the app's client secret"},
    map=MAP,
    read=read,
    privacy=privacy,
    keeps=(
        *("x-shopify-topic", "shopify-topic", "x-shopify-webhook-id", "shopify-webhook-id"),
        *("x-shopify-triggered-at", "shopify-triggered-at"),
    ),
)
