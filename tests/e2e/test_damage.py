"""The log is damaged on the disk: a replay refuses to count without what is lost, until somebody decides to."""

import subprocess
from contextlib import closing
from pathlib import Path

from eventlog.sqlite_chunks import ChunkPlace, sound_chunks
from eventlog.sqlite_file import connect, partitions_found
from eventlog.sqlite_repair import check
from tests.e2e.harness import Client, running
from tests.programs import run

PEOPLE = 5


def damage(path: Path, text: bytes) -> None:
    """Changes one byte of the chunk of events that holds this text, in the file itself: chunks are compressed."""
    topic = "simorgh.events"
    with closing(connect(path, "ro")) as log:
        places = [ChunkPlace(topic, partition) for partition in range(partitions_found(log)[topic])]
        chunks = [(place, stored) for place in places for stored in sound_chunks(log, place, 0)]
        [(place, first)] = [(place, stored.first) for place, stored in chunks if text in stored.chunk.body]
        (body,) = log.execute(f"SELECT body FROM {place.table} WHERE first = ?", (first,)).fetchone()
    content = path.read_bytes()
    assert content.count(body) == 1
    path.write_bytes(content.replace(body, body[:-1] + bytes([body[-1] ^ 1])))


def simorgh(name: str, data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(name, "--data", data, *options)


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
    damage(data / "log.sqlite", b'"C-3-X"')

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
