"""The catalogue: products, their prices, costs and stock, from a moment on. These events are about nobody."""

from typing import Final

from schemas.fields import CURRENCY, EventRow, EventSet, date, fact, identifier, money, number, text

_SKU: Final = (
    fact(identifier("sku", "Stock keeping unit.")),
    fact(date("valid_from", "When it begins to hold; without it, at the event's time.")),
)
_PRICES: Final = (
    fact(money("price", "Price of one unit, in `currency`.")),
    fact(money("cost", "What one unit costs the company, in `currency`.")),
    CURRENCY,
)
_STOCK: Final = fact(number("stock", "Units in stock."))

CATALOGUE: Final = EventSet(
    name="catalogue",
    title="Catalogue",
    about="What the company sells, at which price and cost, from when on.",
    events=(
        EventRow(
            "product.updated",
            "Product Updated",
            "A product is new, or something about it changed; what is left out stays as it was.",
            (
                *_SKU,
                fact(text("name", "Name of the product.")),
                fact(text("category", "Category, as a path such as `home/lamps`.")),
                fact(text("brand", "Brand of the product.")),
                *_PRICES,
                _STOCK,
            ),
        ),
        EventRow("product.stock_changed", "Product Stock Changed", "The stock of a product changed.", (*_SKU, _STOCK)),
        EventRow("price.changed", "Price Changed", "The price or the cost of a product changed.", (*_SKU, *_PRICES)),
    ),
)
