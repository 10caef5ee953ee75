"""What the tests of an operator's day share: the command line as it is typed, and senders who do not stop."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.harness import TOKEN, WRITE_KEY, Client, Server

ENVIRONMENT = {"SIMORGH_WRITE_KEY": WRITE_KEY, "SIMORGH_API_TOKEN": TOKEN, "NO_COLOR": "1", "COLUMNS": "200"}


def simorgh(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("SIMORGH_")}
    return subprocess.run(
        [sys.executable, "-m", "simorgh", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=cwd,
        env={**mine, **ENVIRONMENT, "PYTHONPATH": os.getcwd(), **environment},
    )


def one_line(done: "subprocess.CompletedProcess[str]", code: int = 1) -> str:
    """What a command that failed said: one readable line on stderr, no traceback, no bare errno."""
    assert done.returncode == code, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr
    assert done.stderr.startswith("error ")
    return done.stderr


def answered(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Sender(threading.Thread):
    """An SDK: batch after batch, each again until it is answered."""

    def __init__(self, server: Server, name: str = "s") -> None:
        super().__init__(daemon=True)
        self._server = server
        self._prefix = name
        self.acknowledged = 0
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            batch = [self.message(self.acknowledged + n) for n in range(20)]
            if self._is_answered(batch):
                self.acknowledged += len(batch)
            else:
                time.sleep(0.02)

    def message(self, n: int) -> dict[str, Any]:
        who = {"userId": f"{self._prefix}{n % 7}", "messageId": f"{self._prefix}-{n}"}
        if n % 10 == 0:
            return {**who, "type": "identify", "traits": {"email": f"{self._prefix}{n % 7}@example.com"}}
        return {**who, "type": "page", "name": "Home"}

    def _is_answered(self, batch: list[dict[str, Any]]) -> bool:
        try:
            url = f"{self._server.url}/v1/batch"
            return httpx.post(url, json={"batch": batch}, auth=(WRITE_KEY, ""), timeout=20).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def sending(server: Server, count: int = 2) -> Iterator[list[Sender]]:
    senders = [Sender(server, f"s{n}x") for n in range(count)]
    for one in senders:
        one.start()
    try:
        yield senders
    finally:
        for one in senders:
            one.enough.set()
        for one in senders:
            one.join(60)
            assert not one.is_alive()


def client_of(server: Server) -> Client:
    return Client(server)


def lines_of(data: Path) -> list[str]:
    """What the server wrote on stderr so far."""
    return (data.parent / "server.err").read_text().splitlines()


def others_can_read(data: Path) -> list[Path]:
    """What in a folder is open to anybody but its owner. Parts come and go meanwhile."""
    found = [data]
    for folder, folders, files in os.walk(data):
        found += [Path(folder, name) for name in (*folders, *files)]
    return [path for path in found if _is_open(path)]


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o077) and not path.is_symlink()
    except FileNotFoundError:
        return False
