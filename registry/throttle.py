"""Slows down guessing: after too many wrong keys or tokens from one address, or with one prefix, further ones are
refused for a while.

A caller who has shown a valid one from the same address lately is not affected: a shop that shares an address with an
attacker must not lose its access. In memory, per process; the tables are bounded.
"""

from ipaddress import IPv6Address, ip_address
from typing import Final, TypeVar

from registry.keys import sha256_hex
from schemas.clock import Clock

WINDOW_MS: Final = 60_000
KNOWN_MS: Final = 3_600_000
MOST: Final = 10_000
"""Entries of each table; the oldest ones are forgotten first."""

PREFIX: Final = 15
"""The first characters of a secret, by which attempts are grouped: `smg_at_` and the public id of a generated key."""


K = TypeVar("K")
V = TypeVar("V")


def network_of(address: str) -> str:
    """The network of one party: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))


class Throttle:
    """`most` failures of one network, or of one prefix over all networks, within a minute. For one thread. Public keys,
    such as write keys in a page, are counted by network only: old pages with old keys must not lock out a new key with
    the same prefix.
    """

    def __init__(self, clock: Clock, most: int = 30) -> None:
        self._clock = clock
        self._most = most
        self._failures: dict[str, tuple[int, int]] = {}  # since when, how many
        self._known: dict[tuple[str, int], int] = {}  # until when
        self._blocks_until = 0  # nobody is over the limit after that: the usual, quick way

    def succeeded(self, secret: str, address: str) -> None:
        """Called for every valid one."""
        pair, now = (address, hash(secret)), self._clock()
        if self._known.get(pair, 0) < now + KNOWN_MS // 2:
            self._known.pop(pair, None)
            _put(self._known, pair, now + KNOWN_MS)

    def failed(self, secret: str, address: str, *, public: bool = False) -> None:
        """Called for every wrong one that was checked."""
        now = self._clock()
        for name in _names(secret, address, public):
            since, count = self._failures.pop(name, (now, 0))
            if since + WINDOW_MS <= now:
                since, count = now, 0
            _put(self._failures, name, (since, count + 1))
            if count + 1 >= self._most:
                self._blocks_until = max(self._blocks_until, since + WINDOW_MS)

    def wait(self, secret: str, address: str, *, public: bool = False) -> int:
        """Seconds until this secret may be tried from there; 0: now. Called before the secret is checked."""
        now = self._clock()
        if now >= self._blocks_until or self._known.get((address, hash(secret)), 0) > now:
            return 0
        waits = [self._left(name, now) for name in _names(secret, address, public)]
        return -(-max(waits) // 1000)

    def _left(self, name: str, now: int) -> int:
        since, count = self._failures.get(name, (0, 0))
        return max(0, since + WINDOW_MS - now) if count >= self._most else 0


def _names(secret: str, address: str, public: bool) -> list[str]:
    network = f"network {network_of(address)}"
    # The prefix is hashed: memory should not hold mistyped secrets.
    return [network] if public else [network, f"prefix {sha256_hex(secret[:PREFIX])[:16]}"]


def _put(table: dict[K, V], key: K, value: V) -> None:
    table[key] = value
    if len(table) > MOST:
        del table[next(iter(table))]
