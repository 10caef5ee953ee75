"""Clients' clocks."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.times import CLAMPED, FAST, SLOW, UNREADABLE, correct
from schemas.clock import Forward, iso
from schemas.moments import read_moment

RECEIVED = 1_767_323_045_000  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.000+00:00",
        "2026-01-02T06:34:05.000+03:30",
        "2026-01-02T06:34:05+0330",
        "2026-01-02T03:04:05-00:00",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05.000000000Z",
        "2026-01-02 03:04:05 +0000",
        "2026-01-02t03:04:05z",
        "20260102T030405Z",
        "20260102T063405.000+0330",
        "2026-W01-5T03:04:05Z",
        "2026W015T030405Z",
        "2026-002T03:04:05Z",
        "2026002T030405Z",
        "2026-01-02T03:04:05,000Z",
        "2026-01-02T03:04.0833333333333Z",
        "+002026-01-02T03:04:05Z",
        "  2026-01-02T03:04:05Z\u200f",
        "2026-01-02T04:04:05+01:00[Europe/Paris]",
        "۲۰۲۶-۰۱-۰۲T۰۳:۰۴:۰۵Z",
        "٢٠٢٦-٠١-٠٢T٠٣:٠٤:٠٥Z",
        "२०२६-०१-०२T०३:०४:०५Z",
        "༢༠༢༦-༠༡-༠༢T༠༣:༠༤:༠༥Z",
        RECEIVED,
        RECEIVED // 1000,
        RECEIVED / 1000,
        RECEIVED * 1000,
        RECEIVED * 1_000_000,
        str(RECEIVED),
        str(RECEIVED // 1000),
        f"{RECEIVED / 1000:.3f}",
        "۱۷۶۷۳۲۳۰۴۵",
    ],
)
def test_reads_what_clients_write(text: object) -> None:
    assert read_moment(text) == RECEIVED


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T23:59:60Z", "2026-01-02T00:00:00.000Z"),
        ("2026-01-01T24:00", "2026-01-02T00:00:00.000Z"),
        ("2026-01-01T24:00:00.000Z", "2026-01-02T00:00:00.000Z"),
        ("2026-01-02", "2026-01-02T00:00:00.000Z"),
        ("20260102", "2026-01-02T00:00:00.000Z"),
        ("2026-01-02+03:00", "2026-01-01T21:00:00.000Z"),
        ("2026-01", "2026-01-01T00:00:00.000Z"),
        ("2026-W01", "2025-12-29T00:00:00.000Z"),
        ("2026-01-02T03.5Z", "2026-01-02T03:30:00.000Z"),
        ("1712010201004", "2024-04-01T22:23:21.004Z"),
    ],
)
def test_reads_all_of_iso_8601(text: str, moment: str) -> None:
    ms = read_moment(text)
    assert ms is not None
    assert iso(ms) == moment


def test_without_an_offset_the_sources_zone_holds() -> None:
    assert read_moment("2026-01-02T06:34:05", ZoneInfo("Asia/Tehran")) == RECEIVED
    assert read_moment("20260102T063405", ZoneInfo("Asia/Tehran")) == RECEIVED
    assert read_moment("2026-01-02T03:04:05Z", ZoneInfo("Asia/Tehran")) == RECEIVED


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30",
        "2026-366T00:00:00Z",
        "2026-01-02T25:00:00Z",
        "2026-01-02T24:01:00Z",
        "2026-01-02T03:04:05 am+0400",
        "0001-01-01T00:00:00Z",
        "R8-01-02T03:04:05",
        "12",
        "9" * 5000,
        "1e400",
        True,
        [],
        {},
        10**30,
        1e300,
        float("nan"),
    ],
)
def test_junk_is_no_time(junk: object) -> None:
    assert read_moment(junk) is None


@given(st.text() | st.text("0123456789-:TZW+., ۰۱۲", max_size=30))
def test_reading_never_raises(text: str) -> None:
    read_moment(text)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2199, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC)))
def test_a_moment_in_any_form_is_that_moment(moment: datetime) -> None:
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    exact = moment.replace(microsecond=ms % 1000 * 1000)
    clock = exact.strftime("%H:%M:%S.%f")
    forms = [
        exact.isoformat(),
        exact.strftime("%Y%m%dT%H%M%S.%fZ"),
        f"{exact.strftime('%G-W%V-%u')}T{clock}Z",
        f"{exact.strftime('%Y-%j')}T{clock}Z",
        exact.astimezone(timezone(timedelta(hours=3, minutes=30))).isoformat(),
    ]
    assert {read_moment(form) for form in forms} == {ms}


MINUTE, HOUR, YEAR = 60_000, 3_600_000, 365 * 86_400_000


@pytest.mark.parametrize("skew", [1, HOUR, YEAR, 8000 * YEAR])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_fast_clock_is_taken_out(skew: int, trusted: bool) -> None:
    happened = RECEIVED - 10 * MINUTE
    assert correct(happened + skew, RECEIVED + skew, RECEIVED, trusted) == (happened, (FAST,))


@pytest.mark.parametrize("late", [0, 1, 6_000, MINUTE])
@pytest.mark.parametrize("trusted", [True, False])
def test_what_was_on_the_way_keeps_its_time(late: int, trusted: bool) -> None:
    assert correct(RECEIVED - 2 * MINUTE, RECEIVED - late, RECEIVED, trusted) == (RECEIVED - 2 * MINUTE, ())


@pytest.mark.parametrize("late", [MINUTE + 1, HOUR, YEAR, 50 * YEAR])
def test_what_came_long_after_it_was_sent_was_held_up_or_misdated(late: int) -> None:
    claimed = RECEIVED - late - MINUTE
    assert correct(claimed, RECEIVED - late, RECEIVED, True) == (claimed, ())
    assert correct(claimed, RECEIVED - late, RECEIVED, False) == (RECEIVED - MINUTE, (SLOW,))


def test_how_long_the_way_takes_is_a_setting() -> None:
    assert correct(RECEIVED - HOUR, RECEIVED - HOUR, RECEIVED, False, transit=HOUR) == (RECEIVED - HOUR, ())
    assert correct(RECEIVED - 5, RECEIVED - 1, RECEIVED, False, transit=0) == (RECEIVED - 4, (SLOW,))


def test_without_sent_at_the_clients_time_counts() -> None:
    assert correct(RECEIVED - 5, None, RECEIVED, False) == (RECEIVED - 5, ())


def test_without_any_time_the_receipt_counts() -> None:
    assert correct(None, RECEIVED - 5, RECEIVED, False) == (RECEIVED, ())
    assert correct(None, RECEIVED + 5, RECEIVED, False) == (RECEIVED, ())


def test_no_event_lies_in_the_future() -> None:
    assert correct(RECEIVED, None, RECEIVED, True) == (RECEIVED, ())
    assert correct(RECEIVED + 1, None, RECEIVED, True) == (RECEIVED, (CLAMPED,))
    assert correct(RECEIVED + 10**12, RECEIVED, RECEIVED, True) == (RECEIVED, (CLAMPED,))
    assert correct(RECEIVED + YEAR + 1, RECEIVED + YEAR, RECEIVED, True) == (RECEIVED, (FAST, CLAMPED))


@pytest.mark.parametrize("original", [0, -1, -(10**12)])
def test_a_time_before_1971_says_nothing(original: int) -> None:
    assert correct(original, None, RECEIVED, True) == (RECEIVED, (UNREADABLE,))


@given(st.integers(-30_610_224_000_000, 253_402_300_799_999))
@example(0)
@example(-1)
@example(RECEIVED + 7)
def test_times_are_written_as_the_standard_library_writes_them(ms: int) -> None:
    """From the year 1000 to the last millisecond of 9999."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert iso(ms) == moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def test_a_forward_clock_never_steps_back() -> None:
    told = iter([5, 7, 3, 6, 8])
    clock = Forward(lambda: next(told))
    assert [clock() for _ in range(5)] == [5, 7, 7, 7, 8]
