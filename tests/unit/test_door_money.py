"""Money at the door: exact, bounded, from the right property."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.money import money_of
from schemas.errors import InvalidEvent

ORDER = "order.completed"


@pytest.mark.parametrize(
    ("properties", "amount", "currency"),
    [
        ({"revenue": 361.5, "total": 400, "currency": "eur"}, "361.5", "EUR"),
        ({"total": 42, "currency": "USD"}, "42", "USD"),
        ({"revenue": None, "total": 42}, "42", ""),
        ({"revenue": "361.50"}, "361.50", ""),
        ({"revenue": 0.1}, "0.1", ""),
        ({"revenue": -12.25}, "-12.25", ""),
        ({"revenue": -0.0}, "0", ""),
        ({"revenue": 1e-9}, "0", ""),
        ({"revenue": 0.0000005}, "0", ""),
        ({"revenue": 0.0000015}, "0.000002", ""),
        ({"revenue": 1e21}, "1000000000000000000000", ""),
        ({"revenue": 999_999_999_999_999_999}, "999999999999999999", ""),
        ({"revenue": 1, "currency": "euros"}, "1", ""),
        ({"revenue": 1, "currency": 978}, "1", ""),
    ],
)
def test_reads_the_amount(properties: dict[str, object], amount: str, currency: str) -> None:
    assert money_of(ORDER, properties) == {"amount": amount, "currency": currency}


@pytest.mark.parametrize("revenue", [None, True, "", "12,50", "NaN", "Infinity", "1_000", "٣٦١", [1], {}])
def test_what_is_no_number_is_no_money(revenue: object) -> None:
    assert money_of(ORDER, {"revenue": revenue}) is None


@pytest.mark.parametrize("revenue", [1e30, -1e30, 10**30, "1" + "0" * 30, "1e31", "9" * 30 + ".9999999", "1" * 400])
def test_what_does_not_fit_is_refused(revenue: object) -> None:
    with pytest.raises(InvalidEvent) as refused:
        money_of(ORDER, {"revenue": revenue})
    assert refused.value.code == "money_out_of_range"


def test_only_orders_carry_money() -> None:
    assert money_of("product.viewed", {"revenue": 5}) is None
    assert money_of("order.refunded", {"total": 5}) == {"amount": "5", "currency": ""}


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2, allow_nan=False))
def test_cents_survive_the_float(amount: Decimal) -> None:
    money = money_of(ORDER, {"revenue": float(amount)})
    assert money is not None
    assert Decimal(money["amount"]) == amount


@given(st.floats(min_value=-1e16, max_value=1e16).map(lambda number: round(number, 7)))
def test_every_float_is_read_as_it_is_written(number: float) -> None:
    money = money_of(ORDER, {"revenue": number})
    assert money is not None
    exact = Decimal(repr(number))
    assert abs(Decimal(money["amount"]) - exact) <= Decimal("0.0000005")
    assert money == money_of(ORDER, {"revenue": repr(number)})
