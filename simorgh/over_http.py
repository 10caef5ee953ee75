"""A deployment over HTTP: calls to its API, files to its collector, answers as values or as our errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import httpx

from schemas.errors import Backpressure, Broken, Conflict, Denied, InvalidInput, InvalidSettings, NotFound, SimorghError
from simorgh.settings import Settings

if TYPE_CHECKING:
    from producers.files.sinks import Sink

TIMEOUT: Final = httpx.Timeout(300.0, connect=10.0)


class OverHttp:
    """`deployment.Session` over HTTP."""

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
            return read_answer(self._client.request(method, path, **content_of(body)))
        except httpx.TransportError as error:
            raise unreachable(str(self._client.base_url).rstrip("/"), error) from None

    def download(self, path: str, file: BinaryIO) -> None:
        try:
            with self._client.stream("GET", path) as answer:
                if answer.is_error:
                    answer.read()
                    read_answer(answer)
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
        told = read_answer(httpx.get(f"{collector}/v1/source", auth=(key, ""), timeout=TIMEOUT))
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


def client_of(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=TIMEOUT, headers={"authorization": f"Bearer {token}"})


def unreachable(url: str, error: httpx.TransportError) -> SimorghError:
    """The meaning of a call without an answer, in one line."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ReadTimeout):
        came, todo = "none in time", "try again later, it may be overloaded"
    elif isinstance(error, httpx.ConnectError):
        came, todo = "no connection", "check that it runs, and that this is its address"
    else:
        came, todo = "a broken connection", "try again, it may have been stopped"
    return Backpressure(f"{url}: wanted an answer, got {came}; {todo}", code="unreachable")


def content_of(body: object) -> dict[str, Any]:
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


def read_answer(answer: httpx.Response) -> Any:
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
