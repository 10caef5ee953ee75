"""Rows of a till's file to events: each document one `order.completed` or `order.refunded`.

Money is exact: `revenue` is the sum of quantity × price of all lines, in decimals; a refund's is what was given back.
Equal lines all count: a till that records the same thing twice means it. A document with a faulty row is held back as a
whole, since half an order under its id could never be completed.

Ids are the document's number, so that the same file (or a longer one) sent again changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as Lookup
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any, Final

import orjson

from producers.files.cells import Cells
from producers.files.lines import kept_bytes
from producers.files.mapping import Mapping
from producers.files.reader import Row
from producers.files.report import Report
from schemas.clock import iso

Event = dict[str, Any]
"""A CloudEvent in JSON's structured form."""

PRODUCTS_BYTES: Final = 24_000
"""The bytes of products in one event. An event may have 32 KB, and an invoice a thousand lines. The rest follows in
events of the type `custom.order_continued` with the same order_id, so that none is lost and no total is doubled."""

CONTINUED: Final = "custom.order_continued"

_WEEK_MS = 7 * 24 * 3600 * 1000

Customer = tuple[str, ...]
"""A document's identifiers in the mapping's order; "" where a column is blank."""


REFUSED = "custom.rows_refused"
"""The type of rows that cannot become an order. Every door refuses such an event and keeps it."""


@dataclass(slots=True)
class _Line:
    sku: str
    name: str
    quantity: Decimal
    price: Decimal


@dataclass(slots=True)
class _Document:
    """One order while its rows come in."""

    number: str
    first_row: int
    times: set[int] = field(default_factory=set)
    customers: set[Customer] = field(default_factory=set)
    traits: dict[str, str] = field(default_factory=dict)
    lines: list[_Line] = field(default_factory=list)
    raw: list[Row] = field(default_factory=list)
    """The rows as read, for the record of a document that cannot become an order."""
    faults: list[str] = field(default_factory=list)
    rows: int = 0
    faulty: int = 0


