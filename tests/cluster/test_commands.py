"""Commands on a cluster speak to its API and its collector; none becomes a second owner of the log."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cluster.harness import SECRET, Api, Cluster, Role, eventually, opened_log, running_cluster
from tests.e2e.command_line import TILL, program, simorgh
from tests.effort import few


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("commands")) as made:
        yield made


@pytest.fixture(scope="module")
def roles(cluster: Cluster) -> tuple[Role, Role]:
    """A collector and an API, with a worker behind them."""
    collect, api, _ = cluster.together("collect", "api", "work")
    return collect, api


def test_no_command_opens_the_log(cluster: Cluster, roles: tuple[Role, Role], tmp_path: Path) -> None:
    collect, api = roles
    face = Api(collect, api)
    face.send({"type": "identify", "userId": "c1", "messageId": "m1"})
    face.settled()
    who = face.profile("user_id:c1")["profile_id"]
    kafka = {name: value for name, value in cluster.environment.items() if name != "SIMORGH_LOG_LEVEL"}
    named = {**kafka, "SIMORGH_API": api.url, "SIMORGH_COLLECTOR": collect.url}

    for command in ("keys list", "sources list", "rejected list", "segments list"):
        simorgh(*command.split(), cwd=tmp_path, **named).answer()
        assert "SIMORGH_API" in simorgh(*command.split(), cwd=tmp_path, **kafka).fault(1)
    for command in ("serve --port 0", "demo --no-serve", "backup kept", "restore kept"):
        assert "wanted the log of one machine" in simorgh(*command.split(), cwd=tmp_path, **named).fault(1)
    program("migrate", cwd=tmp_path, **named).answer()

    doctor = program("doctor", cwd=tmp_path, **named).answer()
    for what in ("kafka", "secret", "clickhouse", "api", "collector", "projection profiles"):
        assert f"ok  {what}: " in doctor
    assert list(tmp_path.iterdir()) == [], "a one-box folder was made"

    face.send({"type": "page", "userId": "c1", "messageId": "m2"})
    face.settled()
    view = face.profile("user_id:c1")
    assert (view["profile_id"], view["metrics"]["events"]) == (who, 2)
    face.close()


def test_an_import_tells_what_is_new_to_the_write_keys_source(
    cluster: Cluster, roles: tuple[Role, Role], tmp_path: Path
) -> None:
    collect, api = roles
    named = {**cluster.environment, "SIMORGH_API": api.url, "SIMORGH_COLLECTOR": collect.url}
    mapping, file = tmp_path / "till.toml", tmp_path / "till.csv"
    mapping.write_text(TILL)

    def imported(rows: int, **more: str) -> tuple[int, int]:
        written = [f"{n},2024-07-01 10:00,{n % 7},apple,1,2.5" for n in range(rows)]
        file.write_text("\n".join(["receipt,when,card,item,n,each", *written]) + "\n")
        words = ("import", file, "--mapping", mapping, "--json")
        told = simorgh(*words, cwd=tmp_path, **{**named, **more}).json()
        return told["new"], told["already_here"]

    assert imported(50) == (50, 0)
    assert imported(60) == (10, 50)

    face = Api(collect, api)
    face.post("/v1/sources", {"id": "kiosk", "name": "kiosk", "channel": "pos"})
    key = face.post("/v1/sources/kiosk/keys", None)["write_key"]
    eventually(lambda: httpx.get(f"{collect.url}/v1/source", auth=(key, "")).is_success, "the key opens nothing")
    assert imported(60, SIMORGH_WRITE_KEY=key) == (60, 0), "another source's events are its own"
    assert imported(60, SIMORGH_WRITE_KEY=key) == (0, 60)
    face.close()

    for wrong, says in (
        ({"SIMORGH_WRITE_KEY": "nobodys-key"}, "wanted a known write key"),
        ({"SIMORGH_COLLECTOR": api.url}, "accepts no events"),
    ):
        one = simorgh("import", file, "--mapping", mapping, cwd=tmp_path, **{**named, **wrong})
        assert says in one.fault(1)
        doctor = program("doctor", cwd=tmp_path, **{**named, **wrong})
        assert doctor.code == 1
        assert "bad write key: " in doctor.out
        assert says in doctor.out


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("role", few(["work"], ["work", "collect", "api"]))
def test_another_secret_starts_no_role(cluster: Cluster, tmp_path: Path, role: str) -> None:
    with opened_log(cluster) as log:
        assert any(log.ends("simorgh.about")), "the first role said which secret holds"
    wrong = {**cluster.environment, "SIMORGH_SECRET": "77" * 32}
    assert wrong["SIMORGH_SECRET"] != SECRET
    said = program(role, "--port", "0", cwd=tmp_path, **wrong).fault(1)
    assert "SIMORGH_SECRET: wanted the secret" in said
    doctor = program("doctor", cwd=tmp_path, **wrong)
    assert doctor.code == 1
    assert "bad secret: SIMORGH_SECRET: wanted the secret" in doctor.out


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    away = {
        "SIMORGH_LOG": "kafka://127.0.0.1:9",
        "SIMORGH_KAFKA_PATIENCE": "2",
        "SIMORGH_CLICKHOUSE": "http://127.0.0.1:9",
        "SIMORGH_SECRET": SECRET,
    }
    assert "127.0.0.1:9" in program("migrate", cwd=tmp_path, **away).fault(1)
    role = program("collect", "--port", "0", cwd=tmp_path, **away)
    assert role.code == 1
    assert "error Kafka: connecting: wanted an answer of 127.0.0.1:9 within 2 s" in role.err
    assert role.err.count("\n") < 15, "the library repeats itself"
    assert "Traceback" not in role.err
    doctor = program("doctor", cwd=tmp_path, **away)
    assert doctor.code == 1
    for what in ("kafka", "clickhouse", "api"):
        assert f"bad {what}: " in doctor.out
    assert doctor.err == ""
