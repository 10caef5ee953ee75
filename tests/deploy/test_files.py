"""Every file of deploy/ is well-formed, and names only settings, metrics and roles that are there."""

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import CHART, DEPLOY, ROOT, known_metrics, load, metrics_in, settings
from warehouse.client import Warehouse

YAML_FILES = sorted(
    path
    for path in DEPLOY.rglob("*.yaml")
    if CHART / "templates" not in path.parents and "node_modules" not in path.parts
)
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
CONFIGURATION = [
    *YAML_FILES,
    DEPLOY / "Dockerfile",
    DEPLOY / ".env.example",
    *(CHART / "templates").iterdir(),
]
_NAME = re.compile(r"\bSIMORGH_[A-Z_]+\b")


def name_of(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


@pytest.mark.parametrize("path", YAML_FILES, ids=name_of)
def test_yaml_is_yaml_without_repeated_keys(path: Path) -> None:
    root = yaml.compose(path.read_text())
    assert root is not None
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), f"{node.start_mark}: a key twice in {keys}"
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def test_every_variable_is_a_setting() -> None:
    for path in CONFIGURATION:
        named = set(_NAME.findall(path.read_text()))
        # Kubernetes' own service variables are explained in a comment of the chart.
        unknown = named - settings() - {"SIMORGH_API_PORT"}
        assert not unknown, f"{name_of(path)} names {unknown}"


def test_every_secret_of_the_settings_is_asked_for_by_name() -> None:
    """No default password anywhere: what is secret is empty in what is copied."""
    for line in (DEPLOY / ".env.example").read_text().splitlines():
        key, _, value = line.partition("=")
        if re.search(r"SECRET|KEY|TOKEN|PASSWORD", key) and not key.startswith("#"):
            assert value == "", f"{key} has a value in .env.example"
    assert not any(load(CHART / "values.yaml")["secret"]["values"].values())


# --- what Grafana shows


def test_there_are_dashboards() -> None:
    assert [path.stem for path in DASHBOARDS] == ["overview", "processing", "segments"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_a_dashboard_shows_what_the_code_counts(path: Path) -> None:
    board = json.loads(path.read_text())
    known = known_metrics()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "prometheus"
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            unknown = metrics_in(target["expr"]) - known
            assert not unknown, f"{path.name}: {panel['title']} asks for {unknown}"


@pytest.mark.parametrize("path", DASHBOARDS, ids=name_of)
def test_the_panels_of_a_dashboard_do_not_overlap(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_grafana_finds_what_it_is_given() -> None:
    source = load(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
    boards = load(DEPLOY / "grafana/provisioning/dashboards/simorgh.yaml")["providers"][0]
    compose = load(DEPLOY / "compose.yaml")["services"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    assert source["url"] == "http://prometheus:9090"
    assert source["uid"] == "prometheus"
    assert mounts["./grafana/dashboards"] == boards["options"]["path"]
    home = Path(compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (DEPLOY / "grafana" / "dashboards" / home.name).exists()


# --- ClickHouse's users


def test_the_reader_of_clickhouse_can_only_read() -> None:
    users = load(DEPLOY / "clickhouse" / "users.yaml")
    reader = users["users"]["simorgh_read"]
    profile = users["profiles"][reader["profile"]]
    assert profile["readonly"] == 1
    assert all(grant.startswith("GRANT SELECT ON ") for grant in reader["grants"]["query"])
    assert reader["password"] == {"@from_env": "CLICKHOUSE_READ_PASSWORD"}


def engine(dsn: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Asks the real engine."""
    warehouse = Warehouse(dsn, "grants")
    warehouse.migrate(1)
    return warehouse.writer(1).rows


def test_its_grants_are_read_by_the_real_engine(chdb_dsn: str) -> None:
    rows = engine(chdb_dsn)
    for grant in load(DEPLOY / "clickhouse" / "users.yaml")["users"]["simorgh_read"]["grants"]["query"]:
        [(text,)] = rows("SELECT formatQuery({grant:String})", {"grant": f"{grant} TO simorgh_read"})
        assert "default_g*.*" in text


def test_the_readers_profile_is_of_settings_that_the_engine_has(chdb_dsn: str) -> None:
    rows = engine(chdb_dsn)
    names = {name for (name,) in rows("SELECT name FROM system.settings")}
    assert set(load(DEPLOY / "clickhouse" / "users.yaml")["profiles"]["simorgh_read"]) <= names


def test_the_readers_profile_is_what_the_api_wants_of_its_handles() -> None:
    connect = pytest.importorskip("warehouse.connect", reason="the server's side of the warehouse is not here yet")
    profile = load(DEPLOY / "clickhouse" / "users.yaml")["profiles"]["simorgh_read"]
    assert profile == {**connect.SERVER_SETTINGS, **connect.QUERY_SETTINGS}


# --- the tools


def test_the_tools_script_needs_nothing_but_python() -> None:
    import sys

    tree = ast.parse((DEPLOY / "tools" / "fetch.py").read_text())
    named = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    assert named <= sys.stdlib_module_names
    assert (ROOT / "deploy" / "tools" / "composecheck" / "go.sum").exists()
