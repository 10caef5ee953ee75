"""Rows that cannot be read at all: their bytes, file and lines are kept as rejected events, within bounds."""

import base64
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest

from eventlog.sqlite import SqliteEventLog
from identity.rules import DEFAULT_RULES
from producers.door import Door
from producers.files.events import REFUSED, Event
from producers.files.importer import import_file, read_events
from producers.files.lines import KEPT, MAX_ROW
from producers.files.local import LocalSink
from producers.files.mapping import Mapping, parse_mapping
from producers.files.report import Report
from producers.limits import MAX_EVENT
from registry.models import Source
from schemas.catalog import Catalog
from schemas.errors import InvalidInput
from schemas.topics import EVENTS, REJECTED

HEADER = b"receipt,when,card,item,n,each\n"
GOOD = b"%d,2024-07-01 10:00,77,a,1,1\n"


def mapping(**form: Any) -> Mapping:
    return parse_mapping(
        {
            "name": "till",
            "channel": "pos",
            "currency": "EUR",
            "format": form,
            "document": {"column": "receipt"},
            "time": {"column": "when"},
            "identifiers": [{"column": "card", "type": "loyalty_card"}],
            "line": {"sku": "item", "quantity": "n", "price": "each"},
        }
    )


def refused_of(path: Path, **form: Any) -> tuple[list[Event], list[str]]:
    """Refused events, and the order ids of the others."""
    events = list(read_events(path, mapping(**form), Report()))
    refused = [event for event in events if event["type"] == REFUSED]
    assert all(len(orjson.dumps(event)) <= MAX_EVENT for event in refused)
    return refused, [event["id"] for event in events if event["type"] != REFUSED]


def rows_of(refused: list[Event]) -> list[dict[str, Any]]:
    return [row for event in refused for row in event["data"]["rows"]]


def test_a_line_that_is_not_json_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "till.jsonl"
    good = orjson.dumps({"receipt": "1", "when": "2024-07-01", "card": "7", "item": "a", "n": 1, "each": 1})
    path.write_bytes(b'{"receipt": "0", \n' + b'["\xff"]\n\n' + good + b"\n[1]")
    refused, others = refused_of(path)
    assert others == ["1"]
    assert [event["refused"].split(";")[0] for event in refused] == [
        "till.jsonl, row 1: not_json",
        "till.jsonl, row 2: not_json",
        "till.jsonl, row 5: not_an_object",
    ]
    assert {event["data"]["file"] for event in refused} == {"till.jsonl"}
    assert rows_of(refused) == [
        {"row": 1, "lines": [1, 1], "bytes": 18, "text": '{"receipt": "0", \n'},
        {"row": 2, "lines": [2, 2], "bytes": 6, "base64": base64.b64encode(b'["\xff"]\n').decode()},
        {"row": 5, "lines": [5, 5], "bytes": 3, "text": "[1]"},
    ]


@pytest.mark.parametrize("form", [{}, {"encoding": "cp1252"}, {"encoding": "utf-8-sig"}])
def test_a_csv_row_keeps_its_bytes_and_all_of_its_lines(tmp_path: Path, form: dict[str, Any]) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(
        HEADER.replace(b"\n", b"\r\n")
        + b'1,"two\r\nlines",77\r\n'
        + GOOD % 2
        + b'3,2024-07-01,"7"7",a,1,1,,\n'
        + b"\n"
        + b"4,2024-07-01\n"
        + GOOD % 5
    )
    refused, others = refused_of(path, **form)
    assert others == ["2", "5"]
    assert rows_of(refused) == [
        {"row": 2, "lines": [2, 3], "bytes": 19, "text": '1,"two\r\nlines",77\r\n'},
        {"row": 4, "lines": [5, 5], "bytes": 27, "text": '3,2024-07-01,"7"7",a,1,1,,\n'},
        {"row": 6, "lines": [7, 7], "bytes": 13, "text": "4,2024-07-01\n"},
    ]


