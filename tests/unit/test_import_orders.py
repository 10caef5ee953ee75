"""Rows of small files to events: what is kept, what is repaired, what is refused and why."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from producers.files.events import REFUSED, Event
from producers.files.importer import import_file, read_events
from producers.files.mapping import Mapping, parse_mapping
from producers.files.report import Report
from producers.files.sinks import ACCEPTED, SendOutcome
from producers.limits import MAX_EVENT
from schemas.errors import InvalidInput
from schemas.orders import CONTINUED

HEADER = "receipt,when,card,town,item,label,n,each\n"


def mapping(**changes: Any) -> Mapping:
    return parse_mapping(
        {
            "name": "till",
            "channel": "pos",
            "currency": "EUR",
            "document": {"column": "receipt", "cancelled_prefix": "R"},
            "time": {"column": "when", "zone": "Europe/Berlin"},
            "identifiers": [{"column": "card", "type": "loyalty_card"}],
            "line": {"sku": "item", "name": "label", "quantity": "n", "price": "each"},
            "traits": {"city": "town"},
        }
        | changes
    )


def events_of(path: Path, text: str, form: Mapping | None = None, *, weeks: int = 0) -> tuple[list[Event], Report]:
    path.write_text(text, encoding="utf-8")
    report = Report()
    return list(read_events(path, form or mapping(), report, shift_weeks=weeks)), report


def orders(events: list[Event]) -> list[dict[str, Any]]:
    return [
        event["data"]["properties"]
        for event in events
        if event["type"].startswith("order.") and event["type"] != CONTINUED
    ]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "till.csv"


class Collected:
    """A sink that keeps what it is given and refuses the ids that it is told to."""

    def __init__(self, refuse: frozenset[str] = frozenset()) -> None:
        self.events: list[Event] = []
        self._refuse = refuse

    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        self.events += events
        return [SendOutcome(False, "wrong", "told so") if event["id"] in self._refuse else ACCEPTED for event in events]


def test_lines_of_a_document_become_one_order(csv: Path) -> None:
    text = (
        HEADER
        + "1,2024-07-01 10:00,77,Bonn,a,Apple,3,0.10\n"
        + "2,2024-07-01 10:05,,,b,Bun,1,1\n"
        + "1,2024-07-01 10:00,77,Bonn,b,Bun,2,1.255\n"
    )
    events, report = events_of(csv, text)
    assert [event["id"] for event in events] == ["2", "1", "1/traits"]
    assert events[1] == {
        "specversion": "1.0",
        "id": "1",
        "source": "/files/pos/till",
        "type": "order.completed",
        "time": "2024-07-01T08:00:00.000Z",
        "channel": "pos",
        "data": {
            "identifiers": [{"type": "loyalty_card", "value": "77"}],
            "properties": {
                "order_id": "1",
                "currency": "EUR",
                "revenue": 2.81,
                "total": 2.81,
                "lines": 2,
                "products": [
                    {"sku": "a", "name": "Apple", "quantity": 3, "price": 0.1},
                    {"sku": "b", "name": "Bun", "quantity": 2, "price": 1.255},
                ],
            },
        },
    }
    assert events[0]["data"]["identifiers"] == []
    assert (report.rows, report.anonymous, report.rejected) == (3, 1, {})


def test_a_line_keeps_every_value_that_is_not_empty(csv: Path) -> None:
    line = {"sku": "item", "quantity": "n", "price": "each"}
    line["properties"] = {"weight": {"column": "town", "read": "number"}, "note": {"column": "label"}}  # type: ignore[assignment]
    events, _ = events_of(csv, HEADER + "1,2024-07-01 10:00,77,0,a,,1,0.10\n", mapping(line=line, traits={}))
    assert orders(events)[0]["products"] == [{"sku": "a", "quantity": 1, "price": 0.1, "weight": 0}]


def test_equal_lines_all_count(csv: Path) -> None:
    line = "1,2024-07-01 10:00,77,Bonn,a,Apple,1,0.10\n"
    events, _ = events_of(csv, HEADER + line * 3)
    assert orders(events)[0]["revenue"] == 0.3


def test_money_is_exact_where_floats_are_not(csv: Path) -> None:
    text = HEADER + "".join(
        f"1,2024-07-01 10:00,77,Bonn,a,Apple,1,{price}\n" for price in ("0.1", "0.2", "1000000000000")
    )
    events, _ = events_of(csv, text)
    assert Decimal(repr(orders(events)[0]["revenue"])) == Decimal("1000000000000.3")


def test_an_amount_that_no_json_number_holds_is_refused(csv: Path) -> None:
    text = HEADER + "1,2024-07-01 10:00,77,,a,,1,12345678901234567.123456\n"
    events, report = events_of(csv, text)
    assert [event["type"] for event in events] == [REFUSED]
    assert report.rejected["amount_not_exact"].first == ["row 2"]


@pytest.mark.parametrize(
    ("number", "cells", "told"),
    [
        ("R1", "-2,5", ("order.refunded", 10)),
        ("1", "-2,5", ("order.refunded", 10)),
        ("1", "1,-5", ("order.refunded", 5)),
        ("1", "-2,0", ("order.refunded", 0)),
        ("1", "2,0", ("order.completed", 0)),
    ],
)
def test_cancellations_are_refunds(csv: Path, number: str, cells: str, told: tuple[str, int]) -> None:
    events, _ = events_of(csv, HEADER + f"{number},2024-07-01 10:00,,,a,,{cells}\n")
    assert (events[0]["type"], orders(events)[0]["revenue"]) == told


def test_a_faulty_line_is_left_out_and_its_basket_stays(csv: Path) -> None:
    good = "{0},2024-07-01 10:00,77,Bonn,a,Apple,1,1\n"
    bad = [
        "3,2024-07-01 10:00,77,Bonn,a,Apple,two,1\n",
        "4,yesterday,77,Bonn,a,Apple,1,1\n",
        "5,2024-07-01 10:00,77,Bonn,a,Apple,0,1\n",
        "6,2024-07-01 10:00,77,Bonn,a,Apple,1,\n",
        "1,2024-07-01 10:00,77\n",
        ",2024-07-01 10:00,77,Bonn,a,Apple,1,1\n",
        "8,2024-07-01 10:00,77,Bonn,a,Apple,NaN,1e5\n",
    ]
    events, report = events_of(csv, HEADER + good.format(1) + good.format(3) + "".join(bad) + good.format(2))
    told = {order["order_id"]: (order["revenue"], order.get("lines_left_out")) for order in orders(events)}
    assert told == {"3": (1, 1), "1": (1, 1), "2": (1, None)}
    assert (report.rows, report.unusable) == (10, 7)
    assert {reason: found.first for reason, found in report.rejected.items()} == {
        "quantity_not_a_number": ["row 4"],
        "time_not_a_time": ["row 5"],
        "no_usable_line": ["row 6"],
        "price_missing": ["row 7"],
        "wrong_number_of_fields": ["row 8"],
        "missing_document": ["row 9"],
        "quantity_missing": ["row 10"],
    }


def test_two_customers_in_one_document_are_nobodys_guess(csv: Path) -> None:
    line = "1,2024-07-01 10:00,{0},Bonn,a,Apple,1,1\n"
    events, report = events_of(csv, HEADER + line.format(77) + line.format(78))
    [kept] = events
    assert kept["type"] == REFUSED
    assert [row["row"] for row in kept["data"]["rows"]] == [2, 3]
    assert report.rejected["several_customers_in_one_document"].count == 1
    events, _ = events_of(csv, HEADER + line.format(77) + line.format(""))
    assert events[0]["data"]["identifiers"] == [{"type": "loyalty_card", "value": "77"}]


def test_bad_bytes_spoil_their_row_only(csv: Path) -> None:
    row = b"%d,2024-07-01 10:00,77,K%sln,a,Apple,1,1\n"
    csv.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + row % (1, b"\xf6") + row % (2, "ö".encode()))
    report = Report()
    events = [event for event in read_events(csv, mapping(), report) if event["type"] != REFUSED]
    assert [event["id"] for event in events] == ["2", "2/traits"]
    assert events[1]["data"]["traits"] == {"city": "Köln"}
    assert report.rejected["wrong_encoding"].first == ["row 2"]


def test_traits_are_told_once_and_when_they_change_in_the_order_of_time(csv: Path) -> None:
    rows = [(1, "01", "Bonn"), (4, "04", "Bonn"), (2, "02", "Köln"), (3, "03", "Köln"), (5, "05", "")]
    text = HEADER + "".join(f"{n},2024-07-{day} 10:00,77,{town},a,Apple,1,1\n" for n, day, town in rows)
    events, _ = events_of(csv, text)
    told = [event for event in events if event["type"] == "profile.identified"]
    assert [(event["id"], event["data"]["traits"]["city"]) for event in told] == [
        ("1/traits", "Bonn"),
        ("2/traits", "Köln"),
        ("4/traits", "Bonn"),
    ]


def test_an_identifier_that_pandas_made_a_fraction_is_repaired(csv: Path) -> None:
    events, report = events_of(csv, HEADER + "1,2024-07-01 10:00,77.0,Bonn,a,Apple,1,1\n")
    assert events[0]["data"]["identifiers"][0]["value"] == "77"
    assert [str(place) for place in report.repaired["fraction_removed"].places] == ["row 2, card"]


def test_a_long_order_goes_on_in_further_events_and_loses_nothing(csv: Path) -> None:
    label = "a rather long description of the thing " * 2
    text = HEADER + "".join(f"1,2024-07-01 10:00,77,Bonn,sku{n},{label},1,1\n" for n in range(1_000))
    events, _ = events_of(csv, text)
    parts = [event for event in events if event["data"]["properties"].get("order_id") == "1"]
    assert [event["type"] for event in parts] == ["order.completed"] + [CONTINUED] * (len(parts) - 1)
    assert [event["id"] for event in parts[1:3]] == ["1/2", "1/3"]
    assert parts[0]["data"]["properties"]["revenue"] == 1_000
    products = [product["sku"] for event in parts for product in event["data"]["properties"]["products"]]
    assert products == [f"sku{n}" for n in range(1_000)]
    assert max(len(orjson.dumps(event)) for event in parts) < MAX_EVENT


def test_times_move_by_whole_weeks_and_ids_stay(csv: Path) -> None:
    text = HEADER + "1,2024-07-01 10:00,77,Bonn,a,Apple,1,1\n"
    still, _ = events_of(csv, text)
    moved, _ = events_of(csv, text, weeks=2)
    assert moved[0]["time"] == "2024-07-15T08:00:00.000Z"
    assert [event["id"] for event in moved] == [event["id"] for event in still]


@pytest.mark.parametrize(
    ("time", "written"),
    [
        ({"format": "%d.%m.%Y %H:%M"}, "01.07.2024 10:00"),
        ({"format": "epoch_seconds", "zone": "UTC"}, "1719820800"),
        ({"format": "epoch_ms"}, "1719820800000"),
        ({}, "2024-07-01T10:00:00+02:00"),
    ],
)
def test_ways_to_write_a_time(csv: Path, time: dict[str, Any], written: str) -> None:
    form = mapping(time={"column": "when", "zone": "Europe/Berlin"} | time)
    events, _ = events_of(csv, HEADER + f"1,{written},77,Bonn,a,Apple,1,1\n", form)
    assert events[0]["time"] == "2024-07-01T08:00:00.000Z"


def test_a_decimal_comma_and_another_delimiter(csv: Path) -> None:
    form = mapping(format={"delimiter": ";", "decimal": ","})
    text = (
        HEADER.replace(",", ";")
        + "1;2024-07-01 10:00;77;Bonn;a;Apple;2;1,50\n1;2024-07-01 10:00;77;Bonn;a;Apple;1;1.50\n"
    )
    events, report = events_of(csv, text, form)
    kept, order = events[:2]
    assert kept["refused"] == "till.csv, row 3: price_not_a_number; correct the file and import it again"
    assert order["data"]["properties"]["revenue"] == 3
    assert report.rejected["price_not_a_number"].first == ["row 3"]


COLUMNS = HEADER.strip().split(",")
RECORDS: list[dict[str, Any]] = [
    dict(zip(COLUMNS, ("1", "2024-07-01 10:00", 77, "Bonn", "a", None, 2, 1.5), strict=True)),
    dict(zip(COLUMNS, ("2", "2024-07-02 10:00", None, None, "a", "A", -1, 1.5), strict=True)),
]


def test_csv_json_lines_parquet_and_tsv_tell_the_same(tmp_path: Path) -> None:
    rows = [["" if value is None else str(value) for value in record.values()] for record in RECORDS]
    table = [list(RECORDS[0]), *rows]
    (tmp_path / "a.csv").write_text("".join(",".join(row) + "\n" for row in table))
    (tmp_path / "a.tsv").write_text("".join("\t".join(row) + "\n" for row in table))
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(record) for record in RECORDS))
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "a.parquet")
    told = [list(read_events(tmp_path / f"a.{end}", mapping(), Report())) for end in ("csv", "tsv", "jsonl", "parquet")]
    assert told[0] == told[1] == told[2] == told[3]
    assert [event["type"] for event in told[0]] == ["order.completed", "order.refunded", "profile.identified"]


def test_excel_needs_openpyxl(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(list(RECORDS[0]))
    for record in RECORDS:
        book.active.append(list(record.values()))
    book.save(tmp_path / "a.xlsx")
    events = list(read_events(tmp_path / "a.xlsx", mapping(), Report()))
    assert [event["type"] for event in events] == ["order.completed", "order.refunded", "profile.identified"]


def test_a_broken_json_line_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(["{", "[]", json.dumps(RECORDS[0])]))
    report = Report()
    kinds = Counter(event["type"] for event in read_events(path, mapping(), report))
    assert kinds == {REFUSED: 2, "order.completed": 1, "profile.identified": 1}
    assert {reason: found.first for reason, found in report.rejected.items()} == {
        "not_json": ["row 1"],
        "not_an_object": ["row 2"],
    }


def test_a_file_that_cannot_be_used_says_why(csv: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="got a path where there is none"):
        import_file(csv, mapping(), None)
    csv.write_text("receipt,when\n")
    with pytest.raises(InvalidInput, match=r"got no columns item, n, each, label, card, town"):
        import_file(csv, mapping(), None)
    (tmp_path / "a.parquet").write_text("hello")
    with pytest.raises(InvalidInput, match="wanted a Parquet file"):
        import_file(tmp_path / "a.parquet", mapping(), None)
    with pytest.raises(InvalidInput, match="wanted a channel"):
        import_file(csv, mapping(channel=None), None)


def test_the_report_counts_what_the_sink_refused(csv: Path) -> None:
    csv.write_text(HEADER + "1,2024-07-01 10:00,77,Bonn,a,Apple,1,1\n2,2024-07-01 10:00,77,Bonn,a,Apple,1,1\n")
    sink = Collected(refuse=frozenset({"2"}))
    progress: list[tuple[int, int]] = []
    report = import_file(csv, mapping(), sink, lambda done, total: progress.append((done, total)), channel="web")
    assert {event["channel"] for event in sink.events} == {"web"}
    assert report.events == Counter({"order.completed": 1, "profile.identified": 1})
    assert report.rejected["wrong"].first == ["event 2"]
    assert progress[-1] == (3, 3)
    console = Console(record=True, width=100)
    console.print(report)
    printed = console.export_text()
    assert "2 rows became 2 events" in printed
    assert "event 2" in printed


def test_a_dry_run_reads_everything_and_sends_nothing(csv: Path) -> None:
    csv.write_text(HEADER + "1,2024-07-01 10:00,77,Bonn,a,Apple,1,1\n")
    report = import_file(csv, mapping(), None)
    assert report.dry_run
    assert report.total == 2
