"""Keyed hashes: the names of identifiers, events and business facts behind the door.

They are keyed with the workspace's secret, so that a reader of the log or a backup cannot find a phone number by trying
all of them. Each of the three has its own domain: no event can have the hash of a node.

In Python a node is an int of 128 bits, in JSON 32 hex digits, in a profile id these after "prf_". 0 is nobody.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Protocol

from schemas.errors import InvalidIdentifier

_HEX: Final = re.compile(r"[0-9a-f]{32}")
_PREFIX: Final = "prf_"
_EVENT: Final = b"simorgh.event"
_FACT: Final = b"simorgh.fact"
_EPOCH: Final = b"simorgh.epoch"
_KNOWN_NODES: Final = 1 << 17


def node_of(secret: bytes, workspace: str, type: str, normalised: str) -> int:
    """The node of an identifier. `secret` is the workspace's, 16 to 64 bytes; without it, returning customers are not
    recognised."""
    text = f"{workspace}\x1f{type}\x1f{normalised}"
    return int.from_bytes(blake2b(text.encode(), digest_size=16, key=secret).digest(), "big")


def present_node(secret: bytes, node: int, forgotten: Collection[int], returning: Collection[int]) -> int:
    """The node that stands today for whom `node` stood for at first. `forgotten`: the nodes of everybody who was;
    `returning`: those of them who may come back, as somebody new: each has a next epoch, whose node nothing but the
    secret relates to the former one. The result is in `forgotten` if the person may not come back."""
    while node in forgotten and node in returning:
        former = node.to_bytes(16, "big")
        node = int.from_bytes(blake2b(former, digest_size=16, key=secret, person=_EPOCH).digest(), "big")
    return node


class Hasher(Protocol):
    """The part of `hashlib`'s objects that keys need."""

    def copy(self) -> "Hasher": ...

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def event_hasher(secret: bytes, workspace: str, source: str) -> Hasher:
    """The hasher of a source's events. A copy, updated with the id in UTF-8, gives the key."""
    return blake2b(f"{workspace}\x1f{source}\x1f".encode(), digest_size=16, key=secret, person=_EVENT)


def event_key(secret: bytes, workspace: str, source: str, id: str) -> str:
    """The key of an event, 32 hex digits: one for a source and the sender's own id."""
    return key_of(event_hasher(secret, workspace, source), id.encode())


def fact_hasher(secret: bytes, workspace: str, book: str, type: str) -> Hasher:
    """The hasher of a book's facts of one event type. A copy, updated with the business key's value, gives the key."""
    return blake2b(f"{workspace}\x1f{book}\x1f{type}\x1f".encode(), digest_size=16, key=secret, person=_FACT)


def key_of(hasher: Hasher, text: bytes) -> str:
    """The key, 32 hex digits, of an event or fact whose hasher this is. `text`: its id or value in UTF-8."""
    hasher = hasher.copy()
    hasher.update(text)
    return hasher.hexdigest()


def to_hex(node: int) -> str:
    return f"{node:032x}"


@lru_cache(maxsize=_KNOWN_NODES)
def from_hex(text: str) -> int:
    """Raises InvalidIdentifier unless `text` is 32 lower-case hex digits.

    Most texts repeat: customers return, and each node passes several stages.
    """
    if not _HEX.fullmatch(text):
        raise InvalidIdentifier("node: wanted 32 lower-case hex digits, got another shape; pass a node as it was given")
    return int(text, 16)


def profile_id(node: int) -> str:
    """The public id of the profile that `node` founded."""
    return f"{_PREFIX}{node:032x}"


def parse_profile_id(text: str) -> int:
    """The founding node in a profile id. Raises InvalidIdentifier for any other text."""
    if not text.startswith(_PREFIX) or not _HEX.fullmatch(text, len(_PREFIX)):
        raise InvalidIdentifier(
            "profile id: wanted prf_ and 32 hex digits, got another shape; pass an id as it was given"
        )
    return int(text[len(_PREFIX) :], 16)
