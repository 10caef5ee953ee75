"""The log is damaged on the disk: a replay refuses to count without what is lost, until somebody decides to."""

import subprocess
import sys
from pathlib import Path

from eventlog.sqlite_repair import check
from tests.e2e.harness import Client, running

PEOPLE = 5


def flip(path: Path, text: bytes) -> None:
    """One bit of the last of these bytes, wherever they stand in the file."""
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, text[:-1] + bytes([text[-1] ^ 1])))


def simorgh(name: str, data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simorgh", name, "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def orders(client: Client, person: int) -> int:
    return int(client.profile(f"user_id:u{person}")["metrics"]["orders"])


def test_what_is_lost_is_named_and_left_out_only_by_decision(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as (_, client):
        for person in range(PEOPLE):
            order = {
                "event": "Order Completed",
                "properties": {"revenue": 5, "currency": "EUR", "coupon": f"C-{person}-X"},
            }
            client.send({"type": "track", "userId": f"u{person}", "messageId": f"order-number-{person}", **order})
            client.settled()
    flip(data / "log.sqlite", b"C-3-X")  # in the event alone: its id is in the links, too

    [loss] = check(data / "log.sqlite").losses
    assert loss.place.topic == "simorgh.events"
    done = simorgh("replay", data)
    assert done.returncode != 0
    assert f"partition {loss.place.partition}" in done.stderr
    assert f"offsets {loss.offsets[0]} to {loss.offsets[-1]}" in done.stderr
    with running(data) as (_, client):  # the live tables were made before the damage, and are as they were
        assert [orders(client, person) for person in range(PEOPLE)] == [1] * PEOPLE

    done = simorgh("doctor", data, "--repair")
    assert done.returncode == 0
    assert str(loss) in done.stdout
    assert (data / "log.sqlite.damaged-1").exists()
    assert "as it was written" in simorgh("doctor", data, "--repair").stdout
    assert simorgh("replay", data).returncode == 0
    with running(data) as (_, client):
        status = client.settled()
        assert status["events"] == {
            "logged": PEOPLE - len(loss.offsets),
            "unique": PEOPLE - len(loss.offsets),
            "duplicates": 0,
            "rejected": 0,
        }
        assert [orders(client, person) for person in range(PEOPLE) if person != 3] == [1] * (PEOPLE - 1)
        client.send({"type": "track", "userId": "u3", "messageId": "order-number-3", "event": "Order Completed"})
        client.settled()
        assert orders(client, 3) == 1  # sent again, it is no copy
