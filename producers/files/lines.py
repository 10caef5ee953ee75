"""Lines of a file, within bounds. Their bytes stay available in case they are not a valid row.

A line may be as long as its file. Of a line over `MAX_ROW`, no more than that is ever in memory: it is skipped, and its
beginning is kept, as for every unreadable row.
"""

import base64
import codecs
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple, TextIO

import orjson

MAX_ROW: Final = 1 << 20
"""The largest size of a row in characters (JSON Lines: bytes), all its lines together."""

KEPT: Final = 8 * 1024
"""The bytes that are kept of an unreadable row."""

_STEP: Final = 1 << 16


class Raw(NamedTuple):
    """A row as it is in the file: the numbers of its first and last line, its size in bytes, and its first `KEPT`
    bytes."""

    first_line: int
    last_line: int
    size: int
    head: bytes


class RowTooLong(Exception):
    """The present row has more than `MAX_ROW` characters. All of its line has been read."""


class TextLines:
    """The input of `csv.reader`: the lines of a file that was opened with `newline=""` and `surrogateescape`.

    Remembers the lines since `begin`, which make up one row. `__next__` raises `RowTooLong`; the next line follows.
    """

    def __init__(self, file: TextIO, encoding: str) -> None:
        self._readline = file.readline
        self._encoding = _without_mark(encoding)
        self._row: list[str] = []
        self._room = MAX_ROW
        self._skipped = 0
        self._line = 0

    def begin(self) -> None:
        """A new row begins with the next line."""
        self._row = []
        self._room = MAX_ROW
        self._skipped = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._readline(self._room)
        if not line:
            raise StopIteration
        self._row.append(line)
        self._line += 1
        self._room -= len(line)
        if self._room <= 0:
            self._skip_rest(line)
            raise RowTooLong
        return line

    @property
    def first_line(self) -> int:
        """Of the row that was read since `begin`."""
        return self._line - len(self._row) + 1

    def raw(self) -> Raw:
        """The row that was read since `begin`."""
        row = "".join(self._row).encode(self._encoding, "surrogateescape")
        return Raw(self.first_line, self._line, len(row) + self._skipped, row[:KEPT])

    def _skip_rest(self, line: str) -> None:
        step = MAX_ROW
        # a \r that ends a full piece may be the first half of \r\n
        while not (line.endswith("\n") or (line.endswith("\r") and len(line) < step)):
            step = _STEP
            if not (line := self._readline(step)):
                return
            self._skipped += len(line.encode(self._encoding, "surrogateescape"))


def _without_mark(encoding: str) -> str:
    """The encoding for a piece of the file. With these names, Python would write a byte order mark."""
    name = codecs.lookup(encoding).name
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)


def byte_lines(file: BinaryIO) -> Iterator[tuple[bytes, Raw | None]]:
    """The lines of a file, of at most `MAX_ROW` bytes; with a `Raw` if the line is longer."""
    number = 0
    while line := file.readline(MAX_ROW):
        number += 1
        if len(line) < MAX_ROW or line.endswith(b"\n"):
            yield line, None
            continue
        size = len(line)
        while rest := file.readline(_STEP):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        yield line, Raw(number, number, size, line[:KEPT])


def kept_bytes(raw: Raw) -> dict[str, Any]:
    """A row in a rejected event: `lines`, `bytes`, and the bytes as `text`, or as `base64` if they are not UTF-8 or
    mostly escapes. `kept` is their number if some are missing."""
    members: dict[str, Any] = {"lines": [raw.first_line, raw.last_line], "bytes": raw.size}
    head = raw.head
    if len(head) < raw.size:
        head = _without_torn_end(head)
        members["kept"] = len(head)
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or len(orjson.dumps(text)) > 2 * KEPT:
        return members | {"base64": base64.b64encode(head).decode()}
    return members | {"text": text}


def _without_torn_end(head: bytes) -> bytes:
    """Without the first bytes of a UTF-8 character whose others were cut off."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(head)
    torn, _ = decoder.getstate()
    return head.removesuffix(torn)
