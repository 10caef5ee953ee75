"""A file at a URL, fetched on a schedule. Only a changed one is imported (ETag, Last-Modified, or its content).

1  it is fetched into DATA/imports/urls/…/NAME.part, and renamed   a crash: fetched again
2  it is imported                                                  a crash before 3: fetched again; copies
3  its report and its state (ETag, digest) are written             from here on, it counts as known
4  the file is removed; of a failed import it stays
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import orjson

from producers.watched.folder import digest_of
from producers.watched.lock import locked
from producers.watched.port import Arrival, Imported

EVERY_S: Final = 3600.0

_UNSAFE: Final = re.compile(r"[^\w.\-]+")


class Fetched(NamedTuple):
    """`headers` have lower-case names. The body is in the file; with status 304 there is none."""

    status: int
    headers: Mapping[str, str]


Fetch = Callable[[str, Mapping[str, str], Path], Fetched]
"""GET a URL with these headers into a file. Raises `SimorghError` for any answer but 200 and 304, and for addresses
that must not be called."""


class WatchedUrl:
    """See `producers.watched.port.WatchedSource`."""

    def __init__(
        self,
        url: str,
        folder: Path,
        fetch: Fetch,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` holds the state of all URLs. Raises `Conflict` if somebody watches this one."""
        self._url = url
        self._fetch = fetch
        self._every = every_s
        self._clock = clock
        self._next = clock()
        self._own = folder / hashlib.sha256(url.encode()).hexdigest()[:32]
        self._name = _name_of(url)
        self._validators: dict[str, str] = {}
        self._lock = locked(self._own, urlsplit(url).netloc)

    def close(self) -> None:
        self._lock.close()

    def arrivals(self) -> list[Arrival]:
        if self._clock() < self._next:
            return []
        state = self._state()
        asked = {"if-none-match": state.get("etag"), "if-modified-since": state.get("last_modified")}
        part = self._own / f"{self._name}.part"
        fetched = self._fetch(self._url, {name: value for name, value in asked.items() if value}, part)
        if fetched.status == 304:
            self._next = self._clock() + self._every
            return []
        path = self._own / self._name
        part.replace(path)
        self._validators = {
            "etag": fetched.headers.get("etag", ""),
            "last_modified": fetched.headers.get("last-modified", ""),
        }
        return [Arrival(path, self._name, digest_of(path))]

    def was_imported(self, arrival: Arrival, mapping: str) -> str | None:
        state = self._state()
        same = state.get("digest") == arrival.digest and state.get("mapping") == mapping
        return self._name if same else None

    def put_away(self, arrival: Arrival, outcome: Imported) -> Path | None:
        self._next = self._clock() + self._every  # not before: what could not be imported is fetched again
        report = self._own / "report.json"
        _write(report, outcome.report)
        if outcome.done:
            state = self._validators | {"url": self._url, "digest": arrival.digest, "mapping": outcome.mapping}
            _write(self._own / "state.json", state)
            arrival.path.unlink(missing_ok=True)
        return report

    def _state(self) -> dict[str, Any]:
        try:
            state = orjson.loads((self._own / "state.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}


def _name_of(url: str) -> str:
    name = _UNSAFE.sub("_", unquote(urlsplit(url).path).rpartition("/")[2]).strip(".")
    return name[-100:] or "file"


def _write(path: Path, content: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    new.replace(path)
