"""The addresses from which people send: shortened before anything stores them, unless the source says otherwise.

What is left of an address names a network, not a household: /24 of IPv4, /48 of IPv6.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import orjson

from registry.models import Source

MEMBER: Final = "ip"
"""Of the context."""

_FOREIGN: Final = frozenset(
    {
        "ip",
        "ipaddress",
        "ipaddr",
        "clientip",
        "userip",
        "remoteip",
        "sourceip",
        "remoteaddr",
        "remoteaddress",
        "browserip",
    }
)
"""Members of data of a shape that is not ours, at any depth, without case, `_` and `-`."""
_HINT: Final = re.compile(rb"ip|addr", re.IGNORECASE)
"""In the name of every address."""
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


def in_foreign(data: Mapping[str, object], source: Source) -> Mapping[str, object]:
    """The data of a CloudEvent whose shape is not ours, with as much of its addresses as the source keeps."""
    if source.addresses == "keep" or not any(True for _ in _named(data)):
        return data
    copy: dict[str, object] = orjson.loads(orjson.dumps(data))
    for holder, name in list(_named(copy)):
        left = shortened(holder[name]) if source.addresses == "shorten" else None
        if left is None:
            del holder[name]
        else:
            holder[name] = left
    return copy


def in_refused(payload: bytes, source: Source) -> bytes:
    """The bytes of an event that was refused, with as much of its address as the source keeps. All other bytes stay."""
    if source.addresses == "keep" or not _HINT.search(payload):
        return payload
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload
    left: dict[bytes, bytes] = {}
    for holder, name in list(_of_event(event)):
        address = holder[name]
        if isinstance(address, str) and address:
            holder[name] = shortened(address) if source.addresses == "shorten" else None
            left[orjson.dumps(address)] = orjson.dumps(holder[name])
    if not all(written in payload for written in left):
        return orjson.dumps(event)  # an escape that JSON does not need hides it: the event is written anew
    for written, instead in left.items():
        payload = payload.replace(written, instead)
    return payload


_Place = tuple[dict[str, object], str]
"""An object and the name of its member that has an address."""


def _of_event(event: object) -> Iterator[_Place]:
    """Of an event of an SDK, or of the data of a CloudEvent."""
    data = event.get("data") if isinstance(event, dict) else None
    is_foreign = isinstance(data, dict) and not is_ours(data)
    for holder in (event, None if is_foreign else data):
        context = holder.get("context") if isinstance(holder, dict) else None
        if isinstance(context, dict) and MEMBER in context:
            yield context, MEMBER
    if is_foreign:
        yield from _named(data)


def is_ours(data: Mapping[str, object]) -> bool:
    """Whether a CloudEvent's data has our shape; else all of it is the event's properties."""
    return any(isinstance(data.get(member), dict | list) for member in ("identifiers", "traits", "properties"))


def _named(data: object) -> Iterator[_Place]:
    level = [data]
    while level:
        deeper: list[object] = []
        for one in level:
            if isinstance(one, dict):
                for name, value in one.items():
                    if isinstance(value, str) and name.lower().replace("_", "").replace("-", "") in _FOREIGN:
                        yield one, name
                deeper += one.values()
            elif isinstance(one, list):
                deeper += one
        level = deeper


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
