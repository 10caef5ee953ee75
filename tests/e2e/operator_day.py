"""What the tests of an operator's day share: senders who do not stop, and what is looked at afterwards."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.harness import WRITE_KEY, Server


class Sender(threading.Thread):
    """An SDK: batch after batch, each again until it is answered."""

    def __init__(self, server: Server, name: str = "s", pause: float = 0.0) -> None:
        """`pause`: seconds between two batches."""
        super().__init__(daemon=True)
        self._server = server
        self._prefix = name
        self._pause = pause
        self.acknowledged = 0
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            batch = [self.message(self.acknowledged + n) for n in range(20)]
            if self._is_answered(batch):
                self.acknowledged += len(batch)
                self.enough.wait(self._pause)
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
def sending(server: Server, count: int = 2, pause: float = 0.0) -> Iterator[list[Sender]]:
    senders = [Sender(server, f"s{n}x", pause) for n in range(count)]
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
