"""Times as people write them."""

import pytest

from schemas.errors import InvalidInput
from simorgh.commands.times import earlier, later

NOW = 1_700_000_000_000


def clock() -> int:
    return NOW


def test_spans_count_from_now_and_times_stand() -> None:
    assert later("90m", clock) == "2023-11-14T23:43:20.000Z"
    assert earlier("2w", clock) == "2023-10-31T22:13:20.000Z"
    assert later("2030-01-31", clock) == "2030-01-31T00:00:00.000Z"
    assert earlier("2020-02-29T12:00:00+03:30", clock) == "2020-02-29T08:30:00.000Z"


@pytest.mark.parametrize("text", ["", "d", "0d", "-1d", "1y", "٣d", "99999d", "tomorrow", "2023-02-30"])
def test_what_is_no_time_is_refused(text: str) -> None:
    for read in (later, earlier):
        with pytest.raises(InvalidInput, match="90d, 12h"):
            read(text, clock)


def test_what_has_passed_is_not_to_come() -> None:
    with pytest.raises(InvalidInput, match="has passed"):
        later("2020-01-01", clock)
