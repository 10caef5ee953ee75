"""Whatever a file holds, an import ends with a report or with one documented error, and counts every row."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.files.guess import guess_mapping
from producers.files.importer import import_file
from producers.files.mapping import parse_mapping
from schemas.errors import InvalidInput

ORDERS = parse_mapping(
    {
        "name": "o", "channel": "pos",
        "document": {"column": "a"}, "time": {"column": "b"}, "identifiers": [{"column": "c", "type": "phone"}],
        "line": {"quantity": "d", "price": "e", "discount": "f"}, "traits": {"x": {"column": "g", "read": "date"}},
        "order": {"currency": "h", "total": "i", "refunded": "j"},
    }
)  # fmt: skip
PEOPLE = parse_mapping(
    {
        "kind": "people", "name": "p", "channel": "server", "region": "IR", "time": {"column": "a"}, "account": "b",
        "identifiers": [{"column": "c", "type": "phone"}, {"column": "d", "type": "email"}],
        "traits": {name: {"column": "e", "read": name} for name in ("number", "date", "time", "yes_no", "phone")},
    }
)  # fmt: skip
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "1", "2", "0", "-1", "1,990", "1.5", "€5", "تومان ۵", "1403/05/12", "2024-01-01", "45000.5", "1448/1/1",
         "09123456789", "9.1E+09", "#N/A", "a@example.com", "EUR", "$", "NaN", "inf", "1e308", "9" * 40, "\x00",
         "\udcff"]
    ),
)  # fmt: skip
ROWS = st.lists(st.lists(CELLS, min_size=10, max_size=10), max_size=12)


def check(path: Path) -> None:
    for mapping in (ORDERS, PEOPLE):
        try:
            report = import_file(path, mapping, None)
        except InvalidInput:
            continue
        assert 0 <= report.unusable <= report.rows
        report.as_json()
    try:
        guess_mapping(path)
    except InvalidInput:
        return


@settings(max_examples=25, deadline=None)
@given(ROWS, st.sampled_from([",", ";", "\t"]))
def test_tables_of_odd_cells(rows: list[list[str]], delimiter: str) -> None:
    lines = [list("abcdefghij"), *rows]
    text = "\n".join(delimiter.join(cell.replace(delimiter, " ").replace("\n", " ") for cell in row) for row in lines)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(text.encode("utf-8", "surrogateescape") if _encodes(text) else text.encode("utf-8", "replace"))
        check(path)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.xlsx", "t.parquet", "t.txt"]))
def test_files_of_any_bytes(content: bytes, name: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        check(path)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | CELLS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdefghij"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcdefghij"), JSON, max_size=10), max_size=8))
def test_json_lines_of_any_values(records: list[dict[str, Any]]) -> None:
    import json

    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.jsonl"
        path.write_text("\n".join(map(json.dumps, records)))
        check(path)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
