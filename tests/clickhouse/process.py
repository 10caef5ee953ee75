"""A bridge as a process of its own: start, make ill, kill, start again on the same folder and port."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

ROOT = Path(__file__).parents[2]


class BridgeProcess:
    """Running from the start. `url` stays the same over restarts, as a server's address does."""

    def __init__(
        self,
        data: Path,
        *,
        user: str = "",
        reader: str = "",
        cluster: str = "",
        shards: int = 1,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._data = data
        self._options = [f"--user={user}", f"--reader={reader}", f"--cluster={cluster}", f"--shards={shards}"]
        self._environment = environment
        self.url = "http://127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "tests.clickhouse.bridge", "--data", str(self._data)]
        port = urlsplit(self.url).port or 0
        self._process = subprocess.Popen(
            [*command, f"--port={port}", *self._options],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the bridge did not start"

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """As kill -9."""
        self._process.kill()
        self._end()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._end()
        except subprocess.TimeoutExpired:
            self.kill()

    def freeze(self) -> None:
        """Calls neither fail nor return until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def ill(self, **illness: Any) -> None:
        """See `bridge.Illness`; without any it is well again."""
        httpx.post(f"{self.url}/bridge", json=illness).raise_for_status()

    def asked(self) -> dict[str, int]:
        """How many queries and inserts it has carried out."""
        found: dict[str, int] = httpx.get(f"{self.url}/bridge").json()
        return found

    def _end(self) -> None:
        self._process.wait(timeout=10)
        if self._process.stdout:
            self._process.stdout.close()
