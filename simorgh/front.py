"""The HTTP server around an app: its addresses, the parts that each one shows, and its end."""

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Final, Literal

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.http import problem
from producers.router import is_collectors
from schemas.errors import InvalidSettings
from simorgh.listener import HttpConnection, Limits, ListenerMetrics, Places, connections_allowed, spare_descriptors
from simorgh.settings import Settings
from simorgh.settings_values import read_bind

_LOG = logging.getLogger(__name__)

Face = Literal["collector", "api", "metrics"]

_EVERYTHING: Final[frozenset[Face]] = frozenset({"collector", "api", "metrics"})
FEW_DESCRIPTORS: Final = 300

ACCEPTORS: Final = 8
"""uvloop takes one connection of a listener in a turn of its loop. With hundreds of new connections and work in each
turn, the last one waited 0.6 s; with eight copies of the listener it accepts eight in a turn."""

_HEALTH: Final = frozenset({"/healthz", "/readyz"})


@dataclass(frozen=True, slots=True)
class Bind:
    """A listening socket and the parts that it shows; health is shown everywhere."""

    listener: socket.socket
    faces: frozenset[Face] = _EVERYTHING

    @property
    def url(self) -> str:
        return url_of(self.listener)


def listen(host: str, port: int) -> socket.socket:
    """A socket that will listen there. Raises `InvalidSettings` for an address that is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from None
    listener.set_inheritable(True)
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> InvalidSettings:
    """In words: an errno alone names neither address nor port."""
    match error.errno:
        case errno.EADDRINUSE:
            why = (
                f"--port: wanted a free port on {host}, got {port}, which is in use; stop its program, or name another"
            )
        case errno.EACCES:
            why = f"--port: wanted a port above 1023, got {port}, which is for root only; name another"
        case _:
            why = f"--host: wanted an address of this machine, got {host}; name one, or 127.0.0.1"
    return InvalidSettings(f"listen: {why}", code="cannot_listen")


def more(listener: socket.socket) -> list[socket.socket]:
    return [listener.dup() for _ in range(ACCEPTORS - 1)]


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def binds(settings: Settings, host: str, port: int, *, api: bool = False) -> list[Bind]:
    """The public address first. With `api`, the API may be moved away from it by SIMORGH_API_BIND."""
    public: set[Face] = set(_EVERYTHING)
    moved: list[tuple[str, set[Face]]] = []
    if api and settings.api_bind:
        public -= {"api", "metrics"}
        moved.append((settings.api_bind, {"collector", "api"} if settings.metrics_bind else set(_EVERYTHING)))
    if settings.metrics_bind:
        public -= {"metrics"}
        moved.append((settings.metrics_bind, {"metrics"}))
    opened = [Bind(listen(host, port), frozenset(public))]
    opened += [Bind(listen(*read_bind(where)), frozenset(faces)) for where, faces in moved]
    return opened


class Faces:
    """Shows at each address its parts. Paths that are not the collector's belong to the API."""

    def __init__(self, app: ASGIApp, opened: Sequence[Bind]) -> None:
        self._app = app
        self._faces: Mapping[object, frozenset[Face]] = {key: bind.faces for bind in opened for key in _keys(bind)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _HEALTH:
            host, port = scope["server"]
            shown = self._faces.get((host, port)) or self._faces.get(port, frozenset())
            if _face_of(scope["method"], scope["path"]) not in shown:
                answer = problem(404, "not_found", "This address does not serve this path.")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _keys(bind: Bind) -> list[object]:
    """How its address may be called: one that takes connections to all of the machine's has its port alone."""
    host, port = bind.listener.getsockname()[:2]
    return [port] if host in ("0.0.0.0", "::") else [(host, port)]


def _face_of(method: str, path: str) -> Face:
    if path == "/metrics":
        return "metrics"
    return "collector" if is_collectors(method, path) else "api"


class Proxies(Container[str]):
    """The trusted proxies' addresses."""

    def __init__(self, listed: str) -> None:
        self._networks = [ip_network(one.strip()) for one in listed.split(",") if one.strip()]

    def __contains__(self, address: object) -> bool:
        try:
            return any(ip_address(str(address)) in network for network in self._networks)
        except ValueError:
            return False


def limits(settings: Settings) -> Limits:
    """Raises this process's limit of open files. Call it after permanent files are open."""
    spare = spare_descriptors()
    most = connections_allowed(settings.http_connections, spare)
    if spare < FEW_DESCRIPTORS:
        _LOG.warning("only %d more files may be opened, so %d connections are taken: raise `ulimit -n`", spare, most)
    return Limits(
        connections=most,
        per_address=settings.http_connections_per_address or most * 3 // 4,
        head_bytes=settings.http_header_bytes,
        head_seconds=settings.http_header_seconds,
        body_seconds=settings.http_body_seconds,
        idle_seconds=settings.http_idle_seconds,
    )


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the process: `at_once`, and after half of the time `interrupt`, to cancel what still runs; both in a
    thread. At the end of the time the process exits anyway, which loses nothing, like a crash."""

    at_once: list[Callable[[], None]] = field(default_factory=list)
    interrupt: Callable[[], None] = lambda: None
    asked: threading.Event = field(default_factory=threading.Event)

    def begin(self, seconds: float) -> None:
        """For a signal's handler: takes no lock that the interrupted code may hold."""
        if not self.asked.is_set():
            self.asked.set()
            threading.Thread(target=self._watch, args=(seconds,), name="stop", daemon=True).start()

    def _watch(self, seconds: float) -> None:
        for act in self.at_once:
            act()
        pause = threading.Event()
        pause.wait(seconds / 2)
        try:
            self.interrupt()
        except Exception as error:
            _LOG.warning("stop: what still runs could not be interrupted (%s)", type(error).__name__)
        pause.wait(seconds / 2)
        _LOG.warning("stop: something was busy for %g s still and was left as it is; nothing is lost", seconds)
        logging.shutdown()
        os._exit(0)


def run_app(
    app: FastAPI,
    opened: Sequence[Bind],
    ready: Callable[[], None],
    settings: Settings,
    metrics: CollectorRegistry,
    stop: Stop | None = None,
) -> None:
    """Take requests until SIGINT or SIGTERM; those under way may then end, within half of SIMORGH_STOP_SECONDS."""
    stop = stop or Stop()
    places = Places(limits(settings), Proxies(settings.trusted_proxies))
    ListenerMetrics(places).register(metrics)
    config = uvicorn.Config(
        Faces(app, opened) if len(opened) > 1 else app,
        http=partial(HttpConnection, places),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        log_level="error",  # what strangers send is counted, not logged
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or "",
        timeout_keep_alive=settings.http_idle_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=max(1, int(settings.stop_seconds / 2) - 1),
    )
    _Server(config, places, ready, partial(stop.begin, settings.stop_seconds)).run(
        [listener for bind in opened for listener in (bind.listener, *more(bind.listener))]
    )


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, places: Places, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._places = places
        self._ready = ready
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down in order on SIGINT and SIGTERM. Uvicorn raises the signal again before the folder is closed."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        super().handle_exit(sig, frame)  # type: ignore[arg-type]
        self._stopping()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 10 == 0:
            self._places.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)
