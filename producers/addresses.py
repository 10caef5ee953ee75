"""The addresses from which people send: shortened before anything stores them, unless the source says otherwise.

What is left of an address names a network, not a household: /24 of IPv4, /48 of IPv6.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import orjson

from registry.models import Source

MEMBER: Final = "ip"
"""Of the context."""

_NAMED: Final = b'"ip"'
CACHED_ADDRESSES: Final = 4096
_LONGEST: Final = 45
_KEPT_BITS: Final = {4: 24, 6: 48}


def within(context: Mapping[str, object], source: Source) -> Mapping[str, object]:
    """The context with as much of its address as the source keeps. The caller knows that it has one."""
    if source.addresses == "keep":
        return context
    left = shortened(context[MEMBER]) if source.addresses == "shorten" else None
    others = {name: value for name, value in context.items() if name != MEMBER}
    return others if left is None else {**others, MEMBER: left}


def in_refused(payload: bytes, source: Source) -> bytes:
    """The bytes of an event that was refused, with as much of its address as the source keeps. All other bytes stay."""
    if source.addresses == "keep" or _NAMED not in payload:
        return payload
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload
    left: dict[bytes, bytes] = {}
    for context in _contexts(event):
        address = context.get(MEMBER)
        if isinstance(address, str) and address:
            context[MEMBER] = shortened(address) if source.addresses == "shorten" else None
            left[orjson.dumps(address)] = orjson.dumps(context[MEMBER])
    if not all(written in payload for written in left):
        return orjson.dumps(event)  # an escape that JSON does not need hides it: the event is written anew
    for written, instead in left.items():
        payload = payload.replace(written, instead)
    return payload


def _contexts(event: object) -> Iterator[dict[str, object]]:
    """Of an event of an SDK, or of the data of a CloudEvent."""
    for holder in (event, event.get("data") if isinstance(event, dict) else None):
        context = holder.get("context") if isinstance(holder, dict) else None
        if isinstance(context, dict):
            yield context


def shortened(address: object) -> str | None:
    """`203.0.113.7` is `203.0.113.0`, `2001:db8:1:2::3` is `2001:db8:1::`. None for what is no address: nobody can tell
    what it shows."""
    return _shortened(address) if isinstance(address, str) and len(address) <= _LONGEST else None


@lru_cache(CACHED_ADDRESSES)
def _shortened(address: str) -> str | None:
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.strip())
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    network = IPv4Network if parsed.version == 4 else IPv6Network
    return str(network((int(parsed), _KEPT_BITS[parsed.version]), strict=False).network_address)
