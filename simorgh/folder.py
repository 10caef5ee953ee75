"""What commands do with a data folder: speak to the server that has it open, or open it themselves."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from producers.files.local import LocalSink
from producers.files.sinks import HttpSink, Sink
from registry.registry import FILES_SOURCE
from schemas.catalog import Catalog
from schemas.clock import system_clock
from schemas.errors import Backpressure, Broken, Conflict, Denied, InvalidInput, NotFound, SimorghError
from simorgh.datadir import DataDir
from simorgh.logs import open_log
from simorgh.platform import Platform, open_warehouse
from simorgh.settings import Settings
from stream_processors import generation
from warehouse.connect import is_server
from warehouse.ddl import table_names

_TIMEOUT = 300.0
_POLL_SECONDS = 0.2


@contextmanager
def opened(settings: Settings) -> Iterator[Platform]:
    """The folder, opened by this process and caught up with its log."""
    platform = Platform(settings)
    try:
        platform.recover()
        yield platform
    finally:
        platform.close()


class Session:
    """One deployment, reached once for as many calls as a command makes."""

    def __init__(self, request: Callable[[str, str, dict[str, Any]], httpx.Response], token: str) -> None:
        self._request = request
        self._token = token
        self.follows = False
        """Whether events may arrive while the session lasts: a server runs."""

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One API call. Answers the JSON; raises the `SimorghError` that a problem stands for."""
        headers = {"authorization": f"Bearer {self._token}"}
        given = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        if isinstance(body, bytes):
            headers["content-type"] = "application/json"
        try:
            return _answer(self._request(method, path, {"headers": headers, **given}))
        except httpx.TransportError as error:
            raise Backpressure(
                f"the server of this data folder does not answer ({type(error).__name__}); "
                "wait until it does, or start it again",
                code="no_answer",
            ) from error

    @contextmanager
    def sink(self, channel: str) -> Iterator[Sink]:
        """Where imported events go."""
        raise NotImplementedError


class _Remote(Session):
    def __init__(self, client: httpx.Client, token: str) -> None:
        super().__init__(lambda method, path, given: client.request(method, path, **given), token)
        self._client = client
        self.follows = True

    @contextmanager
    def sink(self, channel: str) -> Iterator[Sink]:
        with HttpSink(str(self._client.base_url), self._token) as sink:
            yield sink


class _Here(Session):
    """The folder is open in this process, its projections run beside."""

    def __init__(self, platform: Platform, loop: asyncio.Runner) -> None:
        transport = httpx.ASGITransport(platform.app())
        client = httpx.AsyncClient(transport=transport, base_url="http://here", timeout=_TIMEOUT)
        super().__init__(
            lambda method, path, given: loop.run(client.request(method, path, **given)), platform.local_token
        )
        self._platform = platform

    @contextmanager
    def sink(self, channel: str) -> Iterator[Sink]:
        source = self._platform.registry.authenticate_write_key(self._platform.local_token)
        if source is None:
            raise Broken("import: this process does not know its own key")
        here = source.model_copy(update={"id": FILES_SOURCE, "channel": channel})
        yield LocalSink(self._platform.door, self._platform.log, Catalog.load(), here, system_clock)


@contextmanager
def session(settings: Settings, *, create: bool = False) -> Iterator[Session]:
    """The running server of the folder, or the folder itself, open in this process until the end.

    `create`: make the folder where there is none; without it that is `NotFound`.
    """
    folder = DataDir(settings.data)
    if server := folder.server():
        with httpx.Client(base_url=server.url, timeout=_TIMEOUT) as client:
            yield _Remote(client, server.token)
        return
    if not create:
        require_there(settings)
    with opened(settings) as platform, asyncio.Runner() as loop:
        platform.runner.start()
        yield _Here(platform, loop)


def require_there(settings: Settings) -> None:
    """Raises `NotFound` where there is no data folder: nothing is made by a typing error."""
    if settings.kafka is None and not settings.log_path.exists():
        raise NotFound(
            f"{settings.data}: no data folder (it holds no log); correct --data or SIMORGH_DATA, "
            f"or make one with `simorgh serve --data {settings.data}`",
            code="no_data_folder",
        )


def call(settings: Settings, method: str, path: str, body: object = None) -> Any:
    """One API call, over HTTP to the running server or in this process. Answers the JSON; raises on a problem."""
    with session(settings) as here:
        return here.call(method, path, body)


_KINDS: dict[int, type[SimorghError]] = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 503: Backpressure}


def _answer(answer: httpx.Response) -> Any:
    if not answer.is_error:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    says = str(problem.get("detail") or problem.get("title") or f"answered {answer.status_code}")
    places = [f"{one.get('path') or 'body'}: {one.get('message')}" for one in problem.get("errors") or []]
    kind = _KINDS.get(answer.status_code, InvalidInput)
    raise kind("; ".join([says, *[place for place in places if place not in says]]), code=problem.get("code"))


def replay(settings: Settings, progress: Callable[[int, int], None]) -> int:
    """Rebuild the projections, in the running server or here; returns the generation that is live then."""
    if DataDir(settings.data).server():
        with session(settings) as there:
            return _remote_replay(there, progress)
    require_there(settings)
    with opened(settings) as platform:
        platform.replay(progress, live=False)
        return platform.generation


def _remote_replay(there: Session, progress: Callable[[int, int], None]) -> int:
    state = there.call("POST", "/v1/replay")
    while state["state"] == "running":
        progress(state["done"], state["total"])
        time.sleep(_POLL_SECONDS)
        state = there.call("GET", "/v1/replay")
    if state["state"] != "done":
        raise Broken("replay: failed in the server; its log says why, the live generation is untouched")
    return int(state["generation"])


def migrate(settings: Settings) -> str:
    """Create the tables of the live generation that are missing; says where. The folder must be free."""
    warehouse = open_warehouse(settings)
    try:
        number = _live_generation(settings)
        warehouse.migrate(number)
    finally:
        warehouse.close()
    return f"{len(table_names())} tables in {warehouse.database(number)} at {warehouse.address}"


def _live_generation(settings: Settings) -> int:
    """As the log says; on Kafka its topics are made. A server may have its tables before there is a folder."""
    if settings.kafka is None:
        if is_server(settings.warehouse_dsn) and not settings.log_path.exists():
            return 1
        require_there(settings)
        DataDir(settings.data).require_free()
    log = open_log(settings)
    try:
        return generation.current(log)
    finally:
        log.close()
