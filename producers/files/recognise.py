"""What a mapping leaves open of a file's format: encoding, separator and decimal mark, seen in the file's beginning.

A file is UTF-8, unless its bytes say otherwise: a mark at its beginning, the zeros of UTF-16, or letters that are not
UTF-8. These are Windows-1256 if they make Arabic or Persian words, else Windows-1252.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from producers.files.mapping import Format, Mapping, kind_of
from producers.files.numbers import decimal_mark
from producers.files.reader import read_rows, require_file
from producers.money import places

_SEEN: Final = 1 << 18
"""The bytes that are looked at."""
_ROWS: Final = 1_000
_DELIMITERS: Final = ",;\t|"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MULTIBYTE: Final = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_IN_A_WORD: Final = re.compile(rb"(?<=[A-Za-z\x80-\xff])[\x80-\xff]|[\x80-\xff](?=[A-Za-z])")
_WORD_OF_HIGH: Final = re.compile(r"[\u0600-\u06ff]{2,}")
_HIGH_LETTER: Final = re.compile(r"[\u0600-\u06ff]")


def recognised(path: Path, mapping: Mapping) -> tuple[Format, dict[str, str]]:
    """The mapping's format with nothing left open, and what was recognised, for people. Raises `InvalidInput`."""
    require_file(path)
    form = mapping.format
    kind = kind_of(path, form.kind)
    told: dict[str, str] = {}
    if kind in ("csv", "tsv"):
        with path.open("rb") as file:
            head = file.read(_SEEN)
        encoding = form.encoding or encoding_of(head)
        if form.encoding is None and encoding not in ("utf-8", "utf-8-sig"):
            told["encoding"] = encoding
        form = form.model_copy(update={"encoding": encoding})
        if form.delimiter is None and form.separator is None:
            delimiter = "\t" if kind == "tsv" else delimiter_of(_text(head, encoding))
            if delimiter not in (",", "\t" if kind == "tsv" else ","):
                told["separator"] = {";": "semicolon", "\t": "tab", "|": "bar"}[delimiter]
            form = form.model_copy(update={"delimiter": delimiter})
    if form.decimal is None and mapping.number_columns():
        mark = decimal_mark(_texts(path, form, mapping))
        if mark is None and mapping.currency and places(mapping.currency) == 0:
            mark = "."  # a comma can only part thousands
        if mark == ",":
            told["decimal"] = "comma"
        form = form.model_copy(update={"decimal": mark})
    return form, told


def _texts(path: Path, form: Format, mapping: Mapping) -> Iterator[str]:
    """The texts in the columns of numbers."""
    wanted = set(mapping.number_columns())
    at = [n for n, column in enumerate(mapping.columns()) if column in wanted]
    for row in islice(read_rows(path, form, mapping.columns(), mapping.optional_columns()), _ROWS):
        for n in at:
            if n < len(row.values) and isinstance(value := row.values[n], str):
                yield value


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins so, by Python's name."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if (zeros := head.count(0)) > len(head) // 8:
        return "utf-16-le" if head[1::2].count(0) * 2 > zeros else "utf-16-be"
    high = len(_HIGH.findall(head))
    in_utf8 = sum(len(found) for found in _MULTIBYTE.findall(head))
    other = high - in_utf8
    in_words = len(_IN_A_WORD.findall(head)) - in_utf8
    # single bad bytes are a fault of their rows, and the last character may be cut
    return _windows(head) if other > in_utf8 and in_words * 2 > other else "utf-8"


def _windows(head: bytes) -> str:
    """Arabic and Persian words are made of high bytes only, those of European languages have few."""
    text = head.decode("cp1256", errors="replace")
    letters = len(_HIGH_LETTER.findall(text))
    in_words = sum(len(word) for word in _WORD_OF_HIGH.findall(text))
    return "cp1256" if letters and in_words * 2 > letters else "cp1252"


def delimiter_of(text: str) -> str:
    """The mark that cuts the first lines into most columns, the same number in each; a comma if none does."""
    best, most = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        widths = _widths(text, delimiter)
        if not widths or widths[0] < 2:
            continue
        same = sum(width == widths[0] for width in widths) / len(widths)
        if (same, widths[0]) > most:
            best, most = delimiter, (same, widths[0])
    return best


def _widths(text: str, delimiter: str) -> Sequence[int]:
    try:
        rows = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 50))
    except csv.Error:
        return ()
    widths = [len(row) for row in rows if row]
    return widths[:-1] if len(widths) > 2 else widths  # the last may be cut


def _text(head: bytes, encoding: str) -> str:
    return codecs.getincrementaldecoder(encoding)("replace").decode(head)
