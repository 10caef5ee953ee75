"""What commands do with a data folder: speak to the server that has it open, or open it themselves."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from eventlog.port import EventLog
from producers.files.local import LocalSink
from producers.files.sinks import HttpSink, Sink
from registry.registry import FILES_SOURCE
from schemas.catalog import Catalog
from schemas.clock import system_clock
from schemas.errors import Broken, InvalidInput
from simorgh.datadir import DataDir
from simorgh.logs import open_log
from simorgh.platform import Platform, open_warehouse
from simorgh.settings import Settings
from stream_processors import generation
from warehouse.ddl import table_names

_TIMEOUT = 300.0


@contextmanager
def opened(settings: Settings) -> Iterator[Platform]:
    """The folder, opened by this process and caught up with its log."""
    platform = Platform(settings)
    try:
        platform.recover()
        yield platform
    finally:
        platform.close()


@contextmanager
def open_sink(settings: Settings, channel: str) -> Iterator[Sink]:
    """Where imported events go: the running server, or the folder's log (and then its projections)."""
    server = DataDir(settings.data).server()
    if server:
        with HttpSink(server.url, server.token) as sink:
            yield sink
        return
    with opened(settings) as platform:
        source = platform.registry.authenticate_write_key(platform.local_token)
        if source is None:
            raise Broken("import: this process does not know its own key")
        yield LocalSink(
            platform.door,
            platform.log,
            Catalog.load(),
            source.model_copy(update={"id": FILES_SOURCE, "channel": channel}),
            system_clock,
        )
        platform.runner.drain()


def call(settings: Settings, method: str, path: str, body: object = None) -> Any:
    """One API call, over HTTP to the running server or in this process. Answers the JSON; raises on a problem."""
    server = DataDir(settings.data).server()
    if server:
        with httpx.Client(base_url=server.url, timeout=_TIMEOUT) as client:
            return _call(client, server.token, method, path, body)
    with opened(settings) as platform:
        platform.runner.start()
        return _answer(asyncio.run(_call_here(platform, method, path, body)))


async def _call_here(platform: Platform, method: str, path: str, body: object) -> httpx.Response:
    transport = httpx.ASGITransport(platform.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=_TIMEOUT) as client:
        return await client.request(method, path, **_request(platform.local_token, body))


def _call(client: httpx.Client, token: str, method: str, path: str, body: object) -> Any:
    return _answer(client.request(method, path, **_request(token, body)))


def _request(token: str, body: object) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"}
    return {"headers": headers, "content": body} if isinstance(body, bytes) else {"headers": headers, "json": body}


def _answer(answer: httpx.Response) -> Any:
    if answer.is_error:
        problem = answer.json()
        raise InvalidInput(str(problem.get("detail") or problem.get("title")), code=str(problem.get("code")))
    return answer.json() if answer.content else None


def replay(settings: Settings, progress: Callable[[int, int], None]) -> int:
    """Rebuild the projections, in the running server or here; returns the generation that is live then."""
    server = DataDir(settings.data).server()
    if server:
        return _remote_replay(server.url, server.token, progress)
    with opened(settings) as platform:
        platform.replay(progress, live=False)
        return platform.generation


def _remote_replay(url: str, token: str, progress: Callable[[int, int], None]) -> int:
    with httpx.Client(base_url=url, timeout=_TIMEOUT) as client:
        state = _call(client, token, "POST", "/v1/replay", None)
        while state["state"] == "running":
            progress(state["done"], state["total"])
            state = _call(client, token, "GET", "/v1/replay", None)
    if state["state"] != "done":
        raise Broken("replay: failed in the server; its log says why, the live generation is untouched")
    return int(state["generation"])


def migrate(settings: Settings) -> str:
    """Create the tables of the live generation that are missing; says where. The folder must be free."""
    log = _migrated_log(settings)
    warehouse = open_warehouse(settings)
    try:
        number = generation.current(log)
        warehouse.migrate(number)
    finally:
        warehouse.close()
        log.close()
    return f"{len(table_names())} tables in {warehouse.database(number)} at {warehouse.address}"


def _migrated_log(settings: Settings) -> EventLog:
    """The log that the settings name; on Kafka its topics are made."""
    if settings.kafka:
        return open_log(settings)
    folder = DataDir(settings.data).create()
    folder.require_free()
    return open_log(settings)
