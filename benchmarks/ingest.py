"""HTTP ingest: the collector beside a bare ASGI app over the same libraries and the same log.

Both take the same batches of 100 SDK messages over 4 connections and answer when these are on disk. The bare
app knows the write key, parses, validates and appends the messages as they came: the least that an answer of
200 can mean. The collector makes envelopes besides: identifiers, nodes, clock, money, limits, refusals.

`python -m benchmarks.ingest` prints a table in some 20 s. CPU is the server process's own, all its threads;
it is steadier than events/s on a machine that does other things too. Each ratio is the median over pairs of rounds
that followed each other: the machine may be another one a second later.
"""

import asyncio
import base64
import http.client
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import orjson
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.workload import messages
from eventlog.port import EventLog
from eventlog.sqlite import SqliteEventLog
from identity.rules import DEFAULT_RULES, IdentityRules
from privacy.keyring import Keyring
from producers.budgets import Budgets
from producers.door import Door
from producers.metrics import CollectorMetrics
from producers.router import collector_router
from producers.sealer import Sealer
from producers.shortcut import add_collector
from registry.registry import Registry
from schemas.catalog import Catalog
from schemas.clock import iso, random_id, system_clock
from schemas.topics import EVENTS
from simorgh.interpreter import tune_interpreter
from simorgh.listener import HttpConnection, Limits, Places
from simorgh.settings import load_settings
from simorgh.shared import default_budget

KEY: Final = "benchmark-key"
SECRET: Final = b"sixteen bytes ok"
BATCH: Final = 100
CONNECTIONS: Final = 4
BATCHES: Final = 100
"""Per round; after the first rounds they are sent again, as a client does that got no answer."""
ROUNDS: Final = 21
PEOPLE: Final = 5_000
LONGEST: Final = 30.0
"""Seconds after which no further round begins."""

SERVERS: Final = ("bare", "collector")
GOAL: Final = 0.5


class Round(NamedTuple):
    """`per_second`: events; `cpu`: µs of the server per event."""

    per_second: float
    cpu: float


def main() -> None:
    """Measure and print."""
    rounds = measure()
    print(f"HTTP ingest, batches of {BATCH}, {CONNECTIONS} connections, medians of {len(rounds['bare'])} rounds")
    print(f"{'':12}{'events/s':>12}{'CPU µs/event':>15}")
    for server, made in rounds.items():
        print(f"{server:12}{_median(made, 0):>12,.0f}{_median(made, 1):>15.1f}")
    pairs = list(zip(rounds["bare"], rounds["collector"], strict=True))
    throughput = median(ours.per_second / bare.per_second for bare, ours in pairs)
    cpu = median(bare.cpu / ours.cpu for bare, ours in pairs)
    print(f"{'ratio':12}{throughput:>12.2f}{cpu:>15.2f}   (wanted: {GOAL})")


def measure(
    rounds: int = ROUNDS,
    batches: int = BATCHES,
    servers: Sequence[str] = SERVERS,
    module: str = "benchmarks.ingest",
) -> dict[str, list[Round]]:
    """The rounds of both servers of a module, taken in turns; one more before them warms up and does not count."""
    bodies = _bodies(batches)
    made: dict[str, list[Round]] = {server: [] for server in servers}
    deadline = time.monotonic() + LONGEST
    with ExitStack() as stack:
        ports = {server: stack.enter_context(running(module, server)) for server in servers}
        for port in ports.values():
            _round(port, bodies)
        for _ in range(rounds):
            for server, port in ports.items():
                made[server].append(_round(port, bodies))
            if time.monotonic() > deadline:
                break
    return made


def _median(rounds: list[Round], field: int) -> float:
    return median(one[field] for one in rounds)


# --- The client ---


def _bodies(batches: int) -> list[bytes]:
    sent = list(messages(batches * BATCH, PEOPLE, now_ms=system_clock()))
    sent_at = iso(system_clock())
    starts = range(0, len(sent), BATCH)
    return [orjson.dumps({"batch": sent[start : start + BATCH], "sentAt": sent_at}) for start in starts]


