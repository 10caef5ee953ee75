"""What the SQLite adapter does beyond the contract of every log."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from eventlog.about import FORMAT
from eventlog.chunks import ENOUGH_BYTES, MOST_RECORDS
from eventlog.sqlite import SqliteEventLog
from schemas import topics
from schemas.errors import Backpressure, Broken, Conflict, InvalidInput, InvalidSettings


class Gate:
    """A clock that the writing thread waits at, so that a test can fill the queue behind it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> int:
        self.reached.set()
        assert self.open.wait(60)
        return 1_700_000_000_000


def held_log(tmp_path: Path, **limits: int) -> tuple[SqliteEventLog, Gate]:
    """A log whose writer is held inside the transaction of one first record of 100 bytes."""
    gate = Gate()
    log = SqliteEventLog(tmp_path / "log.db", clock=gate, **limits)
    log.submit([(topics.REGISTRY, [(b"", b"x" * 100)])])
    assert gate.reached.wait(60)
    return log, gate


def test_what_waits_shares_one_transaction(tmp_path: Path) -> None:
    log, gate = held_log(tmp_path)
    futures = [log.submit([(topics.REGISTRY, [(b"k", b"v")])]) for _ in range(20)]
    gate.open.set()
    assert [future.result(60) for future in futures] == [[[(0, n)]] for n in range(1, 21)]
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        rows = db.execute(f'SELECT first, count FROM "{topics.REGISTRY}/0" ORDER BY first').fetchall()
    db.close()
    assert rows == [(0, 1), (1, 20)]


def test_the_queue_is_bounded_in_messages(tmp_path: Path) -> None:
    log, gate = held_log(tmp_path, queue_limit=3)
    log.submit([(topics.REGISTRY, [(b"k", b"v")] * 2)])
    with pytest.raises(Backpressure):
        log.submit([(topics.REGISTRY, [(b"k", b"v")])])
    gate.open.set()
    log.close()


def test_the_queue_is_bounded_in_bytes_and_takes_a_larger_submit_alone(tmp_path: Path) -> None:
    log, gate = held_log(tmp_path, queue_bytes=1000)
    with pytest.raises(Backpressure):
        log.submit([(topics.REGISTRY, [(b"k", b"v" * 1000)])])
    gate.open.set()
    while True:
        try:
            assert log.append(topics.REGISTRY, [(b"k", b"v" * 5000)]) == [(0, 1)]
            break
        except Backpressure:
            continue  # the first record is being answered
    log.close()


def test_a_submit_cancelled_in_time_is_not_stored_and_gives_its_room_back(tmp_path: Path) -> None:
    log, gate = held_log(tmp_path, queue_limit=2)
    cancelled = log.submit([(topics.REGISTRY, [(b"k", b"cancelled")])])
    assert cancelled.cancel()
    gate.open.set()
    while log.ends(topics.REGISTRY) != [1]:
        log.wait(topics.REGISTRY, [0], 60)
    for _ in range(5):
        with_room(log)
    assert [r.value for r in log.read(topics.REGISTRY, 0, 1, 99)] == [b"v", b"v"] * 5
    log.close()


def with_room(log: SqliteEventLog) -> None:
    while True:
        try:
            log.append(topics.REGISTRY, [(b"k", b"v")] * 2)
            return
        except Backpressure:
            continue  # the writer is about to make room


def test_one_failing_transaction_harms_no_neighbour(tmp_path: Path) -> None:
    ticks: Iterator[int | Exception] = iter([1, ZeroDivisionError(), 2, ZeroDivisionError(), 3])

    def clock() -> int:
        tick = next(ticks)
        if isinstance(tick, Exception):
            raise tick
        if tick == 1:
            reached.set()
            assert opened.wait(60)
        return tick

    reached, opened = threading.Event(), threading.Event()
    log = SqliteEventLog(tmp_path / "log.db", clock=clock)
    futures = [log.submit([(topics.REGISTRY, [(b"k", b"0")])])]
    assert reached.wait(60)
    futures += [log.submit([(topics.REGISTRY, [(b"k", str(n).encode())])]) for n in (1, 2, 3)]
    opened.set()
    assert isinstance(futures[2].exception(60), Broken)
    assert [futures[n].result(60) for n in (0, 1, 3)] == [[[(0, 0)]], [[(0, 1)]], [[(0, 2)]]]
    assert [(r.value, r.appended_at) for r in log.read(topics.REGISTRY, 0, 0, 9)] == [
        (b"0", 1),
        (b"1", 2),
        (b"3", 3),
    ]
    log.close()


