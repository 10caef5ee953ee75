"""GET of a watched URL into a file, past the guard of outgoing webhooks: every address is checked where it is opened,
and every redirect like the first URL."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpcore

from destinations.senders.guard import GuardedBackend, Lookup, check_url, system_lookup
from producers.watched.url import Fetched
from schemas.errors import Backpressure, InvalidInput

MAX_BYTES: Final = 4 * 1024**3
MAX_REDIRECTS: Final = 5
IDLE_S: Final = 60.0
"""Seconds in which something of the body has to arrive."""

_OWN: Final = {"user-agent": "Simorgh-Watch/1", "accept-encoding": "identity"}
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class GuardedFetch:
    """See `producers.watched.url.Fetch`. `headers`: the operator's own, such as Authorization; they go to the host of
    the URL only."""

    def __init__(
        self,
        headers: Mapping[str, str] = {},
        *,
        allow_private: bool = False,
        lookup: Lookup = system_lookup,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._headers = dict(headers)
        self._allow_private = allow_private
        self._lookup = lookup
        self._max_bytes = max_bytes

    def __call__(self, url: str, headers: Mapping[str, str], target: Path) -> Fetched:
        host = urlsplit(url).netloc
        try:
            return asyncio.run(self._fetch(url, headers, target))
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise Backpressure(f"{host}: wanted a file, got none in time; try again later") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise Backpressure(
                f"{host}: wanted a file, got no connection ({type(error).__name__}); check the URL"
            ) from error

    async def _fetch(self, url: str, headers: Mapping[str, str], target: Path) -> Fetched:
        own, first = {**self._headers, **headers}, urlsplit(url).netloc
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(url, own, target)
            if isinstance(answer, Fetched):
                return answer
            url = urljoin(url, answer)
            if urlsplit(url).netloc != first:
                own = dict(headers)
        raise Backpressure(f"{first}: wanted a file, got more than {MAX_REDIRECTS} redirects; correct the URL")

    async def _get(self, url: str, headers: Mapping[str, str], target: Path) -> Fetched | str:
        """What was fetched, or the URL of a redirect."""
        try:
            there = check_url(url, allow_private=self._allow_private)
        except InvalidInput as error:
            raise Backpressure(error.message.replace("webhook.url", "watched URL"), code=error.code) from None
        request = httpcore.Request(
            "GET",
            httpcore.URL(
                scheme=there.scheme.encode(), host=there.host.encode(), port=there.port, target=there.path.encode()
            ),
            headers=list((_OWN | {"host": there.authority} | dict(headers)).items()),
            extensions={"timeout": {"connect": 10.0, "read": IDLE_S, "write": IDLE_S}},
        )
        backend = GuardedBackend(allow_private=self._allow_private, lookup=self._lookup)
        async with httpcore.AsyncHTTPConnection(
            request.url.origin, ssl_context=ssl.create_default_context(), network_backend=backend
        ) as connection:
            try:
                response = await connection.handle_async_request(request)
            except InvalidInput as error:  # an address behind the name
                raise Backpressure(error.message.replace("webhook.url", "watched URL"), code=error.code) from None
            told = {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}
            try:
                if response.status in _REDIRECTS and told.get("location"):
                    return told["location"]
                if response.status == 304:
                    return Fetched(304, told)
                if response.status != 200:
                    raise Backpressure(
                        f"{there.host}: wanted status 200 or 304, got {response.status}; correct the URL, or try again"
                    )
                await self._keep(response, target, there.host)
                return Fetched(200, told)
            finally:
                await response.aclose()

    async def _keep(self, response: httpcore.Response, target: Path, host: str) -> None:
        size = 0
        with target.open("wb") as file:
            async for piece in response.aiter_stream():
                size += len(piece)
                if size > self._max_bytes:
                    raise Backpressure(f"{host}: wanted at most {self._max_bytes:,} bytes, got more; split the file")
                file.write(piece)
