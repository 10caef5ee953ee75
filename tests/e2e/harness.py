"""A real server as a real process, and a small client for it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.programs import Program

WRITE_KEY, TOKEN = "test-write-key", "test-token"
_DEADLINE = 60.0


class Server:
    """`simorgh serve` on a data folder. `start` again after a `kill` continues on the same folder and port.

    For a `with`: its process ends with it, however that is left.
    """

    def __init__(self, data: Path, *, descriptors: int | None = None, **environment: str) -> None:
        """`descriptors`: how many files the process may have open, as `ulimit -n` would say."""
        self.data = data
        self.descriptors = descriptors
        self.environment = environment
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and not self.died():
            self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, **environment: str) -> "Server":
        """Start and wait until requests are taken."""
        given = {
            "SIMORGH_WRITE_KEY": WRITE_KEY,
            "SIMORGH_API_TOKEN": TOKEN,
            "SIMORGH_ALLOW_PRIVATE_WEBHOOKS": "1",
            "PYTHONFAULTHANDLER": "1",  # a crash writes where all threads stood
        }
        with (self.data.parent / "server.err").open("a") as errors:
            self.process = Program(
                *("serve", "--data", self.data, "--port", str(self.port)),
                env={**os.environ, **given, **self.environment, **environment},
                stdout=subprocess.PIPE,
                stderr=errors,
                descriptors=self.descriptors,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "listens on" not in line:
            self.kill()
            raise AssertionError(f"the server did not start: see {self.data.parent / 'server.err'}")
        self.port = int(line.split("http://127.0.0.1:")[1].split()[0])
        return self

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self._reap()

    def died(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def _reap(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(_DEADLINE)
            told = (self.data.parent / "server.err").read_text()
            raise AssertionError(f"the server does not end; its threads stand at:\n{told[-8_000:]}") from None
        finally:
            if self.process.stdout:
                self.process.stdout.close()


class Client:
    """The public API, as a marketing tool and an SDK would use it."""

    def __init__(self, server: Server) -> None:
        self.http = httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=30)

    def send(self, *messages: dict[str, Any], sent_at: str | None = None) -> dict[str, Any]:
        body: dict[str, Any] = {"batch": list(messages)}
        if sent_at:
            body["sentAt"] = sent_at
        answer = self.http.post("/v1/batch", json=body, headers={"authorization": ""}, auth=(WRITE_KEY, ""))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: int | tuple[int, ...] = (200, 201, 202)) -> Any:
        answer = self.http.post(path, json=body)
        wanted = (status,) if isinstance(status, int) else status
        assert answer.status_code in wanted, answer.text
        return answer.json()

    def delete(self, path: str) -> None:
        answer = self.http.delete(path)
        assert answer.status_code in (200, 204), answer.text

    def profile(self, key: str, **params: Any) -> Any:
        return self.get(f"/v1/profiles/{key}", **params)

    def settled(self) -> Any:
        """Wait until no projection lags; the status."""
        return wait_for(self._status_without_lag, "the projections still lag")

    def _status_without_lag(self) -> Any:
        status = self.get("/v1/status")
        return status if all(p["lag_events"] == 0 for p in status["projections"]) else None

    def close(self) -> None:
        self.http.close()


def wait_for(holds: Callable[[], Any], otherwise: str, seconds: float = _DEADLINE) -> Any:
    """Ask until the answer is true; fail after the deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = holds()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(otherwise)


@contextmanager
def running(data: Path, **environment: str) -> Iterator[tuple[Server, Client]]:
    with Server(data).start(**environment) as server, closing(Client(server)) as client:
        yield server, client
