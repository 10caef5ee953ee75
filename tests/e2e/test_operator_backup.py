"""An operator's day: backup under load, and restore elsewhere."""

import json
from pathlib import Path

import pytest

from tests.e2e.command_line import program, simorgh
from tests.e2e.harness import Client, running, wait_for
from tests.e2e.operator_day import others_can_read, sending


def test_a_backup_under_load_is_whole_and_restores_elsewhere(tmp_path: Path) -> None:
    data, kept, elsewhere = tmp_path / "data", tmp_path / "kept" / "monday", tmp_path / "new" / "data"
    with running(data) as (server, client), sending(server, pause=0.02) as senders:
        wait_for(lambda: sum(one.acknowledged for one in senders) > 1_000, "nothing is sent")
        before = sum(one.acknowledged for one in senders)
        assert "backed up" in program("backup", kept, "--keys", kept.parent / "keys.sqlite", "--data", data).answer()
        wait_for(lambda: sum(one.acknowledged for one in senders) > before + 200, "the backup stopped the senders")
        assert others_can_read(data) == others_can_read(kept) == []
        who = client.profile("user_id:s0x0")["profile_id"]
    manifest = json.loads((kept / "manifest.json").read_text())
    held = sum(manifest["positions"]["simorgh.events"])
    assert held >= before
    assert "ok  backup" in simorgh("doctor", "--data", kept).answer()
    assert (
        f"restored: {held:,} events"
        in simorgh("restore", kept, "--keys", kept.parent / "keys.sqlite", "--data", elsewhere).answer()
    )
    elsewhere.parent.joinpath("server.err").touch()
    with running(elsewhere) as (_, client):
        status = client.settled()
        assert status["events"]["logged"] == status["events"]["unique"] == held
        assert client.profile("user_id:s0x0")["profile_id"] == who
        client.send({"type": "page", "userId": "s0x0", "messageId": "after"})
        client.settled()
        assert client.profile("user_id:s0x0")["profile_id"] == who
        assert others_can_read(elsewhere) == []
    assert "wanted a folder without data" in simorgh("restore", kept, "--data", elsewhere).fault(1)


def test_a_backup_of_a_free_folder_and_what_can_be_wrong_with_one(tmp_path: Path) -> None:
    data, kept, fresh = tmp_path / "data", tmp_path / "kept", tmp_path / "fresh"
    with running(data) as (_, client):
        client.send({"type": "page", "userId": "u1", "messageId": "m1"})
        client.settled()
    simorgh("backup", kept, "--data", data).answer()
    assert "empty folder" in simorgh("backup", kept, "--data", data).fault(1)
    assert "wanted a finished backup" in simorgh("restore", data, "--data", fresh).fault(1)
    assert "wanted a data folder" in simorgh("backup", tmp_path / "more", "--data", tmp_path / "typo").fault(1)
    assert not (tmp_path / "typo").exists()
    log = kept / "log.sqlite"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)
    assert "checksum" in simorgh("restore", kept, "--data", fresh).fault(1)
    checked = simorgh("doctor", "--data", kept)
    assert checked.code == 1
    assert "checksum" in checked.out
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)
    (kept / "keys.json").rename(tmp_path / "vault.json")
    assert "keys.json is missing" in simorgh("restore", kept, "--data", fresh).fault(1)
    (tmp_path / "vault.json").rename(kept / "keys.json")
    (kept / "manifest.json").unlink()
    assert "wanted a finished backup" in simorgh("restore", kept, "--data", fresh).fault(1)
    assert not (fresh / "log.sqlite").exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_cluster_has_backups_of_its_own(command: str, tmp_path: Path) -> None:
    said = simorgh(command, tmp_path / "kept", cwd=tmp_path, SIMORGH_LOG="kafka://127.0.0.1:9").fault(1)
    assert "wanted the log of one machine" in said
    assert list(tmp_path.iterdir()) == []


def test_a_secret_in_the_environment_stays_out_of_the_backup(tmp_path: Path) -> None:
    data, kept, fresh, secret = tmp_path / "data", tmp_path / "kept", tmp_path / "fresh", "5e" * 32
    with running(data, SIMORGH_SECRET=secret) as (_, client):
        client.send({"type": "identify", "userId": "u1", "messageId": "m1"})
        client.settled()
        who = client.profile("user_id:u1")["profile_id"]
        simorgh("backup", kept, "--data", data, SIMORGH_SECRET=secret).answer()
    assert {path.name for path in kept.iterdir()} == {"log.sqlite", "manifest.json"}
    assert "SIMORGH_SECRET" in simorgh("restore", kept, "--data", fresh).fault(1)
    assert "SIMORGH_SECRET" in simorgh("restore", kept, "--data", fresh, SIMORGH_SECRET="77" * 32).fault(1)
    simorgh("restore", kept, "--keys", data / "keys.sqlite", "--data", fresh, SIMORGH_SECRET=secret).answer()
    with running(fresh, SIMORGH_SECRET=secret) as (server, _):
        again = Client(server)
        assert again.settled()
        assert again.profile("user_id:u1")["profile_id"] == who
        again.close()
