"""Tables that were not made by this version: one box rebuilds them at its start, everybody else refuses."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
import pytest

from producers.door import Refused
from schemas import topics
from simorgh import deployment, folder
from simorgh.platform import Platform
from simorgh.settings import Settings, load_settings
from tests.clickhouse.process import BridgeProcess
from tests.effort import few
from tests.properties.installation import Clock, Installation
from tests.properties.pipeline_world import Random, dump, make_door, make_events, make_segments
from warehouse import ddl
from warehouse.client import OtherTables, Warehouse, Writer


class Opened(Installation):
    """A data folder with everything that `simorgh serve` runs on it, as an installation of the laws."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.clock, self.log, self.registry = Clock(), platform.log, platform.registry

    @property
    def writer(self) -> Writer:
        return self.platform.writer()

    def settle(self) -> None:
        self.platform.runner.drain()


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    with deployment.opened(settings) as platform:
        yield Opened(platform)


def live_through(box: Opened, seed: int) -> None:
    r = Random(seed)
    for name, rule in make_segments(r).items():
        box.declare("segment", name, {"rule": rule})
    box.settle()
    for n in range(4):
        verdicts = make_events(r, 25, box.clock(), make_door(), first=20 * n)  # some of them copies
        box.write(topics.EVENTS, [verdict for verdict in verdicts if not isinstance(verdict, Refused)])
        box.write(topics.REJECTED, [one.message for one in verdicts if isinstance(one, Refused) and one.message])
        box.settle()


def command(dsn: str, *statements: str) -> None:
    client = clickhouse_connect.get_client(dsn=dsn)
    for statement in statements:
        client.command(statement)
    client.close()


@pytest.fixture
def settings(chdb_dsn: str, tmp_path: Path) -> Iterator[Settings]:
    made = load_settings(data=tmp_path / "data", clickhouse=chdb_dsn, workspace="othertables")
    yield made
    warehouse = Warehouse(chdb_dsn, made.workspace)
    for generation in warehouse.generations():
        warehouse.drop(generation)
    warehouse.close()


@pytest.mark.parametrize("mark", few(["tables 0123456789abcdef"], ["", "tables 0123456789abcdef"]))
def test_one_box_rebuilds_them_at_its_start(settings: Settings, mark: str, caplog: pytest.LogCaptureFixture) -> None:
    """An earlier version's tables: this one's queries would fail on them."""
    with opened(settings) as box:
        live_through(box, 7)
        before = dump(box, history=True)
    command(
        settings.warehouse_dsn,
        f"ALTER DATABASE othertables_g1 MODIFY COMMENT '{mark}'",
        "ALTER TABLE othertables_g1.traits DROP COLUMN channel",
        "DROP TABLE othertables_g1.ids SYNC",
    )
    with opened(settings) as box:
        assert dump(box, history=True) == before
        assert (box.platform.generation, box.platform.warehouse.generations()) == (2, [2])
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert said[0] == (
        "warehouse: the tables in othertables_g1 are of another version: rebuilding all tables from the log"
    )
    assert said[-1] == "rebuilt: generation 2 is live"


def test_a_start_with_its_own_tables_rebuilds_nothing(settings: Settings) -> None:
    for _ in range(2):
        with opened(settings) as box:
            assert box.platform.generation == 1


def test_a_rebuild_that_was_killed_begins_again(settings: Settings) -> None:
    with opened(settings) as box:
        live_through(box, 8)
        before = dump(box, history=True)
    command(settings.warehouse_dsn, "ALTER DATABASE othertables_g1 MODIFY COMMENT ''")
    platform = Platform(settings)
    platform.warehouse.migrate(2)  # as far as it came
    platform.close()
    with opened(settings) as box:
        assert dump(box, history=True) == before
        assert box.platform.warehouse.generations() == [2]


def test_migrate_refuses_and_leaves_them_as_they_are(bridge: BridgeProcess, tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, clickhouse=bridge.url, workspace="refusing")
    folder.migrate(settings)
    command(bridge.url, "ALTER DATABASE refusing_g1 MODIFY COMMENT 'older'", "DROP TABLE refusing_g1.ids SYNC")
    with pytest.raises(OtherTables, match=r"^warehouse: .* refusing_g1, .*docs/operations\.md") as refused:
        folder.migrate(settings)
    assert "\n" not in refused.value.message
    assert "ids" not in tables(bridge.url, "refusing_g1")
    command(bridge.url, "DROP DATABASE refusing_g1 SYNC")


def tables(dsn: str, database: str) -> set[str]:
    client = clickhouse_connect.get_client(dsn=dsn)
    found = {name for (name,) in client.query(f"SHOW TABLES FROM {database}").result_rows}
    client.close()
    return found


def test_tables_of_a_cluster_are_others_than_those_of_a_server(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path / "data", cluster="simorgh")
    cluster, server = Warehouse(bridge.url, "both", cluster="simorgh"), Warehouse(bridge.url, "both")
    try:
        cluster.migrate(1)
        cluster.migrate(1)
        with pytest.raises(OtherTables):
            server.migrate(1)
        command(bridge.url, "ALTER DATABASE both_g1 MODIFY COMMENT 'older'")
        with pytest.raises(OtherTables):
            cluster.migrate(1)
    finally:
        cluster.close()
        server.close()
        bridge.stop()


def test_the_mark_is_of_what_the_tables_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ddl.TABLES_SQL.read_text()

    def marked(text: str) -> str:
        file = tmp_path / "tables.sql"
        file.write_text(text)
        monkeypatch.setattr(ddl, "TABLES_SQL", file)
        return ddl.mark()

    assert marked(text) == marked("-- said otherwise\n" + text.replace("\n", "\n    "))
    assert marked(text) != marked(text.replace("dup  UInt8", "dup  UInt16"))
    assert marked(text) != marked(text.replace("ORDER BY (part, off) ", "ORDER BY (off, part) "))
