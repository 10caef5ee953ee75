"""An order's money as exact decimal text, read once at the door."""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from schemas.errors import InvalidEvent

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "order.completed": ("revenue", "total"),
    "order.refunded": ("revenue", "total"),
}
"""The event types that carry money, and the properties that hold the amount, the first with a number wins."""

_LIMIT: Final = Decimal("1e30")
_STEP: Final = Decimal("0.000001")
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{0,400})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Za-z]{3}", re.ASCII)

Money = dict[str, str]


def money_of(event_type: str, properties: Mapping[str, object]) -> Money | None:
    """{"amount": decimal text of at most 6 decimals, "currency": 3 capitals or ""}; None without a number.

    More decimals are rounded half to even. Raises `InvalidEvent` (code `money_out_of_range`) from 1e30 on.
    """
    for field in FIELDS.get(event_type, ()):
        text = _amount(properties.get(field), field)
        if text is not None:
            return {"amount": text, "currency": _currency(properties.get("currency"))}
    return None


def _amount(value: object, field: str) -> str | None:
    if isinstance(value, float) and 0.01 <= value < 1e15:
        text = repr(value)  # of such a size it is written without an exponent
        if len(text) - text.index(".") <= 7:
            return text  # nearly every price: already what the way through Decimal gives
    amount = _decimal(value)
    return None if amount is None else _text(amount, field)


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))  # the shortest text that reads back as this float: what the client wrote
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None


def _text(amount: Decimal, field: str) -> str:
    if abs(amount) < _LIMIT:
        exponent = amount.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -6:
            amount = amount.quantize(_STEP, context=_EXACT)
    if abs(amount) >= _LIMIT:
        raise InvalidEvent(
            f"properties.{field}: wanted an amount below 1e30, got a larger one; correct the amount",
            code="money_out_of_range",
        )
    return f"{amount:f}" if amount else "0"


def _currency(value: object) -> str:
    return value.upper() if isinstance(value, str) and _CURRENCY.fullmatch(value) else ""
