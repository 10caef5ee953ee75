"""The deployment in the settings, as one object that every command uses.

    Running      the server that has the folder open: over HTTP, at the address in `server.json`
    Free a folder that no process has open: opened by the command itself
    Elsewhere    a cluster, or a box on another machine: over HTTP, at SIMORGH_API

A cluster is never opened by a command: its workers own it.

The modules for opening a folder are imported late: they take a second and a half, which commands over HTTP save.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol
from urllib.parse import unquote

import httpx

from schemas import topics
from schemas.errors import Backpressure, Broken, Conflict, Denied, InvalidInput, InvalidSettings, NotFound, SimorghError
from simorgh import loglines
from simorgh.datadir import DataDir, ServerInfo, require_log_where_tables_are
from simorgh.settings import Settings

if TYPE_CHECKING:
    from producers.files.sinks import Sink
    from simorgh.platform import Platform

_TIMEOUT: Final = httpx.Timeout(300.0, connect=10.0)
_POLL_SECONDS: Final = 0.2

Progress = Callable[[int, int], None]
"""Told how many events are done, and of how many."""


class Session(Protocol):
    """A deployment, reached once for as many calls as a command makes.

    Raises `SimorghError` with one readable line, whatever goes wrong between here and there.
    """

    @property
    def follows(self) -> bool:
        """Whether events may arrive while the session lasts: a server runs."""
        ...

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One API call. Returns the JSON; None if there is none. `body`: bytes are JSON already."""
        ...

    def download(self, path: str, file: BinaryIO) -> None:
        """Write what a path answers into a file, as it comes."""
        ...

    @property
    def folder(self) -> Path | None:
        """The data folder, if it is on this machine."""
        ...

    def sink(self, channel: str, source: str | None = None) -> "AbstractContextManager[Sink]":
        """Where imported events go. `source`: the declared source that they are of; None: the importer's own."""
        ...

    def source(self, source: str | None = None) -> str:
        """The id of the source that a sink's events are of. Their ids are unique within it."""
        ...


class Deployment(Protocol):
    def session(self, *, create: bool = False) -> AbstractContextManager[Session]:
        """`create`: create one machine's folder if missing; otherwise raises `NotFound`."""
        ...

    def replay(self, progress: Progress) -> int:
        """Rebuild the projections; the generation that is live then. Blocks."""
        ...


def deployment_of(settings: Settings) -> Deployment:
    """The present deployment. Raises `InvalidSettings` for a cluster without an API address."""
    if settings.kafka is not None or settings.api:
        return Elsewhere(settings)
    server = DataDir(settings.data).server()
    return Running(server, settings.data) if server else Free(settings)


# ---- over HTTP


class _OverHttp:
    follows: Final = True

    def __init__(
        self, client: httpx.Client, collector: Callable[[], tuple[str, str]], folder: Path | None = None
    ) -> None:
        """`collector`: its address, and the write key to import with. `folder`: that of a server on this machine, whose
        key may send as any source."""
        self._client = client
        self._collector = collector
        self.folder = folder

    def call(self, method: str, path: str, body: object = None) -> Any:
        try:
            return _answer(self._client.request(method, path, **_content(body)))
        except httpx.TransportError as error:
            raise unreachable(str(self._client.base_url).rstrip("/"), error) from None

    def download(self, path: str, file: BinaryIO) -> None:
        try:
            with self._client.stream("GET", path) as answer:
                if answer.is_error:
                    answer.read()
                    _answer(answer)
                for piece in answer.iter_bytes():
                    file.write(piece)
        except httpx.TransportError as error:
            raise unreachable(str(self._client.base_url).rstrip("/"), error) from None

    @contextmanager
    def sink(self, channel: str, source: str | None = None) -> "Iterator[Sink]":
        from producers.files.sinks import HttpSink

        url, key = self._collector()
        with HttpSink(url, key, source=self._chosen(source)) as sink:
            try:
                yield sink
            except httpx.TransportError as error:
                raise unreachable(url, error) from None

    def source(self, source: str | None = None) -> str:
        return self._chosen(source) or source_of_key(*self._collector())

    def _chosen(self, source: str | None) -> str | None:
        """None: the key's own source. Raises `InvalidInput` if the key is that of another one."""
        if source is None or self.folder is not None:
            return source
        own = source_of_key(*self._collector())
        if own != source:
            raise InvalidInput(
                f"import: wanted a write key of the source {source}, got one of {own}; set SIMORGH_WRITE_KEY to a key"
                f" of {source}"
            )
        return None


class Running:
    """The server on this machine that has the folder open."""

    def __init__(self, server: ServerInfo, folder: Path) -> None:
        self._server = server
        self._folder = folder

    @contextmanager
    def session(self, *, create: bool = False) -> Iterator[Session]:
        with _client(self._server.url, self._server.token) as client:
            yield _OverHttp(client, lambda: (self._server.url, self._server.token), self._folder)

    def replay(self, progress: Progress) -> int:
        with self.session() as session:
            return _replay(session, progress)


