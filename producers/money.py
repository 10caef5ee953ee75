"""An order's money as exact decimal text, read once at the door.

The amount is the first of the type's fields with a number; the currency is `currency`, in any of the spellings below,
else the default of the source. Properties stay as they were sent: only `money` is on one scale.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

from producers.odd import Odd
from schemas.digits import exact_number, trim

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "order.completed": ("revenue", "total"),
    "order.updated": ("revenue", "total"),
    "order.refunded": ("revenue", "total"),
}
"""The event types that carry money, and the properties that hold the amount; the first with a number wins."""

REFUND: Final = "order.refunded"
_UPDATE: Final = "order.updated"

UNCOUNTED: Final = "money_uncounted"
"""An order or refund with an unknown amount or currency: it counts as an order, but in no sum of money."""
ASSUMED: Final = "currency_assumed"
"""No currency was sent: the default of the source or the workspace applies."""

AMOUNT: Final = "/money/amount"
CURRENCY: Final = "/money/currency"

_LIMIT: Final = Decimal("1e30")
_STEP: Final = Decimal("0.000001")
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_CODE: Final = re.compile(r"[A-Za-z]{3}", re.ASCII)

Money = dict[str, str]


def _codes(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


USUAL: Final = _codes("EUR USD GBP IRR JPY CHF CAD AUD CNY INR RUB TRY AED SEK NOK DKK PLN CZK BRL MXN")
"""The fast path; other codes are parsed. Also the codes that are believed in a column's name."""


def money_of(event_type: str, properties: Mapping[str, object], default: str, odd: Odd) -> Money | None:
    """{"amount": decimal text of at most 6 decimals, "currency": 3 capitals or ""}; None without a number.

    More decimals are rounded half to even. `properties` as they came: texts are read to the last digit. `default`: the
    currency if none was sent, or "". Converted and missing values are noted in `odd`.
    """
    for field in FIELDS.get(event_type, ()):
        value = properties.get(field)
        text = _usual(value) if event_type != REFUND else None
        if text is None and (amount := _amount(value)) is not None:
            if amount < 0 and event_type == REFUND:  # a refund is the amount given back, whichever sign a shop writes
                odd.read(AMOUNT, value)
                amount = -amount
            text = _text(amount)
        if text is not None:
            return _with_currency(text, properties.get("currency"), default, odd)
    if event_type != _UPDATE:  # an update may be about anything else
        odd.flag(UNCOUNTED)
    return None


def _usual(value: object) -> str | None:
    """The same as through Decimal, for nearly every price: numbers of this size are written without an exponent."""
    if isinstance(value, float) and 0.01 <= value < 1e15:
        text = repr(value)
        if len(text) - text.index(".") <= 7:
            return text
    return None


