"""One order of a file while its rows come in."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from producers.files.reader import Row
from producers.files.report import Place

Customer = tuple[str, ...]
"""A document's identifiers in the mapping's order; "" where a column is blank."""


@dataclass(slots=True)
class OrderLine:
    sku: str
    name: str
    quantity: Decimal | None
    price: Decimal | None
    amount: Decimal | None
    discount: Decimal | None
    tax: Decimal | None
    extra: dict[str, Any]
    place: Place


@dataclass(slots=True)
class OrderDocument:
    """One order while its rows come in."""

    number: str
    first: Place
    times: set[int] = field(default_factory=set)
    customer: Customer = ()
    """An identifier may stand on one of its lines only."""
    several_customers: bool = False
    traits: dict[str, Any] = field(default_factory=dict)
    values: dict[str, tuple[object, Row]] = field(default_factory=dict)
    """The order's own cells, by their columns: the first that is not empty."""
    lines: list[OrderLine] = field(default_factory=list)
    signs: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    faulty: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def take(self, customer: Customer) -> None:
        """A line names this customer."""
        before = self.customer or ("",) * len(customer)
        pairs = list(zip(before, customer, strict=True))
        self.several_customers |= any(old and new and old != new for old, new in pairs)
        self.customer = tuple([old or new for old, new in pairs])
