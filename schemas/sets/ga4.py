"""Google Analytics 4: the recommended events that mean one of ours, and our names for their parameters.

Only names with a single meaning are listed: `search`, `share`, `generate_lead`, `join_group` and the like stay custom.
"""

from collections.abc import Mapping
from typing import Final

from schemas.custom import folded

NAMES: Final[Mapping[str, str]] = {
    "purchase": "order.completed",
    "refund": "order.refunded",
    "add_to_cart": "product.added",
    "remove_from_cart": "product.removed",
    "view_cart": "cart.viewed",
    "begin_checkout": "checkout.started",
    "add_payment_info": "payment_info.entered",
    "view_item": "product.viewed",
    "view_item_list": "product_list.viewed",
    "select_item": "product.clicked",
    "add_to_wishlist": "product.added_to_wishlist",
    "view_promotion": "promotion.viewed",
    "select_promotion": "promotion.clicked",
    "sign_up": "user.signed_up",
    "login": "user.signed_in",
    "page_view": "page.viewed",
    "screen_view": "screen.viewed",
}
"""GA4's event name -> our type."""

FOLDED: Final = frozenset(folded(name) for name in NAMES)

PARAMETERS: Final[Mapping[str, Mapping[str, str]]] = {
    "order.completed": {"transaction_id": "order_id", "value": "revenue", "items": "products"},
    "order.refunded": {"transaction_id": "order_id", "value": "revenue", "items": "products"},
    "checkout.started": {"items": "products"},
    "cart.viewed": {"items": "products"},
    "product_list.viewed": {"item_list_id": "list_id", "items": "products"},
    "user.signed_up": {"method": "type"},
    "promotion.viewed": {"promotion_name": "name", "creative_name": "creative", "creative_slot": "position"},
    "promotion.clicked": {"promotion_name": "name", "creative_name": "creative", "creative_slot": "position"},
    "page.viewed": {"page_title": "title", "page_location": "url", "page_referrer": "referrer"},
    "screen.viewed": {"screen_name": "name"},
}
"""Our type -> GA4's parameter -> our property. If ours is absent it gets the parameter's value; nothing is renamed."""

ITEM: Final[Mapping[str, str]] = {
    "item_id": "product_id",
    "item_name": "name",
    "item_brand": "brand",
    "item_category": "category",
    "item_variant": "variant",
    "index": "position",
}
"""The same for the members of `items`."""

ONE_ITEM: Final = frozenset(
    {"product.added", "product.removed", "product.viewed", "product.clicked", "product.added_to_wishlist"}
)
"""Types that are about one product: if `items` holds exactly one, its members become the event's own."""


def translated(type: str, properties: Mapping[str, object]) -> Mapping[str, object]:
    """The properties, with ours added where only Google Analytics' are present; the argument is unchanged."""
    added = dict(properties)
    for theirs, ours in PARAMETERS.get(type, {}).items():
        if properties.get(theirs) is not None and properties.get(ours) is None:
            added[ours] = _items(properties[theirs]) if theirs == "items" else properties[theirs]
    items = properties.get("items")
    if type in ONE_ITEM and isinstance(items, list) and len(items) == 1 and isinstance(items[0], dict):
        added = {**_item(items[0]), **added}
    return added


def _items(items: object) -> object:
    return [_item(item) if isinstance(item, dict) else item for item in items] if isinstance(items, list) else items


def _item(item: Mapping[str, object]) -> dict[str, object]:
    return {ITEM.get(name, name): value for name, value in item.items()}
