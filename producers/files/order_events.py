"""One complete document of a till's or a shop's file to its events: the order, and what became of it.

Amounts as they stand in the file are never rounded. What is computed is: a line's quantity × price less discount, half
up, to the currency's places.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

from producers.files.documents import Customer, OrderDocument, OrderLine
from producers.files.events import Event, Maker, as_number, parts
from producers.files.mapping import OrderMapping
from producers.files.reasons import Unusable
from producers.files.report import Place, Report
from producers.files.row_cells import RowCells
from producers.money import currency_of, places
from schemas import orders

ROUNDED: Final = "amount_rounded"


class OrderEvents:
    """`of` is called for one document after another, `trait_changes` at the end of the file."""

    def __init__(self, mapping: OrderMapping, row: RowCells, report: Report, make: Maker, shift_ms: int) -> None:
        self._mapping = mapping
        self._row = row
        self._report = report
        self._make = make
        self._shift = shift_ms
        self._seen_traits: dict[Customer, list[tuple[int, str, tuple[tuple[str, Any], ...]]]] = {}
        self._interned: dict[tuple[tuple[str, Any], ...], tuple[tuple[str, Any], ...]] = {}

    def of(self, document: OrderDocument) -> list[Event] | None:
        """Its events; None if it never came about. Raises `Unusable`."""
        mapping = self._mapping
        if document.several_customers:
            raise Unusable("several_customers_in_one_document")
        if not document.lines and mapping.line.has_money:
            raise Unusable("no_usable_line")
        if not document.times:
            raise Unusable("time_missing", mapping.time.column)
        status = self._cell(document, mapping.status.column).casefold() if mapping.status else ""
        if mapping.status and status in mapping.status.left_out:
            return None
        if len(document.times) > 1:
            self._report.repair("several_times_first_taken", document.first)
        time = min(document.times)
        self._report.saw(time + self._shift)
        customer = document.customer
        if not customer:
            self._report.anonymous += 1
        try:
            events = self._with_money(document, time, customer, status)
        except ValueError as fault:
            raise Unusable(str(fault)) from None
        if customer and document.traits:
            traits = tuple(document.traits.items())
            traits = self._interned.setdefault(traits, traits)
            self._seen_traits.setdefault(customer, []).append((time, document.number, traits))
        return events

    def _with_money(self, document: OrderDocument, time: int, customer: Customer, status: str) -> list[Event]:
        """The order, the products that did not fit into its event, and what became of it. Raises `ValueError`."""
        mapping, number = self._mapping, document.number
        amounts = self._amounts(document)
        currency = self._currency(document)
        lines = [self._amount(line, currency) for line in document.lines]
        if "revenue" not in amounts and mapping.line.has_money:
            with localcontext(prec=120):  # more digits than any two cells can multiply to: nothing is rounded
                amounts["revenue"] = sum(lines, Decimal(0)) - amounts.get("discount", Decimal(0))
        paid = amounts.setdefault("revenue", amounts.get("total", Decimal(0)))
        amounts.setdefault("total", paid)
        is_refund = self._is_refund(document, paid)
        sign = -1 if is_refund else 1
        identifiers = [(part.type, value) for part, value in zip(mapping.identifiers, customer, strict=False)]
        order: dict[str, Any] = {"order_id": number} | ({"currency": currency} if currency else {})
        products = [self._product(line, amount, sign) for line, amount in zip(document.lines, lines, strict=True)]
        cut = parts([product for product in products if product])
        properties = order | {name: as_number(sign * amount) for name, amount in amounts.items()}
        properties |= {"lines": len(lines)} | self._properties(document)
        if document.faulty:
            properties["lines_left_out"] = len(document.faulty)
        kind = "order.refunded" if is_refund else "order.completed"
        told = [(number, kind, time, properties | {"products": cut[0]})]
        for part, some in enumerate(cut[1:], start=2):
            told.append(
                (
                    f"{number}/{part}",
                    orders.CONTINUED,
                    time,
                    order | {"part": part, "parts": len(cut), "products": some},
                )
            )
        self._report.pay(kind, currency, sign * paid)
        if not is_refund:
            for id, type_, when, more in self._afterwards(document, time, amounts, status):
                told.append((id, type_, when, order | more))
                if "revenue" in more:
                    self._report.pay(type_, currency, Decimal(repr(more["revenue"])))
        return [self._make.event(id, type_, when, identifiers, more) for id, type_, when, more in told]

    def _currency(self, document: OrderDocument) -> str:
        """ "IRT" for tomans; a text that is no known currency as it is, "" if none is written. Raises `ValueError`."""
        declared = self._mapping.currency or ""
        column = self._mapping.order.currency
        if column is not None and (text := self._cell(document, column)):
            known = currency_of(text, declared)
            if known is None:
                self._report.leave_out("unknown_currency", self._place(document, column))
                return text
            declared = known.code if known.units == 1 else "IRT"
        for sign in document.signs:
            meant = currency_of(sign, declared)
            if meant is None:
                if declared:
                    raise ValueError("currency_differs")
                continue
            code = meant.code if meant.units == 1 else "IRT"
            if declared and code != declared:
                raise ValueError("currency_differs" if self._mapping.currency else "several_currencies_in_one_document")
            declared = code
        return declared

    def _amounts(self, document: OrderDocument) -> dict[str, Decimal]:
        found = {}
        for name, column in self._mapping.order.amounts.items():
            amount = self._order_number(document, column)
            if amount is not None:
                found[name] = amount
        return found

    def _order_number(self, document: OrderDocument, column: str) -> Decimal | None:
        """An amount of the whole order. One that cannot be read is left out."""
        if column not in document.values:
            return None
        value, row = document.values[column]
        try:
            number = self._row.cells.number(value)
        except ValueError as fault:
            self._row.leave_out(str(fault), row, column)
            return None
        self._row.note(number.repairs, row, column)
        if number.sign:
            document.signs.add(number.sign)
        return number.value

    def _amount(self, line: OrderLine, currency: str) -> Decimal:
        """As it stands in the file, or computed and rounded."""
        if line.amount is not None:
            return line.amount
        if line.price is None or line.quantity is None:
            return Decimal(0)
        with localcontext(prec=120):
            exact = line.quantity * line.price - (line.discount or 0)
            rounded = exact.quantize(Decimal(1).scaleb(-places(currency)), rounding=ROUND_HALF_UP)
        if rounded != exact:
            self._report.repair(ROUNDED, line.place)
        return rounded

    def _is_refund(self, document: OrderDocument, total: Decimal) -> bool:
        rule = self._mapping.document
        if rule.cancelled_prefix and document.number.startswith(rule.cancelled_prefix):
            return True
        nothing_sold = total == 0 and bool(document.lines) and all((line.quantity or 0) < 0 for line in document.lines)
        return rule.cancelled_when_negative and (total < 0 or nothing_sold)

    def _product(self, line: OrderLine, amount: Decimal, sign: int) -> dict[str, Any]:
        product: dict[str, Any] = {}
        if line.sku or self._mapping.line.sku:
            product["sku"] = line.sku
        if line.name:
            product["name"] = line.name
        if line.quantity is not None:
            product["quantity"] = as_number(sign * line.quantity)
        if line.price is not None:
            product["price"] = as_number(line.price)
        if line.amount is not None or line.discount:
            product["amount"] = as_number(sign * amount)
        if line.discount is not None:
            product["discount"] = as_number(line.discount)
        if line.tax is not None:
            product["tax"] = as_number(sign * line.tax)
        return product | line.extra

    def _properties(self, document: OrderDocument) -> dict[str, Any]:
        found = {}
        for name, cell in self._mapping.order.properties.items():
            if cell.column in document.values:
                value = self._row.value(document.values[cell.column][1], cell.column, cell.read)
                if value != "":
                    found[name] = value
        return found

    def _afterwards(
        self, document: OrderDocument, time: int, amounts: dict[str, Decimal], status: str
    ) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
        """What became of the order later: id, type, time and properties of each. The file does not say when money was
        given back: the order's time is taken, and the event says so."""
        order, words = self._mapping.order, self._mapping.status
        back = self._order_number(document, order.refunded) if order.refunded else None
        if back is None and words and status in words.refunded:
            back = amounts["total"]
        if back:
            amount = as_number(abs(back))
            more = {"revenue": amount, "total": amount, "time_assumed": True}
            yield f"{document.number}/refund", "order.refunded", time, more
        cancelled = self._cancelled_at(document)
        if cancelled is not None or (words and status in words.cancelled):
            yield f"{document.number}/cancelled", "order.cancelled", cancelled or time, {}

    def _cancelled_at(self, document: OrderDocument) -> int | None:
        column = self._mapping.order.cancelled_at
        if column is None or column not in document.values:
            return None
        value, row = document.values[column]
        try:
            return self._row.cells.instant(value).ms
        except ValueError as fault:
            self._row.leave_out(str(fault), row, column)
            return min(document.times)

    def _cell(self, document: OrderDocument, column: str) -> str:
        return self._row.cells.text(document.values[column][0]) if column in document.values else ""

    def _place(self, document: OrderDocument, column: str) -> Place:
        row = document.values[column][1]
        return Place(row.number, row.line, column)

    def trait_changes(self) -> Iterator[Event]:
        """One `profile.identified` for a customer's first traits, and one for each later change. Customers are in the
        order of the file, and each one's changes are in the order of time.
        """
        for customer, told in self._seen_traits.items():
            before: dict[str, Any] = {}
            identifiers = [(part.type, value) for part, value in zip(self._mapping.identifiers, customer, strict=True)]
            for time, number, traits in sorted(told, key=lambda one: one[:2]):
                changed = {name: value for name, value in traits if before.get(name) != value}
                if changed:
                    before |= changed
                    yield self._make.event(
                        f"{number}/traits", "profile.identified", time, identifiers, {}, traits=changed
                    )
