"""The browser SDKs, unmodified, on a page in a real Chromium, against a collector of another origin.

A page is the snippet of docs/sending.md, and a script that makes calls. It knows the collector's address and a write
key, nothing else, and tells the server of the pages what it does next, so nothing has to steer the browser.
"""

import json
import os
import re
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
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import Request as Asking
from urllib.request import urlopen

import pytest
import uvicorn
from fastapi import Request
from starlette.types import Receive, Scope, Send

from producers.http import problem
from schemas.clock import system_clock
from tests.clients.packages import installed
from tests.clients.world import KEY, World, world
from tests.loopback import LoopbackServer

HERE: Final = Path(__file__).parent
DOCUMENTED: Final = (HERE.parent.parent / "docs" / "sending.md").read_text()
SNIPPETS: Final = dict(
    zip(
        [("segment", False), ("rudderstack", False), ("segment", True), ("rudderstack", True)],
        re.findall(r"```html\n(.*?)```", DOCUMENTED, re.DOTALL),
        strict=True,
    )
)
"""By SDK, and whether the page brings the settings along."""
PATIENCE: Final = 60.0
LIBRARIES: Final = {
    "rudderstack": "@rudderstack/analytics-js/dist/npm/modern/bundled/umd",
    "segment": "@segment/analytics-next/dist/umd",
}
OPTIONS: Final = {
    "segment": {
        "keepalive": "integrations: {'Segment.io': {deliveryStrategy: {config: {keepalive: true}}}}",
        "batches": "integrations: {'Segment.io': {deliveryStrategy: {strategy: 'batching', "
        "config: {size: 10, timeout: 500}}}}",
    },
    "rudderstack": {
        "patient": "queueOptions: {maxItems: 1000, maxAttempts: 100}",
        "batches": "queueOptions: {batch: {enabled: true, maxItems: 10, flushInterval: 500}}",
        "beacon": "useBeacon: true",
    },
}
CALLS: Final = {
    "page.viewed",
    "order.completed",
    "profile.identified",
    "group.joined",
    "profile.aliased",
}


class Collector:
    """The world's app on one port of the loopback. It can be stopped and started, and refuse requests as a busy server
    does, or the proxy before it."""

    def __init__(self, it: World) -> None:
        self._app = it.app
        self._port = 0
        self.refusals: list[int] = []
        self._thread: threading.Thread | None = None
        self.start()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, unless it is running."""
        if self._thread is not None and self._thread.is_alive():
            return
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self._port))
        listening.listen()  # a page that is quicker than the server waits: Segment asks for its settings only once
        self._port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._answer, interface="asgi3", log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(PATIENCE)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.refusals and scope["type"] == "http" and scope["method"] == "POST":
            await Request(scope, receive).body()
            refusal = problem(self.refusals.pop(0), "busy", "server: wanted time, got none", retry_after=1)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def with_option(others: str, option: str) -> str:
    """The end of a snippet, with one more option in the last argument of `load`."""
    return f"{{{others}{', ' if others else ''}{option}}})\n</script>"


class Stage:
    """What the pages ask of the test: themselves, their scripts, and what they tell."""

    def __init__(self, it: World, sdk: str, option: str, libraries: Path) -> None:
        self.collector = Collector(it)
        self.failures: list[str] = []
        self.asked: list[str] = []
        self.left = threading.Event()
        self._it = it
        self._libraries = libraries
        snippet = SNIPPETS[sdk, option == "inline"].replace("WRITE_KEY", KEY)
        if option in OPTIONS[sdk]:
            chosen = OPTIONS[sdk][option]
            assert chosen in DOCUMENTED
            snippet = re.sub(r"\{([^{}]*)\}\)\n</script>", lambda end: with_option(end[1], chosen), snippet)
        here = self.collector.url.removeprefix("http://")
        for documented, instead in (("https", "http"), ("events.example.com", here)):
            snippet = snippet.replace(documented, instead)
        self._page = (HERE / "page.html").read_text().replace("<!-- SNIPPET -->", snippet)

    def answer(self, path: str, query: str) -> bytes | None:
        self.asked.append(path)
        if path == "/page":
            (self.collector.stop if "way=opened" in query else self.collector.start)()
            return self._page.encode()
        if path == "/left":
            self.left.set()
            return b"<!doctype html><title>Bye</title>"
        if path.startswith("/tell/"):
            self._told(path.removeprefix("/tell/"), query)
            return b""
        sdk, _, name = path[1:].partition("/")
        file = self._libraries / LIBRARIES.get(sdk, "") / name
        return file.read_bytes() if sdk in LIBRARIES and file.is_file() else None

    def _told(self, what: str, query: str) -> None:
        if what == "failed":
            self.failures.append(parse_qs(query)["why"][0])
        elif what == "heard":
            wait_until(lambda: self._it.logged() > 0)
        elif what == "refuse":
            self.collector.refusals = [503, 429, 503]
        else:
            {"stop": self.collector.stop, "start": self.collector.start}[what]()


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


class Browser:
    """A running Chromium, which opens and closes pages."""

    def __init__(self, steering: str) -> None:
        self._steering = steering

    @contextmanager
    def page(self, url: str) -> Iterator[None]:
        with urlopen(Asking(f"{self._steering}/json/new?{quote(url, safe='')}", method="PUT")) as answer:
            page = json.load(answer)["id"]
        try:
            yield
        finally:
            urlopen(f"{self._steering}/json/close/{page}").close()


def chromium() -> str:
    """Chromium's program. Without one the test is skipped, or fails where SIMORGH_REQUIRE_CHROMIUM is set, as in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        say = pytest.fail if os.environ.get("SIMORGH_REQUIRE_CHROMIUM") else pytest.skip
        say("NO BROWSER WAS TESTED: wanted Chromium on the PATH, got none; install Debian's package chromium")
    return str(found)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("chromium")
    command = [
        chromium(),
        "--headless=new",
        "--no-sandbox",  # CI is root, and the pages are ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
    ]
    said = folder / "profile" / "DevToolsActivePort"
    with (folder / "chromium.log").open("wb") as log:
        program = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: said.exists() and said.read_text().count("\n") > 0)
            yield Browser(f"http://127.0.0.1:{said.read_text().splitlines()[0]}")
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait(PATIENCE)


