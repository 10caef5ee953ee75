"""Clients' clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.times import CLAMPED, FAST, SLOW, UNREADABLE, correct, read_time
from schemas.clock import iso
from schemas.errors import InvalidEvent

RECEIVED = 1_767_323_045_000  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.000+00:00",
        "2026-01-02T06:34:05.000+03:30",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05.000000000Z",
        RECEIVED,
        RECEIVED // 1000,
        RECEIVED / 1000,
    ],
)
def test_reads_what_clients_write(text: object) -> None:
    assert read_time(text, "timestamp") == RECEIVED


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_no_time(nothing: object) -> None:
    assert read_time(nothing, "timestamp") is None


@pytest.mark.parametrize(
    "junk",
    ["yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", True, [], {}, 10**30, -(10**18), 1e300],
)
def test_junk_is_refused_with_a_reason(junk: object) -> None:
    with pytest.raises(InvalidEvent) as refused:
        read_time(junk, "timestamp")
    assert refused.value.code == "invalid_timestamp"


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
