"""Settings and commands for a server."""

from pathlib import Path

import pytest

from schemas.errors import InvalidSettings
from simorgh import doctor, folder
from simorgh.settings import load_settings
from tests.clickhouse.process import BridgeProcess
from warehouse.client import Warehouse


def test_a_server_and_what_is_secret_in_it() -> None:
    settings = load_settings(
        clickhouse="https://writer:s3cret%3F@ch.example:8443?ca_cert=/etc/ca.pem",
        clickhouse_read_url="https://reader:r3ad@ch.example:8443",
        clickhouse_cluster="{cluster}",
    )
    assert "s3cret" not in repr(settings)
    assert "r3ad" not in repr(settings)
    assert settings.warehouse_dsn.startswith("https://writer:s3cret%3F@")
    assert settings.warehouse_read_dsn == "https://reader:r3ad@ch.example:8443"


@pytest.mark.parametrize(
    "given",
    [
        {"clickhouse": "ch.example:8123"},
        {"clickhouse": "tcp://ch.example:9000"},
        {"clickhouse": "http://"},
        {"clickhouse": "http://u:s3cret@ch.example:port"},
        {"clickhouse": "http://u:s3cret/x@ch.example:8123"},
        {"clickhouse": "http://u:s3cret@ch.example/database"},
        {"clickhouse": "chdb://relative/s3cret"},
        {"clickhouse_read_url": "http://ch.example"},
        {"clickhouse": "chdb:///x", "clickhouse_cluster": "c"},
        {"clickhouse": "http://ch.example", "clickhouse_cluster": "c'; DROP"},
        {"clickhouse": "http://ch.example", "clickhouse_read_url": "chdb:///x"},
    ],
)
def test_what_is_no_server(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match="SIMORGH_CLICKHOUSE") as caught:
        load_settings(**given)
    assert "s3cret" not in caught.value.message


def test_nothing_set_is_the_embedded_engine(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, clickhouse="", clickhouse_read_url="")
    assert settings.warehouse_dsn == f"chdb://{tmp_path}/warehouse"


def test_migrate_and_doctor(bridge: BridgeProcess, tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, clickhouse=bridge.url, workspace="commands")
    assert folder.migrate(settings) == folder.migrate(settings) == f"34 tables in commands_g1 at {bridge.url}"
    [found] = [finding for finding in doctor.examine(settings) if finding.what == "clickhouse"]
    assert found.ok
    assert found.says.startswith(f"{bridge.url} answers, version ")
    warehouse = Warehouse(bridge.url, "commands")
    assert warehouse.generations() == [1]
    warehouse.drop(1)
    warehouse.close()


def test_doctor_of_a_server_that_is_away(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path / "none", clickhouse="http://u:s3cret@127.0.0.1:9")
    [found] = [finding for finding in doctor.examine(settings) if finding.what == "clickhouse"]
    assert not found.ok
    assert found.says.startswith("http://127.0.0.1:9: warehouse: wanted an answer")
    assert "s3cret" not in found.says
