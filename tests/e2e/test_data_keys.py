"""The keys of sealed events: lost, of another log, and the secret moved to the environment."""

import json
from pathlib import Path

import pytest

from tests.e2e.command_line import program
from tests.e2e.harness import running


def fill(data: Path, **environment: str) -> str:
    with running(data, **environment) as (_, client):
        client.send({"type": "identify", "userId": "u1", "messageId": "m1", "traits": {"city": "Shiraz"}})
        client.settled()
        return str(client.profile("user_id:u1")["profile_id"])


@pytest.mark.parametrize(
    ("file", "says"), [("keys.sqlite", "wanted the data keys"), ("master.json", "wanted the master key")]
)
def test_what_is_lost_is_named_and_nothing_is_made_in_its_place(tmp_path: Path, file: str, says: str) -> None:
    data = tmp_path / "data"
    who = fill(data)
    kept = tmp_path / file
    assert "ok  data keys" in program("doctor", "--data", data).answer()
    (data / file).rename(kept)
    doctor = program("doctor", "--data", data)
    assert doctor.code == 1
    assert says in doctor.out
    assert says in program("profiles", "show", "user_id:u1", "--data", data).fault(1)
    assert not (data / file).exists()
    kept.rename(data / file)
    assert json.loads(program("profiles", "show", "user_id:u1", "--json", "--data", data).answer())["profile_id"] == who


def test_keys_of_another_log_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "one")
    fill(tmp_path / "two")
    (tmp_path / "one" / "keys.sqlite").write_bytes((tmp_path / "two" / "keys.sqlite").read_bytes())
    assert "got those of another log" in program("profiles", "list", "--data", tmp_path / "one").fault(1)


def test_a_secret_may_move_to_the_environment(tmp_path: Path) -> None:
    data = tmp_path / "data"
    who = fill(data)
    secret = json.loads((data / "keys.json").read_text())["node_secret"]
    program("replay", "--data", data, SIMORGH_SECRET=secret).answer()
    with running(data, SIMORGH_SECRET=secret) as (_, client):
        view = client.profile("user_id:u1")
        assert (view["profile_id"], view["traits"]) == (who, {"city": "Shiraz"})


def test_a_master_key_in_the_environment_is_asked_for(tmp_path: Path) -> None:
    data, secret = tmp_path / "data", "5e" * 32
    fill(data, SIMORGH_SECRET=secret)
    assert not (data / "master.json").exists()
    (data / "keys.json").write_text(json.dumps({"node_secret": secret}))
    (data / "keys.json").chmod(0o600)
    assert "set the SIMORGH_SECRET" in program("profiles", "list", "--data", data).fault(1)
