"""compose.yaml, read by Docker Compose's own loader; and what has to hold for a first `docker compose up`."""

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.broker import Broker
from deploy.kafka.fetch import version
from simorgh.settings import load_settings
from tests.deploy.files import COMPOSE, DEPLOY, ROLES, ROOT, load, run


def example_names() -> list[str]:
    return re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE)


def filled(tmp_path: Path, **other: str) -> Path:
    """The example with every empty value filled in."""
    path = tmp_path / ".env"
    lines = (DEPLOY / ".env.example").read_text()
    for name in re.findall(r"^([A-Z_]+)=$", lines, re.MULTILINE):
        lines = lines.replace(f"\n{name}=\n", f"\n{name}={other.get(name, 'c0ffee42' * 8)}\n")
    path.write_text(lines)
    return path


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Any]:
    """As Compose sees it, everything filled in."""
    done = run("composecheck", COMPOSE, filled(tmp_path))
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def test_composes_own_loader_takes_it(project: dict[str, Any]) -> None:
    assert {*ROLES, "migrate", "kafka", "clickhouse", "prometheus", "grafana"} == set(project["services"])
    assert int(project["services"]["work"]["deploy"]["replicas"]) == 2


@pytest.mark.parametrize("name", ["SIMORGH_SECRET", "SIMORGH_WRITE_KEY", "SIMORGH_API_TOKEN", "CLICKHOUSE_PASSWORD",
                                  "CLICKHOUSE_READ_PASSWORD", "GRAFANA_PASSWORD", "KAFKA_CLUSTER_ID"])  # fmt: skip
def test_a_missing_secret_is_said_before_anything_starts(tmp_path: Path, name: str) -> None:
    done = run("composecheck", COMPOSE, filled(tmp_path, **{name: ""}))
    assert done.returncode != 0
    assert f"{name} is missing a value: fill in deploy/.env" in done.stderr


def test_all_roles_see_the_same_settings(project: dict[str, Any]) -> None:
    environments = [project["services"][name]["environment"] for name in (*ROLES, "migrate")]
    assert all(environment == environments[0] for environment in environments)
    assert environments[0]["SIMORGH_LOG"] == "kafka://kafka:9092"


def test_the_settings_model_takes_what_the_roles_are_given(
    project: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in project["services"]["work"]["environment"].items():
        monkeypatch.setenv(name, value)
    load_settings()


# --- without the loader: these hold for the text itself


def services() -> dict[str, Any]:
    found: dict[str, Any] = load(COMPOSE)["services"]
    return found


def test_every_variable_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text()))
    assert used == set(example_names())


def test_only_this_machine_reaches_the_ports() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) == len({port.split(":")[1] for port in ports}) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_first_start_goes_in_order() -> None:
    for role in ROLES:
        needs = services()[role]["depends_on"]
        assert needs["migrate"] == {"condition": "service_completed_successfully"}
        for store in ("kafka", "clickhouse"):
            assert needs[store] == {"condition": "service_healthy"}
    for service in services().values():
        for needed, how in (service.get("depends_on") or {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services()[needed]["healthcheck"], f"{needed} has no health check"


def test_one_service_builds_the_image_that_the_roles_run() -> None:
    builders = [name for name, service in services().items() if "build" in service]
    assert builders == ["migrate"]
    assert {services()[name]["image"] for name in (*ROLES, "migrate")} == {"simorgh:local"}
    build = services()["migrate"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_images_are_pinned_to_the_last_number() -> None:
    for name, service in services().items():
        if "build" not in service and service["image"] != "simorgh:local":
            _, _, tag = service["image"].partition(":")
            assert re.fullmatch(r"v?\d+(\.\d+){2,3}", tag), name


def test_kafka_is_the_one_that_is_tested() -> None:
    assert services()["kafka"]["image"] == f"apache/kafka:{version()}"


def test_every_service_has_a_limit_of_memory() -> None:
    """And together they fit the machine that docs/deploy.md asks for, with the default number of workers."""
    limits = {name: _bytes(service["mem_limit"]) for name, service in services().items()}
    [wanted] = re.findall(r"4 cores and (\d+) GB of memory", (ROOT / "docs" / "deploy.md").read_text())
    assert sum(limits.values()) - limits["migrate"] + limits["work"] <= int(wanted) << 30


def _bytes(text: str) -> int:
    return int(text[:-1]) << {"m": 20, "g": 30}[text[-1]]


def health_check(port: int) -> list[str]:
    """Kafka's, for a broker on this machine."""
    name, *command = services()["kafka"]["healthcheck"]["test"]
    assert name == "CMD"
    return [part.replace("$$", "$").replace("localhost/9092", f"127.0.0.1/{port}") for part in command]


def test_kafkas_health_check_starts_no_java_and_knows_a_broker(kafka: Broker) -> None:
    assert not re.search(r"java|\.sh\b", " ".join(health_check(1)))
    assert subprocess.run(health_check(kafka.port), check=False, timeout=30).returncode == 0


def test_kafkas_health_check_is_not_deceived() -> None:
    """By nobody, and by somebody who is no broker: an open port is not enough."""
    assert subprocess.run(health_check(1), check=False, timeout=30, capture_output=True).returncode != 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = subprocess.run(health_check(listener.getsockname()[1]), check=False, timeout=30)
        assert done.returncode != 0


def test_what_is_mounted_from_here_exists() -> None:
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
            else:
                assert source in load(COMPOSE)["volumes"]


def test_nothing_of_the_log_grows_old() -> None:
    kafka = services()["kafka"]["environment"]
    assert kafka["KAFKA_LOG_RETENTION_MS"] == "-1"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert services()["kafka"]["volumes"] == [f"kafka:{kafka['KAFKA_LOG_DIRS']}"]


def test_every_role_is_scraped() -> None:
    jobs = {job["job_name"]: job for job in load(DEPLOY / "prometheus" / "prometheus.yaml")["scrape_configs"]}
    for role in ROLES:
        assert services()[role]["command"][:1] == [role]
        assert jobs[role]["dns_sd_configs"][0]["names"] == [role]
        assert str(jobs[role]["dns_sd_configs"][0]["port"]) == services()[role]["command"][-1]
