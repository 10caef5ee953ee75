"""Rows of a till's or a shop's file to events: each document one `order.completed` or `order.refunded`.

Amounts as they stand in the file are never rounded. What is computed is: a line's quantity × price less discount, half
up, to the currency's places. Equal lines all count: a till that records the same thing twice means it. A faulty line is
left out and reported, and its order says how many are.

Ids are the document's number, so that the same file (or a longer one) sent again changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import Any, Final

from producers.files.cells import Cells
from producers.files.documents import Customer, OrderDocument, OrderLine
from producers.files.ends import DocumentEnds
from producers.files.events import Event, Maker, as_number, parts
from producers.files.mapping import OrderMapping, Values
from producers.files.numbers import Number
from producers.files.reader import Row
from producers.files.reasons import Unusable
from producers.files.report import Place, Report
from producers.money import currency_of, places
from schemas import orders

ROUNDED: Final = "amount_rounded"

_WEEK_MS = 7 * 24 * 3600 * 1000


class OrderReader:
    """One pass over the rows of one file, named `file`. `report` is written while the events are drawn."""

    def __init__(
        self,
        mapping: OrderMapping,
        channel: str,
        report: Report,
        shift_weeks: int = 0,
        *,
        file: str = "",
        told: Callable[[str | None], None] = lambda fault: None,
    ) -> None:
        """`told` is called for each row with the reason of its failure, or None."""
        self._told = told
        self._mapping = mapping
        self._report = report
        self._make = Maker(mapping.name, channel, file, mapping.columns(), shift_weeks * _WEEK_MS)
        self._shift = shift_weeks * _WEEK_MS
        self._cells = Cells(mapping)
        self._at = {column: position for position, column in enumerate(mapping.columns())}
        self._document_at = [self._at[column] for column in mapping.document.parts]
        self._time_at = [self._at[column] for column in mapping.time.columns]
        self._order_columns = [column for column in mapping.order_columns() if column in self._at]
        self._customer = lru_cache(8_192, typed=True)(self._read_customer)
        self._seen_traits: dict[Customer, list[tuple[int, str, tuple[tuple[str, Any], ...]]]] = {}
        self._interned: dict[tuple[tuple[str, Any], ...], tuple[tuple[str, Any], ...]] = {}

    def number_of(self, values: Sequence[object]) -> str:
        """The document's number, from the cells of its columns; "" if one of them is empty."""
        if len(values) == 1:
            return self._cells.text(values[0])
        texts = [self._cells.text(value) for value in values]
        return "|".join(texts) if all(texts) else ""

    def events(self, rows: Iterable[Row], ends: DocumentEnds) -> Iterator[Event]:
        """The events of `rows`, whose values are in the order of `mapping.columns()`.

        Orders come in the order in which they end in the file, then the customers' traits. Memory holds the
        documents that are not yet complete, and a small tuple per customer's document.
        """
        unfinished: dict[str, OrderDocument] = {}
        for row in rows:
            self._report.rows += 1
            # a faulty row may still name its document, which must not count as complete then
            number = self.number_of([row.values[at] for at in self._document_at]) if row.values else ""
            if not number:
                fault = row.fault or "missing_document"
                column = "" if row.fault else self._mapping.document.parts[0]
                self._report.reject(fault, Place(row.number, row.line, column))
                self._told(fault)
                yield from self._make.refused_row(fault, row)
                continue
            document = unfinished.get(number)
            if document is None:
                document = unfinished[number] = OrderDocument(number, Place(row.number, row.line))
            self._take(row, document)
            if row.number in ends:
                yield from self._finish(unfinished.pop(number))
        for document in unfinished.values():  # only if the file changed between the two passes
            yield from self._finish(document)
        yield from self._trait_changes()

    # --- one row

    def _take(self, row: Row, document: OrderDocument) -> None:
        """Add a row to its document, or note its fault."""
        document.rows.append(row)
        try:
            if row.fault:
                raise Unusable(row.fault)
            line = self._line(row, document)
        except Unusable as fault:
            document.faulty.append(row)
            document.faults.append(str(fault))
            self._report.reject(str(fault), Place(row.number, row.line, fault.column))
            self._told(str(fault))
            return
        self._told(None)
        if line is not None:
            document.lines.append(line)
        self._take_customer(row, document)
        for column in self._order_columns:
            if column not in document.values and self._cells.text(row.values[self._at[column]]):
                document.values[column] = (row.values[self._at[column]], row)

    def _line(self, row: Row, document: OrderDocument) -> OrderLine | None:
        """The line; None if nothing was sold. Notes the document's time. Raises `Unusable`."""
        columns = self._mapping.line
        try:
            moment = self._cells.moment([row.values[at] for at in self._time_at])
        except ValueError as fault:
            if str(fault) != "missing":  # it may stand on another line
                raise Unusable(f"time_{fault}", self._mapping.time.column) from None
        else:
            document.times.add(moment.ms)
            self._note(moment.repairs, row, self._mapping.time.column)
        quantity = self._number(row, "quantity", columns.quantity, document)
        amount = self._number(row, "amount", columns.amount, document, optional=columns.price is not None)
        price = self._number(row, "price", columns.price, document, optional=amount is not None)
        if quantity == 0:
            if not amount:
                self._report.leave_out("quantity_zero", Place(row.number, row.line, columns.quantity or ""))
                return None
            quantity = None  # a till that weighs: the amount counts
        return OrderLine(
            self._text(row, columns.sku),
            self._text(row, columns.name),
            quantity,
            price,
            amount,
            self._number(row, "discount", columns.discount, document, optional=True),
            self._number(row, "tax", columns.tax, document, optional=True),
            self._values(row, columns.properties) if columns.properties else {},
            Place(row.number, row.line, columns.amount or columns.price or ""),
        )

    def _text(self, row: Row, column: str | None) -> str:
        return "" if column is None else self._cells.text(row.values[self._at[column]])

    def _number(
        self, row: Row, what: str, column: str | None, document: OrderDocument, *, optional: bool = False
    ) -> Decimal | None:
        """Raises `Unusable`."""
        if column is None:
            return None
        try:
            number: Number = self._cells.number(row.values[self._at[column]])
        except ValueError as fault:
            if optional and str(fault) == "missing":
                return None
            raise Unusable(f"{what}_{fault}", column) from None
        if number.repairs:
            self._note(number.repairs, row, column)
        if number.sign:
            document.signs.add(number.sign)
        return number.value

    def _values(self, row: Row, wanted: Values) -> dict[str, Any]:
        """The cells that are not empty. One that cannot be read is left out."""
        return {name: value for name, cell in wanted.items() if (value := self._value(row, cell.column, cell.read))}

    def _value(self, row: Row, column: str, read: Any) -> object:
        try:
            told = self._cells.value(row.values[self._at[column]], read)
        except ValueError as fault:
            self._report.leave_out(str(fault), Place(row.number, row.line, column))
            return ""
        self._note(told.repairs, row, column)
        return told.value

    def _note(self, repairs: Iterable[str], row: Row, column: str) -> None:
        for repair in repairs:
            self._report.repair(repair, Place(row.number, row.line, column))

    def _take_customer(self, row: Row, document: OrderDocument) -> None:
        values = row.values
        columns = self._mapping.identifiers
        customer, repaired, faults = self._customer(tuple([values[self._at[part.column]] for part in columns]))
        for at, repairs in repaired:
            self._note(repairs, row, columns[at].column)
        for at, fault in faults:
            self._report.leave_out(fault, Place(row.number, row.line, columns[at].column))
        if any(customer) and customer != document.customer:
            document.take(customer)
        for trait, cell in self._mapping.traits.items():
            if trait not in document.traits and self._cells.text(values[self._at[cell.column]]):
                value = self._value(row, cell.column, cell.read)
                if value != "":
                    document.traits[trait] = value

    def _read_customer(
        self, values: tuple[object, ...]
    ) -> tuple[Customer, list[tuple[int, tuple[str, ...]]], list[tuple[int, str]]]:
        """The identifiers, and by place the repairs and the faults."""
        found, repaired, faults = [], [], []
        for at, (part, value) in enumerate(zip(self._mapping.identifiers, values, strict=True)):
            try:
                told = self._cells.identifier(part.type, value)
            except ValueError as fault:
                faults.append((at, str(fault)))
                found.append("")
                continue
            found.append(str(told.value))
            if told.repairs:
                repaired.append((at, told.repairs))
        return tuple(found), repaired, faults

    # --- one document

    def _finish(self, document: OrderDocument) -> Iterator[Event]:
        usable = len(document.rows) - len(document.faulty)
        try:
            order = self._order(document)
        except Unusable as fault:
            document.faults = document.faults or [str(fault)]
            if usable:  # else its rows are reported one by one
                self._report.reject(str(fault), document.first._replace(column=fault.column), usable)
            yield from self._make.refused(document.number, document.faults, document.rows)
            return
        if document.faulty:
            yield from self._make.refused(document.number, document.faults, document.faulty)
        if order is None:
            self._report.skipped += 1
            return
        yield from order

    def _order(self, document: OrderDocument) -> list[Event] | None:
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
            number = self._cells.number(value)
        except ValueError as fault:
            self._report.leave_out(str(fault), Place(row.number, row.line, column))
            return None
        self._note(number.repairs, row, column)
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
                value = self._value(document.values[cell.column][1], cell.column, cell.read)
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
            return self._cells.instant(value).ms
        except ValueError as fault:
            self._report.leave_out(str(fault), Place(row.number, row.line, column))
            return min(document.times)

    def _cell(self, document: OrderDocument, column: str) -> str:
        return self._cells.text(document.values[column][0]) if column in document.values else ""

    def _place(self, document: OrderDocument, column: str) -> Place:
        row = document.values[column][1]
        return Place(row.number, row.line, column)

    def _trait_changes(self) -> Iterator[Event]:
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
