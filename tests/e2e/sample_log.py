"""A small log of the present format, kept under tests/data: `python -m tests.e2e.sample_log` records it anew.

A sample is recorded once for each format, when it is released, and never again: from format 2 on every log stays
readable, with the same answers. While a format is in the making, record it anew whenever it changes.
"""

import gzip
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from eventlog.about import FORMAT
from tests.e2e.harness import Client, running

_KEYS: Final = ("keys.json", "keys.sqlite", "master.json")

SAMPLES: Final = Path(__file__).parents[1] / "data" / "log"
PEOPLE: Final = ("u1", "u2", "u3")
SEGMENT: Final = {"id": "buyers", "name": "Buyers", "rule": {"event": "order.completed", "count": {"gte": 1}}}
TIMELESS: Final = ("profile_id", "traits", "identities", "segments", "metrics", "consent")
"""What a view says whenever it is asked."""


def live_through(client: Client) -> None:
    """Every kind of record: events, copies, a rejected one, links, a merge, a split, a segment and its transitions."""
    client.post("/v1/segments", SEGMENT)
    for number, person in enumerate(PEOPLE):
        who = {"userId": person, "anonymousId": f"a-{person}", "timestamp": f"2026-01-0{number + 1}T10:00:00.000Z"}
        traits = {"email": f"{person}@example.com", "city": "Isfahan" if number else "اصفهان"}
        order = {"order_id": f"o-{person}", "revenue": 10.25 + number, "currency": "EUR"}
        client.send({"type": "identify", "messageId": f"i-{person}", "traits": traits, **who})
        client.send({"type": "page", "messageId": f"p-{person}", "name": "Home", **who})
        if number:
            track = {
                "type": "track",
                "event": "Order Completed",
                "messageId": f"t-{person}",
                "properties": order,
                **who,
            }
            client.send(track)
            client.send(track)
    client.send({"type": "track", "userId": "u1", "messageId": "x" * 300, "event": "Refused"})
    client.settled()
    client.post("/v1/profiles/user_id:u1/merge", {"with": "user_id:u2", "reason": "one person"})
    apart = [{"type": "user_id", "value": "u2"}, {"type": "anonymous_id", "value": "a-u2"}]
    client.post("/v1/profiles/user_id:u1/split", {"identities": apart, "reason": "two, after all"})
    client.settled()


def answers(client: Client) -> dict[str, Any]:
    """What the API says of it, but for what changes with the moment of asking."""
    views = {person: client.profile(f"user_id:{person}") for person in PEOPLE}
    return {
        "events": client.settled()["events"],
        "profiles": {person: {name: view[name] for name in TIMELESS} for person, view in views.items()},
        "members": [member["profile_id"] for member in client.get("/v1/segments/buyers/members")["items"]],
        "rejected": [[one["code"], one["reason"]] for one in client.get("/v1/rejected")["items"]],
    }


def unpack(format: int, data: Path) -> dict[str, Any]:
    """Lay the sample out as a data folder; the answers that were recorded with it."""
    sample = SAMPLES / f"format-{format}"
    data.mkdir()
    for name in _KEYS:
        if (sample / name).exists():  # from format 3 on events are sealed
            shutil.copy(sample / name, data)
            (data / name).chmod(0o600)
    (data / "log.sqlite").write_bytes(gzip.decompress((sample / "log.sqlite.gz").read_bytes()))
    recorded: dict[str, Any] = json.loads((sample / "answers.json").read_text())
    return recorded


def record() -> Path:
    sample = SAMPLES / f"format-{FORMAT}"
    sample.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with running(data) as (_, client):
            live_through(client)
            said = answers(client)
        for name in ("log.sqlite", "keys.sqlite"):
            with closing(sqlite3.connect(data / name)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (sample / "log.sqlite.gz").write_bytes(gzip.compress((data / "log.sqlite").read_bytes(), mtime=0))
        for name in _KEYS:
            shutil.copy(data / name, sample)
        (sample / "answers.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    return sample


if __name__ == "__main__":
    print(record())
