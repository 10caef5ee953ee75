"""Who is called about a change and asks for the profile at once sees the change, under load, merges included."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.e2e.harness import TOKEN, Client, Server, wait_for

PEOPLE = 60


class Asker(ThreadingHTTPServer):
    """A receiver that looks the profile up before it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = ""
        self.seen: dict[str, tuple[int, list[str]]] = {}
        """user_id -> the answer's status, and the segments in it."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Asker)
        told = orjson.loads(self.rfile.read(int(self.headers["content-length"])))["data"]
        names = {one["type"]: one["value"] for one in told["identities"]}
        key = f"/v1/profiles/user_id:{names['user_id']}"
        answer = httpx.get(self.server.api + key, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)
        held = [one["id"] for one in answer.json().get("segments", ())]
        self.server.seen[names["user_id"]] = (answer.status_code, held)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def asker() -> Iterator[Asker]:
    server = Asker()
    yield server
    server.shutdown()
    server.server_close()


def test_a_receiver_that_asks_sees_what_it_was_called_about(tmp_path: Path, asker: Asker) -> None:
    server = Server(tmp_path / "data").start()
    client = Client(server)
    try:
        asker.api = server.url
        rule = {"all": [{"event": "page.viewed", "count": {"gte": 1}}, {"identity": "user_id", "exists": True}]}
        client.post("/v1/segments", {"id": "seen", "name": "seen", "rule": rule})
        client.post("/v1/triggers", {"id": "t", "segment": "seen", "on": ["entered"], "webhook": {"url": asker.url}})
        for n in range(PEOPLE):
            client.send({"type": "page", "anonymousId": f"a{n}", "messageId": f"{n}-page"})
            client.send({"type": "identify", "anonymousId": f"a{n}", "userId": f"u{n}", "messageId": f"{n}-identify"})
        wait_for(lambda: len(asker.seen) == PEOPLE, "somebody was not told of")
        assert set(map(str, asker.seen.values())) == {"(200, ['seen'])"}
    finally:
        client.close()
        server.stop()