def test_a_full_disk_is_backpressure_and_passes(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages + 4}")  # the engine's own limit acts like a full disk
    with pytest.raises(Backpressure):
        log.append(topics.REGISTRY, [(b"k", os.urandom(1_000_000))])
    assert log.append(topics.REGISTRY, [(b"k", b"small")]) == [(0, 0)]
    log._db.execute("PRAGMA max_page_count = 1000000")
    assert log.append(topics.REGISTRY, [(b"k", os.urandom(1_000_000))]) == [(0, 1)]
    log.close()


def test_what_repeats_is_compressed_and_what_does_not_stays_as_it_is(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    values = [b"the same again " * 1_000, os.urandom(15_000), b"", b"short"]
    for value in values:
        log.append(topics.REGISTRY, [(b"k", value)])
    log.close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as db:
        lengths = [size for (size,) in db.execute(f'SELECT length(body) FROM "{topics.REGISTRY}/0" ORDER BY first')]
    assert (lengths[0] < 100, lengths[1:]) == (True, [15_001, 1, 6])
    with closing(SqliteEventLog(tmp_path / "log.db")) as again:
        assert [record.value for record in again.read(topics.REGISTRY, 0, 0, 10)] == values


def test_many_and_large_records_are_cut_into_chunks(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    many = [(b"k", str(n).encode()) for n in range(2 * MOST_RECORDS + 1)]
    large = [(b"k", bytes([n]) * (ENOUGH_BYTES // 2 + 1)) for n in range(5)]
    log.append(topics.REGISTRY, many)
    log.append(topics.REGISTRY, large)
    read = log.read(topics.REGISTRY, 0, 0, 5000)
    assert [(r.key, r.value) for r in read] == many + large
    middle = log.read(topics.REGISTRY, 0, MOST_RECORDS - 1, 2)
    assert [r.offset for r in middle] == [MOST_RECORDS - 1, MOST_RECORDS]
    log.close()


def test_the_file_keeps_its_number_of_partitions(tmp_path: Path) -> None:
    SqliteEventLog(tmp_path / "log.db", partitions=3).close()
    log = SqliteEventLog(tmp_path / "log.db", partitions=5)
    assert len(log.ends(topics.EVENTS)) == 3
    assert len(log.ends(topics.IDENTITY)) == 1
    log.close()


@pytest.mark.parametrize("partitions", [0, -1, 65])
def test_a_senseless_number_of_partitions_is_refused(tmp_path: Path, partitions: int) -> None:
    with pytest.raises(InvalidInput):
        SqliteEventLog(tmp_path / "log.db", partitions=partitions)


def test_a_second_log_on_the_file_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first = SqliteEventLog(tmp_path / "log.db")
    with pytest.raises(Conflict, match="got one open in process"):
        SqliteEventLog(tmp_path / "log.db")
    first.close()
    SqliteEventLog(tmp_path / "log.db").close()


def test_another_process_is_refused(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    code = (
        "import sys; from pathlib import Path; from eventlog.sqlite import SqliteEventLog\n"
        "from schemas.errors import Conflict\n"
        "try: SqliteEventLog(Path(sys.argv[1]))\n"
        "except Conflict as error: print(error.code, error.message)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log.db")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.startswith("log_in_use")
    log.close()


def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"something else entirely, longer than a header" * 50)
    with pytest.raises(Broken):
        SqliteEventLog(path)
    assert path.read_bytes().startswith(b"something else")


@pytest.mark.parametrize(
    ("format", "what"),
    [(1, "an older release wrote it"), (FORMAT + 1, "a newer release wrote it"), (99, "a newer release wrote it")],
)
def test_a_file_of_another_format_is_refused_in_one_line_and_left_alone(tmp_path: Path, format: int, what: str) -> None:
    SqliteEventLog(tmp_path / "log.db").close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as db:
        db.execute(f"PRAGMA user_version = {format}")
    before = (tmp_path / "log.db").read_bytes()
    with pytest.raises(InvalidSettings, match=f"wanted format {FORMAT}, got format {format}; {what}") as refused:
        SqliteEventLog(tmp_path / "log.db")
    assert "\n" not in refused.value.message
    assert (tmp_path / "log.db").read_bytes() == before


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    log.append(topics.EVENTS, [(b"k", b"v")])
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    log.close()


def test_readers_keep_as_many_connections_as_read_at_once(tmp_path: Path) -> None:
    log = SqliteEventLog(tmp_path / "log.db")
    log.append(topics.REGISTRY, [(b"k", b"v")] * 100)
    for _ in range(5):  # new threads each time: none of their connections may pile up
        with ThreadPoolExecutor(4) as pool:
            assert all(len(r) == 100 for r in pool.map(lambda _: log.read(topics.REGISTRY, 0, 0, 100), range(40)))
    assert len(log._idle_readers) <= 4
    log.close()
