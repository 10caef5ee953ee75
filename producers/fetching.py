"""The two calls that hearing vendors takes: the certificate of a signature, and the confirmation of a subscription.

The connector has checked the host against the vendor's own. Only https, no redirects, little time and few bytes.
"""

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Final
from urllib.parse import urlsplit

from schemas.clock import Clock
from schemas.errors import Backpressure, Unverified
from schemas.recent import Recent

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 65_536
_KEPT: Final = 64
_AT_ONCE: Final = 4
_KEPT_MS: Final = 86_400_000

Get = Callable[[str], tuple[int, bytes]]
"""Blocks. Raises `OSError` where nobody answers."""


def get_over_https(url: str) -> tuple[int, bytes]:
    """The status and the first 64 KB."""
    import httpx

    try:
        with httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=False) as answer:
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    break
            return answer.status_code, body[:_MOST_BYTES]
    except httpx.HTTPError as error:
        raise OSError(type(error).__name__) from error


class Fetching:
    """May be used from any thread. Certificates are kept for a day. Only a few calls run at once: what they wait for is
    chosen by whoever sent the request, and nothing is proven yet."""

    def __init__(self, clock: Clock, get: Get = get_over_https) -> None:
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
        except OSError:
            raise Backpressure("vendor: wanted its certificate or confirmation, got no answer; send it again") from None
        finally:
            self._places.release()
