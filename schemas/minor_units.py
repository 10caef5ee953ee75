"""Amounts in minor units (cents), as payment systems send them."""

from decimal import Decimal
from typing import Final

from schemas.digits import exact_number

_NONE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF", "XTR")
)
"""Currencies without minor units; XTR are Telegram's stars. ISK and UGX have none either, but payment systems still
send hundredths of them."""
_THREE: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])


def digits_of(currency: str) -> int:
    """How many decimals a currency (ISO 4217, in any case) has."""
    code = currency.upper()
    return 0 if code in _NONE else 3 if code in _THREE else 2


def in_major_units(amount: object, currency: str) -> int | float | None:
    """1499 in EUR is 14.99, in JPY 1499; None for no number."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float, str)):
        return None
    number = exact_number(amount) if isinstance(amount, str) else Decimal(str(amount))
    if number is None or not abs(number) < 10**30:
        return None
    exact = number.scaleb(-digits_of(currency))
    return int(exact) if exact == exact.to_integral_value() else float(exact)
