"""Rows of a till's or a shop's file to events: each document one `order.completed` or `order.refunded`.

Equal lines all count: a till that records the same thing twice means it. A faulty line is left out and reported, and
its order says how many are.

Ids are the document's number, so that the same file (or a longer one) sent again changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache

from producers.files.documents import Customer, OrderDocument, OrderLine
from producers.files.ends import DocumentEnds
from producers.files.events import Event, Maker
from producers.files.mapping import OrderMapping
from producers.files.numbers import Number
from producers.files.order_events import OrderEvents
from producers.files.reader import Row
from producers.files.reasons import Unusable
from producers.files.report import Place, Report
from producers.files.row_cells import RowCells

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
        self._row = RowCells(mapping, report)
        self._cells = self._row.cells
        self._at = self._row.at
        self._make = Maker(mapping.name, channel, file, mapping.columns(), shift_weeks * _WEEK_MS)
        self._orders = OrderEvents(mapping, self._row, report, self._make, shift_weeks * _WEEK_MS)
        self._document_at = [self._at[column] for column in mapping.document.parts]
        self._time_at = [self._at[column] for column in mapping.time.columns]
        self._order_columns = [column for column in mapping.order_columns() if column in self._at]
        self._customer = lru_cache(8_192, typed=True)(self._read_customer)

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
        yield from self._orders.trait_changes()

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
            self._row.note(moment.repairs, row, self._mapping.time.column)
        quantity = self._number(row, "quantity", columns.quantity, document)
        amount = self._number(row, "amount", columns.amount, document, optional=columns.price is not None)
        price = self._number(row, "price", columns.price, document, optional=amount is not None)
        if quantity == 0:
            if not amount:
                self._row.leave_out("quantity_zero", row, columns.quantity or "")
                return None
            quantity = None  # a till that weighs: the amount counts
        return OrderLine(
            self._row.text(row, columns.sku),
            self._row.text(row, columns.name),
            quantity,
            price,
            amount,
            self._number(row, "discount", columns.discount, document, optional=True),
            self._number(row, "tax", columns.tax, document, optional=True),
            self._row.values(row, columns.properties) if columns.properties else {},
            Place(row.number, row.line, columns.amount or columns.price or ""),
        )

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
            self._row.note(number.repairs, row, column)
        if number.sign:
            document.signs.add(number.sign)
        return number.value

    def _take_customer(self, row: Row, document: OrderDocument) -> None:
        values = row.values
        columns = self._mapping.identifiers
        customer, repaired, faults = self._customer(tuple([values[self._at[part.column]] for part in columns]))
        for at, repairs in repaired:
            self._row.note(repairs, row, columns[at].column)
        for at, fault in faults:
            self._row.leave_out(fault, row, columns[at].column)
        if any(customer) and customer != document.customer:
            document.take(customer)
        for trait, cell in self._mapping.traits.items():
            if trait not in document.traits and self._cells.text(values[self._at[cell.column]]):
                value = self._row.value(row, cell.column, cell.read)
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
            order = self._orders.of(document)
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