def visit(browser: Browser, it: World, sdk: str, way: str, done: Callable[[], bool], option: str = "") -> None:
    """The page, until `done`."""
    libraries = installed(HERE) / "node_modules"
    with ExitStack() as stack:
        stage = Stage(it, sdk, option, libraries)
        stack.callback(stage.collector.stop)
        origin = stack.enter_context(pages(stage))
        asked = urlencode({"way": way, "collector": stage.collector.url})
        stack.enter_context(browser.page(f"{origin}/page?{asked}"))
        wait_until(lambda: bool(stage.failures) or done())
        assert stage.failures == []
        assert done(), f"the page asked for {stage.asked}"
        if way == "leave":  # the last event may be here before the page has gone
            wait_until(stage.left.is_set)
        assert stage.left.is_set() == (way == "leave")


ALL: Final = [("segment", ""), ("segment", "batches"), ("rudderstack", ""), ("rudderstack", "batches")]


@pytest.mark.parametrize(("sdk", "option"), ALL)
def test_every_call_arrives_as_meant(browser: Browser, sdk: str, option: str, tmp_path: Path) -> None:
    with world(tmp_path, clock=system_clock) as it:
        visit(browser, it, sdk, "calls", lambda: it.logged() >= len(CALLS), option)
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


def names_after(browser: Browser, tmp_path: Path, sdk: str, way: str, option: str, wanted: set[str]) -> list[str]:
    """The names of the events in the log once all that are wanted are there. A copy (of the same id) counts once: a
    page that is left before its answer cannot know of it, and the next one sends again."""
    with world(tmp_path, clock=system_clock) as it:
        visit(browser, it, sdk, way, lambda: {event["name"] for event in it.events()} >= wanted, option)
        assert it.rejected() == []
        return sorted({event["id"]: event["name"] for event in it.events()}.values())


AT_ONCE: Final = [
    ("segment", "keepalive"),
    ("segment", "batches"),
    ("rudderstack", "batches"),
    ("rudderstack", "beacon"),
]


@pytest.mark.parametrize(("sdk", "option"), AT_ONCE)
def test_the_last_events_of_a_page_arrive(browser: Browser, sdk: str, option: str, tmp_path: Path) -> None:
    names = {"last 1", "last 2", "last 3"}
    assert names_after(browser, tmp_path, sdk, "leave", option, names) == sorted(names)


@pytest.mark.parametrize(("sdk", "option"), [("segment", ""), ("segment", "batches"), ("rudderstack", "patient")])
def test_what_a_busy_server_refuses_is_sent_again(browser: Browser, sdk: str, option: str, tmp_path: Path) -> None:
    names = {"last 1", "last 2", "last 3"}
    assert names_after(browser, tmp_path, sdk, "refused", option, names) == sorted(names)


@pytest.mark.parametrize(("sdk", "option"), [("segment", ""), ("segment", "batches"), ("rudderstack", "patient")])
def test_an_outage_costs_no_event(browser: Browser, sdk: str, option: str, tmp_path: Path) -> None:
    names = {"before", "after", *(f"during {i}" for i in range(105))}
    assert names_after(browser, tmp_path, sdk, "outage", option, names) == sorted(names)


@pytest.mark.parametrize("sdk", ["segment", "rudderstack"])
def test_a_page_opened_during_an_outage_with_the_settings_inside(browser: Browser, sdk: str, tmp_path: Path) -> None:
    names = {"during 0", "after"}
    assert names_after(browser, tmp_path, sdk, "opened", "inline", names) == sorted(names)


NEXT_PAGE: Final = [
    ("segment", "move"),
    ("segment", "outageleft"),
    ("rudderstack", "move"),
    pytest.param("rudderstack", "outageleft", marks=pytest.mark.soak),  # 13 s until it takes over another page's
]


@pytest.mark.parametrize(("sdk", "way"), NEXT_PAGE)
def test_what_a_page_could_not_send_the_next_one_sends(browser: Browser, sdk: str, way: str, tmp_path: Path) -> None:
    names = {"last 1", "last 2", "last 3", "after"} | ({"before"} if way == "outageleft" else set())
    assert names_after(browser, tmp_path, sdk, way, "", names) == sorted(names)
