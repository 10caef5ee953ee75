"""GET of a watched URL into a file, past the guard of outgoing webhooks: every address is checked where it is opened,
and every redirect like the first URL."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpcore

from producers.watched.url import Fetched
from registry.guard import Lookup, system_lookup
from registry.guarded_get import Guarded, about, guarded_get
from schemas.errors import Backpressure, InvalidInput

MAX_BYTES: Final = 4 * 1024**3
MAX_REDIRECTS: Final = 5
IDLE_S: Final = 60.0
"""Seconds in which something of the body has to arrive."""

_OWN: Final = {"user-agent": "Simorgh-Watch/1"}
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
        get = guarded_get(
            url, _OWN | dict(headers), idle_s=IDLE_S, allow_private=self._allow_private, lookup=self._lookup
        )
        try:
            async with get as answer:
                if answer.status in _REDIRECTS and answer.headers.get("location"):
                    return answer.headers["location"]
                if answer.status == 304:
                    return Fetched(304, answer.headers)
                if answer.status != 200:
                    raise Backpressure(
                        f"{answer.host}: wanted status 200 or 304, got {answer.status}; correct the URL, or try again"
                    )
                await self._keep(answer, target)
                return Fetched(200, answer.headers)
        except InvalidInput as error:
            raise Backpressure(about(error, "watched URL"), code=error.code) from None

    async def _keep(self, answer: Guarded, target: Path) -> None:
        size = 0
        with target.open("wb") as file:
            async for piece in answer.pieces():
                size += len(piece)
                if size > self._max_bytes:
                    raise Backpressure(
                        f"{answer.host}: wanted at most {self._max_bytes:,} bytes, got more; split the file"
                    )
                file.write(piece)
