"""Vendors' webhooks: the collector beside a bare ASGI app over the same libraries and the same log.

Both take the same requests of Shopify over 4 connections, one order each, and answer when it is on disk. The bare app
checks the signature over the bytes, parses them and appends them as they came: the least that 200 can mean. The
collector finds the source and its sealed secret, and makes the event besides.

`python -m benchmarks.webhooks` prints a table in some 20 s, as `benchmarks.ingest` does.
"""

import asyncio
import base64
import hmac
import http.client
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.ingest import CONNECTIONS, GOAL, Round, cpu_of, running, serve
from eventlog.sqlite import SqliteEventLog
from identity.rules import DEFAULT_RULES
from privacy.secret_box import SecretBox
from producers.budgets import Budgets
from producers.door import Door
from producers.metrics import CollectorMetrics
from producers.router import collector_router
from producers.shortcut import add_collector
from producers.vendor_secrets import sealed
from producers.vendors.signing import signature
from registry.models import UNLIMITED
from registry.registry import Registry
from schemas.catalog import Catalog
from schemas.clock import iso, random_id, system_clock
from schemas.topics import EVENTS

SECRET: Final = "a secret of Shopify's"
PATH: Final = "/v1/webhooks/shopify/store"
REQUESTS: Final = 500
"""Per round."""
ROUNDS: Final = 7
PEOPLE: Final = 500


def main() -> None:
    """Measure and print."""
    made: dict[str, list[Round]] = {"bare": [], "collector": []}
    with ExitStack() as stack:
        ports = {server: stack.enter_context(running("benchmarks.webhooks", server)) for server in made}
        for turn in range(ROUNDS + 1):
            for server, port in ports.items():
                one = _round(port, turn)
                if turn:  # the first warms up
                    made[server].append(one)
    print(f"Webhooks, one order each, {CONNECTIONS} connections, medians of {ROUNDS} rounds of {REQUESTS}")
    print(f"{'':12}{'answers/s':>12}{'CPU µs/answer':>15}")
    for server, rounds in made.items():
        print(f"{server:12}{median(r.per_second for r in rounds):>12,.0f}{median(r.cpu for r in rounds):>15.1f}")
    pairs = list(zip(made["bare"], made["collector"], strict=True))
    throughput = median(ours.per_second / bare.per_second for bare, ours in pairs)
    cpu = median(bare.cpu / ours.cpu for bare, ours in pairs)
    print(f"{'ratio':12}{throughput:>12.2f}{cpu:>15.2f}   (wanted: {GOAL})")


def _requests(turn: int) -> Iterator[tuple[bytes, dict[str, str]]]:
    now = system_clock()
    for number in range(REQUESTS):
        id = turn * REQUESTS + number
        lines = [
            {"product_id": n, "sku": f"S-{n}", "title": "A cup", "quantity": 1, "price": "20.00"} for n in range(3)
        ]
        person = {"id": id % PEOPLE, "email": f"u{id % PEOPLE}@example.com", "verified_email": True, "state": "enabled"}
        order = {"id": id, "name": f"#{id}", "created_at": iso(now), "currency": "EUR", "total_price": "60.00"}
        body = orjson.dumps({**order, "customer": person, "line_items": lines})
        headers = {"X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": f"w-{id}"}
        yield body, {**headers, "X-Shopify-Hmac-Sha256": signature(SECRET.encode(), body)}


def _round(port: int, turn: int) -> Round:
    sent = list(_requests(turn))
    cpu, start = cpu_of(port), time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for share in [pool.submit(_send, port, sent[n::CONNECTIONS]) for n in range(CONNECTIONS)]:
            share.result()
    seconds = time.perf_counter() - start
    return Round(len(sent) / seconds, (cpu_of(port) - cpu) / len(sent) * 1e6)


def _send(port: int, requests: list[tuple[bytes, dict[str, str]]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        for body, headers in requests:
            connection.request("POST", PATH, body, headers)
            answer = connection.getresponse().read()
            if orjson.loads(answer) != {"success": True}:
                raise RuntimeError(f"webhooks: wanted every request accepted, got {answer[:200]!r}")
    finally:
        connection.close()


def collector_app(log: SqliteEventLog, registry: Registry) -> Starlette:
    """Every way in, as `simorgh serve` has them."""
    catalog, box = Catalog.load(), SecretBox(b"sixteen bytes ok")
    secret = sealed(box, "store", "s-1", "signing", SECRET, system_clock()).model_dump(mode="json")
    registry.declare("source", "store", {"vendor": "shopify", "channel": "pos", "secrets": [secret]}, "benchmark")
    budgets = Budgets(UNLIMITED, catalog)
    door = Door(b"sixteen bytes ok", "default", lambda: DEFAULT_RULES, catalog, random_id, budgets=budgets)
    metrics = CollectorMetrics(CollectorRegistry())
    app = FastAPI()
    router = collector_router(
        log, registry, door, catalog=catalog, clock=system_clock, metrics=metrics, budgets=budgets, box=box
    )
    add_collector(app, router)
    return app


def bare_app(log: SqliteEventLog, registry: Registry) -> Starlette:
    """Verify, parse, append; nothing else."""

    async def hear(request: Request) -> Response:
        body = await request.body()
        wanted = hmac.digest(SECRET.encode(), body, sha256)
        if not hmac.compare_digest(request.headers["x-shopify-hmac-sha256"], base64.b64encode(wanted).decode()):
            return Response(status_code=401)
        order: dict[str, Any] = orjson.loads(body)
        await asyncio.wrap_future(log.submit([(EVENTS, [(str(order["id"]).encode(), body)])]))
        return Response(b'{"success":true}', media_type="application/json")

    return Starlette(routes=[Route(PATH, hear, methods=["POST"])])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], Path(sys.argv[2]), bare_app, collector_app)
    else:
        main()
