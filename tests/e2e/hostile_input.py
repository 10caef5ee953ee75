"""Hostile input, and the count of what the server must say of it in the end."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.harness import WRITE_KEY, Client, Server

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{not json",
    "cut off": b'{"batch":[{"type":"page"',
    "null": b"null",
    "a number": b"1e400",
    "a list": b"[1,2]",
    "an empty object": b"{}",
    "no events": b'{"batch":[]}',
    "a batch that is none": b'{"batch":{"0":{}}}',
    "events that are none": b'{"batch":[null,1,"x",[],true]}',
    "NUL": b"\x00\x00\x00",
    "not UTF-8": b'{"userId":"\xff\xfe\xfd","type":"page"}',
    "half of UTF-16": '{"userId":"u"}'.encode("utf-16")[:-1],
    "half a character": b'{"batch":[{"type":"track","event":"A","userId":"u","properties":{"x":"\\ud83d"}}]}',
    "deep": b'{"batch":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"traits":' * 5_000 + b"1" + b"}" * 5_000,
    "broken gzip": b"\x1f\x8b\x08\x00broken",
    "half of gzip": gzip.compress(b'{"batch":[]}' * 50)[:40],
    "gzip of gzip": gzip.compress(gzip.compress(b'{"batch":[]}')),
    "a gzip bomb": gzip.compress(b" " * 50_000_000),
    "a zlib bomb": zlib.compress(b"[" * 50_000_000),
    "too large": b'{"batch":[' + b" " * 600_000 + b"]}",
    "far too large": b"x" * 5_000_000,
}

ODD: list[Any] = [
    *(None, True, 0, -1, 0.5, 10**30, 10**40, -(10**40), 1e308, -1e-320),
    *("", " ", "a\x00b", "\u202e\ufeff", "x" * 40_000, "null", "NaN", "1e400", "\N{FAMILY}" * 300),
    *("1900-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0000-00-00", "2026-02-30T10:00:00Z", "-1", "1e30"),
    *([], [[]], [None], {}, {"type": {}}, {"$gt": ""}, [{"id": {}}] * 50),
]

CONFLICTING = "conflicting_copy"


class Tally:
    """What the server must say in the end, by its own answers."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = Client(server)
        self.sender = httpx.Client(base_url=server.url, auth=(WRITE_KEY, ""), timeout=30)
        self.good = self.rejected = self.number = 0

    def fresh(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def good_one(self) -> dict[str, Any]:
        return {"type": "track", "event": "Product Viewed", "userId": "good", "messageId": self.fresh()}

    def throw(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Whatever it is, it is answered with a 200 or a 4xx that says why; what must be kept is counted."""
        answer = self.sender.post(path, content=body, headers={"content-type": "application/json", **headers})
        assert answer.status_code == 200 or 400 <= answer.status_code < 500, (path, body[:200], answer.text)
        said = answer.json()
        if answer.status_code == 200:
            self.rejected += len(said.get("rejected", ()))
        else:
            assert all(said[name] for name in ("code", "message", "detail"))
            whole = "id" in said or said["code"] in ("invalid_gzip", "unsupported_encoding")
            self.rejected += 1 if whole else len(said.get("rejected", ()))
        return answer

    def events(self, *events: Any, path: str = "/v1/batch") -> list[dict[str, Any]]:
        """In one batch, each between two good ones; answers with those that were rejected, by their place."""
        batch = [self.good_one()]
        for event in events:
            batch += [event, self.good_one()]
        answer = self.throw(path, json.dumps({"batch": batch}).encode())
        assert answer.status_code == 200, answer.text
        rejected: list[dict[str, Any]] = answer.json().get("rejected", [])
        assert all(one["index"] % 2 == 1 and one["code"] and one["reason"] for one in rejected)
        self.good += len(batch) - len(rejected)
        return [{**one, "index": one["index"] // 2} for one in rejected]

    def check(self) -> None:
        """The server lives, and has counted everything."""
        assert not self.server.died()
        status = self.client.settled()["events"]
        assert status["rejected"] == self.rejected
        assert status["logged"] == self.good
        assert len(self.kept()) == self.rejected

    def kept(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.client.get("/v1/rejected", limit=200, **cursor)
            items += [item for item in page["items"] if item["code"] != CONFLICTING]  # a copy: it was answered as taken
            if not page["next_cursor"]:
                return items
            cursor = {"cursor": page["next_cursor"]}


@contextmanager
def attacked(data: Path) -> Iterator[Tally]:
    """A server of its own, and its tally."""
    with Server(data).start() as server:
        found = Tally(server)
        with closing(found.client), found.sender:
            yield found
