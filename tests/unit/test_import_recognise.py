"""What a file shows of its own format, and the mappings that are guessed."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from producers.files.columns import folded
from producers.files.guess import guess_mapping
from producers.files.importer import import_file, read_events
from producers.files.mapping import load_mapping, parse_mapping
from producers.files.recognise import delimiter_of, encoding_of
from producers.files.report import Report
from schemas.errors import InvalidInput

PERSIAN = "نام;شهر;موبايل\nسارا;تهران;09123456789\nرضا;شيراز;09123456780\n"
GERMAN = "Name;Stadt;Straße\nJürgen Müller;Köln;Höhenweg 5\nAnna Weiß;Düren;Am Bach 1\n"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (PERSIAN, "utf-8", "utf-8"),
        (PERSIAN, "utf-8-sig", "utf-8-sig"),
        (PERSIAN, "utf-16", "utf-16"),
        (PERSIAN, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-16-be", "utf-16-be"),
        (PERSIAN, "cp1256", "cp1256"),
        (GERMAN, "cp1252", "cp1252"),
        (GERMAN, "utf-8", "utf-8"),
        ("a,b\n1,2\n", "ascii", "utf-8"),
        ("", "ascii", "utf-8"),
        ("Name;Ort\nMüller;Ulm\n", "cp1252", "cp1252"),
        ("price\n5 €\n", "cp1252", "utf-8"),
    ],
)
def test_encodings(text: str, encoding: str, found: str) -> None:
    assert encoding_of(text.encode(encoding)) == found


def test_a_sample_that_ends_within_a_character_is_still_utf8() -> None:
    content = ("سارا," * 1_000).encode()
    assert {encoding_of(content[:size]) for size in range(2, 40)} == {"utf-8"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b;c\n1,5;2;3\n1,5;2;3\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ('a,b\n"x;y;z",2\n"x;y;z",2\n', ","),
        ("a\n1\n", ","),
        ("", ","),
    ],
)
def test_separators(text: str, found: str) -> None:
    assert delimiter_of(text) == found


MAPPING = parse_mapping(
    {
        "kind": "people", "name": "c", "channel": "server", "region": "IR",
        "identifiers": [{"column": "موبايل", "type": "phone"}], "traits": {"city": "شهر"},
    }
)  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1256"])
def test_a_persian_file_reads_the_same_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(PERSIAN.encode(encoding))
    report = Report()
    told = [(event["id"], event["data"]["traits"]) for event in read_events(path, MAPPING, report)]
    assert [traits for _, traits in told] == [{"city": "تهران"}, {"city": "شيراز"}]
    assert report.recognised["separator"] == "semicolon"


def test_runs_of_blanks_and_an_order_number_made_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "CDNOW.txt"
    path.write_text(" 00001 19970101  1   11.77\n 00002 19970112  1   12.00\n 00002 19970112  5   77.00\n")
    mapping = parse_mapping(
        {
            "name": "cdnow", "channel": "web", "currency": "USD",
            "format": {"separator": r"\s+", "header": ["customer", "date", "cds", "dollars"]},
            "document": {"columns": ["customer", "date"]}, "time": {"column": "date"},
            "identifiers": [{"column": "customer", "type": "user_id"}],
            "line": {"quantity": "cds", "amount": "dollars"},
        }
    )  # fmt: skip
    report = Report()
    events = list(read_events(path, mapping, report))
    assert [(event["id"], event["data"]["properties"]["revenue"]) for event in events] == [
        ("00001|19970101", 11.77),
        ("00002|19970112", 89),
    ]
    assert events[0]["time"] == "1997-01-01T00:00:00.000Z"
    assert report.rows == 3


# --- guesses


def guessed(path: Path, text: str, encoding: str = "utf-8") -> tuple[dict[str, object], str]:
    path.write_bytes(text.encode(encoding))
    told = guess_mapping(path)
    return tomllib.loads(told), told


def test_a_persian_shop(tmp_path: Path) -> None:
    path = tmp_path / "فروش.csv"
    text = "شماره فاکتور;تاریخ;موبایل;کد کالا;تعداد;قیمت واحد (تومان);تخفیف\n"
    text += "1001;۱۴۰۵/۰۹/۰۱ ۱۰:۳۰;۰۹۱۲۳۴۵۶۷۸۹;A-1;۲;۱۲۵٬۰۰۰;۰\n1001;۱۴۰۵/۰۹/۰۱ ۱۰:۳۰;۰۹۱۲۳۴۵۶۷۸۹;B;۱;۲۹۹,۰۰۰;\n"
    mapping, _ = guessed(path, text)
    assert (mapping["kind"], mapping["region"], mapping["currency"]) == ("orders", "IR", "IRT")
    assert mapping["time"] == {"column": "تاریخ", "calendar": "jalali", "zone": "Asia/Tehran"}
    assert mapping["line"] == {
        "sku": "کد کالا", "quantity": "تعداد", "price": "قیمت واحد (تومان)", "discount": "تخفیف",
    }  # fmt: skip
    report = import_file(path, parse_mapping(mapping), None)
    assert {currency: dict(sums) for currency, sums in report.money.items()} == {"IRT": {"order.completed": 549_000}}


def test_contacts_in_english_and_by_their_values(tmp_path: Path) -> None:
    text = "ContactID,FirstName,Last Name,How to reach,Company,Shoe size\n7,Sara,Ahmadi,sara@example.com,Attar,38\n"
    mapping, _ = guessed(tmp_path / "contacts_2024.csv", text)
    assert (mapping["kind"], mapping["name"], mapping["account"]) == ("people", "contacts", "Company")
    assert mapping["identifiers"] == [
        {"column": "How to reach", "type": "email"},
        {"column": "ContactID", "type": "user_id"},
    ]
    assert mapping["traits"] == {
        "email": "How to reach", "first_name": "FirstName", "last_name": "Last Name", "Shoe size": "Shoe size",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("Company,Industry,City\nAttar,Books,Shiraz\n", "accounts", ""),
        ("Lead ID,Email,Lead Source\n5,a@example.com,fair\n", "leads", ""),
        ("event,date,user id\nsigned_up,2024-07-01,u1\n", "events", ""),
        ("Order,Date,SKU,Qty,Price\n1,13/01/2024,a,1,2.50\n", "orders", "%d/%m/%Y"),
        ("Order,Date,SKU,Qty,Price\n1,03/01/2024,a,1,2.50\n", "orders", "CHECK: dates can be read as"),
        ("Order;Date;SKU;Qty;Price\n1;2024-01-01;a;1;2,50\n", "orders", "no currency is named"),
        ("Date,Customer ID,Amount EUR\n2024-01-01,5,2.50\n", "orders", 'columns = ["Customer ID", "Date"]'),
        ("Order;Date;SKU;Qty;Price\n1;2024-01-01;a;1;1,990\n", "orders", "can be read in two ways"),
    ],
)
def test_kinds_and_doubts(tmp_path: Path, text: str, kind: str, says: str) -> None:
    mapping, told = guessed(tmp_path / "file.csv", text)
    assert mapping["kind"] == kind
    assert says in told


def test_a_file_of_nothing_known_is_no_guess(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="fit none"):
        guessed(tmp_path / "a.csv", "x,y\n1,2\n")
    with pytest.raises(InvalidInput, match="a first line of names"):
        guessed(tmp_path / "a.csv", "")


def test_names_are_compared_without_case_marks_and_variants_of_letters() -> None:
    assert folded("Invoice_No") == folded("invoice no") == folded("InvoiceNo")
    assert folded("شماره‌ی موبايل") == folded("شماره ی موبایل")


@pytest.mark.parametrize(
    ("rows", "time", "first"),
    [
        ("time,date\n9:05,2025-01-02\n18:40,2025-01-03\n", {"column": "date", "clock": "time"}, "2025-01-02T09:05"),
        ("date,trans time\n2025-01-02,905\n2025-01-03,1840\n", {}, "2025-01-02T09:05"),
        ("Date,Time\n01/13/2025,09:05 PM\n01/14/2025,06:40 PM\n", {"format": "%m/%d/%Y %I:%M %p"}, "2025-01-13T21:05"),
        ("تاریخ,ساعت\n۱۴۰۳/۰۷/۱۵,۹:۰۵\n۱۴۰۳/۰۷/۱۶,۱۸:۴۰\n", {"calendar": "jalali"}, "2024-10-06T05:35"),
    ],
)
def test_the_time_of_day_may_have_a_column_of_its_own(
    tmp_path: Path, rows: str, time: dict[str, str], first: str
) -> None:
    lines = rows.splitlines()
    text = "\n".join([f"receipt,amount,{lines[0]}", *(f"{n},2.5,{line}" for n, line in enumerate(lines[1:]))])
    mapping, _ = guessed(tmp_path / "till.csv", text)
    when: Any = mapping["time"]
    assert "clock" in when
    assert time.items() <= when.items()
    report = import_file(tmp_path / "till.csv", parse_mapping(mapping), None)
    assert not report.rejected
    assert report.first_events[0]["time"].startswith(first)


def test_a_known_export_is_recognised(tmp_path: Path) -> None:
    columns = load_mapping("shopify-orders").columns()
    mapping, told = guessed(tmp_path / "x.csv", ",".join(columns[:-3]) + "\n")
    assert "--mapping shopify-orders" in told
    assert parse_mapping(mapping) == load_mapping("shopify-orders")


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ("sku,product", {"sku": "sku", "name": "product"}),
        ("product,sku", {"sku": "sku", "name": "product"}),
        ("item,description", {"sku": "item", "name": "description"}),
    ],
)
def test_a_product_is_a_name_or_a_number(tmp_path: Path, columns: str, line: dict[str, str]) -> None:
    mapping, _ = guessed(tmp_path / "x.csv", f"receipt,date,amount,{columns}\n1,2025-01-02,2.5,A1,A2\n")
    found: Any = mapping["line"]
    assert line.items() <= found.items()


def test_what_cannot_be_guessed_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="wanted a column of the orders' time"):
        guessed(tmp_path / "x.csv", "basket_id,day,sales_value\n1,7,2.5\n")
    _, told = guessed(tmp_path / "x.csv", "date,amount\n2025-01-02,2.5\n")
    assert "all rows of one time become one order" in told
    _, told = guessed(tmp_path / "x.csv", "a@b.org,Ann\nc@d.org,Bob\n")
    assert "the first line looks like a row" in told
