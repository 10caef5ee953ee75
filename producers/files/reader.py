"""Rows of a file, one after the other, in the file's order; memory does not grow with the file.

Row numbers are what a person sees: the first row under a CSV's or sheet's header is 2, the first line of a
JSON Lines file and the first row of a Parquet file is 1.
"""

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from producers.files.lines import KEPT, MAX_ROW, Raw, RowTooLong, TextLines, byte_lines
from producers.files.mapping import Format, Mapping, kind_of
from schemas.errors import InvalidInput

_LOOKED_AT: Final = 1_000
_NAMES_SHOWN: Final = 40
_NAME_SHOWN: Final = 60
_IS_DATA: Final = re.compile(r"@|^[+-]?[\d.,:/ -]*\d[\d.,:/ T-]*$")
"""An address, a number or a time, which is not a column's name."""


class Row(NamedTuple):
    """Values in the order of the columns asked for; with a `fault` (a reason code) the readable ones, if any, and the
    row's bytes. `line`: the first of its lines in the file, as an editor numbers them."""

    number: int
    values: tuple[object, ...]
    fault: str = ""
    raw: Raw | None = None
    line: int = 0


def read_rows(
    path: Path, form: Format, columns: Sequence[str], optional: Collection[str] = frozenset()
) -> Iterator[Row]:
    """Stream the named columns; an `optional` one that the file lacks is None.

    A row that cannot be read comes with its fault and does not stop the others. Raises `InvalidInput` if the file as a
    whole cannot be read or lacks a column.
    """
    require_file(path)
    if optional and (missing := set(optional).difference(columns_of(path, form))):
        there = [column for column in columns if column not in missing]
        return _filled_up(_rows(path, form, there), columns, there)
    return _rows(path, form, columns)


def _filled_up(rows: Iterator[Row], columns: Sequence[str], there: Sequence[str]) -> Iterator[Row]:
    at = [there.index(column) if column in there else None for column in columns]
    for row in rows:
        values = tuple([None if n is None else row.values[n] for n in at]) if row.values else ()
        yield row._replace(values=values)


def _rows(path: Path, form: Format, columns: Sequence[str]) -> Iterator[Row]:
    kind = kind_of(path, form.kind)
    if kind == "parquet":
        return _parquet(path, columns)
    if kind == "jsonl":
        return _json_lines(path, columns)
    if kind == "xlsx":
        return _excel(path, columns)
    return _delimited(path, form, form.delimiter or ("\t" if kind == "tsv" else ","), columns)


def check_columns(path: Path, mapping: Mapping) -> None:
    """Raises `InvalidInput` that names every column of the mapping which the file lacks, or has twice.

    JSON Lines have no header: there, a needed column is missing if none of the first rows has it.
    """
    require_file(path)
    if kind_of(path, mapping.format.kind) != "jsonl":
        next(read_rows(path, mapping.format, mapping.columns(), mapping.optional_columns()), None)
        return
    needed = mapping.needed_columns()
    rows = [row.values for row in islice(_json_lines(path, needed), _LOOKED_AT) if row.values]
    missing = [column for n, column in enumerate(needed) if all(values[n] is None for values in rows)]
    if rows and missing:
        raise InvalidInput(
            f"{path.name}: wanted {_listed(missing)}, which the mapping names, got none in the first {len(rows):,}"
            " rows; fix the mapping",
            code="missing_column",
        )


def columns_of(path: Path, form: Format) -> list[str]:
    """The names of a file's columns, in their order; of JSON Lines, those of the first rows. Each once."""
    kind = kind_of(path, form.kind)
    if form.header:
        return list(form.header)
    if kind == "parquet":
        with _opened_parquet(path) as file:
            names: list[str] = file.schema_arrow.names
    elif kind == "jsonl":
        with path.open("rb") as lines:
            parsed = [_parsed(line) for line, _ in islice(byte_lines(lines), _LOOKED_AT)]
        names = [name for record in parsed if isinstance(record, dict) for name in record]
    elif kind == "xlsx":
        names = ["" if name is None else str(name).strip() for name in next(_sheet(path), ())]
    else:
        encoding = form.encoding or "utf-8"
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            lines_ = TextLines(file, encoding)
            try:
                names = next(csv.reader(lines_, delimiter=form.delimiter or ","), [])
            except (csv.Error, RowTooLong):
                names = []
        names = [name.strip().removeprefix("\ufeff") for name in names]
    if not any(names):
        raise InvalidInput(f"{path.name}: wanted a first line of names, got none; fix the file", code="unreadable_file")
    return [name for name in dict.fromkeys(names) if (name and names.count(name) == 1) or kind == "jsonl"]


