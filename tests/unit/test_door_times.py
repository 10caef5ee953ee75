"""Clients' clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.times import CLAMPED, UNUSABLE, correct, read_time
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


@pytest.mark.parametrize("skew", [0, 3_600_000, -3_600_000, -50 * 365 * 86_400_000])
def test_a_wrong_clock_is_taken_out(skew: int) -> None:
    happened = RECEIVED - 600_000
    assert correct(happened + skew, RECEIVED + skew, RECEIVED) == (happened, None)


def test_without_sent_at_the_clients_time_counts() -> None:
    assert correct(RECEIVED - 5, None, RECEIVED) == (RECEIVED - 5, None)


def test_without_any_time_the_receipt_counts() -> None:
    assert correct(None, RECEIVED - 5, RECEIVED) == (RECEIVED, None)


def test_no_event_lies_in_the_future() -> None:
    assert correct(RECEIVED + 60_000, None, RECEIVED) == (RECEIVED + 60_000, None)
    assert correct(RECEIVED + 60_001, None, RECEIVED) == (RECEIVED + 60_000, CLAMPED)
    assert correct(RECEIVED + 10**12, RECEIVED, RECEIVED) == (RECEIVED + 60_000, CLAMPED)


@pytest.mark.parametrize("original", [0, -1, -(10**12)])
def test_a_time_before_1971_says_nothing(original: int) -> None:
    assert correct(original, None, RECEIVED) == (RECEIVED, UNUSABLE)


@given(st.integers(-30_610_224_000_000, 253_402_300_799_999))
@example(0)
@example(-1)
@example(RECEIVED + 7)
def test_times_are_written_as_the_standard_library_writes_them(ms: int) -> None:
    """From the year 1000 to the last millisecond of 9999."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert iso(ms) == moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
