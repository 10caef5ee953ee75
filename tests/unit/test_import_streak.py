"""Somebody is asked when everything fails for one reason, once for each, and what is asked says where."""

import pytest

from producers.files.streak import LIMIT, SameFault, Streak


def feed(streak: Streak, *reasons: tuple[str | None, int]) -> None:
    for reason, times in reasons:
        for _ in range(times):
            streak.saw(reason)


def test_a_thousand_of_one_reason_stop_it() -> None:
    with pytest.raises(SameFault, match=r"got faults \(the first 1,000 rows failed for one reason: late\); .*--go-on"):
        feed(Streak("rows failed", lambda fault: False), ("late", LIMIT))
    with pytest.raises(SameFault, match=r"got faults \(at number 1,001: the last 1,000 rows failed"):
        feed(Streak("rows failed", lambda fault: False), (None, 1), ("late", LIMIT))


def test_what_is_mixed_goes_on() -> None:
    streak = Streak("rows failed", lambda fault: False)
    feed(streak, ("late", LIMIT - 1), (None, 1), ("late", LIMIT - 1), ("early", 1), ("late", LIMIT - 1))


def test_each_reason_is_asked_once() -> None:
    asked: list[str] = []

    def go_on(fault: str) -> bool:
        asked.append(fault)
        return True

    feed(Streak("rows failed", go_on), ("late", 5 * LIMIT), (None, 1), ("late", LIMIT), ("early", LIMIT))
    assert [fault.rsplit(" ", 1)[1] for fault in asked] == ["late", "early"]
