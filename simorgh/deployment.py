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
from schemas.errors import Broken, Conflict, InvalidSettings, NotFound
from simorgh import loglines
from simorgh.datadir import DataDir, ServerInfo, require_log_where_tables_are
from simorgh.over_http import TIMEOUT, OverHttp, client_of, collector_of, content_of, read_answer
from simorgh.settings import Settings

if TYPE_CHECKING:
    from producers.files.sinks import Sink
    from simorgh.platform import Platform
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


class Running:
    """The server on this machine that has the folder open."""

    def __init__(self, server: ServerInfo, folder: Path) -> None:
        self._server = server
        self._folder = folder

    @contextmanager
    def session(self, *, create: bool = False) -> Iterator[Session]:
        with client_of(self._server.url, self._server.token) as client:
            yield OverHttp(client, lambda: (self._server.url, self._server.token), self._folder)

    def replay(self, progress: Progress) -> int:
        with self.session() as session:
            return _replay(session, progress)


class Elsewhere:
    """A cluster, or a box on another machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def session(self, *, create: bool = False) -> Iterator[Session]:
        with client_of(*self._api()) as client:
            yield OverHttp(client, lambda: collector_of(self._settings))

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
            timeout=TIMEOUT,
            headers={"authorization": f"Bearer {platform.local_token}"},
        )

    def end(self) -> None:
        """As a server that stops: the audit loses nothing."""
        from profile_api.recording import settle

        self._loop.run(settle(self._app))

    def call(self, method: str, path: str, body: object = None) -> Any:
        return read_answer(self._loop.run(self._client.request(method, path, **content_of(body))))

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
            read_answer(httpx.Response(status, content=problem, request=httpx.Request("GET", f"http://here{path}")))

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
        log = self._platform.log
        ends = log.ends(topics.EVENTS)
        while any(map(int.__lt__, log.committed(topics.PROJECTIONS, topics.EVENTS), ends)):
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
