"""An operator's day: keys.json is lost, empty, garbled, or somebody else's; the log itself is lost."""

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.command_line import program, simorgh
from tests.e2e.harness import running

SARA = {"type": "identify", "userId": "u1", "traits": {"email": "sara@example.com"}}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with one customer, and the customer's profile."""
    data = tmp_path_factory.mktemp("used") / "data"
    with running(data) as (_, client):
        client.send({**SARA, "messageId": "m1"})
        client.settled()
        return data, client.profile("email:sara@example.com")["profile_id"]


@pytest.fixture
def folder(used: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(used[0], tmp_path / "data", symlinks=True))


def refused(folder: Path, says: str) -> None:
    """Neither a server nor a command opens it, and nothing is made up."""
    before = {path.name: path.read_bytes() for path in folder.glob("keys.json")}
    assert says in program("serve", "--data", folder, "--port", "0").fault(1)
    assert says in simorgh("keys", "list", "--data", folder).fault(1)
    assert simorgh("doctor", "--data", folder).code == 1
    assert {path.name: path.read_bytes() for path in folder.glob("keys.json")} == before


def test_a_lost_one(folder: Path) -> None:
    (folder / "keys.json").unlink()
    refused(folder, "keys.json: wanted the secret that the log was written with, got no file")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"node_secret": "12"}', '{"node_secret": 7}'])
def test_a_garbled_one(folder: Path, content: str) -> None:
    (folder / "keys.json").write_text(content)
    assert "restore it from a backup" in simorgh("keys", "list", "--data", folder).fault(1)


def test_a_foreign_one(folder: Path) -> None:
    (folder / "keys.json").write_text(json.dumps({"node_secret": "5e" * 32}))
    refused(folder, "wanted the secret that the log was written with, got another")


def test_a_foreign_one_in_the_environment(folder: Path) -> None:
    said = simorgh("keys", "list", "--data", folder, SIMORGH_SECRET="5e" * 32).fault(1)
    assert "SIMORGH_SECRET: wanted the secret" in said


def test_another_workspace(folder: Path) -> None:
    said = simorgh("keys", "list", "--data", folder, SIMORGH_WORKSPACE="other").fault(1)
    assert "wanted default, the workspace of the log" in said


def test_put_back_it_goes_on_and_lost_for_good_it_begins_anew_on_purpose(
    folder: Path, used: tuple[Path, str], tmp_path: Path
) -> None:
    keys = folder / "keys.json"
    assert "wanted a lost secret" in simorgh("secret", "renew", "--yes", "--data", folder).fault(1)
    keys.rename(tmp_path / "vault.json")
    simorgh("secret", "renew", "--yes", "--data", folder).answer()
    with running(folder) as (_, client):
        client.send({**SARA, "messageId": "m2"})
        client.settled()
        anew = client.profile("email:sara@example.com")["profile_id"]
        assert anew != used[1]
    (tmp_path / "vault.json").rename(keys)
    assert "wanted the secret that the log was written with, got another" in simorgh(
        "keys", "list", "--data", folder
    ).fault(1)


def test_a_lost_log_is_not_replaced_in_silence(folder: Path) -> None:
    for path in folder.glob("log.sqlite*"):
        path.unlink()
    assert "log.sqlite: wanted the log of the tables" in program("serve", "--data", folder, "--port", "0").fault(1)
    assert "log.sqlite: wanted the log of the tables" in simorgh("keys", "list", "--data", folder).fault(1)
    assert not (folder / "log.sqlite").exists()