class OrderReader:
    """One pass over the rows of one file, named `file`. `report` is written while the events are drawn."""

    def __init__(
        self,
        mapping: Mapping,
        channel: str,
        report: Report,
        shift_weeks: int = 0,
        *,
        file: str = "",
        told: Callable[[str | None], None] = lambda fault: None,
    ) -> None:
        """`told` is called for each row with the reason of its failure, or None."""
        self._file = file
        self._told = told
        self._mapping = mapping
        self._channel = channel
        self._source = f"/files/{channel}/{mapping.name}"
        self._report = report
        self._shift = shift_weeks * _WEEK_MS
        self._cells = Cells(mapping.format, mapping.time)
        at = {column: position for position, column in enumerate(mapping.columns())}
        self._document_at, self._time_at = at[mapping.document.column], at[mapping.time.column]
        self._sku_at, self._name_at = (
            at[mapping.line.sku],
            at[mapping.line.name] if mapping.line.name else None,
        )
        self._quantity_at, self._price_at = at[mapping.line.quantity], at[mapping.line.price]
        self._identifiers_at = [at[part.column] for part in mapping.identifiers]
        self._traits_at = [(trait, at[column]) for trait, column in mapping.traits.items()]
        self._customer = lru_cache(8_192, typed=True)(self._read_customer)
        self._seen_traits: dict[Customer, list[tuple[int, str, dict[str, str]]]] = {}

    def last_rows(self, rows: Iterable[Row]) -> dict[str, int]:
        """Document number -> the row of its last line; `rows` hold only the document's column."""
        return {number: row.number for row in rows if row.values and (number := self._cells.text(row.values[0]))}

    def events(self, rows: Iterable[Row], last_rows: Lookup[str, int]) -> Iterator[Event]:
        """The events of `rows`, whose values are in the order of `mapping.columns()`.

        Orders come in the order in which they end in the file, then the customers' traits. Memory holds the
        documents that are not yet complete, a number per document, and a small tuple per customer's document.
        """
        unfinished: dict[str, _Document] = {}
        for row in rows:
            self._report.rows += 1
            # a faulty row may still name its document, which must not count as complete then
            number = self._cells.text(row.values[self._document_at]) if row.values else ""
            if not number:
                fault = row.fault or "missing_document"
                self._reject(fault, row.number)
                yield from self._refused(f"row {row.number}", [fault], [row])
                continue
            document = unfinished.get(number) or unfinished.setdefault(number, _Document(number, row.number))
            self._take(row, document)
            if row.number == last_rows.get(number):
                yield from self._finish(unfinished.pop(number))
        for document in unfinished.values():  # only if the file changed between the two passes
            yield from self._finish(document)
        yield from self._trait_changes()

    def _reject(self, reason: str, row: int) -> None:
        self._report.reject(reason, f"row {row}")
        self._told(reason)

    def _take(self, row: Row, document: _Document) -> None:
        """Add a row to its document, or note its fault."""
        document.rows += 1
        document.raw.append(row)
        try:
            line, time = self._line(row)
        except ValueError as fault:
            document.faulty += 1
            document.faults.append(str(fault))
            self._reject(str(fault), row.number)
            return
        self._told(None)
        document.lines.append(line)
        document.times.add(time)
        self._take_customer(row.values, document)

    def _line(self, row: Row) -> tuple[_Line, int]:
        """The line and its time. Raises `ValueError` with a reason code."""
        if row.fault:
            raise ValueError(row.fault)
        values, cells = row.values, self._cells
        what = "time"
        try:
            time = cells.instant(values[self._time_at])
            what = "quantity"
            quantity = cells.number(values[self._quantity_at])
            if quantity == 0:
                raise ValueError("zero")
            what = "price"
            price = cells.number(values[self._price_at])
        except ValueError as fault:
            raise ValueError(f"{what}_{fault}") from None
        name = "" if self._name_at is None else cells.text(values[self._name_at])
        return _Line(cells.text(values[self._sku_at]), name, quantity, price), time

    def _take_customer(self, values: tuple[object, ...], document: _Document) -> None:
        customer, repaired = self._customer(tuple([values[at] for at in self._identifiers_at]))
        if repaired:
            self._report.repaired['identifier written as a fraction (".0" taken off)'] += 1
        if any(customer):
            document.customers.add(customer)
        for trait, at in self._traits_at:
            if trait not in document.traits and (value := self._cells.text(values[at])):
                document.traits[trait] = value

    def _read_customer(self, values: tuple[object, ...]) -> tuple[Customer, bool]:
        found = [self._cells.identifier(value) for value in values]
        return tuple([value for value, _ in found]), any(repaired for _, repaired in found)

    def _finish(self, document: _Document) -> Iterator[Event]:
        if len(document.customers) > 1:
            self._report.reject("several_customers_in_one_document", f"row {document.first_row}")
            document.faulty += 1
            document.faults.append("several_customers_in_one_document")
        if document.faulty:
            self._report.held_back += document.rows - document.faulty
            yield from self._refused(document.number, document.faults, document.raw)
            return
        if len(document.times) > 1:
            self._report.repaired["document with several times (the first is taken)"] += 1
        time = min(document.times) + self._shift
        self._report.saw(time)
        customer = next(iter(document.customers), ())
        if customer and document.traits:
            self._seen_traits.setdefault(customer, []).append((time, document.number, document.traits))
        if not customer:
            self._report.anonymous += 1
        yield from self._order(document, time, customer)

    def _order(self, document: _Document, time: int, customer: Customer) -> Iterator[Event]:
        """The order itself, then the products that did not fit into its event."""
        total = _total(document.lines)
        refunded = self._is_refund(document, total)
        sign = -1 if refunded else 1
        try:
            revenue = _as_number(sign * total)
            parts = _parts([_product(line, sign) for line in document.lines])
        except ValueError as fault:
            self._report.reject(str(fault), f"row {document.first_row}")
            self._report.held_back += document.rows - 1
            yield from self._refused(document.number, [str(fault)], document.raw)
            return
        properties: dict[str, Any] = {"order_id": document.number, "currency": self._mapping.currency}
        amounts = {"revenue": revenue, "total": revenue, "lines": len(document.lines)}
        kind = "order.refunded" if refunded else "order.completed"
        yield self._event(document.number, kind, time, customer, properties | amounts | {"products": parts[0]})
        for part, products in enumerate(parts[1:], start=2):
            more = properties | {"part": part, "parts": len(parts), "products": products}
            yield self._event(f"{document.number}/{part}", CONTINUED, time, customer, more)

    def _is_refund(self, document: _Document, total: Decimal) -> bool:
        rule = self._mapping.document
        if rule.cancelled_prefix and document.number.startswith(rule.cancelled_prefix):
            return True
        nothing_sold = total == 0 and all(line.quantity < 0 for line in document.lines)
        return rule.cancelled_when_negative and (total < 0 or nothing_sold)

    def _trait_changes(self) -> Iterator[Event]:
        """One `profile.identified` for a customer's first traits, and one for each later change. Customers are in the
        order of the file, and each one's changes are in the order of time.
        """
        for customer, told in self._seen_traits.items():
            before: dict[str, str] = {}
            for time, number, traits in sorted(told, key=lambda one: one[:2]):
                changed = {name: value for name, value in traits.items() if before.get(name) != value}
                if changed:
                    before |= changed
                    yield self._event(f"{number}/traits", "profile.identified", time, customer, {}, traits=changed)

    def _refused(self, number: str, faults: list[str], rows: list[Row]) -> Iterator[Event]:
        """Rows that cannot become an order, as events that will be rejected and kept.

        One event; several, numbered from 2 on, where the rows are too many for one.
        """
        reasons = ", ".join(dict.fromkeys(faults))
        places = f"row {rows[0].number}" if len(rows) == 1 else f"rows {rows[0].number} to {rows[-1].number}"
        id = f"{number.encode(errors='backslashreplace').decode()}/refused"  # a number may hold bad bytes
        for part, kept in enumerate(_parts([self._kept(row) for row in rows]), start=1):
            yield {
                "specversion": "1.0",
                "id": id if part == 1 else f"{id}/{part}",
                "source": self._source,
                "type": REFUSED,
                "channel": self._channel,
                "refused": f"{self._file}, {places}: {reasons}; correct the file and import it again",
                "data": {"file": self._file, "rows": kept},
            }

    def _kept(self, row: Row) -> dict[str, Any]:
        """A row as it is in the file: its bytes if it could not be parsed, else its cells."""
        if row.raw is not None:
            return {"row": row.number} | kept_bytes(row.raw)
        cells = zip(self._mapping.columns(), row.values, strict=False)
        return {"row": row.number, "cells": {name: str(cell) for name, cell in cells}}

    def _event(
        self,
        number: str,
        kind: str,
        time: int,
        customer: Customer,
        properties: dict[str, Any],
        *,
        traits: dict[str, str] | None = None,
    ) -> Event:
        identifiers = [
            {"type": part.type, "value": value}
            for part, value in zip(self._mapping.identifiers, customer, strict=bool(customer))
            if value
        ]
        data: dict[str, Any] = {"identifiers": identifiers, "properties": properties}
        if traits:
            data["traits"] = traits
        return {
            "specversion": "1.0",
            "id": number,
            "source": self._source,
            "type": kind,
            "time": iso(time),
            "channel": self._channel,
            "data": data,
        }


