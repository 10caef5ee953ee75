"""`simorgh serve`: everything in one process, until it is told to stop."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from simorgh import __version__, loglines
from simorgh.counts import MinuteCounts
from simorgh.front import Stop, binds, run_app
from simorgh.interpreter import tune_interpreter
from simorgh.keys import first_keys
from simorgh.logs import OneBox
from simorgh.platform import Platform
from simorgh.settings import Settings
from simorgh.watching import Watchers

SHORTEST_SECRET: Final = 16
"""Characters of an API token or write key that is given by a setting, below which a line warns."""

_MERGES_NICE: Final = 10
_LOG = logging.getLogger(__name__)


def serve(settings: Settings, host: str, port: int, ready: Callable[[str], None] = lambda url: None) -> None:
    """Open the folder, listen, and run until SIGINT or SIGTERM. `ready` is called with the URL once requests are taken.

    The sockets are opened before the folder, so that a port in use is an error before anything was changed.
    """
    OneBox(settings, "serve")
    loglines.begin(settings)
    tune_interpreter()
    opened = binds(settings, host, port, api=True)
    inside = opened[1] if settings.api_bind else opened[0]
    platform = Platform(settings, "serve")
    warn_of_short_secrets(settings)
    calm_merges()
    counts = MinuteCounts(platform.log)
    watchers = Watchers(settings)
    platform.warehouse.settle()
    try:
        first_keys(platform.registry, settings)
        platform.folder.announce(inside.url, platform.local_token)
        platform.start()
        counts.start()
        _LOG.info("starts: version %s, process %d, data in %s", __version__, os.getpid(), settings.data)
        stop = Stop([platform.folder.withdraw, platform.heavy.close, watchers.stop], platform.warehouse.interrupt)

        def serves() -> None:
            ready(opened[0].url)
            watchers.start()

        run_app(platform.app(stop.asked.is_set), opened, serves, settings, platform.metrics, stop)
        _LOG.info("stops: was told to")
    finally:
        counts.stop()
        platform.folder.withdraw()
        platform.close()
        _LOG.info("stopped: the log and the tables are closed")
        loglines.end()


def warn_of_short_secrets(settings: Settings) -> None:
    """A given secret is used as it is; a guessable one gets a warning."""
    for name in ("api_token", "write_key"):
        given = getattr(settings, name)
        if given is not None and len(given.get_secret_value()) < SHORTEST_SECRET:
            _LOG.warning(
                "SIMORGH_%s: wanted at least %d characters, got fewer; it can be guessed. `openssl rand -hex 32` makes"
                " one, or unset it and let `simorgh serve` make one",
                name.upper(),
                SHORTEST_SECRET,
            )


def calm_merges() -> None:
    """Give the embedded engine's background merges a lower priority than queries. Linux only; else nothing.

    Priorities are per thread there; the engine names its merging threads.
    """
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError):
            if (task / "comm").read_text().startswith("MergeMutate"):
                os.setpriority(os.PRIO_PROCESS, int(task.name), _MERGES_NICE)
