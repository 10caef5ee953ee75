"""`simorgh watch` and SIMORGH_WATCH with real processes, and the guard around what is fetched."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from schemas.errors import Backpressure
from simorgh.fetching import GuardedFetch
from tests.e2e.command_line import simorgh
from tests.e2e.harness import running
from tests.loopback import LoopbackServer
from tests.programs import Program, run

MAPPING = """
kind = "people"
name = "contacts"
channel = "server"
[[identifiers]]
column = "id"
type = "user_id"
[traits]
city = "town"
"""
FILE = b"id,town\nu1,Bonn\nu2,Shiraz\n"


def until(there: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not there.exists():
        assert time.monotonic() < deadline, f"{there} did not come"
        time.sleep(0.1)


def test_serve_imports_what_is_dropped_into_its_folder_and_a_second_watcher_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, mapping = tmp_path / "in", tmp_path / "m.toml"
    inbox.mkdir()
    mapping.write_text(MAPPING)
    monkeypatch.setenv("SIMORGH_WATCH", json.dumps([{"from": str(inbox), "mappings": [str(mapping)]}]))
    with running(tmp_path / "data") as (server, client):
        (inbox / "a.csv").write_bytes(FILE)
        until(inbox / "done" / "a.csv")
        report = json.loads((inbox / "done" / "a.csv.report.json").read_bytes())
        assert (report["events"], report["new"]) == (2, 2)
        client.settled()
        shown = simorgh("profiles", "show", "user_id:u2", "--json", "--data", server.data)
        assert shown.json()["traits"]["city"] == "Shiraz"
        told = simorgh("watch", inbox, "--mapping", mapping, "--once", "--data", server.data).fault()
        assert "wanted to watch it alone" in told


class Site(LoopbackServer):
    def __init__(self) -> None:
        site = self
        self.paths: list[tuple[str, str | None, str | None]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.paths.append((self.path, self.headers["if-none-match"], self.headers["authorization"]))
                if self.path.startswith("/moved"):
                    self.send_response(302)
                    self.send_header("location", "/contacts.csv")
                    self.end_headers()
                elif self.path.startswith("/gone"):
                    self.send_response(410)
                    self.end_headers()
                elif self.headers["if-none-match"] == '"1"':
                    self.send_response(304)
                    self.end_headers()
                else:
                    self.send_response(200)
                    self.send_header("etag", '"1"')
                    self.end_headers()
                    self.wfile.write(FILE)

            def log_message(self, format: str, *args: object) -> None:
                """Tests are quiet."""

        super().__init__(Handler)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def test_a_url_is_fetched_past_the_guard_only(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "got"
    for url in (f"{site.url}/contacts.csv", "https://localhost/x", "https://10.1.2.3/x", "ftp://example.com/x"):
        with pytest.raises(Backpressure, match="watched URL: wanted"):
            GuardedFetch()(url, {}, target)
    assert site.paths == []
    fetch = GuardedFetch({"authorization": "Bearer s"}, allow_private=True)
    assert fetch(f"{site.url}/moved?x=1", {}, target).status == 200
    assert target.read_bytes() == FILE
    assert fetch(f"{site.url}/contacts.csv", {"if-none-match": '"1"'}, target).status == 304
    assert site.paths[-1] == ("/contacts.csv", '"1"', "Bearer s")
    with pytest.raises(Backpressure, match="got 410"):
        fetch(f"{site.url}/gone", {}, target)
    with pytest.raises(Backpressure, match="at most 5 bytes"):
        GuardedFetch(allow_private=True, max_bytes=5)(f"{site.url}/contacts.csv", {}, target)


def test_the_command_watches_a_url_without_a_server_and_ends_when_told(site: Site, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    words = ("watch", f"{site.url}/contacts.csv", "--mapping", tmp_path / "m.toml", "--data", tmp_path / "data")
    environment = {**os.environ, "SIMORGH_ALLOW_PRIVATE_WEBHOOKS": "1"}
    with (
        running(tmp_path / "data"),
        Program(*words, stdout=subprocess.PIPE, env=environment) as process,
    ):
        assert process.stdout is not None
        try:
            assert "contacts.csv imported" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    once = run(*words, "--once", env=environment)
    assert once.returncode == 0, once.stderr
    assert "0 files put away" in once.stdout
