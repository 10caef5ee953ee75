"""When a failed delivery is tried again."""

import pytest

from destinations.schedule import DELAYS, HOUR, MAX_ATTEMPTS, next_attempt
from destinations.senders.webhook import parse_retry_after

NOW = 1_900_000_000_000  # 2030-03-17T17:46:40Z


def test_ten_attempts_over_three_days() -> None:
    now, times = NOW, [0]
    for attempts in range(1, MAX_ATTEMPTS):
        due = next_attempt(attempts, now)
        assert due is not None
        now = due
        times.append((now - NOW) // 1000)
    assert times[:5] == [0, 5, 305, 2105, 9305]
    assert times[-1] == 75 * 3600 + 35 * 60 + 5
    assert next_attempt(MAX_ATTEMPTS, now) is None


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_jitter_only_postpones_and_by_a_tenth_at_most(random: float) -> None:
    for attempts, delay in enumerate(DELAYS, start=1):
        due = next_attempt(attempts, NOW, random=random)
        assert due is not None
        assert delay <= due - NOW <= delay * 1.1


@pytest.mark.parametrize(("asked", "pause"), [(None, 5000), (1000, 5000), (60_000, 60_000), (10**12, 24 * HOUR)])
def test_retry_after_postpones_and_is_capped(asked: int | None, pause: int) -> None:
    assert next_attempt(1, NOW, retry_after=asked) == NOW + pause


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        (None, None),
        ("120", 120_000),
        (" 7 ", 7_000),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("9" * 400, 999_999_999_000),
        ("Sun, 17 Mar 2030 17:47:40 GMT", 60_000),
        ("Sun, 17 Mar 2030 17:40:00 GMT", None),
        ("Sun, 99 Mar 2030 17:40:00 GMT", None),
    ],
)
def test_retry_after_headers(header: str | None, pause: int | None) -> None:
    assert parse_retry_after(header, NOW) == pause
