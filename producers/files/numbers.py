"""Numbers as people write them in tables: marks of thousands, decimal commas, currency signs, digits of every script.

A number is read only if its form leaves one reading; `1,990` is refused where nothing in the file says what the comma
is. What is read is exact.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from producers.money import currency_of
from schemas.digits import ascii_digits, trim

DecimalMark = Literal[".", ","]

THOUSANDS: Final = "thousands_marks_removed"
SIGN: Final = "currency_sign_removed"
MINUS: Final = "minus_sign_moved"
NOISE: Final = "float_noise_removed"

_PLAIN: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,18})?", re.ASCII)
_EXPONENT: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?[eE][+-]?[0-9]{1,3}", re.ASCII)
_AROUND: Final = re.compile(r"(?P<before>[^0-9.,]*)(?P<digits>[0-9.,'’ ]*[0-9])(?P<after>[^0-9]*)", re.DOTALL)
_SPACES: Final = str.maketrans(dict.fromkeys("\xa0\u202f\u2009\u2007\t", " "))
_MARKS: Final = str.maketrans({"\u2212": "-", "\uff0b": "+", "\uff0d": "-", "\u060c": ","})
_LEAST: Final = Decimal("1e-9")


class Number(NamedTuple):
    """`sign`: the currency beside it ("IRT" for tomans), or "". `repairs`: what was taken away to read it."""

    value: Decimal
    repairs: tuple[str, ...] = ()
    sign: str = ""


def read_number(text: str, decimal: DecimalMark | None = None) -> Number:
    """The number in a text. `decimal`: the file's decimal mark; None: unknown, a point is one and a comma is doubtful.

    Raises `ValueError`: `missing`, `not_a_number`, or `number_ambiguous`.
    """
    if decimal != "," and _PLAIN.fullmatch(text):
        return Number(Decimal(text))
    text = trim(text)
    if not text:
        raise ValueError("missing")
    # the Arabic marks mean one thing each, whatever the file's own marks are
    own = "," if decimal == "," else "."
    plain = ascii_digits(text).translate(_MARKS).translate(_SPACES)
    thousands_removed = "\u066c" in plain
    plain = plain.replace("\u066b", own).replace("\u066c", "")
    if _EXPONENT.fullmatch(plain):
        value = Decimal(plain)
        if value.adjusted() > 30:
            raise ValueError("not_a_number")
        return without_noise(value)
    found = _AROUND.fullmatch(plain)
    if found is None:
        raise ValueError("not_a_number")
    repairs: list[str] = [THOUSANDS] if thousands_removed else []
    negative, sign = _around(found["before"], found["after"], repairs)
    digits, grouped = _digits(found["digits"].strip(), decimal)
    if grouped and THOUSANDS not in repairs:
        repairs.append(THOUSANDS)
    value = Decimal(digits)
    return Number(-value if negative else value, tuple(repairs), sign)


def without_noise(value: Decimal) -> Number:
    """A number that a program wrote as 5.55e-17 for 0."""
    if value and abs(value) < _LEAST:
        return Number(Decimal(0), (NOISE,))
    return Number(value)


def decimal_mark(texts: Iterable[str]) -> DecimalMark | None:
    """The decimal mark that the numbers of a file show; None if none of them does, or both do."""
    shown: set[DecimalMark] = set()
    for text in texts:
        plain = ascii_digits(trim(text)).translate(_MARKS)
        found = _AROUND.fullmatch(plain)
        if found is not None and (mark := _shown(found["digits"])) is not None:
            shown.add(mark)
    return shown.pop() if len(shown) == 1 else None


def _shown(digits: str) -> DecimalMark | None:
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        return "," if digits.rfind(",") > digits.rfind(".") else "."
    if points > 1 or commas > 1:
        return "," if points else "."
    if points or commas:
        behind = len(digits) - max(digits.rfind("."), digits.rfind(",")) - 1
        before = len(digits) - behind - 1
        if behind != 3 or before > 3 or digits[0] == "0":
            return "." if points else ","
    return None


def _around(before: str, after: str, repairs: list[str]) -> tuple[bool, str]:
    """Whether the number is negative, and the currency beside it. Raises `ValueError` for other text."""
    before, after = before.strip(), after.strip()
    negative = False
    if before.startswith("(") and after.endswith(")"):
        before, after, negative = before[1:].strip(), after[:-1].strip(), True
        repairs.append(MINUS)
    elif after.endswith("-") and "-" not in before:
        after, negative = after[:-1].strip(), True
        repairs.append(MINUS)
    elif "-" in before:
        if before.count("-") > 1:
            raise ValueError("not_a_number")
        if before != "-" and not before.startswith("-") and not before.endswith("-"):
            raise ValueError("not_a_number")
        before, negative = before.replace("-", "").strip(), True
    elif before in ("+", "'"):  # the apostrophe keeps spreadsheets from changing a cell
        before = ""
    words = [_currency(word) for word in (before, after) if word]
    if words:
        repairs.append(SIGN)
    if len(set(words)) > 1:
        raise ValueError("not_a_number")
    return negative, words[0] if words else ""


@lru_cache(256)
def _currency(word: str) -> str:
    """The code of a currency's name or sign; the sign itself if several currencies have it. Raises `ValueError`."""
    known = currency_of(word)
    if known is not None:
        return "IRT" if known.units != 1 else known.code
    if currency_of(word, "USD") or currency_of(word, "JPY") or currency_of(word, "SEK") or currency_of(word, "IRR"):
        return word
    if currency_of(word, "EGP") or currency_of(word, "CHF"):
        return word
    raise ValueError("not_a_number")


def _digits(digits: str, decimal: DecimalMark | None) -> tuple[str, bool]:
    """As Python writes a number, and whether marks of thousands were taken out. Raises `ValueError`."""
    mark = decimal or "."
    other = "," if mark == "." else "."
    whole, point, fraction = digits.partition(mark)
    if point and not (fraction.isdecimal() and fraction.isascii()):
        if decimal is None and other not in digits:  # 1.250.000
            return _ungrouped(digits, "."), True
        raise ValueError("not_a_number")
    for thousands in (other, " ", "'", "’"):
        if thousands in whole:
            if decimal is None and thousands == "," and not point and whole.count(",") == 1:
                raise ValueError("number_ambiguous")
            whole = _ungrouped(whole, thousands)
            return f"{whole}.{fraction}" if point else whole, True
    if not (whole.isdecimal() and whole.isascii() and len(whole) <= 30):
        if not whole and point:
            whole = "0"
        else:
            raise ValueError("not_a_number")
    return f"{whole}.{fraction}" if point else whole, False


def _ungrouped(digits: str, mark: str) -> str:
    """Raises `ValueError` unless the groups have three digits, or two as in India, and the last one three."""
    first, *rest = digits.split(mark)
    if not all(part.isdecimal() and part.isascii() for part in (first, *rest)) or len(digits) > 40:
        raise ValueError("not_a_number")
    if len(first) > 3 or len(rest[-1]) != 3 or any(len(part) not in (2, 3) for part in rest[:-1]):
        raise ValueError("not_a_number")
    return first + "".join(rest)