def _parsed(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def count_rows(path: Path, form: Format) -> int:
    """About how many rows it has, for a progress bar."""
    kind = kind_of(path, form.kind)
    if kind == "parquet":
        with _opened_parquet(path) as file:
            return int(file.metadata.num_rows)
    if kind == "xlsx":
        return 0
    with path.open("rb") as lines:
        return sum(piece.count(b"\n") for piece in iter(lambda: lines.read(1 << 20), b""))


def require_file(path: Path) -> None:
    """Raises `InvalidInput` unless it is one."""
    if path.is_dir():
        raise InvalidInput(f"{path}: wanted a file, got a directory; name a file in it", code="no_such_file")
    if not path.is_file():
        raise InvalidInput(f"{path}: wanted a file, got a path where there is none; fix the path", code="no_such_file")


def _positions(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    """The positions of the columns. Raises `InvalidInput` with all missing columns, and all that occur twice."""
    faults = []
    if missing := [column for column in columns if column not in header]:
        faults.append(f"no {_listed(missing)}")
    if twice := [column for column in columns if header.count(column) > 1]:
        places = "; ".join(
            f"{column} is column {' and '.join(str(n) for n, name in enumerate(header, 1) if name == column)}"
            for column in twice
        )
        faults.append(f"several of {_listed(twice)} ({places})")
    if not faults:
        return [header.index(column) for column in columns]
    advice = (
        "rename columns in the file"
        if twice and not missing
        else "fix the mapping (its columns, delimiter or encoding)"
    )
    raise InvalidInput(
        f"{path.name}: wanted each column of the mapping once, got {' and '.join(faults)}"
        f"{_what_there_is(header, missing)}; {advice}",
        code="missing_column" if missing else "ambiguous_column",
    )


def _listed(columns: Sequence[str]) -> str:
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"


def _what_there_is(header: Sequence[str], missing: Sequence[str]) -> str:
    """Names of columns for people. A first line that looks like data may be personal: it is not shown."""
    if not missing:
        return ""
    if not any(header):
        return "; it is empty, or begins with an empty line"
    if any(_IS_DATA.search(name) or not name.isprintable() for name in header):
        return f"; its first line ({len(header)} field{'s' * (len(header) > 1)}) is no header of names"
    names = ", ".join(name[:_NAME_SHOWN] for name in header[:_NAMES_SHOWN])
    more = f" and {len(header) - _NAMES_SHOWN} more" if len(header) > _NAMES_SHOWN else ""
    near = {one: found[0] for one in missing if (found := get_close_matches(one, header, 1, 0.7))}
    meant = f" (did you mean {', '.join(f'{there} for {one}' for one, there in near.items())}?)" if near else ""
    return f"; it has {names}{more}{meant}"


def _delimited(path: Path, form: Format, delimiter: str, columns: Sequence[str]) -> Iterator[Row]:
    # utf-8-sig removes the mark of spreadsheets; surrogateescape: a bad byte affects only its row
    encoding = form.encoding or "utf-8"
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        lines = TextLines(file, encoding)
        records: Iterator[list[str]]
        records = _Split(lines, form.separator) if form.separator else csv.reader(lines, delimiter=delimiter)
        try:
            header = [name.strip() for name in form.header or next(records, [])]
            positions = _positions(path, header, columns)
            yield from _records(records, lines, positions, len(header), number=0 if form.header else 1)
        except (csv.Error, RowTooLong) as error:
            raise InvalidInput(
                f"{path.name}: wanted a header of at most {MAX_ROW} characters, got another first line; fix the file or"
                " the mapping's [format]",
                code="unreadable_file",
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{path.name}: wanted text in {encoding}, got other bytes ({error.reason}); fix the mapping's encoding",
                code="unreadable_file",
            ) from error


class _Split:
    """Columns between matches of an expression. Blanks at either end of a line are none. A too long line ends nothing,
    as it would a generator."""

    def __init__(self, lines: Iterator[str], separator: str) -> None:
        self._lines = lines
        self._cut = re.compile(separator).split

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        text = next(self._lines).strip()
        return self._cut(text) if text else []


def _records(
    records: Iterator[list[str]], lines: TextLines, positions: list[int], width: int, number: int
) -> Iterator[Row]:
    while True:
        number += 1
        lines.begin()
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error:
            yield Row(number, (), "unreadable_row", raw := lines.raw(), raw.first_line)
        except RowTooLong:
            yield Row(number, (), "row_too_long", raw := lines.raw(), raw.first_line)
        else:
            if record:
                yield _delimited_row(number, record, positions, width, lines)


def _delimited_row(number: int, record: list[str], positions: list[int], width: int, lines: TextLines) -> Row:
    if len(record) != width:
        there = tuple([record[position] if position < len(record) else None for position in positions])
        return Row(number, there, "wrong_number_of_fields", lines.raw(), lines.first_line)
    values = tuple([record[position] for position in positions])
    if any(not value.isascii() and _has_bad_bytes(value) for value in values):
        return Row(number, values, "wrong_encoding", lines.raw(), lines.first_line)
    return Row(number, values, line=lines.first_line)


def _has_bad_bytes(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _json_lines(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, (line, too_long) in enumerate(byte_lines(file), start=1):
            if too_long:
                yield Row(number, (), "row_too_long", too_long, number)
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
        return Row(number, (), fault, Raw(number, number, len(line), line[:KEPT]), number)
    return Row(number, tuple([_flat(record.get(column)) for column in columns]), line=number)


def _flat(value: object) -> object:
    """A list or an object as JSON: a cell is one value."""
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value


@contextmanager
def _opened_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"{path.name}: wanted a Parquet file, got another or a damaged one ({type(error).__name__}); export it"
            " again, or fix the mapping's [format] kind",
            code="unreadable_file",
        ) from error


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with _opened_parquet(path) as file:
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
    """The first sheet of a workbook."""
    rows = _sheet(path)
    header = ["" if name is None else str(name).strip() for name in next(rows, ())]
    positions = _positions(path, header, columns)
    for number, record in enumerate(rows, start=2):
        if any(value is not None for value in record):
            yield Row(number, tuple([record[at] if at < len(record) else None for at in positions]))


def _sheet(path: Path) -> Iterator[tuple[object, ...]]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            yield from book.worksheets[0].iter_rows(values_only=True)
        finally:
            book.close()
    except (
        Exception
    ) as error:  # any error may come from a third-party parser with somebody's file: zip, XML, keys, types
        raise InvalidInput(
            f"{path.name}: wanted an Excel workbook, got another or a damaged file ({type(error).__name__}); save it"
            " again as .xlsx, or as CSV",
            code="unreadable_file",
        ) from error
