"""A ZIP that is sent while it is made: each piece of it leaves memory before the next is read."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from profile_api.replies import encode
from schemas.cells import harmless

PIECE: Final = 64 * 1024
"""Bytes that are gathered before they are sent."""

_ROWS: Final = 100

Row = Mapping[str, Any]


class _Outgoing(io.RawIOBase):
    """The target of the ZIP: it cannot seek, so sizes and checksums follow their files."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self.size += len(piece)
        return len(piece)

    def take(self) -> bytes:
        taken, self._pieces, self.size = b"".join(self._pieces), [], 0
        return taken


Files = Iterable[tuple[str, Callable[[], Iterable[bytes]]]]
"""Names of files, and what makes the pieces of each."""


def archive(files: Files, now: int) -> Iterator[bytes]:
    """The ZIP of these files, in pieces. `now`: ms, the files' date."""
    out = _Outgoing()
    date = datetime.fromtimestamp(now / 1000, UTC)
    stamp = (date.year, date.month, date.day, date.hour, date.minute, date.second)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, pieces in files:
            entry = zipfile.ZipInfo(name, stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            with packed.open(entry, "w", force_zip64=True) as file:
                for piece in pieces():
                    file.write(piece)
                    if out.size >= PIECE:
                        yield out.take()
    yield out.take()


def json_pieces(rows: Iterable[Row]) -> Iterator[bytes]:
    """A JSON array, one row a line."""
    yield b"["
    before = b"\n"
    for some in _some(rows):
        yield before + b",\n".join([encode(row) for row in some])
        before = b",\n"
    yield b"\n]\n"


def csv_pieces(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """UTF-8 with a byte order mark, by which spreadsheets recognise it. Objects and lists become cells of JSON."""
    yield "\ufeff".encode()
    yield _lines([columns])
    for some in _some(rows):
        yield _lines([[_cell(row.get(name)) for name in columns] for row in some])


def _some(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows, a few at a time: the ZIP takes 100 lines as quickly as one."""
    waiting = iter(rows)
    while some := list(islice(waiting, _ROWS)):
        yield some


def _cell(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return encode(value).decode()


def _lines(lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode("utf-8", "replace")
