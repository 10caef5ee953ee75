"""Watched folders: which files are complete, which were imported before, and a crash after each step."""

import threading
from pathlib import Path
from typing import Any

import pytest

from producers.files.importer import import_file
from producers.files.report import Report
from producers.watched.folder import WatchedFolder
from producers.watched.port import Arrival, Imported
from producers.watched.watcher import Watcher
from schemas.errors import Backpressure, Conflict, InvalidInput
from simorgh.settings import Settings
from simorgh.settings_values import Watch
from simorgh.watching import watcher_of
from tests.unit.watched_world import FILE, MAPPING, Clock, Sent, looks, report_of, watcher

pytest_plugins = ("tests.unit.watched_fixtures",)


def test_a_file_is_imported_once_and_moved_with_its_report(
    tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent
) -> None:
    watch = watcher(folder, tmp_path, sent)
    (tmp_path / "in" / "a.csv").write_bytes(FILE)
    assert looks(watch, clock) == 1
    assert looks(watch, clock) == 0
    assert len(sent.events) == 2
    assert (tmp_path / "in" / "done" / "a.csv").read_bytes() == FILE
    report = report_of(tmp_path / "in" / "done" / "a.csv")
    assert (report["events"], report["rows"], report["mapping"]) == (2, 2, "contacts")
    assert "Bonn" not in str(report)


def test_a_file_that_grows_is_waited_for(tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent) -> None:
    watch = watcher(folder, tmp_path, sent)
    path = tmp_path / "in" / "a.csv"
    for size in range(len(FILE) + 1):
        path.write_bytes(FILE[:size])
        assert watch.look() == 0
        clock.now += 4
    assert watch.look() == 0
    clock.now += 2
    assert watch.look() == 1
    assert len(sent.events) == 2


@pytest.mark.parametrize("name", [".a.csv", "a.csv.part", "a.csv.tmp", "a.csv~", "a.csv.crdownload"])
def test_what_a_program_still_writes_is_left_alone(
    tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent, name: str
) -> None:
    (tmp_path / "in" / name).write_bytes(FILE)
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "in" / name)
    (tmp_path / "in" / "folder.csv").mkdir()
    assert looks(watcher(folder, tmp_path, sent), clock) == 0
    assert sent.requests == 0


def test_the_same_content_again_sends_nothing_and_a_changed_mapping_imports_it_again(
    tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent
) -> None:
    watch = watcher(folder, tmp_path, sent)
    for name in ("a.csv", "b.csv", "a.csv"):
        (tmp_path / "in" / name).write_bytes(FILE)
        assert looks(watch, clock) == 1
    assert sent.requests == 1
    done = tmp_path / "in" / "done"
    assert sorted(path.name for path in done.glob("*.csv")) == ["a-2.csv", "a.csv", "b.csv"]
    assert report_of(done / "b.csv")["same_as"] == "a.csv"
    (tmp_path / "contacts.toml").write_text(MAPPING + 'home = "town"\n')
    (tmp_path / "in" / "c.csv").write_bytes(FILE)
    assert looks(watch, clock) == 1
    assert sent.requests == 2


def test_a_file_that_is_corrected_and_comes_back_as_it_was_is_imported_each_time(
    tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent
) -> None:
    watch = watcher(folder, tmp_path, sent)
    for requests, content in enumerate((FILE, FILE.replace(b"Bonn", b"Kiel"), FILE), start=1):
        (tmp_path / "in" / "a.csv").write_bytes(content)
        assert looks(watch, clock) == 1
        assert sent.requests == requests


def test_two_watchers_never_share_a_folder(tmp_path: Path, folder: WatchedFolder) -> None:
    with pytest.raises(Conflict, match="wanted to watch it alone"):
        WatchedFolder(tmp_path / "in")
    folder.close()
    WatchedFolder(tmp_path / "in").close()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"id,town\n", None),
        (b"number,town\n1,Bonn\n", "wanted each column of the mapping once"),
        (b"", "wanted each column"),
        (b"id,town\n,Bonn\n,Kiel\n", "no row could be used"),
        (b"id,town\nu1,Bonn\n,Kiel\n", "wanted at most 10% of the rows refused, got 1 of 2"),
    ],
)
def test_a_faulty_file_is_put_away_and_the_next_one_is_imported(
    tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent, content: bytes, says: str | None
) -> None:
    watch = watcher(folder, tmp_path, sent)
    (tmp_path / "in" / "a.csv").write_bytes(content)
    (tmp_path / "in" / "b.csv").write_bytes(FILE)
    (tmp_path / "in" / "c.pdf").write_bytes(FILE)
    watch.look()
    clock.now += 100
    assert watch.look() == 3
    assert (tmp_path / "in" / "done" / "b.csv").exists()
    assert "wanted a name" in report_of(tmp_path / "in" / "failed" / "c.pdf")["error"]
    if says is None:
        assert (tmp_path / "in" / "done" / "a.csv").exists()
    else:
        assert says in report_of(tmp_path / "in" / "failed" / "a.csv")["error"]


