"""Watched folders and URLs in tests: files, a clock, and a platform that keeps what is sent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from producers.files.importer import import_file
from producers.files.report import Report
from producers.files.sinks import ACCEPTED, SendOutcome
from producers.watched.port import Arrival, WatchedSource
from producers.watched.watcher import Watcher
from schemas.errors import Backpressure

MAPPING = """
kind = "people"
name = "contacts"
channel = "server"
files = ["*.csv"]
[[identifiers]]
column = "id"
type = "user_id"
[traits]
city = "town"
"""
FILE = b"id,town\nu1,Bonn\nu2,Shiraz\n"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sent:
    """A platform: keeps each event once, by its id. `away`: nothing can be sent."""

    def __init__(self) -> None:
        self.events: dict[str, Any] = {}
        self.requests = 0
        self.away = False

    def send(self, events: Sequence[dict[str, Any]]) -> list[SendOutcome]:
        if self.away:
            raise Backpressure("sending: wanted an answer, got none; try again")
        self.requests += 1
        self.events |= {event["id"]: event for event in events}
        return [ACCEPTED for _ in events]


def watcher(watched: WatchedSource, tmp_path: Path, sent: Sent) -> Watcher:
    mapping = tmp_path / "contacts.toml"
    if not mapping.exists():
        mapping.write_text(MAPPING)

    def import_(arrival: Arrival, rules: Any) -> Report:
        return import_file(arrival.path, rules, sent)

    return Watcher(watched, [str(mapping)], import_, 0.1, lambda: 1_790_000_000_000)


def looks(watch: Watcher, clock: Clock) -> int:
    """Two looks, far enough apart for a file that has not changed to count as complete."""
    count = watch.look()
    clock.now += 6
    return count + watch.look()


def report_of(path: Path) -> Any:
    return orjson.loads(path.with_name(path.name + ".report.json").read_bytes())
