"""The work of `simorgh watch`, and of SIMORGH_WATCH in `simorgh serve`: a watcher for each folder or URL."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress

from producers.files.mapping import Mapping, load_mapping
from producers.files.report import Report
from producers.watched.folder import SETTLE_S, WatchedFolder
from producers.watched.port import Arrival, WatchedSource
from producers.watched.url import WatchedUrl
from producers.watched.watcher import Watcher
from schemas.clock import system_clock
from schemas.errors import InvalidInput, SimorghError
from simorgh.commands.session import connect
from simorgh.fetching import GuardedFetch
from simorgh.importing import import_into, wait_until_visible
from simorgh.settings import Settings
from simorgh.settings_values import Watch

_STOP_S: Final = 2.0
_LOG: Final = logging.getLogger(__name__)


def is_url(where: str) -> bool:
    return "://" in where


def watcher_of(settings: Settings, watch: Watch, **more: Any) -> tuple[WatchedSource, Watcher]:
    """Raises `SimorghError` if the folder cannot be watched, or a mapping is faulty."""
    for one in watch.mappings:
        load_mapping(one)  # before anything is made in the folder
    watched: WatchedSource
    if is_url(watch.where):
        headers = {name: value.get_secret_value() for name, value in watch.headers.items()}
        fetch = GuardedFetch(headers, allow_private=settings.allow_private_webhooks)
        watched = WatchedUrl(watch.where, settings.data / "imports" / "urls", fetch, watch.every_seconds)
    else:
        watched = WatchedFolder(Path(watch.where))
    try:
        return watched, Watcher(
            watched, list(watch.mappings), _Importer(settings.data), watch.max_refused, system_clock, **more
        )
    except BaseException:
        watched.close()
        raise


class _Importer:
    """Imports by way of the deployment that is there at the time: a server that runs, or the folder itself."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __call__(self, arrival: Arrival, mapping: Mapping) -> Report:
        if mapping.channel is None:
            raise InvalidInput(f"{mapping.name}: wanted a channel, got none; set channel in the mapping")
        with connect(self._data) as api:
            bar = Progress(disable=True)
            report = import_into(api, arrival.path, mapping, bar, channel=mapping.channel)
            if not api.follows:
                wait_until_visible(api, bar)
        return report


class Watchers:
    """The watchers of `serve`, each in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """What cannot be watched is logged, and the rest is watched."""
        for number, watch in enumerate(self._settings.watches):
            try:
                watched, watcher = watcher_of(self._settings, watch)
            except SimorghError as error:
                _LOG.error("watch: %s", error.message)
                continue
            thread = threading.Thread(target=self._run, args=(watched, watcher), name=f"watch-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """A file that is being imported may be cut off: the next start goes on there."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_STOP_S / max(len(self._threads), 1))

    def _run(self, watched: WatchedSource, watcher: Watcher) -> None:
        try:
            watcher.run(self._stop)
        except Exception:
            _LOG.exception("watch: stopped by a fault of its own; report this")
        finally:
            watched.close()


def watch_here(
    settings: Settings, watch: Watch, stop: threading.Event, tell: Callable[[str], None], *, once: bool
) -> int:
    """Watch in this thread until `stop` is set; with `once`, import what is there. The number of files put away, with
    `once`. Raises `SimorghError` if it cannot be watched."""
    watched, watcher = watcher_of(settings, watch, tell=tell)
    try:
        if not once:
            watcher.run(stop)
            return 0
        return _until_still(watched, watcher, stop)
    finally:
        watched.close()


def _until_still(watched: WatchedSource, watcher: Watcher, stop: threading.Event) -> int:
    count = watcher.look(stop)
    if isinstance(watched, WatchedFolder):  # it takes two looks to see that a file is complete
        stop.wait(SETTLE_S)
        count += watcher.look(stop)
    return count