def _round(port: int, bodies: list[bytes]) -> Round:
    cpu, start = cpu_of(port), time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        shares = [pool.submit(_send, port, bodies[n::CONNECTIONS]) for n in range(CONNECTIONS)]
        for share in shares:
            share.result()
    seconds, events = time.perf_counter() - start, len(bodies) * BATCH
    return Round(events / seconds, (cpu_of(port) - cpu) / events * 1e6)


def _send(port: int, bodies: list[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    credentials = base64.b64encode(f"{KEY}:".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    try:
        for body in bodies:
            connection.request("POST", "/v1/batch", body, headers)
            answer = connection.getresponse().read()
            if orjson.loads(answer) != {"success": True}:
                raise RuntimeError(f"ingest: wanted every event accepted, got {answer[:200]!r}")
    finally:
        connection.close()


def cpu_of(port: int) -> float:
    """Seconds of CPU that the server has used so far."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/cpu")
        return float(connection.getresponse().read())
    finally:
        connection.close()


# --- The servers, each a process of its own on a fresh log ---


@contextmanager
def running(module: str, server: str) -> Iterator[int]:
    """One of a benchmark's servers as a process; its port."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", module, server, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield int(process.stdout.readline())
            finally:
                process.terminate()


App = Callable[[SqliteEventLog, Registry], Starlette]


def serve(server: str, folder: Path, bare: App, collector: App) -> None:
    """Run one of `SERVERS` until it is told to stop; prints its port once it listens."""
    tune_interpreter()
    log = SqliteEventLog(folder / "log.db")
    registry = Registry(log, system_clock, env_write_key=KEY)
    app = bare(log, registry) if server == "bare" else collector(log, registry)
    app.add_route("/cpu", _used_cpu)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        print(listener.getsockname()[1], flush=True)
        http: Any = partial(HttpConnection, Places(Limits())) if server == "collector" else "auto"
        config = uvicorn.Config(app, http=http, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
    log.close()


async def _used_cpu(request: Request) -> Response:
    return Response(str(time.process_time()))


def collector_app(log: EventLog, registry: Registry, keyring: Keyring | None = None) -> Starlette:
    """Every way in, as `simorgh serve` has them. `keyring`: events are sealed under its keys."""
    catalog = Catalog.load()

    def rules() -> IdentityRules:
        declared = registry.rules
        return DEFAULT_RULES if declared is None else IdentityRules.parse(dict(declared))

    budgets = Budgets(default_budget(load_settings()), catalog)
    sealer = Sealer(keyring, SECRET, "default", catalog) if keyring else None
    door = Door(SECRET, "default", rules, catalog, random_id, budgets=budgets, sealer=sealer)
    metrics = CollectorMetrics(CollectorRegistry())
    app = FastAPI()
    router = collector_router(
        log, registry, door, catalog=catalog, clock=system_clock, metrics=metrics, budgets=budgets
    )
    add_collector(app, router)
    return app


def bare_app(log: SqliteEventLog, registry: Registry) -> Starlette:
    """Key, parse, validate, append; nothing else."""
    catalog = Catalog.load()

    def record(message: dict[str, Any]) -> tuple[bytes, bytes]:
        if message["type"] == "track":
            event = catalog.by_track_name(message["event"])
            fault = None if event is None else catalog.check(event.type, message["properties"])
        elif message["type"] == "page":
            fault = catalog.check("page.viewed", message["properties"])
        else:
            fault = catalog.check("profile.identified", message["traits"])
        if fault is not None:
            raise ValueError("ingest: wanted a workload without faults")
        return message["messageId"].encode(), orjson.dumps(message)

    async def batch(request: Request) -> Response:
        credentials = request.headers["authorization"].removeprefix("Basic ")
        key = base64.b64decode(credentials).decode().removesuffix(":")
        if registry.authenticate_write_key(key) is None:
            return Response(status_code=401)
        sent = orjson.loads(await request.body())["batch"]
        await asyncio.wrap_future(log.submit([(EVENTS, [record(message) for message in sent])]))
        return Response(b'{"success":true}', media_type="application/json")

    return Starlette(routes=[Route("/v1/batch", batch, methods=["POST"])])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], Path(sys.argv[2]), bare_app, collector_app)
    else:
        main()
