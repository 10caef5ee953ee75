"""Real clients, unmodified, as processes of their own against a real server: all arrives once, as meant.

Node clients are installed once into ~/.cache/simorgh-tests (never into the repository); without Node or a
package registry their tests are skipped and say so.
"""

import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
from fastapi import FastAPI

from schemas.clock import system_clock
from tests.clients import packages
from tests.clients.world import KEY, World, world

SCRIPTS: Final = Path(__file__).parent.parent / "clients"
PATIENCE: Final = 60.0

CLIENTS: Final = (
    "python_sdk segment plain",
    "python_sdk segment gzip",
    "python_sdk rudderstack gzip",
    "segment_node",
    "rudder_node",
)

EXPECTED: Final = {
    ("profile.identified", ("user_id:user-1", "email:ada@example.com", "anonymous_id:anon-1")),
    ("order.completed", ("user_id:user-1",)),
    ("page.viewed", ("user_id:user-1",)),
    ("screen.viewed", ("user_id:user-1",)),
    ("group.joined", ("user_id:user-1",)),
    ("profile.aliased", ("user_id:user-1", "user_id:anon-0", "anonymous_id:anon-0")),
    ("custom.anonymous_event", ("anonymous_id:anon-2",)),
}


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """The app on a free port of the loopback, in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


class _Swallow(socketserver.BaseRequestHandler):
    """Passes bytes on both ways, but closes the first connection when its answer comes: it is lost."""

    server: "LossyProxy"

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target), PATIENCE) as upstream:
            threading.Thread(target=_pump, args=(self.request, upstream), daemon=True).start()
            while data := upstream.recv(65536):
                if not self.server.lost.is_set():
                    self.server.lost.set()
                    return
                self.request.sendall(data)


class LossyProxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Swallow)
        self.target = target
        self.lost = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass  # the other side hung up


@contextmanager
def losing_the_first_answer(port: int) -> Iterator[tuple[int, threading.Event]]:
    with LossyProxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy.server_address[1], proxy.lost
        finally:
            proxy.shutdown()
            thread.join(PATIENCE)


@pytest.fixture(scope="session")
def node_clients() -> Path:
    """The folder that holds the Node clients."""
    return packages.installed(SCRIPTS)


def run(client: str, port: int, request: pytest.FixtureRequest) -> None:
    """Let the client send its calls and end; fails with what it says."""
    name, *arguments = client.split()
    url = f"http://127.0.0.1:{port}"
    environment = dict(os.environ)
    if name.endswith("_node"):
        environment["CLIENTS"] = str(request.getfixturevalue("node_clients"))
        command = [str(packages.node()), str(SCRIPTS / f"{name}.mjs"), url, KEY]
    else:
        command = [sys.executable, str(SCRIPTS / f"{name}.py"), url, KEY, *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]


def facts(event: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    return event["type"], tuple(f"{entry['type']}:{entry['normalised']}" for entry in event["identifiers"])


def check_contents(it: World, started: int) -> None:
    events = {event["type"]: event for event in it.events()}
    order = events["order.completed"]
    assert order["money"] == {"amount": "42.5", "currency": "EUR"}
    assert order["name"] == "Order Completed"
    assert order["time"][:17] == "2024-01-02T03:04:"
    identified = events["profile.identified"]
    assert identified["traits"] == {"email": "Ada@Example.com", "city": "اصفهان"}
    assert identified["time"] >= _minute(started)
    assert events["page.viewed"]["properties"]["name"] == "Home"
    assert events["group.joined"]["properties"]["group_id"] == "org-9"
    assert events["group.joined"]["traits"] == {}
    assert events["profile.aliased"]["alias"] is True


def _minute(ms: int) -> str:
    from schemas.clock import iso

    return iso(ms - 60_000)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_call_arrives_once(client: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    started = system_clock()
    with world(tmp_path, clock=system_clock) as it:
        with served(it.app) as port:
            run(client, port, request)
        events = it.events()
        assert len(events) == len({event["id"] for event in events}) == len(EXPECTED)
        assert {facts(event) for event in events} == EXPECTED
        assert it.rejected() == []
        check_contents(it, started)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_lost_answer_is_sent_again_with_the_same_ids(
    client: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with world(tmp_path, clock=system_clock) as it:
        with served(it.app) as port, losing_the_first_answer(port) as (lossy_port, lost):
            run(client, lossy_port, request)
        assert lost.is_set()
        events = it.events()
        assert len(events) > len(EXPECTED)
        assert len({event["id"] for event in events}) == len(EXPECTED)
        assert {facts(event) for event in events} == EXPECTED
