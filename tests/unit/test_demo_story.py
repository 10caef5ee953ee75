"""The parts of the story that need no server; the whole of it is an end-to-end test."""

import re
from datetime import datetime

import pytest
from rich.console import Console

from segments.rule import parse_rule
from segments.tree import segments_of
from simorgh.demo import findings
from simorgh.demo.segments import SEGMENTS
from simorgh.demo.story import LAST_PURCHASE, weeks_to

WEEK = 7 * 86_400_000


@pytest.mark.parametrize("later", [0, 1, WEEK - 1, WEEK, 700 * WEEK + 12_345])
def test_the_last_purchase_comes_to_lie_in_the_past_week(later: int) -> None:
    now = LAST_PURCHASE + later
    assert 0 <= now - (LAST_PURCHASE + weeks_to(now) * WEEK) < WEEK


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ("2026-11-21T23:55", "moved by 780 whole weeks, .* Friday, 2026-11-20 at 12:50 UTC, yesterday;"),
        ("2026-11-20T12:50", "moved by 780 whole weeks, .* Friday, 2026-11-20 at 12:50 UTC, today;"),
        ("2026-11-20T12:49", "moved by 779 whole weeks, .* Friday, 2026-11-13 at 12:50 UTC, 7 days ago;"),
        ("2026-11-26T03:00", "moved by 780 whole weeks, .* Friday, 2026-11-20 at 12:50 UTC, 6 days ago;"),
    ],
)
def test_the_opening_says_what_was_moved_and_where_to(now: str, told: str) -> None:
    moment = round(datetime.fromisoformat(f"{now}+00:00").timestamp() * 1000)
    weeks = weeks_to(moment)
    console = Console(record=True, width=500)
    findings.print_opening(console, weeks, LAST_PURCHASE + weeks * WEEK, moment)
    assert re.search(told, console.export_text())


def test_the_segments_are_valid_and_come_after_those_they_name() -> None:
    declared: set[str] = set()
    for segment in SEGMENTS:
        assert segments_of(parse_rule(segment["rule"])) <= declared
        declared.add(segment["id"])


def test_a_view_prints_what_it_has() -> None:
    view = {
        "profile_id": "prf_1",
        "traits": {"name": "سارا", "city": "Isfahan"},
        "identities": [{"type": "user_id", "value": "u1", "first_seen": "2024-01-01T", "last_seen": "2024-02-01T"}],
        "segments": [{"id": "vip", "entered_at": "2024-02-01T10:00:00.000Z"}],
        "metrics": {"events": 3, "last_seen": "2024-02-01T10:00:00.000Z", "orders": 0, "revenue": {}},
    }
    console = Console(record=True, width=120)
    findings.print_view(console, view)
    printed = console.export_text()
    for told in ("سارا", "Isfahan", "2024-01-01 to 2024-02-01", "vip", "2024-02-01 10:00", "0, none, none"):
        assert told in printed


def test_lines_to_paste_are_never_broken() -> None:
    console = Console(record=True, width=40)
    findings.print_next(console, "http://127.0.0.1:8000", "t" * 60, "web-1")
    lines = [line for line in console.export_text().splitlines() if line.startswith(("TOKEN", "curl"))]
    assert len(lines) == 8
    assert all(line.endswith("'") for line in lines)