def test_a_server_that_is_away_costs_no_file(tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent) -> None:
    watch = watcher(folder, tmp_path, sent)
    (tmp_path / "in" / "a.csv").write_bytes(FILE)
    watch.look()
    clock.now += 6
    sent.away = True
    for _ in range(2):
        with pytest.raises(Backpressure):
            watch.look()
    sent.away = False
    assert watch.look() == 1


def test_a_fault_of_our_own_is_the_file_s_end_only(tmp_path: Path, folder: WatchedFolder, clock: Clock) -> None:
    def broken(arrival: Arrival, rules: Any) -> Report:
        raise KeyError("x")

    (tmp_path / "m.toml").write_text(MAPPING)
    watch = Watcher(folder, [str(tmp_path / "m.toml")], broken, 0.1, lambda: 0)
    (tmp_path / "in" / "a.csv").write_bytes(FILE)
    assert looks(watch, clock) == 1
    assert "KeyError" in report_of(tmp_path / "in" / "failed" / "a.csv")["error"]


class Killed(BaseException):
    """The process ends here."""


def killed(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("at", ["import", "write report", "report written", "moved"])
def test_a_crash_after_each_step_sends_nothing_twice_and_loses_nothing(
    tmp_path: Path, clock: Clock, sent: Sent, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(FILE)
    first = WatchedFolder(tmp_path / "in", 5.0, clock)
    watch = watcher(first, tmp_path, sent)
    with monkeypatch.context() as patch:
        if at == "import":
            patch.setattr(first, "put_away", killed)
        elif at == "write report":
            patch.setattr("producers.watched.folder._write", killed)
        elif at == "report written":
            patch.setattr(Path, "rename", killed)
        else:
            patch.setattr(first, "_remember", killed)
        with pytest.raises(Killed):
            looks(watch, clock)
    first.close()
    second = WatchedFolder(tmp_path / "in", 5.0, clock)
    try:
        assert looks(watcher(second, tmp_path, sent), clock) == (0 if at == "moved" else 1)
    finally:
        second.close()
    assert len(sent.events) == 2
    assert [path.name for path in (tmp_path / "in").glob("*.csv")] == []
    assert report_of(tmp_path / "in" / "done" / "a.csv")["events"] == 2


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, folder: WatchedFolder, clock: Clock, sent: Sent
) -> None:
    path = tmp_path / "in" / "a.csv"
    path.write_bytes(FILE)
    (tmp_path / "m.toml").write_text(MAPPING)
    more = [b"u3,Kiel\n"]

    def import_(arrival: Arrival, rules: Any) -> Report:
        report = import_file(arrival.path, rules, sent)
        if more:
            with path.open("ab") as file:
                file.write(more.pop())
        return report

    watch = Watcher(folder, [str(tmp_path / "m.toml")], import_, 0.1, lambda: 0)
    assert looks(watch, clock) == 0
    assert path.exists()
    assert looks(watch, clock) == 1
    assert len(sent.events) == 3


def test_the_loop_goes_on_after_a_fault_and_ends_when_told(tmp_path: Path, clock: Clock, sent: Sent) -> None:
    stop = threading.Event()

    class Faulty:
        looks = 0

        def arrivals(self) -> list[Arrival]:
            self.looks += 1
            if self.looks == 2:
                stop.set()
            raise OSError("away")

        def was_imported(self, arrival: Arrival, mapping: str) -> str | None:
            return None

        def put_away(self, arrival: Arrival, outcome: Imported) -> Path | None:
            return None

        def close(self) -> None: ...

    faulty = Faulty()
    waits: list[float] = []

    def wait(timeout: float | None = None) -> bool:
        waits.append(timeout or 0)
        return stop.is_set()

    stop.wait = wait  # type: ignore[method-assign]
    watcher(faulty, tmp_path, sent).run(stop)
    assert faulty.looks == 2
    assert all(1 < seconds <= 300 for seconds in waits)


def test_a_faulty_mapping_is_told_before_anything_is_made(tmp_path: Path) -> None:
    where = tmp_path / "dropped"
    where.mkdir()
    (tmp_path / "m.toml").write_text("name = 1")
    wanted = Watch(where=str(where), mappings=(str(tmp_path / "m.toml"),))
    with pytest.raises(InvalidInput, match="wanted a valid mapping"):
        watcher_of(Settings(data=tmp_path / "data"), wanted)
    assert list(where.iterdir()) == []
