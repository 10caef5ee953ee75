"""An operator's day: the power goes, the disk is full, tables are damaged, tables are gone."""

import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.command_line import simorgh
from tests.e2e.harness import WRITE_KEY, Client, Server, running, wait_for
from tests.e2e.operator_day import lines_of, sending


def test_power_cut_under_load(tmp_path: Path) -> None:
    """kill -9, then what was not synced is gone: the log's unsynced tail, and the tables' latest rows."""
    data = tmp_path / "data"
    with Server(data).start() as server, sending(server) as senders:
        wait_for(lambda: sum(one.acknowledged for one in senders) > 500, "nothing is sent")
        for one in senders:
            one.enough.set()
        server.kill()
    with (data / "log.sqlite-wal").open("ab") as journal:
        journal.write(os.urandom(9_000))  # half-written frames: never answered
    for part in list((data / "warehouse" / "store").glob("*/*/all_*"))[::2]:
        shutil.rmtree(part)
    (data / "tables-open").write_text("an earlier start of the machine")
    with server.start(), closing(Client(server)) as client:
        wait_for(lambda: "rebuilt: generation 2" in "\n".join(lines_of(data)), "the tables are not rebuilt")
        status = client.settled()
        assert status["events"]["unique"] >= sum(one.acknowledged for one in senders)
        people = client.get("/v1/profiles", limit=50)["items"]
        counted = [client.profile(one["profile_id"])["metrics"]["events"] for one in people]
        assert sum(counted) == status["events"]["unique"]
        assert "bad" not in simorgh("doctor", "--data", data).answer()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 192 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192m,mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: a full disk; only root may mount a small one")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """Events are refused, and said to be, until there is room again; nothing that was answered is lost."""
    data = small_disk / "data"
    server = Server(data, SIMORGH_LOG_LEVEL="WARNING")
    server.data.parent.joinpath("server.err").touch()
    with server.start(), closing(Client(server)) as client:
        taken = sum(_send(server, n) for n in range(20))
        ballast = small_disk / "ballast"
        _fill(ballast)
        refused = wait_for(lambda: _refusal(server), "a full disk refuses nothing")
        assert refused in (429, 503)
        assert not server.died()
        doctor = simorgh("doctor", "--data", data, TMPDIR="/tmp")
        assert doctor.code == 1
        assert "nearly full" in doctor.out
        ballast.unlink()
        wait_for(lambda: _send(server, 1_000), "it does not take events again")
        wait_for(lambda: client.get("/v1/status")["events"]["logged"] >= taken, "events that were answered are lost")
        client.settled()
        assert len([line for line in lines_of(data) if line.startswith("  ")]) < 40, "tracebacks at each retry"


def _send(server: Server, n: int) -> int:
    return 10 if _status(server, n, 2_000) == 200 else 0


def _refusal(server: Server) -> int:
    status = _status(server, 10_000, 30_000)
    return 0 if status == 200 else status


def _status(server: Server, n: int, size: int) -> int:
    """`size`: characters of each event, which hardly compress."""
    text = random.Random(n).randbytes(size // 2).hex()
    batch: list[dict[str, Any]] = [
        {"type": "page", "userId": f"u{n}", "messageId": f"m-{n}-{k}", "properties": {"text": text}} for k in range(10)
    ]
    return httpx.post(f"{server.url}/v1/batch", json={"batch": batch}, auth=(WRITE_KEY, ""), timeout=30).status_code


def _fill(path: Path) -> None:
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
                file.flush()
        except OSError:
            return


def test_a_backup_onto_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (_, client):
        client.send({"type": "page", "userId": "u1", "messageId": "m1"})
    _fill(small_disk / "ballast")
    assert "free" in simorgh("backup", small_disk / "kept", "--data", data).fault(1)


def test_a_limit_on_the_size_of_files_is_said_in_words(tmp_path: Path) -> None:
    limit = resource.RLIMIT_FSIZE
    done = subprocess.run(
        [sys.executable, "-m", "simorgh", "serve", "--data", str(tmp_path / "data"), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(limit, (20_000, 20_000)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
