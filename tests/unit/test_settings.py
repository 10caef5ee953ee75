"""Settings: all faults at once, in words; a misspelt name is not ignored."""

import os
from pathlib import Path

import pytest

from schemas.errors import InvalidSettings
from simorgh.settings import load_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SIMORGH_"):
            monkeypatch.delenv(name)


def test_all_faults_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMORGH_PARTITIONS", "99")
    monkeypatch.setenv("SIMORGH_LOG_LEVEL", "chatty")
    monkeypatch.setenv("SIMORGH_PARTITIONZ", "2")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert caught.value.message == (
        "settings: SIMORGH_PARTITIONS: wanted at most 64, got '99';"
        " SIMORGH_LOG_LEVEL: wanted 'DEBUG', 'INFO', 'WARNING' or 'ERROR', got 'CHATTY';"
        " SIMORGH_PARTITIONZ: wanted a setting, got an unknown name; did you mean SIMORGH_PARTITIONS?"
    )


@pytest.mark.parametrize(
    "name", ["SIMORGH_WRITE_KEY", "SIMORGH_SECRET", "SIMORGH_CLICKHOUSE", "SIMORGH_KAFKA_SECURITY"]
)
def test_what_is_secret_is_not_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hunter2\n" + "x" * 250)
    with pytest.raises(InvalidSettings, match=name) as caught:
        load_settings()
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("level", ["info", "Info", " INFO "])
def test_a_level_in_any_case(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMORGH_LOG_LEVEL", level)
    assert load_settings().log_level == "INFO"


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG", "PARTITIONS", "LOG_LEVEL", "SECRET", "API", "WRITE_KEY"):
        monkeypatch.setenv(f"SIMORGH_{name}", "")
    assert load_settings() == load_settings(partitions=2)


def test_names_that_others_read_or_make_are_no_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes and Docker add variables named after services, such as simorgh-api and simorgh."""
    made = {
        "SIMORGH_API_SERVICE_HOST": "10.0.0.7",
        "SIMORGH_API_SERVICE_PORT": "8000",
        "SIMORGH_API_SERVICE_PORT_HTTP": "8000",
        "SIMORGH_API_PORT": "tcp://10.0.0.7:8000",
        "SIMORGH_API_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "SIMORGH_API_PORT_8000_TCP_PROTO": "tcp",
        "SIMORGH_API_PORT_8000_TCP_ADDR": "10.0.0.7",
        "SIMORGH_PORT": "tcp://10.0.0.8:8000",
        "SIMORGH_REQUIRE_KAFKA": "1",
        "SIMORGH_CACHE": "/tmp",
    }
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    load_settings()
    monkeypatch.setenv("SIMORGH_PORT", "9000")
    with pytest.raises(InvalidSettings, match="SIMORGH_PORT"):
        load_settings()


def test_a_file_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.env"
    file.write_text("# ours\nSIMORGH_WORKSPACE=shop\nexport SIMORGH_PARTITIONS=4\nOTHER=1\n")
    monkeypatch.setenv("SIMORGH_ENV_FILE", str(file))
    assert (load_settings().workspace, load_settings().partitions) == ("shop", 4)
    file.write_text("SIMORGH_WORKSPCE=shop\n")
    with pytest.raises(InvalidSettings, match="SIMORGH_WORKSPCE: wanted a setting, got an unknown name; did you mean"):
        load_settings()
    file.unlink()
    with pytest.raises(InvalidSettings, match=f"SIMORGH_ENV_FILE: .* got {file}, which cannot be read"):
        load_settings()


def test_a_folder_that_the_command_line_names_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMORGH_API", "http://127.0.0.1:8000/")
    assert load_settings().api == "http://127.0.0.1:8000"
    assert load_settings(data=tmp_path).api == ""
    monkeypatch.setenv("SIMORGH_LOG", "kafka://127.0.0.1:9092")
    assert load_settings(data=tmp_path).api == "http://127.0.0.1:8000", "a cluster has no folder"