def _total(lines: list[_Line]) -> Decimal:
    with localcontext(prec=120):  # more digits than any two cells can multiply to: nothing is rounded
        return sum((line.quantity * line.price for line in lines), Decimal(0))


def _product(line: _Line, sign: int) -> dict[str, Any]:
    product: dict[str, Any] = {"sku": line.sku, "name": line.name} if line.name else {"sku": line.sku}
    return product | {"quantity": _as_number(sign * line.quantity), "price": _as_number(line.price)}


@lru_cache(8_192)
def _as_number(exact: Decimal) -> int | float:
    """The JSON number that reads back as exactly this decimal. Raises `ValueError` if there is none."""
    if exact == exact.to_integral_value():
        if abs(exact) < 2**53:
            return int(exact)
    elif Decimal(repr(number := float(exact))) == exact:
        return number
    raise ValueError("amount_not_exact")


def _parts(products: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The products cut into lists that each fit into one event; at least one list."""
    if len(orjson.dumps(products)) <= PRODUCTS_BYTES:
        return [products]
    parts: list[list[dict[str, Any]]] = [[]]
    room = PRODUCTS_BYTES
    for product in products:
        size = len(orjson.dumps(product)) + 1
        if size > room and parts[-1]:
            parts.append([])
            room = PRODUCTS_BYTES
        parts[-1].append(product)
        room -= size
    return parts
