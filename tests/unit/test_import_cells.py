"""Cells as people write them: numbers, dates of two calendars, phones; and what is refused because it may mean two
things."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.files.cells import Cells
from producers.files.dates import JALALI, SERIAL, read_time
from producers.files.mapping import RowMapping
from producers.files.numbers import decimal_mark, read_number
from schemas import jalali

TEHRAN = ZoneInfo("Asia/Tehran")


# --- numbers


@pytest.mark.parametrize(
    ("text", "mark", "value", "sign"),
    [
        ("1990", None, "1990", ""),
        ("1.255", None, "1.255", ""),
        ("1,990", ".", "1990", ""),
        ("1,990", ",", "1.990", ""),
        ("1.990", ",", "1990", ""),
        ("1,250,000", None, "1250000", ""),
        ("1.250.000", None, "1250000", ""),
        ("12,34,567.50", ".", "1234567.50", ""),
        ("1 234,50", ",", "1234.50", ""),
        ("1\u00a0234,50", ",", "1234.50", ""),
        ("1'234.50", ".", "1234.50", ""),
        ("۱۲۵٬۰۰۰", None, "125000", ""),
        ("۱۲٫۵", None, "12.5", ""),
        ("٢٥٠٠", None, "2500", ""),
        ("۲۵۰٬۰۰۰ تومان", None, "250000", "IRT"),
        ("۲۵۰۰۰ ریال", None, "25000", "IRR"),
        ("€ 12,50", ",", "12.50", "EUR"),
        ("12.50€", None, "12.50", "EUR"),
        ("$1,234.56", None, "1234.56", "$"),
        ("USD 5", None, "5", "USD"),
        ("-€5", None, "-5", "EUR"),
        ("€-5", None, "-5", "EUR"),
        ("5.00-", None, "-5.00", ""),
        ("(5.00)", None, "-5.00", ""),
        ("\u22125", None, "-5", ""),
        ("'5", None, "5", ""),
        (".5", None, "0.5", ""),
        ("5.55e-17", None, "0", ""),
        ("1e3", None, "1000", ""),
    ],
)
def test_numbers(text: str, mark: str | None, value: str, sign: str) -> None:
    found = read_number(text, mark)  # type: ignore[arg-type]
    assert (found.value, found.sign) == (Decimal(value), sign)


@pytest.mark.parametrize(
    ("text", "mark", "fault"),
    [
        ("1,990", None, "number_ambiguous"),
        ("1,50", ".", "not_a_number"),
        ("1.50", ",", "not_a_number"),
        ("12,34", ".", "not_a_number"),
        ("1,9900", ".", "not_a_number"),
        ("", None, "missing"),
        ("  ", None, "missing"),
        ("abc", None, "not_a_number"),
        ("5 apples", None, "not_a_number"),
        ("5-6", None, "not_a_number"),
        ("--5", None, "not_a_number"),
        ("1..5", None, "not_a_number"),
        ("1.2.3", ",", "not_a_number"),
        ("€5$", None, "not_a_number"),
        ("NaN", None, "not_a_number"),
        ("1e999", None, "not_a_number"),
        ("9" * 50, None, "not_a_number"),
    ],
)
def test_what_is_no_number_or_may_be_two(text: str, mark: str | None, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}$"):
        read_number(text, mark)  # type: ignore[arg-type]


@given(st.text(max_size=20), st.sampled_from([None, ".", ","]))
def test_no_text_breaks_the_reader(text: str, mark: str | None) -> None:
    try:
        assert read_number(text, mark).value.is_finite()  # type: ignore[arg-type]
    except ValueError as fault:
        assert str(fault) in ("missing", "not_a_number", "number_ambiguous")  # noqa: PT017


@given(st.decimals(-(10**12), 10**12, places=2), st.booleans())
def test_a_number_written_the_german_or_the_english_way_is_the_same(number: Decimal, german: bool) -> None:
    text = f"{number:,.2f}"
    if german:
        text = text.translate(str.maketrans(",.", ".,"))
    assert read_number(text, "," if german else ".").value == number


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["1,5", "2,25"], ","),
        (["1.5", "1,000"], "."),
        (["1,000", "2,500"], None),
        (["1,000,000"], "."),
        (["1.000.000"], ","),
        (["1.000,50"], ","),
        (["1,5", "1.5"], None),
        (["0,125"], ","),
        (["5"], None),
    ],
)
def test_the_decimal_mark_of_a_file(texts: list[str], mark: str | None) -> None:
    assert decimal_mark(texts) == mark


# --- dates


NOWRUZ = {
    # the equinox as the calendar centre of Tehran's university published it
    1343: (1964, 3, 21), 1354: (1975, 3, 21), 1357: (1978, 3, 21), 1358: (1979, 3, 21), 1375: (1996, 3, 20),
    1379: (2000, 3, 20), 1387: (2008, 3, 20), 1391: (2012, 3, 20), 1395: (2016, 3, 20), 1399: (2020, 3, 20),
    1400: (2021, 3, 21), 1403: (2024, 3, 20), 1404: (2025, 3, 21), 1405: (2026, 3, 21), 1408: (2029, 3, 20),
}  # fmt: skip


def test_known_jalali_dates() -> None:
    for year, (gregorian, month, day) in NOWRUZ.items():
        assert jalali.to_gregorian(year, 1, 1) == date(gregorian, month, day), year
    assert jalali.to_gregorian(1357, 11, 22) == date(1979, 2, 11)
    assert jalali.to_gregorian(1405, 9, 7) == date(2026, 11, 28)
    leaps = [year for year in range(1370, 1410) if jalali.is_leap(year)]
    assert leaps == [1370, 1375, 1379, 1383, 1387, 1391, 1395, 1399, 1403, 1408]


def test_jalali_days_follow_one_another_without_gap_or_doubling() -> None:
    day = jalali.to_gregorian(1300, 1, 1)
    for year in range(1300, 1450):
        for month in range(1, 13):
            for number in range(1, jalali.month_length(year, month) + 1):
                assert jalali.to_gregorian(year, month, number) == day
                day += timedelta(days=1)
    for wrong in ((1402, 12, 30), (1403, 7, 31), (1403, 0, 1), (1403, 13, 1), (1403, 1, 0), (99, 1, 1)):
        with pytest.raises(ValueError, match="no such"):
            jalali.to_gregorian(*wrong)


@pytest.mark.parametrize(
    ("text", "there", "repair"),
    [
        ("1403/05/12", "2024-08-02T00:00", JALALI),
        ("1403-5-2 9:05", "2024-07-23T09:05", JALALI),
        ("۱۴۰۳/۰۵/۱۲ ۱۴:۳۰:۱۵", "2024-08-02T14:30:15", JALALI),
        ("14030512", "2024-08-02T00:00", JALALI),
        ("12/05/1403", "2024-08-02T00:00", JALALI),
        ("12 مرداد 1403", "2024-08-02T00:00", JALALI),
        ("شنبه ۷ آذر ۱۴۰۵، ساعت ۱۳:۳۵", "2026-11-28T13:35", JALALI),
        ("7 Azar 1405", "2026-11-28T00:00", JALALI),
        ("1403-05-12T10:00:00", "2024-08-02T10:00", JALALI),
        ("2024-07-01 10:00", "2024-07-01T10:00", None),
        ("2024/7/1", "2024-07-01T00:00", None),
        ("۲۰۲۴-۰۷-۰۱", "2024-07-01T00:00", None),
        ("20240701", "2024-07-01T00:00", None),
        ("45292.5", "2024-01-01T12:00", SERIAL),
        (45292.5, "2024-01-01T12:00", SERIAL),
        (45292, "2024-01-01T00:00", SERIAL),
        (datetime(1403, 5, 12, 8), "2024-08-02T08:00", JALALI),
        (date(2024, 7, 1), "2024-07-01T00:00", None),
    ],
)
def test_times(text: object, there: str, repair: str | None) -> None:
    found = read_time(text, TEHRAN)
    assert datetime.fromtimestamp(found.ms / 1000, TEHRAN) == datetime.fromisoformat(there).replace(tzinfo=TEHRAN)
    assert found.repairs == ((repair,) if repair else ())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "missing"),
        ("yesterday", "not_a_time"),
        ("01.07.2024", "not_a_time"),
        ("1720000000", "not_a_time"),
        ("1402/12/30", "not_a_time"),
        ("1403/13/01", "not_a_time"),
        ("7/Azar", "not_a_time"),
        ("1448/01/01", "calendar_ambiguous"),
        (True, "not_a_time"),
        (float("inf"), "not_a_time"),
    ],
)
def test_what_is_no_time(text: object, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}$"):
        read_time(text, TEHRAN)


def test_a_summer_before_1402_has_summer_time() -> None:
    assert read_time("1400/05/01 00:00", TEHRAN).ms == datetime(2021, 7, 22, 19, 30, tzinfo=UTC).timestamp() * 1000
    assert read_time("1403/05/01 00:00", TEHRAN).ms == datetime(2024, 7, 21, 20, 30, tzinfo=UTC).timestamp() * 1000


def test_a_stated_calendar_and_pattern() -> None:
    found = read_time("31/02/1403 10:00", TEHRAN, "%d/%m/%Y %H:%M", "jalali")
    assert datetime.fromtimestamp(found.ms / 1000, TEHRAN).isoformat() == "2024-05-20T10:00:00+03:30"
    assert read_time("1403-05-12", UTC, None, "gregorian").ms == datetime(1403, 5, 12, tzinfo=UTC).timestamp() * 1000
    with pytest.raises(ValueError, match="only %Y"):
        jalali_mapping("%d %j")


def jalali_mapping(pattern: str) -> None:
    RowMapping.model_validate(
        {"kind": "events", "name": "e", "type": "x", "time": {"column": "t", "format": pattern, "calendar": "jalali"}}
    )


# --- identifiers and values


def cells(region: str | None = "IR") -> Cells:
    return Cells(RowMapping(kind="events", name="e", type="x", region=region))


SARA = "+989123456789"


@pytest.mark.parametrize(
    "text",
    [
        "09123456789", "9123456789", "989123456789", "+989123456789", "00989123456789", "0912 345 6789",
        "0912-345-6789", "(0912) 3456789", "۰۹۱۲۳۴۵۶۷۸۹", "٠٩١٢٣٤٥٦٧٨٩", "'09123456789", "+98 (912) 345-6789",
        "\u200e09123456789", 9123456789, 9123456789.0, "9123456789.0",
    ],
)  # fmt: skip
def test_a_phone_in_any_spelling_is_one(text: object) -> None:
    assert cells().identifier("phone", text).value == SARA


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0912", "not_a_phone"),
        ("9.12346E+09", "digits_lost"),
        ("call me", "not_a_phone"),
        ("091234567891234", "not_a_phone"),
    ],
)
def test_what_is_no_phone(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^{fault}$"):
        cells().identifier("phone", text)


def test_a_local_phone_needs_a_region() -> None:
    with pytest.raises(ValueError, match=r"^phone_without_region$"):
        cells(None).identifier("phone", "09123456789")
    assert cells("RU").identifier("phone", "8 (912) 345-67-89").value == "+79123456789"


def test_junk_is_nobody() -> None:
    for type_, text in (("user_id", "(not set)"), ("email", "n/a@"), ("user_id", "1.23457E+12")):
        with pytest.raises(ValueError, match=r"junk_identifier|not_an_identifier|digits_lost"):
            cells().identifier(type_, text)
    for blank in ("", " ", None, float("nan"), "NULL", "#N/A", "\\N"):
        assert cells().identifier("user_id", blank).value == ""


def test_values() -> None:
    read = cells().value
    assert read("بله", "yes_no").value is True
    assert read("No", "yes_no").value is False
    assert read("۱۲۵٬۰۰۰", "number").value == 125_000
    assert read("1369/05/12", "date").value == "1990-08-03"
    assert read(" Sara ", "text").value == "Sara"
    assert read("", "number").value == ""
    with pytest.raises(ValueError, match="not_yes_or_no"):
        read("maybe", "yes_no")
