"""The wall between our network and addresses that callers choose (server-side request forgery).

Two checks. `check_url` is syntactic, when a trigger is declared and before each attempt. `GuardedBackend`
stands where sockets are opened: it resolves the name, checks EVERY address, and connects to one of the
addresses it has checked, so there is no second look-up for a rebinding name server to answer differently.
Host header, SNI and the certificate check keep the name. A connection that is kept alive stays with the
address that was checked when it was opened.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpcore

from schemas.errors import InvalidInput

PORTS: Final = frozenset({443, 8443})
MAX_URL: Final = 2048

Address = IPv4Address | IPv6Address
Lookup = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a host, as text."""

_REFUSED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches loopback on Linux
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; some clouds' metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's platform address, public by number only
        "169.254.0.0/16",  # link-local; cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""The only IPv6 space in use for global unicast. What is outside (mapped ::ffff:0:0/96, NAT64 64:ff9b::/96,
unique local, link-local, multicast, …) is refused as a whole."""

_REFUSED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: embeds an IPv4 address
        "3fff::/20",  # documentation
    )
)

_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_NUMERIC_LABEL: Final = re.compile(r"\d+|0x[0-9a-f]*")
_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".localdomain")


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a checked URL, so that no other parser reads it again and finds another host."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The Host header: without the port where the scheme implies it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        implied = 443 if self.scheme == "https" else 80
        return host if self.port == implied else f"{host}:{self.port}"


def check_url(url: str, *, allow_private: bool) -> Target:
    """Parse and check a webhook's URL without any look-up.

    Always: http(s), an ASCII host, no user information, fragment, blanks or backslashes. Unless
    `allow_private`: https only, port 443 or 8443, and no host that is written as, or reserved for, a
    private address. Raises `InvalidInput` (code `invalid_webhook_url`).
    """
    parts, port = _split(url)
    host = (parts.hostname or "").rstrip(".") if parts.hostname != "." else ""
    _check_form(url, parts, host)
    if not allow_private:
        _check_public(parts, port, host)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port, path)


def _refuse(wanted: str, came: str) -> InvalidInput:
    return InvalidInput(f"webhook.url: wanted {wanted}, got {came}; correct the URL", code="invalid_webhook_url")


def _split(url: str) -> tuple[SplitResult, int]:
    if len(url) > MAX_URL:
        raise _refuse(f"at most {MAX_URL} characters", str(len(url)))
    if not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url):
        raise _refuse(
            "ASCII without blanks, control characters and backslashes (write a host in punycode)",
            "others",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refuse("an absolute URL with a port from 1 to 65535", "one that cannot be read") from None
    return parts, port if port is not None else (443 if parts.scheme == "https" else 80)


def _check_form(url: str, parts: SplitResult, host: str) -> None:
    if parts.scheme not in ("http", "https"):
        raise _refuse("https:// at the beginning", "another scheme")
    if "@" in parts.netloc:
        raise _refuse("no user name or password", "some")
    if "#" in url:
        raise _refuse("no fragment", "one")
    if _literal(host) is None and not (_HOST.fullmatch(host) and len(host) <= 253):
        raise _refuse("a host name or an address", "neither")


def _check_public(parts: SplitResult, port: int, host: str) -> None:
    if parts.scheme != "https":
        raise _refuse("https:// at the beginning", "http://")
    if port not in PORTS:
        raise _refuse("port 443 or 8443", f"port {port}")
    address = _literal(host)
    if address is not None:
        reason = refusal(address)
        if reason:
            raise _refuse("an address of the public internet", reason)
    # Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1: a name that ends in a number is no name.
    elif _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        raise _refuse("an IPv4 address as four decimal numbers", "another form")
    elif "." not in host or f".{host}".endswith(_LOCAL_NAMES):
        raise _refuse("a public host name", "a local one")


def _literal(host: str) -> Address | None:
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def refusal(address: Address) -> str:
    """Why this address must not be called; empty if it is global unicast and not one of our own."""
    if isinstance(address, IPv4Address):
        refused = any(address in network for network in _REFUSED_V4)
    else:
        refused = address not in _GLOBAL_V6 or any(address in network for network in _REFUSED_V6)
    if refused:
        return "a private, local or reserved address"
    return "an address of this machine" if is_own(address) else ""


def is_own(address: Address) -> bool:
    """Whether the address belongs to this machine: the kernel would send from it to itself. Sends nothing."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return bool(probe.getsockname()[0] == str(address))
    except OSError:
        return False  # no route, so no connection either


async def system_lookup(host: str, port: int) -> list[str]:
    """The system's resolver, in a thread. Raises OSError for an unknown name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


async def resolve(host: str, port: int, *, allow_private: bool, lookup: Lookup = system_lookup) -> list[str]:
    """The addresses of a host, in the resolver's order, once every one of them was checked.

    One refused address refuses the host: a name with a public and a private address is an attack or a
    mistake. Raises `InvalidInput` (code `webhook_address_refused`); OSError from the resolver passes.
    """
    literal = _literal(host)
    found = [str(literal)] if literal is not None else await lookup(host, port)
    if not allow_private:
        for text in found:
            address = _literal(text)
            reason = "a scoped address" if address is None else refusal(address)
            if reason:
                raise InvalidInput(
                    f"webhook.url: wanted a host with public addresses only, got {reason}; correct its DNS records",
                    code="webhook_address_refused",
                )
    return found


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for one receiver; the only way from a trigger to a socket."""

    def __init__(self, *, allow_private: bool, lookup: Lookup = system_lookup) -> None:
        self._allow_private = allow_private
        self._lookup = lookup
        self._inner = httpcore.AnyIOBackend()
        # One look-up at a time: a dead name server costs a receiver one resolver thread, not all of them.
        self._resolving = asyncio.Lock()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async with self._resolving:
            try:
                addresses = await resolve(host, port, allow_private=self._allow_private, lookup=self._lookup)
            except OSError as error:
                raise httpcore.ConnectError("the host's name cannot be resolved") from error
        failure: Exception = httpcore.ConnectError("the host's name has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
