"""`simorgh serve`: everything in one process, until it is told to stop."""

import errno
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from schemas.errors import InvalidSettings
from simorgh import __version__, loglines
from simorgh.counts import MinuteCounts
from simorgh.keys import first_keys
from simorgh.logs import OneBox
from simorgh.platform import Platform
from simorgh.settings import Settings

_LOG = logging.getLogger(__name__)
_MERGES_NICE: Final = 10


def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None] = lambda url: None) -> None:
    """Open the folder, listen, and run until SIGINT or SIGTERM. `ready` is called with the URL once requests are taken.

    The socket is opened before the folder, so that a port in use is an error before anything was changed.
    """
    OneBox(settings, "serve")
    loglines.begin(settings)
    tune_interpreter()
    listener = listen(host, port)
    url = f"http://{host}:{listener.getsockname()[1]}"
    platform = Platform(settings, "serve")
    calm_merges()
    counts = MinuteCounts(platform.log)
    try:
        first_keys(platform.registry, settings)
        platform.folder.announce(url, platform.local_token)
        platform.start()
        counts.start()
        _LOG.info("starts: version %s, process %d, data in %s", __version__, os.getpid(), settings.data)
        run_app(platform.app(), listener, lambda: ready(url))
        _LOG.info("stops: was told to")
    finally:
        counts.stop()
        platform.folder.withdraw()
        platform.close()
        _LOG.info("stopped: the log and the tables are closed")
        loglines.end()


def run_app(app: FastAPI, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Take requests until SIGINT or SIGTERM; those under way then have five seconds."""
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    _Server(config, ready).run(sockets=[listener])


def tune_interpreter() -> None:
    """For one process with a busy event loop and a busy processor thread beside it.

    Batches make many short-lived containers: collecting them every 700 allocations costs a third of the throughput.
    And a thread that waits for the interpreter waits a switch interval each time, which group commits and views feel.
    """
    gc.set_threshold(100_000, 20, 50)
    gc.freeze()
    sys.setswitchinterval(0.0001)


def calm_merges() -> None:
    """Let the embedded engine's background merges give way to whoever waits for an answer. Linux only; else nothing.

    Priorities are per thread there; the engine names its merging threads.
    """
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError):
            if (task / "comm").read_text().startswith("MergeMutate"):
                os.setpriority(os.PRIO_PROCESS, int(task.name), _MERGES_NICE)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down in order on SIGINT and SIGTERM. Uvicorn raises the signal again before the folder is closed."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def listen(host: str, port: int) -> socket.socket:
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
            why = f"port {port} on {host} is in use by another program; stop it, or name another port: --port"
        case errno.EACCES:
            why = f"port {port} is for root only; name one above 1023: --port"
        case _:
            why = f"{host} is no address of this machine; name one that is, or 127.0.0.1: --host"
    return InvalidSettings(f"cannot listen: {why}", code="cannot_listen")
