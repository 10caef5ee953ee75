"""A collector on a real log, for tests: requests go in, parsed records come out."""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from eventlog.port import Record
from eventlog.sqlite import SqliteEventLog
from identity.rules import DEFAULT_RULES
from privacy.secret_box import SecretBox
from producers.door import Door
from producers.fetching import Get, get_past_the_guard
from producers.metrics import CollectorMetrics
from producers.router import collector_router
from producers.shortcut import add_collector
from registry.models import Source
from registry.registry import Registry
from schemas.catalog import Catalog
from schemas.clock import Clock, random_id
from schemas.topics import EVENTS, REJECTED

KEY: Final = "WRITE_KEY"
SECRET: Final = b"sixteen bytes ok"
NOW: Final = 1_795_288_300_000
"""2026-11-21T19:11:40Z, shortly after the captured requests were sent."""

CAPTURED: Final = Path(__file__).parent.parent / "data" / "clients"


def make_door(**changes: Any) -> Door:
    settings: dict[str, Any] = {
        "secret": SECRET,
        "workspace": "default",
        "rules": lambda: DEFAULT_RULES,
        "catalog": Catalog.load(),
        "new_id": random_id,
    }
    return Door(**{**settings, **changes})


def make_source(**changes: Any) -> Source:
    return Source(**{"id": "shop", **changes})


def basic(key: str = KEY, *, colon: bool = True) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}{':' if colon else ''}".encode()).decode()}


def captured(name: str) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = json.loads((CAPTURED / f"{name}.json").read_bytes())
    return requests


@dataclass
class World:
    app: FastAPI
    log: SqliteEventLog
    registry: Registry
    door: Door
    metrics: CollectorRegistry

    def send(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """`body`: bytes as they are, anything else as JSON. With the known key unless there are headers."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return asyncio.run(self._send(method, path, content, basic() if headers is None else headers, params))

    async def _send(
        self, method: str, path: str, content: bytes, headers: Any, params: Mapping[str, str] | None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://collector.test") as client:
            return await client.request(method, path, content=content, headers=headers, params=params)

    def resend(self, request: Mapping[str, Any]) -> httpx.Response:
        """A captured request, byte by byte."""
        return self.send(
            request["path"],
            base64.b64decode(request["body_base64"]),
            method=request["method"],
            headers=[(name, value) for name, value in request["headers"]],
            params=dict(request["query"]),
        )

    def events(self) -> list[dict[str, Any]]:
        return self._records(EVENTS)

    def rejected(self) -> list[dict[str, Any]]:
        return self._records(REJECTED)

    def logged(self) -> int:
        """How many events stand in the log, accepted and rejected."""
        return sum(self.log.ends(EVENTS)) + sum(self.log.ends(REJECTED))

    def _records(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in self._read(topic)]

    def _read(self, topic: str) -> list[Record]:
        partitions = range(len(self.log.ends(topic)))
        return [record for p in partitions for record in self.log.read(topic, p, 0, 100_000)]


@contextmanager
def world(
    folder: Path,
    *,
    clock: Clock = lambda: NOW,
    queue_limit: int = 100_000,
    box: SecretBox | None = None,
    get: Get = get_past_the_guard,
) -> Iterator[World]:
    log = SqliteEventLog(folder / "log.db", queue_limit=queue_limit)
    registry = Registry(log, clock, env_write_key=KEY)
    made, metrics, app = make_door(), CollectorRegistry(), FastAPI()
    add_collector(
        app,
        collector_router(
            log,
            registry,
            made,
            catalog=Catalog.load(),
            clock=clock,
            metrics=CollectorMetrics(metrics),
            box=box,
            get=get,
        ),
    )
    try:
        yield World(app, log, registry, made, metrics)
    finally:
        log.close()
