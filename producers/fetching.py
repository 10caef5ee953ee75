"""The two calls that hearing vendors takes: the certificate of a signature, and the confirmation of a subscription.

The connector has checked the host against the vendor's own; the guard of all outgoing requests checks what it leads to.
Only https, no redirects, little time and few bytes.
"""

import asyncio
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Final
from urllib.parse import urlsplit

import httpcore

from registry.guarded_get import about, guarded_get
from schemas.clock import Clock
from schemas.errors import Backpressure, InvalidInput, Unverified
from schemas.recent import Recent

_OWN: Final = {"user-agent": "Simorgh-Webhooks/1"}
_SECONDS: Final = 5.0
_MOST_BYTES: Final = 65_536
_KEPT: Final = 64
_AT_ONCE: Final = 4
_KEPT_MS: Final = 86_400_000

Get = Callable[[str], tuple[int, bytes]]
"""Blocks. Raises `InvalidInput` for an address that must not be called, `OSError` where nobody answers."""


def get_past_the_guard(url: str, *, allow_private: bool = False) -> tuple[int, bytes]:
    """The status and the first 64 KB. In a thread of its own that runs no event loop."""
    try:
        return asyncio.run(_get(url, allow_private))
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise OSError(type(error).__name__) from error


async def _get(url: str, allow_private: bool) -> tuple[int, bytes]:
    body = b""
    async with (
        asyncio.timeout(_SECONDS),
        guarded_get(url, _OWN, idle_s=_SECONDS, allow_private=allow_private) as answer,
    ):
        async for piece in answer.pieces():
            body += piece
            if len(body) > _MOST_BYTES:
                break
        return answer.status, body[:_MOST_BYTES]


class Fetching:
    """May be used from any thread. Certificates are kept for a day. Only a few calls run at once: what they wait for is
    chosen by whoever sent the request, and nothing is proven yet."""

    def __init__(self, clock: Clock, get: Get = get_past_the_guard) -> None:
        self._clock = clock
        self._get = get
        self._places = BoundedSemaphore(_AT_ONCE)
        self._kept: Recent[str, tuple[int, bytes]] = Recent(_KEPT)

    def known(self, url: str) -> bytes | None:
        """A certificate that is at hand."""
        kept = self._kept[url]
        return kept[1] if kept is not None and self._clock() < kept[0] + _KEPT_MS else None

    def certificate(self, url: str) -> bytes:
        """Raises `Unverified` where there is none, and `Backpressure` where nobody answers now."""
        status, body = self._call(url)
        if status != 200:
            raise Unverified("certificate: wanted one at the address in the request, got none; look at who sends it")
        self._kept.put(url, (self._clock(), body))
        return body

    def confirm(self, url: str) -> None:
        """Raises as `certificate`."""
        status, _ = self._call(url)
        if not 200 <= status < 300:
            raise Unverified("confirmation: wanted the vendor to accept it, got a refusal; subscribe again")

    def _call(self, url: str) -> tuple[int, bytes]:
        if urlsplit(url).scheme != "https":
            raise Unverified("address: wanted https, got another; look at who sends it")
        if not self._places.acquire(blocking=False):
            raise Backpressure("vendor: wanted a free place to ask it, got none; send it again")
        try:
            return self._get(url)
        except InvalidInput as error:
            raise Unverified(about(error, "address in the request")) from None
        except OSError:
            raise Backpressure("vendor: wanted its certificate or confirmation, got no answer; send it again") from None
        finally:
            self._places.release()
