"""The identity graph across starts: what its snapshot saves, and when it is of no use."""

from pathlib import Path

import pytest
from msgspec import structs

from eventlog.sqlite import SqliteEventLog
from identity.graph import IdentityGraph
from identity.rules import DEFAULT_RULES
from schemas import topics
from schemas.records import Link, encode_identity
from stream_processors.state.graphs import FILE, Graphs
from tests.identity_records import link

RECORDS = [link([(n, "user_id"), (n + 1, "email")], at=n) for n in range(1, 10)]


def filled(path: Path, records: list[Link]) -> SqliteEventLog:
    log = SqliteEventLog(path)
    log.append(topics.IDENTITY, [(b"k", encode_identity(record)) for record in records])
    return log


def kept(folder: Path, log: SqliteEventLog) -> None:
    """A snapshot of the graph that folded the whole topic."""
    graphs = Graphs(folder, least=1)
    graph, position = graphs.restore(log, 0)
    for record in RECORDS[position:]:
        graph.fold(record)
    end = log.ends(topics.IDENTITY)[0]
    graphs.note(log, graph, end, committed=end)  # takes it
    while not (folder / FILE).exists():
        graphs.note(log, graph, end, committed=end)  # writes it, once it is encoded
    graphs.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder


def test_a_start_goes_on_from_the_snapshot(tmp_path: Path, folder: Path) -> None:
    log = filled(tmp_path / "log.sqlite", RECORDS)
    kept(folder, log)
    graph, position = Graphs(folder).restore(log, committed=9)
    assert position == 9
    assert graph.profile_of(5) == graph.profile_of(1) == 1
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600


def test_what_is_not_committed_is_folded(tmp_path: Path, folder: Path) -> None:
    log = filled(tmp_path / "log.sqlite", RECORDS)
    kept(folder, log)
    assert Graphs(folder).restore(log, committed=8)[1] == 0


@pytest.mark.parametrize("records", [RECORDS[:5], [*RECORDS[:8], structs.replace(RECORDS[8], received_at=1)]])
def test_another_log_is_folded(tmp_path: Path, folder: Path, records: list[Link]) -> None:
    kept(folder, filled(tmp_path / "log.sqlite", RECORDS))
    assert Graphs(folder).restore(filled(tmp_path / "other.sqlite", records), committed=len(records))[1] == 0


def test_damage_is_folded_over(tmp_path: Path, folder: Path) -> None:
    log = filled(tmp_path / "log.sqlite", RECORDS)
    kept(folder, log)
    content = bytearray((folder / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / FILE).write_bytes(content)
    assert Graphs(folder).restore(log, committed=9)[1] == 0


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    log = filled(tmp_path / "log.sqlite", RECORDS)
    graphs = Graphs()
    graphs.note(log, IdentityGraph(DEFAULT_RULES), 9, committed=9)
    assert graphs.restore(log, 9)[1] == 0