class Elsewhere:
    """A cluster, or a box on another machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def session(self, *, create: bool = False) -> Iterator[Session]:
        with _client(*self._api()) as client:
            yield _OverHttp(client, lambda: collector_of(self._settings))

    def replay(self, progress: Progress) -> int:
        with self.session() as session:
            return _replay(session, progress)

    def _api(self) -> tuple[str, str]:
        if not self._settings.api:
            raise InvalidSettings(
                "SIMORGH_API: wanted the address of the cluster's API, since SIMORGH_LOG names a cluster's log, got"
                " none; set SIMORGH_API=http://host:port and SIMORGH_API_TOKEN"
            )
        if self._settings.api_token is None:
            raise InvalidSettings("SIMORGH_API_TOKEN: wanted a token for SIMORGH_API, got none; set it")
        return self._settings.api, self._settings.api_token.get_secret_value()


def collector_of(settings: Settings) -> tuple[str, str]:
    """Address and write key to import with. A box serves both at one address, a cluster's API takes no events."""
    collector = settings.collector or ("" if settings.kafka else settings.api)
    if not collector or settings.write_key is None:
        raise InvalidSettings(
            "import: wanted the collector's address and a write key, got only one or none; set"
            " SIMORGH_COLLECTOR=http://host:port and SIMORGH_WRITE_KEY"
        )
    return collector, settings.write_key.get_secret_value()


def source_of_key(collector: str, key: str) -> str:
    """The id of a write key's source. Only the collector knows it: keys are declared, or its own setting. Raises
    `SimorghError` if the key is unknown, or the address is not a collector's.
    """
    try:
        told = _answer(httpx.get(f"{collector}/v1/source", auth=(key, ""), timeout=_TIMEOUT))
    except httpx.TransportError as error:
        raise unreachable(collector, error) from None
    except Denied:
        raise Denied(
            f"{collector}: wanted a known write key, got an unknown one; set SIMORGH_WRITE_KEY to a key of a source"
            " (`simorgh sources list`), or create one with `simorgh sources create`",
            code="unknown_write_key",
        ) from None
    except NotFound as error:
        if error.code == "source_disabled":
            raise
        raise NotFound(
            f"{collector}: wanted a collector, got a server that accepts no events; set SIMORGH_COLLECTOR to a"
            " collector's address"
        ) from None
    return str(told["id"])


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=_TIMEOUT, headers={"authorization": f"Bearer {token}"})


