"""The mapping of a file of orders: what groups its lines, and what the columns of a line and of an order mean."""

from typing import Literal, Self

from pydantic import Field, model_validator

from producers.files.mapping_parts import Column, Common, Part, Time, Values, numbers_of


class Document(Part):
    """What groups lines into one order, and how a cancelled one is recognised."""

    column: Column | None = None
    columns: tuple[Column, ...] = ()
    """For files without an order's number: it is made of the texts of these columns."""
    cancelled_prefix: str = ""
    """A document whose number starts with this is a refund."""
    cancelled_when_negative: bool = True
    """A document is a refund when its total is below zero, or zero with negative quantities only."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.column is None) == (not self.columns):
            raise ValueError("wanted column (the order's number), or columns (that make one), got both or neither")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        return self.columns if self.column is None else (self.column,)


class LineColumns(Part):
    """The columns of one line of a document."""

    sku: Column | None = None
    name: Column | None = None
    quantity: Column | None = None
    price: Column | None = None
    """The price of one piece."""
    amount: Column | None = None
    """What the whole line costs, after its discount. It counts as it stands; without it, the line's amount is
    quantity × price less discount, rounded half up to the currency's places."""
    discount: Column | None = None
    tax: Column | None = None
    properties: Values = Field(default_factory=dict)
    """Anything else of a product: category, brand, variant, coupon …"""

    @property
    def has_money(self) -> bool:
        return self.amount is not None or (self.price is not None and self.quantity is not None)


class OrderColumns(Part):
    """The columns of the whole order. The value is that of the first line which has one."""

    currency: Column | None = None
    revenue: Column | None = None
    """Without shipping and tax. It counts as it stands; without it, the sum of the lines less `discount`."""
    total: Column | None = None
    """With shipping and tax."""
    shipping: Column | None = None
    tax: Column | None = None
    discount: Column | None = None
    refunded: Column | None = None
    """An amount that was given back: also makes an `order.refunded`."""
    cancelled_at: Column | None = None
    """A time: also makes an `order.cancelled`."""
    properties: Values = Field(default_factory=dict)
    """Anything else of an order: coupon, affiliation, store, payment method …"""

    @property
    def amounts(self) -> dict[str, str]:
        """Property -> column of the amounts that become properties."""
        names = ("revenue", "total", "shipping", "tax", "discount")
        return {name: column for name in names if (column := getattr(self, name)) is not None}


class StatusColumn(Part):
    """A column that says what became of an order. Words are compared in lower case."""

    column: Column
    left_out: frozenset[str] = frozenset()
    """Orders that never came about: failed, draft, unpaid. They are counted in the report and not sent."""
    cancelled: frozenset[str] = frozenset()
    """Also make an `order.cancelled`."""
    refunded: frozenset[str] = frozenset()
    """Also make an `order.refunded` of the whole amount."""


class OrderMapping(Common):
    kind: Literal["orders"] = "orders"
    document: Document
    time: Time
    line: LineColumns = LineColumns()
    order: OrderColumns = OrderColumns()
    status: StatusColumn | None = None

    @model_validator(mode="after")
    def _money_and_people(self) -> Self:
        if self.traits and not self.identifiers:
            raise ValueError("[traits] needs [[identifiers]]: a trait belongs to somebody")
        if not (self.line.has_money or self.order.revenue or self.order.total):
            raise ValueError("[line] needs amount, or quantity and price; or [order] needs revenue or total")
        return self

    @property
    def when(self) -> Time:
        return self.time

    def needed_columns(self) -> tuple[str, ...]:
        line = self.line
        wanted = [*self.document.parts, *self.time.columns]
        wanted += [one for one in (line.sku, line.quantity, line.price, line.amount) if one is not None]
        return tuple(dict.fromkeys(wanted))

    def columns(self) -> tuple[str, ...]:
        line = self.line
        wanted = [*self.needed_columns()]
        wanted += [one for one in (line.name, line.discount, line.tax) if one is not None]
        wanted += [one.column for one in line.properties.values()]
        wanted += self.order_columns()
        return tuple(dict.fromkeys([*wanted, *self._about_people()]))

    def number_columns(self) -> tuple[str, ...]:
        line, order = self.line, self.order
        named = [line.quantity, line.price, line.amount, line.discount, line.tax, order.refunded]
        found = [one for one in named if one is not None] + list(order.amounts.values())
        found += numbers_of(line.properties, order.properties, self.traits)
        return tuple(dict.fromkeys(found))

    def order_columns(self) -> list[str]:
        """The columns of values of the whole order."""
        order = self.order
        named = [order.currency, order.refunded, order.cancelled_at, self.status.column if self.status else None]
        found = [*order.amounts.values(), *[one for one in named if one is not None]]
        return list(dict.fromkeys([*found, *[one.column for one in order.properties.values()]]))