def test_bad_bytes_are_kept_as_they_were_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "till.csv"
    bad = [b"\xff7,2024-07-01,77,a,1,1\n", b"8,2024-07-01,\xc3,a,1,1\n", b"9,\xe2\x82\n", b"\xfe\xff\n"]
    path.write_bytes(HEADER + b"".join(bad) + GOOD % 1)
    refused, others = refused_of(path)
    assert others == ["1"]
    assert sorted(base64.b64decode(row["base64"]) for row in rows_of(refused)) == sorted(bad)
    assert len({event["id"] for event in refused}) == len(bad)


def test_a_quote_that_never_ends_is_kept_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(HEADER + GOOD % 1 + b'2,"open' + b",x\n" * 50_000 + GOOD % 3)
    refused, others = refused_of(path)
    assert others == ["1", "3"]
    assert all(row["kept"] == KEPT for row in rows_of(refused)[:1])
    assert rows_of(refused)[0]["text"].startswith('2,"open,x\n')


@pytest.mark.parametrize("name", ["till.csv", "till.jsonl"])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_huge_line_is_never_in_memory(tmp_path: Path, name: str, end: bytes) -> None:
    path = tmp_path / name
    size = 50_000_000
    with path.open("wb") as file:
        if name == "till.csv":
            file.write(HEADER + GOOD % 1)
        for _ in range(size // 1_000_000):
            file.write("€".encode() * 333_333 + b"x")
        file.write(end + (GOOD % 2 if name == "till.csv" and end else b""))
    tracemalloc.start()
    refused, others = refused_of(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * MAX_ROW
    assert others == ((["1", "2"] if end else ["1"]) if name == "till.csv" else [])
    [row] = rows_of(refused)
    assert (row["bytes"], row["kept"]) == (size + len(end), KEPT - KEPT % 3)
    assert row["text"] == "€" * (KEPT // 3)
    assert "row_too_long" in refused[0]["refused"]


def test_many_unreadable_rows_of_one_document_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(HEADER + b"".join(b"1,%d,\x00%s\n" % (n, b"\x01" * 9_000) for n in range(30)) + GOOD % 2)
    refused, others = refused_of(path)
    assert others == ["2"]
    assert [row["row"] for row in rows_of(refused)] == list(range(2, 32))
    assert [event["id"] for event in refused][:2] == ["1/refused", "1/refused/2"]


@pytest.mark.parametrize(
    ("content", "form"), [(b"x" * (MAX_ROW + 1), {}), (b"\xff\xfea", {"encoding": "utf-16"}), (b'"' * 200_001, {})]
)
def test_a_file_without_a_readable_header_says_so(tmp_path: Path, content: bytes, form: dict[str, Any]) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"^till\.csv: "):
        list(read_events(path, mapping(**form), Report()))


def test_they_stand_among_the_rejected_events(tmp_path: Path) -> None:
    path = tmp_path / "till.csv"
    path.write_bytes(HEADER + b"\xff,2024\n" + GOOD % 1)
    catalog = Catalog.load()
    door = Door(b"secret", "default", lambda: DEFAULT_RULES, catalog, lambda: "fresh")
    log = SqliteEventLog(tmp_path / "log.db", partitions=1)
    try:
        sink = LocalSink(door, log, catalog, Source(id="files", channel="pos"), lambda: 1_765_000_000_000)
        report = import_file(path, mapping(), sink)
        [kept], good = log.read(REJECTED, 0, 0, 10), log.read(EVENTS, 0, 0, 10)
    finally:
        log.close()
    assert (len(good), report.rejected["wrong_number_of_fields"].first) == (1, ["row 2"])
    record = orjson.loads(kept.value)
    assert (record["code"], record["source"]) == ("refused_by_sender", "files")
    assert record["reason"] == "till.csv, row 2: wrong_number_of_fields; correct the file and import it again"
    [row] = orjson.loads(record["payload"])["data"]["rows"]
    assert base64.b64decode(row["base64"]) == b"\xff,2024\n"
