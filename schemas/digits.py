"""Digits of every script, and the marks that programs paste around a value. Shared by all readers of texts."""

import re
import unicodedata
from decimal import Decimal
from typing import Final

INVISIBLE: Final = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
"""Zero width, direction, byte order: keyboards, spreadsheets and chat programs add them."""

_MARKS: Final = str.maketrans({"\u066b": ".", "\u2212": "-", "\uff0b": "+", "\uff0d": "-", "\u066c": ""})
"""The Arabic decimal and thousands separators mean one thing only; a comma or a point may mean either."""
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?", re.ASCII)


def ascii_digits(text: str) -> str:
    """The text with the digits of all scripts (Persian, Arabic, Devanagari, Tibetan, …) as 0 to 9."""
    if text.isascii():
        return text
    return "".join([str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text])


def trim(text: str) -> str:
    """Without blanks and invisible marks at either end."""
    while (trimmed := text.strip().strip(INVISIBLE)) != text:
        text = trimmed
    return text


def exact_number(text: str) -> Decimal | None:
    """The number in a text, if every reader would read the same: `49.99`, ` -3 `, `1e3`, `۴۹٫۹۹`.

    None for all else: `1,990` and `12,50` mean different things in different countries.
    """
    plain = ascii_digits(trim(text)).translate(_MARKS)
    return Decimal(plain) if len(plain) <= 800 and _NUMBER.fullmatch(plain) else None


def json_number(exact: Decimal) -> int | float | None:
    """The JSON number that reads back as exactly this value; None if there is none."""
    if exact.adjusted() > 400:
        return None
    if exact == exact.to_integral_value() and abs(exact) < 2**63:
        return int(exact)
    number = float(exact)
    return number if Decimal(repr(number)) == exact else None
