"""RudderStack's browser SDK, unmodified, on a page in a real Chromium, against a collector of another origin.

A page knows the collector's address and a write key, nothing else. It tells the server of the pages what it does next,
so nothing has to steer the browser.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import uvicorn

from schemas.clock import system_clock
from tests.clients.packages import installed
from tests.clients.world import KEY, World, world
from tests.loopback import LoopbackServer

HERE: Final = Path(__file__).parent
PATIENCE: Final = 60.0
LIBRARIES: Final = {
    "rudderstack": "@rudderstack/analytics-js/dist/npm/modern/bundled/umd",
}
CALLS: Final = {
    "page.viewed",
    "order.completed",
    "profile.identified",
    "group.joined",
    "profile.aliased",
}


class Collector:
    """The world's app on a free port of the loopback, until `stop`."""

    def __init__(self, it: World) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(it.app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)


class Stage:
    """What the pages ask of the test: their scripts, and whether they failed or were left."""

    def __init__(self, it: World, libraries: Path) -> None:
        self.collector = Collector(it)
        self.failures: list[str] = []
        self.left = threading.Event()
        self._libraries = libraries

    def answer(self, path: str, query: str) -> bytes | None:
        if path in ("/page", "/left"):
            return (HERE / "page.html").read_bytes() if path == "/page" else self._leave()
        if path == "/failed":
            self.failures.append(parse_qs(query)["why"][0])
            return b""
        sdk, _, name = path[1:].partition("/")
        file = self._libraries / LIBRARIES.get(sdk, "") / name
        return file.read_bytes() if sdk in LIBRARIES and file.is_file() else None

    def _leave(self) -> bytes:
        self.left.set()
        return b"<!doctype html><title>Bye</title>"

    def close(self) -> None:
        self.collector.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def pages(stage: Stage) -> Iterator[str]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = stage.answer(url.path, url.query)
            self.send_response(404 if body is None else 200)
            kind = "text/javascript" if url.path.endswith(".js") else "text/html; charset=utf-8"
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = LoopbackServer(Answering)
    try:
        yield server.url.replace("127.0.0.1", "localhost")
    finally:
        server.close()


def chromium() -> str:
    """Chromium's program. Without one the test is skipped, or fails where SIMORGH_REQUIRE_CHROMIUM is set, as in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        say = pytest.fail if os.environ.get("SIMORGH_REQUIRE_CHROMIUM") else pytest.skip
        say("NO BROWSER WAS TESTED: wanted Chromium on the PATH, got none; install Debian's package chromium")
    return str(found)


@contextmanager
def browsing(url: str, folder: Path) -> Iterator[None]:
    command = [
        chromium(),
        "--headless=new",
        "--no-sandbox",  # CI is root, and the pages are ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--remote-debugging-port=0",  # keeps it open
        f"--user-data-dir={folder}",
        url,
    ]
    with (folder.parent / "chromium.log").open("wb") as said:
        program = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait(PATIENCE)


def visit(it: World, sdk: str, way: str, folder: Path, done: Callable[[], bool]) -> None:
    """The page, until `done`."""
    chromium()
    libraries = installed(HERE) / "node_modules"
    with ExitStack() as stack:
        stage = Stage(it, libraries)
        stack.callback(stage.close)
        origin = stack.enter_context(pages(stage))
        asked = urlencode({"sdk": sdk, "way": way, "collector": stage.collector.url, "key": KEY})
        stack.enter_context(browsing(f"{origin}/page?{asked}", folder / "profile"))
        wait_until(lambda: bool(stage.failures) or done())
        assert stage.failures == []
        assert stage.left.is_set() == way.startswith("unload")


@pytest.mark.parametrize("way", ["plain", "batched"])
@pytest.mark.parametrize("sdk", ["rudderstack"])
def test_every_call_arrives_as_meant(sdk: str, way: str, tmp_path: Path) -> None:
    with world(tmp_path, clock=system_clock) as it:
        visit(it, sdk, way, tmp_path, lambda: it.logged() >= len(CALLS))
        assert it.rejected() == []
        events = {event["type"]: event for event in it.events()}
        assert events.keys() == CALLS
        assert it.logged() == len(CALLS)
    people = {name: {i["type"]: i["normalised"] for i in event["identifiers"]} for name, event in events.items()}
    anonymous = people["page.viewed"]["anonymous_id"]
    assert anonymous == people["order.completed"]["anonymous_id"] == people["profile.identified"]["anonymous_id"]
    assert people["profile.identified"]["user_id"] == people["group.joined"]["user_id"] == "user-1"
    assert people["profile.identified"]["email"] == "ada@example.com"
    assert events["profile.identified"]["traits"]["city"] == "اصفهان"
    assert events["order.completed"]["money"] == {"amount": "42.5", "currency": "EUR"}
    assert events["page.viewed"]["properties"]["title"] == "خانه"
    assert events["group.joined"]["properties"]["group_id"] == "org-9"
    assert events["profile.aliased"]["properties"]["previous_id"] == "user-1"
    assert "Chrome" in events["page.viewed"]["context"]["userAgent"]


@pytest.mark.parametrize(("sdk", "way"), [("rudderstack", "unload"), ("rudderstack", "unloadbatch")])
def test_the_last_events_of_a_page_arrive(sdk: str, way: str, tmp_path: Path) -> None:
    names = {"last 1", "last 2", "last 3"}
    with world(tmp_path, clock=system_clock) as it:
        visit(it, sdk, way, tmp_path, lambda: {event["name"] for event in it.events()} == names)
        events = it.events()
    assert {event["name"] for event in events} == names
    assert len({event["key"] for event in events}) == len(names)
