"""Segment's e-commerce events, version 2. Connectors for tills (POS) send the same types.

Type names are object, dot, past verb: `Product List Viewed` is `product_list.viewed`. Words after the verb
stay with it: `Product Added to Wishlist` is `product.added_to_wishlist`.

Version 1 had other names. If its payload differs, the name is version 1 of the type and
`schemas.upcasters` lifts it: `Viewed Product`, `Added Product` and `Removed Product` call the product's id `id`.
If it does not differ, the name is an alias. `Completed Order` may spell `order_id` as `orderId`; both are in
the table.
"""

from typing import Final

from schemas.fields import (
    CURRENCY,
    EventRow,
    EventSet,
    either,
    fact,
    identifier,
    money,
    number,
    personal,
    several,
    text,
)

_DETAILS: Final = (
    fact(identifier("sku", "Stock keeping unit.")),
    fact(text("category", "Category of the product.")),
    fact(text("name", "Name of the product.")),
    fact(text("brand", "Brand of the product.")),
    fact(text("variant", "Variant, such as the colour.")),
    fact(money("price", "Price of one unit, in `currency`.")),
    fact(number("quantity", "Number of units; negative if a till books a return.")),
    fact(money("amount", "Amount of the line after its discount; without it, `price` × `quantity`.")),
    fact(money("discount", "Discount on the line.")),
    fact(money("tax", "Taxes of the line.")),
    fact(identifier("coupon", "Coupon code used with the product.")),
    number("position", "Position in the list."),
    text("url", "URL of the product's page."),
    text("image_url", "URL of the product's picture."),
)
_PRODUCT: Final = (fact(identifier("product_id", "Id of the product.")), *_DETAILS)
_PRODUCT_V1: Final = (fact(identifier("id", "Id of the product (called `product_id` since version 2).")), *_DETAILS)

_VALUE: Final = fact(money("value", "Value of the event, in `currency`."))
_CART: Final = identifier("cart_id", "Id of the cart.")
_ORDER: Final = identifier("order_id", "Id of the order.")
_ORDER_V1: Final = identifier("orderId", "Same as `order_id`, in payloads of version 1.")
_CHECKOUT: Final = identifier("checkout_id", "Id of the checkout.")
_COUPON: Final = fact(identifier("coupon", "Coupon code used with the order."))
_PRODUCTS: Final = fact(several("products", _PRODUCT, "The products."))
_LIST: Final = (
    identifier("list_id", "Id of the list."),
    fact(text("category", "Category that the list shows.")),
    _PRODUCTS,
)
_CHOICE: Final = (
    text("type", "Property that is filtered or sorted by, such as price."),
    either("value", ("string", "number", "boolean", "array", "object"), "The chosen value."),
)
_PROMOTION: Final = (
    fact(identifier("promotion_id", "Id of the promotion.")),
    text("creative", "What was shown, such as a banner's name."),
    fact(text("name", "Name of the promotion.")),
    either("position", ("string", "number"), "Where it was shown."),
)
_AMOUNTS: Final = (
    fact(money("total", "Amount of the order with shipping and tax.")),
    fact(money("revenue", "Amount of the order without shipping and tax.")),
    fact(money("shipping", "Cost of shipping.")),
    fact(money("tax", "Taxes.")),
    fact(money("discount", "Discount on the order.")),
)
_AFFILIATION: Final = fact(text("affiliation", "Shop or partner where the order was made."))
_ORDERED: Final = (_ORDER, _AFFILIATION, *_AMOUNTS, _COUPON, CURRENCY, _PRODUCTS)
_STEP: Final = (
    _CHECKOUT,
    either("step", ("number", "string"), "Number of the step, from 1."),
    text("shipping_method", "The shipping method chosen."),
    text("payment_method", "The payment method chosen."),
)
_COUPON_USE: Final = (_ORDER, _CART, fact(identifier("coupon_id", "Id of the coupon.")))
_COUPON_NAME: Final = fact(text("coupon_name", "Name of the coupon."))
_COUPON_DISCOUNT: Final = fact(money("discount", "Amount that the coupon takes off."))
_WISHLIST: Final = (
    identifier("wishlist_id", "Id of the wish list."),
    text("wishlist_name", "Name of the wish list."),
)
_SHARE: Final = (
    text("share_via", "Means of sharing, such as email."),
    personal(text("share_message", "What the customer wrote.")),
    personal(text("recipient", "Recipient.")),
)

BROWSING: Final = (
    EventRow(
        "products.searched",
        "Products Searched",
        "A customer searched for products.",
        (either("query", ("string", "object", "number"), "The search query."),),
        aliases=("Searched Products",),
    ),
    EventRow(
        "product_list.viewed",
        "Product List Viewed",
        "A customer viewed a list or category of products.",
        _LIST,
        aliases=("Viewed Product Category", "Viewed Product List"),
    ),
    EventRow(
        "product_list.filtered",
        "Product List Filtered",
        "A customer filtered or sorted a list of products.",
        (
            *_LIST,
            several("filters", _CHOICE, "The filters in use."),
            several("sorts", _CHOICE, "The sort orders in use."),
        ),
        aliases=("Filtered Product List",),
    ),
    EventRow(
        "promotion.viewed",
        "Promotion Viewed",
        "A customer saw a promotion.",
        _PROMOTION,
        aliases=("Viewed Promotion",),
    ),
    EventRow(
        "promotion.clicked",
        "Promotion Clicked",
        "A customer clicked a promotion.",
        _PROMOTION,
        aliases=("Clicked Promotion",),
    ),
    EventRow(
        "product.clicked",
        "Product Clicked",
        "A customer clicked a product in a list.",
        _PRODUCT,
        aliases=("Clicked Product",),
    ),
    EventRow("product.viewed", "Viewed Product", "A customer viewed a product.", _PRODUCT_V1, version=1),
    EventRow(
        "product.viewed",
        "Product Viewed",
        "A customer viewed a product.",
        (*_PRODUCT, CURRENCY, _VALUE),
        version=2,
    ),
)

