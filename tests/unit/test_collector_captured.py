"""Requests of real clients, byte by byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.envelope import Envelope
from tests.clients.world import CAPTURED, captured, world

COUNTS = {
    "rudder_browser": 6,
    "rudder_browser_batching": 6,
    "rudder_node": 6,
    "rudder_python": 6,
    "segment_browser_batching": 6,
    "segment_browser_crossorigin": 6,
    "segment_node": 6,
    "segment_python": 7,
    "segment_python_drop": 7,
    "segment_python_gzip": 7,
}


def replay(name: str, folder: Path) -> list[dict[str, Any]]:
    """The envelopes that the captured requests give; all are answered 200, nothing is rejected."""
    with world(folder) as it:
        for request in captured(name):
            assert it.resend(request).status_code == 200
        assert it.rejected() == []
        return it.events()


def test_every_recording_has_a_test() -> None:
    assert {path.stem for path in CAPTURED.glob("*.json")} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_everything_is_taken(name: str, tmp_path: Path) -> None:
    events = replay(name, tmp_path)
    assert len({event["id"] for event in events}) == COUNTS[name]
    for event in events:
        Envelope.model_validate_json(json.dumps(event))
        assert event["identifiers"]
        # made within some minutes around the test's present; their orders name no currency; the browser was headless
        assert set(event.get("flags", [])) <= {"bot", "unplanned", "clock_fast", "clock_slow", "money_uncounted"}


def test_a_batch_sent_twice_has_the_same_ids_and_nearly_the_same_times(tmp_path: Path) -> None:
    events = replay("segment_python_drop", tmp_path)
    assert len(events) == 2 * COUNTS["segment_python_drop"]
    by_id: dict[str, set[str]] = {}
    for event in events:
        by_id.setdefault(event["id"], set()).add(event["time"][:15])  # to ten minutes
    assert all(len(times) == 1 for times in by_id.values())


def test_null_ids_are_none(tmp_path: Path) -> None:
    events = replay("segment_python", tmp_path)
    order = next(event for event in events if event["type"] == "order.completed")
    assert [entry["type"] for entry in order["identifiers"]] == ["user_id"]


def test_rudders_identify_has_its_traits_in_the_context(tmp_path: Path) -> None:
    events = replay("rudder_python", tmp_path)
    identified = next(event for event in events if event["type"] == "profile.identified")
    assert identified["traits"] == {"email": "ada@example.com", "name": "Ada Lovelace"}


def test_persian_titles_survive(tmp_path: Path) -> None:
    events = replay("segment_browser_crossorigin", tmp_path)
    page = next(event for event in events if event["type"] == "page.viewed")
    assert page["properties"]["title"].startswith("خانه")
