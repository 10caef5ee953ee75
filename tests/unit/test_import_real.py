"""The same real purchases, however a program writes them: the totals are those of an independent computation.

The lines are those of a hundred or so invoices of UCI's "Online Retail" (CC BY 4.0, see simorgh/demo/data/README.md).
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import simorgh.demo
from producers.files.importer import import_file
from producers.files.mapping import parse_mapping
from producers.files.report import Report
from schemas import jalali

REAL: Final = Path(simorgh.demo.__file__).parent / "data" / "online_retail.parquet"
COLUMNS: Final = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")

Line = dict[str, Any]
Write = Callable[[Path, list[Line]], dict[str, Any]]
"""Writes the lines as a file and returns what the mapping has to say more of it."""


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    """Two thousand lines with cancellations, write-offs, lines without a customer, and prices of a tenth of a penny."""
    table = pq.read_table(REAL, columns=list(COLUMNS))
    odd = pc.not_equal(pc.round(table["UnitPrice"], 2), table["UnitPrice"])
    wanted = {str(number) for number in table.filter(odd)["InvoiceNo"].to_pylist()}
    wanted |= {str(number) for number in table.slice(140_000, 2_000)["InvoiceNo"].to_pylist()}
    rows: list[Line] = table.filter(
        pc.is_in(table["InvoiceNo"].cast(pa.string()), pa.array(sorted(wanted)))
    ).to_pylist()
    return rows


def expected(lines: list[Line]) -> tuple[int, int, Decimal]:
    """Orders, refunds and the signed sum, computed without any of our readers."""
    sums: dict[str, Decimal] = {}
    for line in lines:
        exact = Decimal(line["Quantity"]) * Decimal(repr(line["UnitPrice"]))
        sums.setdefault(str(line["InvoiceNo"]), Decimal(0))
        sums[str(line["InvoiceNo"])] += exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
    nothing_sold = {
        number
        for number, total in sums.items()
        if not total and all(one["Quantity"] < 0 for one in lines if str(one["InvoiceNo"]) == number)
    }
    refunds = sum(number.startswith("C") or total < 0 or number in nothing_sold for number, total in sums.items())
    return len(sums) - refunds, refunds, sum(sums.values(), Decimal(0))


def texts(lines: list[Line], number: Callable[[Decimal], str], time: Callable[[datetime], str]) -> Iterator[list[str]]:
    for line in lines:
        card = line["CustomerID"]
        yield [
            str(line["InvoiceNo"]),
            str(line["StockCode"]),
            line["Description"] or "",
            str(line["Quantity"]),
            time(line["InvoiceDate"]),
            number(Decimal(repr(line["UnitPrice"]))),
            "" if card is None else str(int(card)),
        ]


def table(path: Path, rows: Iterator[list[str]], delimiter: str, encoding: str) -> None:
    with path.open("w", encoding=encoding, errors="replace", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([COLUMNS, *rows])


def english(path: Path, lines: list[Line]) -> dict[str, Any]:
    table(path, texts(lines, lambda n: f"£{n:,f}", lambda t: t.isoformat(" ")), ",", "utf-8-sig")
    return {}


def german(path: Path, lines: list[Line]) -> dict[str, Any]:
    def number(exact: Decimal) -> str:
        return f"{exact:,f}".translate(str.maketrans(",.", ".,"))

    table(path, texts(lines, number, lambda t: t.strftime("%d.%m.%Y %H:%M")), ";", "cp1252")
    return {"time": {"column": "InvoiceDate", "zone": "Europe/London", "format": "%d.%m.%Y %H:%M"}}


def persian(path: Path, lines: list[Line]) -> dict[str, Any]:
    digits = str.maketrans("0123456789.,", "۰۱۲۳۴۵۶۷۸۹٫٬")

    def time(gregorian: datetime) -> str:
        year = gregorian.year - 621 - (gregorian.date() < jalali.to_gregorian(gregorian.year - 621, 1, 1))
        days = (gregorian.date() - jalali.to_gregorian(year, 1, 1)).days
        month, day = (days // 31 + 1, days % 31 + 1) if days < 186 else ((days - 6) // 30 + 1, (days - 6) % 30 + 1)
        return f"{year}/{month:02d}/{day:02d} {gregorian:%H:%M:%S}".translate(digits)

    table(path, texts(lines, lambda n: f"{n:,f}".translate(digits), time), "\t", "utf-16")
    return {}


def excel(path: Path, lines: list[Line]) -> dict[str, Any]:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(list(COLUMNS))
    for line in lines:
        card = line["CustomerID"]
        sheet.append([line[name] for name in COLUMNS[:-1]] + [None if card is None else float(card)])
    book.save(path)
    return {}


def parquet(path: Path, lines: list[Line]) -> dict[str, Any]:
    pq.write_table(pa.Table.from_pylist(lines), path)
    return {}


@pytest.mark.parametrize(
    ("write", "name"),
    [(english, "a.csv"), (german, "a.csv"), (persian, "a.tsv"), (excel, "a.xlsx"), (parquet, "a.parquet")],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_every_spelling_of_a_real_file_gives_the_same_totals(
    tmp_path: Path, lines: list[Line], write: Write, name: str
) -> None:
    path = tmp_path / name
    more = write(path, lines)
    mapping = {
        "name": "retail",
        "channel": "pos",
        "currency": "GBP",
        "document": {"column": "InvoiceNo", "cancelled_prefix": "C"},
        "time": {"column": "InvoiceDate", "zone": "Europe/London"},
        "identifiers": [{"column": "CustomerID", "type": "loyalty_card"}],
        "line": {"sku": "StockCode", "name": "Description", "quantity": "Quantity", "price": "UnitPrice"},
    } | more
    report: Report = import_file(path, parse_mapping(mapping), None)
    sums: Counter[str] = report.money["GBP"]
    orders, refunds, total = expected(lines)
    assert (report.rows, report.rejected, report.left_out) == (len(lines), {}, {})
    assert (report.events["order.completed"], report.events["order.refunded"]) == (orders, refunds)
    assert sums["order.completed"] - sums["order.refunded"] == total
    assert report.last_time == max(int(time.timestamp() * 1000) for time in map(london, lines))


def london(line: Line) -> datetime:
    from zoneinfo import ZoneInfo

    found: datetime = line["InvoiceDate"].replace(tzinfo=ZoneInfo("Europe/London"))
    return found
