"""Records that are too old are taken out of the log file, and no other."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.port import LOST, EventLog
from eventlog.sqlite import SqliteEventLog
from eventlog.sqlite_repair import check
from registry.models import Retention
from schemas.clock import iso
from schemas.topics import EVENTS, REJECTED
from simorgh.retention import expire
from stream_processors.host.retained import KeptSince, RetainedLog

DAY = 86_400_000
NOW = 1_790_000_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    made = SqliteEventLog(tmp_path / "log.sqlite", partitions=2)
    yield made
    made.close()


def event(n: int, days: int, type: str = "page.viewed", source: str = "shop") -> tuple[bytes, bytes]:
    said = {"type": type, "source": f"/sources/{source}", "time": iso(NOW - days * DAY - 1), "n": n}
    return f"k{n}".encode(), json.dumps(said).encode()


def kept(log: EventLog, topic: str = EVENTS) -> list[int]:
    records = [one for part in range(len(log.ends(topic))) for one in log.read(topic, part, 0, 10_000)]
    return sorted(json.loads(one.value)["n"] for one in records if b'"n"' in one.value)


def retention(days: int, type: str = "", source: str = "") -> Retention:
    return Retention(id=f"r{days}", type=type, source=source, days=days, created_at=0)


def test_the_shortest_that_fits_holds_and_offsets_stay(log: SqliteEventLog) -> None:
    log.append(EVENTS, [event(n, n) for n in range(20)])
    log.append(EVENTS, [event(100 + n, n, "order.completed") for n in range(20)])
    log.append(EVENTS, [event(200 + n, n, source="app") for n in range(20)])
    log.append(EVENTS, [(b"x", b"junk"), (b"y", b'{"time":3}')])
    log.append(REJECTED, [(b"r", json.dumps({"source": "shop", "received_at": iso(NOW - n * DAY), "n": n}).encode())
                          for n in range(20)])  # fmt: skip
    ends = log.ends(EVENTS)
    assert expire(log, [], NOW) == 0
    rules = [retention(15), retention(10, "page.viewed"), retention(5, "page.viewed", "app"), retention(12, "rejected")]
    junk = [(b"x", b"junk"), (b"y", b'{"time":3}')]
    left = [*range(10), *range(100, 115), *range(200, 205)]
    shown = RetainedLog(log, KeptSince(rules, NOW))
    assert (kept(shown), kept(shown, REJECTED)) == (left, list(range(13))), "a cluster's replay sees the same"
    assert expire(log, rules, NOW) == 60 - len(left) + 7
    found = [one for part in range(2) for one in log.read(EVENTS, part, 0, 10_000)]
    assert [(one.key, one.value) for one in found if (one.key, one.value) in junk]
    assert sorted(json.loads(one.value)["n"] for one in found if b'"n"' in one.value) == left
    assert sum(one.value == LOST for one in found) == 60 - len(left)
    assert kept(log, REJECTED) == list(range(13))
    assert log.ends(EVENTS) == ends
    assert expire(log, rules, NOW) == 0


def test_the_file_is_sound_and_grows_on(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = SqliteEventLog(path)
    for start in range(0, 3_000, 600):
        log.append(EVENTS, [event(n, n % 7) for n in range(start, start + 600)])
    assert expire(log, [retention(3)], NOW)
    log.append(EVENTS, [event(9_000, 0)])
    wanted = [*(n for n in range(3_000) if n % 7 < 3), 9_000]
    assert kept(log) == wanted
    log.close()
    assert not check(path).lines()
    log = SqliteEventLog(path)
    assert kept(log) == wanted
    log.close()
