"""Rows of a file, one after the other, in the file's order; memory does not grow with the file.

Row numbers are what a person sees: the first row under a CSV's or sheet's header is 2, the first line of a
JSON Lines file and the first row of a Parquet file is 1.
"""

import csv
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from producers.files.lines import KEPT, MAX_ROW, Raw, RowTooLong, TextLines, byte_lines
from producers.files.mapping import Format, kind_of
from schemas.errors import InvalidInput


class Row(NamedTuple):
    """Values in the order of the columns asked for; with a `fault` (a reason code) what could be
    read of them, or nothing, and the row's bytes."""

    number: int
    values: tuple[object, ...]
    fault: str = ""
    raw: Raw | None = None


def read_rows(path: Path, form: Format, columns: Sequence[str]) -> Iterator[Row]:
    """Stream the named columns.

    A row that cannot be read comes with its fault and does not stop the others. Raises `InvalidInput` when
    the file as a whole cannot be read or lacks a column.
    """
    if not path.is_file():
        raise InvalidInput(f"{path}: no such file", code="no_such_file")
    kind = kind_of(path, form.kind)
    if kind == "parquet":
        return _parquet(path, columns)
    if kind == "jsonl":
        return _json_lines(path, columns)
    if kind == "xlsx":
        return _excel(path, columns)
    return _delimited(path, form, form.delimiter or ("\t" if kind == "tsv" else ","), columns)


def _positions(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    missing = [column for column in columns if column not in header]
    if missing:
        raise InvalidInput(
            f"{path.name}: the mapping names column(s) {', '.join(missing)}, which the file lacks; "
            f"it has {', '.join(header)}; correct the mapping (or its delimiter)",
            code="missing_column",
        )
    return [header.index(column) for column in columns]


def _delimited(path: Path, form: Format, delimiter: str, columns: Sequence[str]) -> Iterator[Row]:
    # utf-8-sig swallows the mark that spreadsheets put first; surrogateescape: a bad byte spoils only its row
    encoding = "utf-8-sig" if form.encoding.lower() in ("utf-8", "utf8") else form.encoding
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        lines = TextLines(file, encoding)
        records = csv.reader(lines, delimiter=delimiter)
        try:
            header = [name.strip() for name in next(records, [])]
            positions = _positions(path, header, columns)
            yield from _records(records, lines, positions, len(header))
        except (csv.Error, RowTooLong) as error:
            raise InvalidInput(
                f"{path.name}: its first line is no header (a line of at most {MAX_ROW} characters was wanted); "
                "correct the file or the mapping's [format]",
                code="unreadable_file",
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{path.name}: is not {form.encoding} ({error.reason}); correct the mapping's encoding",
                code="unreadable_file",
            ) from error


def _records(records: Iterator[list[str]], lines: TextLines, positions: list[int], width: int) -> Iterator[Row]:
    number = 1
    while True:
        number += 1
        lines.begin()
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error:
            yield Row(number, (), "unreadable_row", lines.raw())
        except RowTooLong:
            yield Row(number, (), "row_too_long", lines.raw())
        else:
            if record:
                yield _delimited_row(number, record, positions, width, lines)


def _delimited_row(number: int, record: list[str], positions: list[int], width: int, lines: TextLines) -> Row:
    if len(record) != width:
        there = tuple([record[position] if position < len(record) else None for position in positions])
        return Row(number, there, "wrong_number_of_fields", lines.raw())
    values = tuple([record[position] for position in positions])
    if any(not value.isascii() and _has_bad_bytes(value) for value in values):
        return Row(number, values, "wrong_encoding", lines.raw())
    return Row(number, values)


def _has_bad_bytes(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, (line, too_long) in enumerate(byte_lines(file), start=1):
            if too_long:
                yield Row(number, (), "row_too_long", too_long)
            elif line.strip():
                yield _json_row(number, line, columns)


def _json_row(number: int, line: bytes, columns: Sequence[str]) -> Row:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record, fault = None, "not_json"
    else:
        fault = "not_an_object"
    if not isinstance(record, dict):
        return Row(number, (), fault, Raw(number, number, len(line), line[:KEPT]))
    return Row(number, tuple([record.get(column) for column in columns]))


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{path.name}: not a Parquet file ({error})", code="unreadable_file") from error
    with file:
        _positions(path, file.schema_arrow.names, columns)
        number = 1
        for batch in file.iter_batches(batch_size=16_384, columns=list(columns)):
            lists = [_plain(batch.column(column)).to_pylist() for column in columns]
            for values in zip(*lists, strict=True):
                yield Row(number, values)
                number += 1


def _plain(column: pa.Array) -> pa.Array:
    """Nanoseconds would come as pandas objects, ten times slower; an event keeps milliseconds."""
    if pa.types.is_timestamp(column.type) and column.type.unit in ("ns", "us"):
        return column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    return column


def _excel(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The first sheet of a workbook; needs the extra simorgh[excel]."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ModuleNotFoundError:
        raise InvalidInput(
            f"{path.name}: Excel files need an extra: pip install 'simorgh[excel]', or save the sheet as CSV",
            code="excel_not_installed",
        ) from None
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = ["" if name is None else str(name).strip() for name in next(rows, ())]
        positions = _positions(path, header, columns)
        for number, record in enumerate(rows, start=2):
            if any(value is not None for value in record):
                yield Row(number, tuple([record[position] for position in positions]))
    finally:
        book.close()
