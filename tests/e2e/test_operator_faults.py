"""An operator's day: whatever is typed wrongly, or lies wrongly, is answered with one readable line."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.e2e.command_line import program, simorgh
from tests.e2e.harness import running
from tests.e2e.operator_day import lines_of


@pytest.mark.parametrize("command", ["backup x", "secret renew --yes", "doctor"])
def test_a_misspelt_folder_is_not_made(command: str, tmp_path: Path) -> None:
    """Commands that go through the API: `test_command_errors`."""
    ended = simorgh(*command.split(), "--data", "typo", cwd=tmp_path)
    if command != "doctor":
        assert "typo" in ended.fault(1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["keys list", "replay", "backup x", "migrate", "restore x"])
def test_a_file_where_a_folder_is_wanted(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    simorgh(*command.split(), "--data", "file", cwd=tmp_path).fault(1)


def test_a_file_where_the_server_wants_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    program("serve", "--port", "0", "--data", "file", cwd=tmp_path).fault(1)


WRONG = {
    "a port that is none": ("serve --port many", 2),
    "a port out of range": ("serve --port 70000", 2),
    "no argument": ("keys delete", 2),
    "a file that is not there": ("segments create none.json --data new", 1),
    "a mapping that is not there": ("import none.csv --mapping none.json --data new", 1),
    "a backup that is not there": ("restore none --data new", 1),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case: str, tmp_path: Path) -> None:
    command, code = WRONG[case]
    simorgh(*command.split(), cwd=tmp_path).fault(code)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_none(host: str, tmp_path: Path) -> None:
    program("serve", "--host", host, "--port", "0", "--data", "new", cwd=tmp_path).fault(1)
    assert list(tmp_path.iterdir()) == []


SETTINGS = {
    "SIMORGH_LOG_LEVEL": ("loud", "wanted 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    "SIMORGH_LOG_LEVLE": ("info", "did you mean SIMORGH_LOG_LEVEL?"),
    "SIMORGH_PARTITIONS": ("many", "wanted a whole number"),
    "SIMORGH_PORT": ("8000", "wanted a setting, got an unknown name"),
    "SIMORGH_LOG": ("s3://bucket", "wanted sqlite:///path or kafka://host:port"),
    "SIMORGH_LOG_FORMAT": ("xml", "wanted 'text' or 'json'"),
    "SIMORGH_API": ("example.com", "wanted http(s)://host:port"),
    "SIMORGH_SECRET": ("s3cret", "wanted 64 hexadecimal digits"),
    "SIMORGH_ENV_FILE": ("/none/such", "got /none/such, which cannot be read"),
    "SIMORGH_WRITE_KEY": ("k" * 201, "wanted 1 to 200 printable characters"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_wrong_settings(name: str, tmp_path: Path) -> None:
    value, wanted = SETTINGS[name]
    said = simorgh("serve", "--port", "0", cwd=tmp_path, **{name: value}).fault(1)
    assert name in said
    assert wanted in said
    assert "s3cret" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["serve --port 0", "demo --no-serve", "backup x", "restore x"])
def test_what_is_for_one_box_refuses_a_kafka_log(command: str, tmp_path: Path) -> None:
    said = simorgh(*command.split(), cwd=tmp_path, SIMORGH_LOG="kafka://127.0.0.1:9").fault(1)
    assert "wanted the log of one machine" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["keys list", "sources list", "rejected list", "segments list", "tail"])
def test_on_a_cluster_commands_speak_to_the_api(command: str, tmp_path: Path) -> None:
    kafka = {"SIMORGH_LOG": "kafka://127.0.0.1:9"}
    assert "SIMORGH_API" in simorgh(*command.split(), cwd=tmp_path, **kafka).fault(1)
    away = {**kafka, "SIMORGH_API": "http://127.0.0.1:9"}
    assert "http://127.0.0.1:9: wanted an answer, got no connection" in simorgh(
        *command.split(), cwd=tmp_path, **away
    ).fault(1)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (server, _):
        taken = program("serve", "--data", tmp_path / "other", "--port", str(server.port))
        assert f"got {server.port}, which is in use" in taken.fault(1)
        assert not (tmp_path / "other").exists()
        second = program("serve", "--port", "0", "--data", data)
        for ended in (second, simorgh("migrate", "--data", data), simorgh("secret", "renew", "--yes", "--data", data)):
            assert f"in use by the server at {server.url}" in ended.fault(1)
        assert "received_at" in simorgh("rejected", "list", "--data", data).answer()


def test_what_a_killed_server_left_behind_stops_nobody(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (server, client):
        client.send({"type": "page", "userId": "u1", "messageId": "m1"})
        server.kill()
    left = {"url": "http://127.0.0.1:9", "token": "t"}
    for pid, command in ((1, "doctor"), (os.getpid(), "migrate")):
        (data / "server.json").write_text(json.dumps({**left, "pid": pid}))
        assert "bad" not in program(command, "--data", data).answer()
    (data / "server.json").write_text(json.dumps({**left, "pid": os.getpid()}))
    with running(data) as (_, client):
        assert client.settled()["events"]["logged"] == 1
    (data / "server.json").write_text("{")
    assert program("rejected", "list", "--data", data).answer().startswith("id\treceived_at")


def test_an_api_that_is_something_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.close()
        assert url in simorgh("keys", "list", cwd=tmp_path, SIMORGH_API=url).fault(1)


@pytest.mark.skipif(os.geteuid() == 0, reason="NOT TESTED: root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o000)
    assert "permission denied" in program("serve", "--data", tmp_path / "data", "--port", "0").fault(1)


def test_level_and_format_of_the_log_lines(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, SIMORGH_LOG_LEVEL="info", SIMORGH_LOG_FORMAT="JSON") as (_, client):
        client.post("/v1/segments", {"id": "all", "name": "All", "rule": {"trait": "email", "exists": True}})
    told = [json.loads(line) for line in lines_of(data)]
    assert {"time", "level", "stage", "message"} <= told[0].keys()
    assert any(line["message"].startswith("segment all: declared by token:") for line in told)
    steps = [line["message"] for line in told if (line["stage"], line["level"]) == ("simorgh", "INFO")]
    assert [step.split(":")[0] for step in steps] == ["starts", "processing", "stops", "stopped"]