def _amount(value: object) -> Decimal | None:
    """Below 1e30, to 6 decimals."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        amount: Decimal | None = Decimal(value)
    elif isinstance(value, float):
        amount = Decimal(repr(value))  # the shortest text that reads back as this float, as the client wrote it
    else:
        amount = exact_number(value) if isinstance(value, str) else None
    if amount is None or not abs(amount) < _LIMIT:  # also NaN and the infinite ones
        return None
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -6:
        amount = amount.quantize(_STEP, context=_EXACT)
    return amount if abs(amount) < _LIMIT else None


def _text(amount: Decimal) -> str:
    return f"{amount:f}" if amount else "0"


def _with_currency(amount: str, sent: object, default: str, odd: Odd) -> Money | None:
    if type(sent) is str and sent in USUAL:
        return {"amount": amount, "currency": sent}  # nearly every one
    if sent is None or (isinstance(sent, str) and not trim(sent)):
        currency = currency_of(default)
        odd.flag(ASSUMED if currency else UNCOUNTED)
    else:
        currency = currency_of(sent, default)
        if currency is None:
            odd.left_out(CURRENCY, sent)
            odd.flag(UNCOUNTED)
        elif trim(str(sent)).upper() != currency.code:
            odd.read(CURRENCY, sent)
    if currency is None:
        return {"amount": amount, "currency": ""}
    if currency.units == 1:
        return {"amount": amount, "currency": currency.code}
    exact = _text(_EXACT.multiply(Decimal(amount), Decimal(currency.units)))
    if len(exact.partition(".")[0].lstrip("-")) > 30:
        odd.flag(UNCOUNTED)
        return None
    return {"amount": exact, "currency": currency.code}


# --- Currencies and how people write them ---


class Currency(NamedTuple):
    """`units`: how many of it one unit of the written currency is."""

    code: str
    units: int = 1


def currency_of(sent: object, default: str = "") -> Currency | None:
    """The currency that a text names: a code in any case, a symbol or a word. None if it is unknown. A symbol of
    several currencies (`$`, `¥`, `kr`) is the default if that is one of them.
    """
    if not isinstance(sent, str):
        return None
    word = trim(sent).casefold().rstrip(".")
    if (shared := _SHARED.get(word)) is not None:
        return Currency(default) if default in shared else None
    if (known := _WORDS.get(word)) is not None:
        return known
    return Currency(word.upper()) if _CODE.fullmatch(word) and word not in _NO_CODES else None


_TOMAN: Final = Currency("IRR", 10)
"""The unit of Iranian shops, which is not in ISO 4217: one toman is ten rials."""

_PLACES: Final[Mapping[str, int]] = {
    **dict.fromkeys(
        _codes("BIF CLP DJF GNF IRR IRT ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
        0,
    ),
    **dict.fromkeys(_codes("BHD IQD JOD KWD LYD OMR TND"), 3),
}


def places(currency: str) -> int:
    """The decimal places of a currency's amounts: ISO 4217's, but none for the rial, whose fractions nobody writes."""
    return _PLACES.get(currency, 2)


_NO_CODES: Final = frozenset({"nan", "nil", "xxx", "non", "yok"})
"""Three letters that mean no currency."""

_WORDS: Final[Mapping[str, Currency]] = {
    **dict.fromkeys(("irt", "tom", "toman", "tomans", "تومان", "تومن", "تومان ایران"), _TOMAN),
    **{
        word: Currency(code)
        for code, words in {
            "EUR": "€ euro euros یورو",
            "USD": "us$ $us usd$ دلار",
            "GBP": "£ sterling",
            "IRR": "﷼ ریال",
            "CAD": "c$ ca$ can$",
            "AUD": "a$ au$",
            "NZD": "nz$",
            "HKD": "hk$",
            "SGD": "s$ sg$",
            "TWD": "nt$",
            "BRL": "r$",
            "MXN": "mx$",
            "CNY": "cn¥ rmb 元 人民币 yuan",
            "JPY": "jp¥ 円 yen",
            "INR": "₹ rupee rupees",
            "RUB": "₽ руб рубль",
            "TRY": "₺ tl lira",
            "KRW": "₩ 원 won",
            "ILS": "₪ shekel",
            "UAH": "₴ грн",
            "VND": "₫ dong",
            "THB": "฿ baht",
            "NGN": "₦ naira",
            "PHP": "₱",
            "PLN": "zł złoty zloty",
            "CZK": "kč",
            "CHF": "sfr franken",
        }.items()
        for word in words.split()
    },
}
_SHARED: Final[Mapping[str, frozenset[str]]] = {
    "$": _codes("USD CAD AUD NZD HKD SGD TWD MXN ARS CLP COP"),
    "dollar": _codes("USD CAD AUD NZD HKD SGD TWD"),
    "dollars": _codes("USD CAD AUD NZD HKD SGD TWD"),
    "¥": frozenset({"JPY", "CNY"}),
    "￥": frozenset({"JPY", "CNY"}),
    "kr": frozenset({"SEK", "NOK", "DKK", "ISK"}),
    "fr": frozenset({"CHF", "XOF", "XAF"}),
    "pound": frozenset({"GBP", "EGP", "SYP", "LBP"}),
    "pounds": frozenset({"GBP", "EGP", "SYP", "LBP"}),
    "rial": _codes("IRR OMR YER"),
    "rials": _codes("IRR OMR YER"),
    "ريال": _codes("SAR QAR OMR YER IRR"),
    "peso": _codes("MXN ARS CLP COP PHP"),
}