ORDERING: Final = (
    EventRow("product.added", "Added Product", "A customer added a product to the cart.", _PRODUCT_V1, version=1),
    EventRow(
        "product.added",
        "Product Added",
        "A customer added a product to the cart.",
        (_CART, *_PRODUCT, CURRENCY, _VALUE),
        version=2,
    ),
    EventRow(
        "product.removed", "Removed Product", "A customer removed a product from the cart.", _PRODUCT_V1, version=1
    ),
    EventRow(
        "product.removed",
        "Product Removed",
        "A customer removed a product from the cart.",
        (_CART, *_PRODUCT, CURRENCY, _VALUE),
        version=2,
    ),
    EventRow(
        "cart.viewed",
        "Cart Viewed",
        "A customer viewed the cart.",
        (_CART, _PRODUCTS),
        aliases=("Viewed Cart",),
    ),
    EventRow(
        "checkout.started",
        "Checkout Started",
        "A customer started the checkout.",
        (_CHECKOUT, *_ORDERED, _VALUE),
        aliases=("Started Checkout",),
    ),
    EventRow(
        "checkout_step.viewed",
        "Checkout Step Viewed",
        "A customer viewed a step of the checkout.",
        _STEP,
        aliases=("Viewed Checkout Step",),
    ),
    EventRow(
        "checkout_step.completed",
        "Checkout Step Completed",
        "A customer completed a step of the checkout.",
        _STEP,
        aliases=("Completed Checkout Step",),
    ),
    EventRow(
        "payment_info.entered",
        "Payment Info Entered",
        "A customer entered payment details.",
        (*_STEP, _ORDER),
        aliases=("Entered Payment Info",),
    ),
    EventRow(
        "order.completed",
        "Order Completed",
        "An order was placed, on the web or at a till.",
        (
            _CHECKOUT,
            *_ORDERED,
            _ORDER_V1,
            fact(money("subtotal", "Amount after discounts, before shipping and tax.")),
        ),
        aliases=("Completed Order",),
        business_key="order_id",
    ),
    EventRow(
        "order.continued",
        "Order Continued",
        "More products of an order that did not fit into the event that placed or refunded it.",
        (
            _ORDER,
            CURRENCY,
            _PRODUCTS,
            number("part", "Number of this part; the order's event is 1."),
            number("parts", "Number of parts."),
        ),
    ),
    EventRow("order.updated", "Order Updated", "An order was changed.", _ORDERED, aliases=("Updated Order",)),
    EventRow(
        "order.refunded",
        "Order Refunded",
        "An order was refunded, in full or in part.",
        _ORDERED,
        aliases=("Refunded Order",),
    ),
    EventRow(
        "order.cancelled",
        "Order Cancelled",
        "An order was cancelled.",
        _ORDERED,
        aliases=("Cancelled Order", "Order Canceled"),
        business_key="order_id",
    ),
)

COUPONS: Final = (
    EventRow("coupon.entered", "Coupon Entered", "A customer entered a coupon.", _COUPON_USE),
    EventRow(
        "coupon.applied",
        "Coupon Applied",
        "A coupon was accepted.",
        (*_COUPON_USE, _COUPON_NAME, _COUPON_DISCOUNT),
    ),
    EventRow(
        "coupon.denied",
        "Coupon Denied",
        "A coupon was denied.",
        (*_COUPON_USE, _COUPON_NAME, text("reason", "Why it was denied.")),
    ),
    EventRow(
        "coupon.removed",
        "Coupon Removed",
        "A customer removed a coupon.",
        (*_COUPON_USE, _COUPON_NAME, _COUPON_DISCOUNT),
    ),
)

LIKING: Final = (
    EventRow(
        "product.added_to_wishlist",
        "Product Added to Wishlist",
        "A customer added a product to a wish list.",
        (*_WISHLIST, *_PRODUCT),
    ),
    EventRow(
        "product.removed_from_wishlist",
        "Product Removed from Wishlist",
        "A customer removed a product from a wish list.",
        (*_WISHLIST, *_PRODUCT),
    ),
    EventRow(
        "wishlist_product.added_to_cart",
        "Wishlist Product Added to Cart",
        "A customer moved a product from a wish list to the cart.",
        (*_WISHLIST, _CART, *_PRODUCT),
    ),
    EventRow("product.shared", "Product Shared", "A customer shared a product.", (*_SHARE, *_PRODUCT)),
    EventRow("cart.shared", "Cart Shared", "A customer shared a cart.", (*_SHARE, _CART, _PRODUCTS)),
    EventRow(
        "product.reviewed",
        "Product Reviewed",
        "A customer reviewed a product.",
        (
            fact(identifier("product_id", "Id of the product.")),
            identifier("review_id", "Id of the review."),
            personal(text("review_body", "What the customer wrote.")),
            either("rating", ("number", "string"), "The rating, on the shop's own scale."),
        ),
        business_key="review_id",
    ),
)

ECOMMERCE: Final = EventSet(
    name="ecommerce",
    title="E-commerce",
    about="Segment's e-commerce events, version 2, from search to review.",
    events=(*BROWSING, *ORDERING, *COUPONS, *LIKING),
)
