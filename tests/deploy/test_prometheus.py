"""Alerts and dashboards: what they ask for exists, each alert says what to do, and Prometheus' own tool reads them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import COMING_METRICS, DEPLOY, ROOT, declared_metrics, known_metrics, load, metrics_in, run

ALERTS = DEPLOY / "prometheus" / "alerts.yaml"


def rules() -> list[dict[str, Any]]:
    return [rule for group in load(ALERTS)["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    boards = (DEPLOY / "grafana" / "dashboards").glob("*.json")
    panels = [panel for path in boards for panel in json.loads(path.read_text())["panels"]]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_watches_what_the_code_counts_and_the_guide_says_what_to_do(rule: dict[str, Any]) -> None:
    unknown = metrics_in(rule["expr"]) - known_metrics()
    assert not unknown
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert f"| `{rule['alert']}` |" in (ROOT / "docs" / "operations.md").read_text()


def test_the_guide_names_no_alert_that_is_not_there() -> None:
    named = set(re.findall(r"\| `(Simorgh\w+)` \|", (ROOT / "docs" / "operations.md").read_text()))
    assert named == {rule["alert"] for rule in rules()}


def test_everything_that_is_counted_is_shown() -> None:
    shown = {name for expression in expressions() for name in metrics_in(expression)}
    for name in declared_metrics():
        assert any(name.removesuffix("_total") in seen for seen in shown), f"no dashboard shows {name}"


def test_some_of_the_metrics_that_are_coming_are_still_to_come() -> None:
    there = {name + end for name in declared_metrics() for end in ("", "_total")}
    assert COMING_METRICS - there, "all these metrics are there now: take COMING_METRICS out of the tests"


# --- with promtool, where somebody has built it: `python3 deploy/tools/fetch.py promtool`


def test_promtool_reads_the_alerts_and_every_panel(tmp_path: Path) -> None:
    asked = [expression.replace("$__rate_interval", "1m") for expression in expressions()]
    panels = {
        "groups": [{"name": "panels", "rules": [{"record": f"panel{n}", "expr": e} for n, e in enumerate(asked)]}]
    }
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump(panels))
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", ALERTS, tmp_path / "panels.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_reads_the_configuration() -> None:
    done = run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    played = (Path(__file__).parent / "alerts.test.yaml").read_text().replace("ALERTS", str(ALERTS))
    (tmp_path / "alerts.test.yaml").write_text(played)
    done = run("promtool", "test", "rules", tmp_path / "alerts.test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