def unreachable(url: str, error: httpx.TransportError) -> SimorghError:
    """The meaning of a call without an answer, in one line."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ReadTimeout):
        came, todo = "none in time", "try again later, it may be overloaded"
    elif isinstance(error, httpx.ConnectError):
        came, todo = "no connection", "check that it runs, and that this is its address"
    else:
        came, todo = "a broken connection", "try again, it may have been stopped"
    return Backpressure(f"{url}: wanted an answer, got {came}; {todo}", code="unreachable")


def _content(body: object) -> dict[str, Any]:
    if body is None:
        return {}
    if isinstance(body, bytes):
        return {"content": body, "headers": {"content-type": "application/json"}}
    return {"json": body}


_ERRORS: Final[dict[int, type[SimorghError]]] = {
    401: Denied,
    403: Denied,
    404: NotFound,
    409: Conflict,
    429: Backpressure,
    500: Broken,
    502: Backpressure,
    503: Backpressure,
    504: Backpressure,
}


def _answer(answer: httpx.Response) -> Any:
    try:
        found = answer.json() if answer.content else None
    except ValueError:
        raise Broken(
            f"{answer.request.url.copy_with(path='/', query=None)}: wanted JSON, got something else (status"
            f" {answer.status_code}); check that this is Simorgh's API"
        ) from None
    if not answer.is_error:
        return found
    problem = found if isinstance(found, dict) else {}
    says = str(problem.get("detail") or problem.get("title") or f"answered with status {answer.status_code}")
    errors = [one for one in problem.get("errors") or [] if str(one.get("message")) not in says]
    places = [f"{one.get('path') or 'body'}: {one.get('message')}" for one in errors]
    kind = _ERRORS.get(answer.status_code, InvalidInput)
    raise kind("; ".join([says, *places]), code=problem.get("code"))


def _replay(session: Session, progress: Progress) -> int:
    try:
        state = session.call("POST", "/v1/replay")
    except Conflict as error:
        if error.code != "replay_running":
            raise
        state = session.call("GET", "/v1/replay")  # begun by another call of this command, which may be gone
    while state["state"] == "running":
        progress(state["done"], state["total"])
        time.sleep(_POLL_SECONDS)
        state = session.call("GET", "/v1/replay")
    if state["state"] != "done":
        raise Broken(
            "replay: wanted a finished replay, got a failure; see the server's log, the live tables are intact"
        )
    return int(state["generation"])


# ---- in this process


@contextmanager
def opened(settings: Settings, purpose: str = "this command") -> "Iterator[Platform]":
    """The folder, opened by this process and caught up with its log."""
    from simorgh.platform import Platform

    loglines.begin_of_command(settings)
    platform = Platform(settings, purpose)
    try:
        platform.recover()
        yield platform
    finally:
        platform.close()


class _Here:
    """The folder is open in this process, and its projections run."""

    follows: Final = False

    def __init__(self, platform: "Platform", loop: asyncio.Runner, folder: Path) -> None:
        self._platform = platform
        self.folder: Path | None = folder
        self._loop = loop
        self._app = platform.app()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app),
            base_url="http://here",
            timeout=_TIMEOUT,
            headers={"authorization": f"Bearer {platform.local_token}"},
        )

    def end(self) -> None:
        """As a server that stops: the audit loses nothing."""
        from profile_api.recording import settle

        self._loop.run(settle(self._app))

    def call(self, method: str, path: str, body: object = None) -> Any:
        return _answer(self._loop.run(self._client.request(method, path, **_content(body))))

    def download(self, path: str, file: BinaryIO) -> None:
        self._loop.run(self._download(path, file))

    async def _download(self, path: str, file: BinaryIO) -> None:
        """Spoken to the app itself: httpx would first gather all of the answer."""
        where, _, query = path.partition("?")
        authorization = self._client.headers["authorization"].encode()
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": unquote(where), "raw_path": where.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(b"host", b"here"), (b"authorization", authorization)], "server": ("here", 80),
            "client": ("127.0.0.1", 0),
        }  # fmt: skip
        status, problem, asked = 0, b"", False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # a client that stays
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, problem
            if message["type"] == "http.response.start":
                status = message["status"]
            elif status < 400:
                file.write(message.get("body", b""))
            else:
                problem += message.get("body", b"")

        await self._app(scope, receive, send)
        if status >= 400:
            _answer(httpx.Response(status, content=problem, request=httpx.Request("GET", f"http://here{path}")))

    @contextmanager
    def sink(self, channel: str, source: str | None = None) -> "Iterator[Sink]":
        from producers.files.local import LocalSink
        from registry.models import UNLIMITED
        from registry.registry import FILES_SOURCE
        from schemas.catalog import Catalog
        from schemas.clock import system_clock

        platform = self._platform
        own = platform.registry.authenticate_write_key(platform.local_token)
        if own is None:
            raise Broken("import: wanted this process's own key, got an unknown one; report this")
        if source is None:
            files = own.model_copy(update={"id": FILES_SOURCE, "channel": channel})
        elif (declared := platform.registry.sources.get(source)) is None:
            raise NotFound(f"import: wanted a declared source, got {source!r}; see `simorgh sources list`")
        else:
            files = declared.model_copy(update={"channel": channel, "budget": UNLIMITED})
        yield LocalSink(platform.door, platform.log, Catalog.load(), files, system_clock)
        self._settle()

    def source(self, source: str | None = None) -> str:
        from registry.registry import FILES_SOURCE

        return source or FILES_SOURCE

    def _settle(self) -> None:
        """Wait until the projections have processed everything sent, unless they have stopped."""
        from simorgh.positions import PROJECTIONS

        log = self._platform.log
        ends = log.ends(topics.EVENTS)
        while any(map(int.__lt__, log.committed(PROJECTIONS, topics.EVENTS), ends)):
            if self._platform.runner.failure is not None:
                return
            time.sleep(_POLL_SECONDS / 4)


class Free:
    """A folder that no process has open. No other can open it during a session."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def session(self, *, create: bool = False) -> Iterator[Session]:
        if not create:
            require_there(self._settings)
        with opened(self._settings) as platform, asyncio.Runner() as loop:
            platform.runner.start()
            here = _Here(platform, loop, self._settings.data)
            try:
                yield here
            finally:
                here.end()

    def replay(self, progress: Progress) -> int:
        require_there(self._settings)
        with opened(self._settings, "replay") as platform:
            platform.replay(progress, live=False)
            return platform.generation


def require_there(settings: Settings) -> None:
    """Raises `NotFound` if there is no data folder, so that a typing error creates nothing."""
    if settings.kafka is not None:
        return
    require_log_where_tables_are(settings.data, settings.log_path)
    if not settings.log_path.exists():
        raise NotFound(
            f"{settings.data}: wanted a data folder, got one without {settings.log_path}; fix --data or"
            f" SIMORGH_DATA, or create a folder with `simorgh serve --data {settings.data}`",
            code="no_data_folder",
        )
