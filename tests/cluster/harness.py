"""A cluster of real processes: a Kafka broker, the ClickHouse bridge, and the roles, on loopback."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from deploy.kafka.broker import Broker
from eventlog.port import EventLog
from simorgh.logs import open_log
from simorgh.settings import Settings
from tests.clickhouse.process import BridgeProcess
from tests.e2e.harness import TOKEN, WRITE_KEY, wait_for
from tests.kafka.several import bootstrap, running_brokers
from tests.programs import Program

SECRET = "5e" * 32
SESSION = "10"
PATIENCE = 150.0


class Role:
    """One role as a process. Its lines on stderr go to `folder/<name>.err`."""

    def __init__(self, role: str, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.role, self.name = role, name
        self.errors = folder / f"{name}.err"
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, **more: str) -> "Role":
        """Returns once it says where it listens. The port stays the same over restarts."""
        port = self.url.rpartition(":")[2] or "0"
        with self.errors.open("a") as errors:
            self._process = Program(
                *(self.role, "--port", port),
                env={**os.environ, "PYTHONFAULTHANDLER": "1", **self._environment, **more},
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert " on http://" in line, f"{self.name} did not start: {self.errors.read_text()[-2000:]}"
        self.url = line.split(" on ")[1].strip()
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait for a graceful end; its exit code."""
        return self._end(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Until it ends by itself; its exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._forget()
        return code

    def _forget(self) -> None:
        if self._process is not None and self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all lines of a metric that have these labels; 0 where there are none."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = 0.0
        for line in httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines():
            if line.split("{")[0].split(" ")[0] == name and all(part in line for part in wanted):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=10)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(45)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # says where each thread stands
            self._process.wait()
            self._forget()
            raise AssertionError(
                f"{self.name} did not end on {number.name}: {self.errors.read_text()[-20_000:]}"
            ) from None
        self._forget()
        return code


class Cluster:
    """Brokers, bridge and roles of one test, in a folder of its own. Roles are started by `role` and `together`."""

    def __init__(self, folder: Path, *brokers: Broker, **settings: str) -> None:
        self.folder = folder
        self.brokers = brokers
        self.bridge = BridgeProcess(folder / "clickhouse")
        self.roles: list[Role] = []
        self.environment = {
            "SIMORGH_LOG": f"kafka://{bootstrap(brokers)}",
            "SIMORGH_CLICKHOUSE": self.bridge.url,
            "SIMORGH_SECRET": SECRET,
            "SIMORGH_DATA": str(folder / "data"),
            "SIMORGH_PARTITIONS": "4",
            "SIMORGH_WRITE_KEY": WRITE_KEY,
            "SIMORGH_API_TOKEN": TOKEN,
            "SIMORGH_ALLOW_PRIVATE_WEBHOOKS": "1",
            "SIMORGH_WORKER_SESSION_SECONDS": SESSION,
            "SIMORGH_WORKER_GROUP": f"workers-{uuid4().hex[:8]}",
            "SIMORGH_LOG_LEVEL": "WARNING",
            **settings,
        }

    def role(self, role: str, name: str = "", **more: str) -> Role:
        made = Role(role, name or role, self.folder, {**self.environment, **more})
        self.roles.append(made)
        return made.start()

    def together(self, *names: str) -> list[Role]:
        """Roles, started at the same time. A name is `role` or `role-n`."""
        with ThreadPoolExecutor(len(names)) as starting:
            return list(starting.map(lambda name: self.role(name.partition("-")[0], name), names))

    def freeze_warehouse(self) -> None:
        """Calls neither fail nor return until `thaw_warehouse`."""
        self.bridge.freeze()

    def thaw_warehouse(self) -> None:
        self.bridge.thaw()

    def close(self) -> None:
        self.thaw_warehouse()
        for role in reversed(self.roles):
            if role.running:
                role.kill()
        self.bridge.stop()


class Api:
    """The API and the collector together, as their clients see them."""

    def __init__(self, collect: Role, api: Role) -> None:
        self._collect = collect.url
        self.http = httpx.Client(base_url=api.url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)

    def send(self, *messages: dict[str, Any]) -> None:
        answer = httpx.post(f"{self._collect}/v1/batch", json={"batch": messages}, auth=(WRITE_KEY, ""), timeout=60)
        assert answer.status_code == 200, answer.text

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    def profile(self, key: str) -> Any:
        return self.get(f"/v1/profiles/{key}")

    def settled(self, seconds: float = PATIENCE) -> Any:
        return wait_for(self._without_lag, "the projections still lag", seconds)

    def _without_lag(self) -> Any:
        answer = self.http.get("/v1/status")
        if answer.status_code != 200:
            return None
        status = answer.json()
        time.sleep(0.1)  # each look asks the broker for all positions
        return status if all(p["lag_events"] == 0 for p in status["projections"]) else None

    def close(self) -> None:
        self.http.close()


@contextmanager
def running_cluster(folder: Path, brokers: int = 1, **settings: str) -> Iterator[Cluster]:
    """Brokers, one or three, and a bridge of its own, which tests kill. Skips where Java or Maven is missing."""
    with running_brokers(folder / "kafka", brokers) as running:
        cluster = Cluster(folder, *running, **settings)
        try:
            yield cluster
        finally:
            cluster.close()


@contextmanager
def opened_log(cluster: Cluster) -> Iterator[EventLog]:
    """The cluster's log, as one more process beside the roles."""
    log = open_log(Settings(log=cluster.environment["SIMORGH_LOG"]))
    try:
        yield log
    finally:
        log.close()


def eventually(holds: Callable[[], Any], otherwise: str, seconds: float = PATIENCE) -> Any:
    """`wait_for`, where the question itself may fail while processes come and go."""

    def ask() -> Any:
        try:
            return holds()
        except (httpx.TransportError, AssertionError):
            time.sleep(0.1)
            return None

    return wait_for(ask, otherwise, seconds)
