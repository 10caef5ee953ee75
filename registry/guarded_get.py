"""GET past the guard, for what we fetch ourselves: watched files, vendors' certificates and confirmations."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpcore

from registry.guard import GuardedBackend, Lookup, check_url, system_lookup
from schemas.errors import InvalidInput

CONNECT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Guarded:
    """An answer whose body is still to be read. `headers` have lower-case names; a redirect is not followed."""

    host: str
    status: int
    headers: Mapping[str, str]
    response: httpcore.Response

    def pieces(self) -> AsyncIterator[bytes]:
        return self.response.aiter_stream()


@asynccontextmanager
async def guarded_get(
    url: str,
    headers: Mapping[str, str] = {},
    *,
    idle_s: float,
    allow_private: bool,
    lookup: Lookup = system_lookup,
) -> AsyncIterator[Guarded]:
    """`idle_s`: seconds in which something has to arrive. Raises `InvalidInput` for an address that
    the guard refuses, by its form or by what its name leads to; httpcore's errors and OSError where nobody answers."""
    there = check_url(url, allow_private=allow_private)
    request = httpcore.Request(
        "GET",
        httpcore.URL(
            scheme=there.scheme.encode(), host=there.host.encode(), port=there.port, target=there.path.encode()
        ),
        headers=list(({"host": there.authority, "accept-encoding": "identity"} | dict(headers)).items()),
        extensions={"timeout": {"connect": CONNECT_S, "read": idle_s, "write": idle_s}},
    )
    backend = GuardedBackend(allow_private=allow_private, lookup=lookup)
    async with httpcore.AsyncHTTPConnection(
        request.url.origin, ssl_context=ssl.create_default_context(), network_backend=backend
    ) as connection:
        response = await connection.handle_async_request(request)
        try:
            told = {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}
            yield Guarded(there.host, response.status, told, response)
        finally:
            await response.aclose()


def about(error: InvalidInput, what: str) -> str:
    """What the guard says, of another address than a webhook's."""
    return error.message.replace("webhook.url", what)
