"""Money at the door: exact, bounded, from the right property."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.money import ASSUMED, UNCOUNTED, money_of
from producers.odd import Odd

ORDER, REFUND = "order.completed", "order.refunded"


def read(type: str, properties: dict[str, object], default: str = "") -> tuple[dict[str, str] | None, Odd]:
    odd = Odd()
    return money_of(type, properties, default, odd), odd


@pytest.mark.parametrize(
    ("properties", "amount", "currency"),
    [
        ({"revenue": 361.5, "total": 400, "currency": "eur"}, "361.5", "EUR"),
        ({"total": 42, "currency": "USD"}, "42", "USD"),
        ({"revenue": None, "total": 42}, "42", ""),
        ({"revenue": "", "total": 27.5, "currency": "USD"}, "27.5", "USD"),
        ({"revenue": "361.50"}, "361.50", ""),
        ({"revenue": " 49.99 "}, "49.99", ""),
        ({"revenue": "123456789012345678.91"}, "123456789012345678.91", ""),
        ({"revenue": "۳۶۱٫۵"}, "361.5", ""),
        ({"revenue": "٣٦١"}, "361", ""),
        ({"revenue": 0.1}, "0.1", ""),
        ({"revenue": -12.25}, "-12.25", ""),
        ({"revenue": -0.0}, "0", ""),
        ({"revenue": 1e-9}, "0", ""),
        ({"revenue": 0.0000005}, "0", ""),
        ({"revenue": 0.0000015}, "0.000002", ""),
        ({"revenue": 1e21}, "1000000000000000000000", ""),
        ({"revenue": 999_999_999_999_999_999}, "999999999999999999", ""),
        ({"revenue": 1, "currency": "euros"}, "1", "EUR"),
        ({"revenue": 1, "currency": 978}, "1", ""),
    ],
)
def test_reads_the_amount(properties: dict[str, object], amount: str, currency: str) -> None:
    money, odd = read(ORDER, properties)
    assert money == {"amount": amount, "currency": currency}
    assert (UNCOUNTED in odd.flags) == (not currency)


@pytest.mark.parametrize("revenue", [None, True, "", "12,50", "1,990", "NaN", "Infinity", "1_000", "$5", [1], {}])
def test_what_is_no_number_is_no_money(revenue: object) -> None:
    money, odd = read(ORDER, {"revenue": revenue, "currency": "EUR"})
    assert (money, odd.flags) == (None, [UNCOUNTED])


@pytest.mark.parametrize(
    "revenue", [1e30, -1e30, 10**30, "1" + "0" * 30, "1e31", "9" * 30 + ".9999999", "1" * 400, float("inf"), "1e999"]
)
def test_what_does_not_fit_is_no_money(revenue: object) -> None:
    money, odd = read(ORDER, {"revenue": revenue, "currency": "EUR"})
    assert (money, odd.flags) == (None, [UNCOUNTED])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        *((spelling, "EUR") for spelling in (" EUR ", "eur", "€", " € ", "Euro", "EUR\u200f")),
        *(("US$", "USD"), ("£", "GBP"), ("﷼", "IRR"), ("ریال", "IRR"), ("CHF", "CHF"), ("sek", "SEK"), ("R$", "BRL")),
    ],
)
def test_spellings_of_currencies(sent: str, code: str) -> None:
    money, odd = read(ORDER, {"total": 5, "currency": sent})
    assert money == {"amount": "5", "currency": code}
    came = {} if sent.strip(" \u200f").upper() == code else {"/money/currency": sent}
    assert odd.original == came


@pytest.mark.parametrize("sent", ["¥", "$", "kr", "dollars", "coins", "E U R", "NaN", "N/A", ["EUR"], 978])
def test_a_currency_that_may_be_several_is_none(sent: object) -> None:
    money, odd = read(ORDER, {"total": 5, "currency": sent}, default="EUR")
    assert money == {"amount": "5", "currency": ""}
    assert odd.flags == ["value_left_out:/money/currency", UNCOUNTED]
    assert odd.original == {"/money/currency": sent}


def test_a_shared_symbol_is_the_sources_own() -> None:
    assert read(ORDER, {"total": 5, "currency": "¥"}, default="JPY")[0] == {"amount": "5", "currency": "JPY"}
    assert read(ORDER, {"total": 5, "currency": "$"}, default="CAD")[0] == {"amount": "5", "currency": "CAD"}


@pytest.mark.parametrize("sent", [None, "", "  "])
def test_without_a_currency_the_default_holds(sent: object) -> None:
    assert read(ORDER, {"total": 5, "currency": sent}, default="EUR")[0] == {"amount": "5", "currency": "EUR"}
    assert read(ORDER, {"total": 5, "currency": sent}, default="EUR")[1].flags == [ASSUMED]


@pytest.mark.parametrize("sent", ["تومان", "toman", "IRT", "Tomans"])
def test_a_toman_is_ten_rials(sent: str) -> None:
    money, odd = read(ORDER, {"total": "125000.5", "currency": sent})
    assert money == {"amount": "1250005.0", "currency": "IRR"}
    assert odd.original == {"/money/currency": sent}
    assert read(ORDER, {"total": 7}, default="IRT")[0] == {"amount": "70", "currency": "IRR"}


@pytest.mark.parametrize("total", [-30, "-30", -30.0])
def test_given_back_is_given_back(total: object) -> None:
    money, odd = read(REFUND, {"total": total, "currency": "USD"})
    assert money is not None
    assert Decimal(money["amount"]) == 30
    assert odd.original == {"/money/amount": total}
    assert read(REFUND, {"total": 30, "currency": "USD"})[0] == {"amount": "30", "currency": "USD"}


def test_a_refund_of_an_order_alone_is_flagged() -> None:
    money, odd = read(REFUND, {"order_id": "1"})
    assert (money, odd.flags) == (None, [UNCOUNTED])


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2, allow_nan=False))
def test_cents_survive_the_float(amount: Decimal) -> None:
    money = read(ORDER, {"revenue": float(amount)})[0]
    assert money is not None
    assert Decimal(money["amount"]) == amount


@given(st.floats(min_value=-1e16, max_value=1e16).map(lambda number: round(number, 7)))
def test_every_float_is_read_as_it_is_written(number: float) -> None:
    money = read(ORDER, {"revenue": number})[0]
    assert money is not None
    exact = Decimal(repr(number))
    assert abs(Decimal(money["amount"]) - exact) <= Decimal("0.0000005")
    assert money == read(ORDER, {"revenue": repr(number)})[0]
