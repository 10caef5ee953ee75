"""Sealing and opening of events.

The door writes what orders and counts in the clear, and everything else as one sealed text under the key of the
event's anchor:

    {…, "properties": {<facts>}, "id": "<key>", "sealed": {"clear": 412, "key": …, "dictionary": 1, "content": …}}

Where all properties are facts, `sealed` says `"whole":1` after `clear`, and the content does not repeat them. An opened
event has the content in the place of what follows the first `clear` bytes, and says what the clear part was:

    {…, "sealed": [412, 31], "facts": {<facts>}, "id": …, "properties": …, "traits": …, …}

the numbers being the lengths of the part before `sealed` and of the facts. Where the key is destroyed, what is in the
clear is all there is:

    {…, "properties": {<facts>}, "id": "<key>"}

The second follows from the first without the key, so that tables are rid of personal content by one query
(`stripped`).
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag

from privacy.dictionary import LATEST, compress, decompress
from privacy.keyring import DataKey, Keyring

SEALED: Final = b',"sealed":{'
_PROPERTIES: Final = b'"properties":'
_OPENED: Final = b'"sealed":['
_Lengths = tuple[int, int]
_ID_LENGTH: Final = len(',"id":""') + 32


_NODE: Final = b'"node":"'
"""Its first one is the anchor's: in a text of the sender's, the quotation marks would be escaped."""

_PARTS: Final = re.compile(
    rb',"id":"([0-9a-f]{32})","sealed":\{(?:"node":"([0-9a-f]{32})",)?"clear":([0-9]{1,9}),(?:"whole":(1),)?'
    rb'"key":"([0-9a-f]{16})","dictionary":([0-9]{1,4}),"content":"([^"]*)"\}\}'
).fullmatch


class _Key(msgspec.Struct, gc=False):
    key: str


_key: Final = msgspec.json.Decoder(_Key).decode


def seal(
    key: DataKey,
    event: str,
    clear: bytes,
    content: bytes,
    *,
    facts: bytes,
    whole: bool = False,
    owner: str | None = None,
) -> bytes:
    """The record of an event.

    `event` is its key in hex. `clear`: the members in the clear, from the brace to the last comma. `content`: all
    others as a JSON object. `facts`: the properties in the clear, as a JSON object; `whole`: these are all properties,
    and the content has none. `owner`: the node of `key` in hex where that is not the anchor's.
    """
    sealed = b2a_base64(key.seal(compress(content), f"{event}{LATEST}".encode()), newline=False)
    whose = f'"node":"{owner}",' if owner else ""
    all_of_them = '"whole":1,' if whole else ""
    head = (
        f',"id":"{event}","sealed":{{{whose}"clear":{len(clear)},{all_of_them}"key":"{key.id}"'
        f',"dictionary":{LATEST},"content":"'
    )
    return b"".join((clear, _PROPERTIES, facts, head.encode(), sealed, b'"}}'))


class Opened(NamedTuple):
    """The parts of an event as `Opener` shows it; see `seal`."""

    clear: bytes
    facts: bytes
    content: bytes


def opened_parts(value: bytes) -> Opened | None:
    """None for what is no opened event."""
    start = value.find(_OPENED)
    if start < 0:
        return None
    try:
        clear, facts = msgspec.json.decode(
            value[start + len(_OPENED) - 1 : value.index(b"]", start) + 1], type=_Lengths
        )
    except (msgspec.MsgspecError, ValueError):
        return None
    head = b'"sealed":[%d,%d],"facts":' % (clear, facts)
    if clear != start or not value.startswith(head, start):
        return None
    end = start + len(head) + facts
    return Opened(value[:start], value[start + len(head) : end], b"{" + value[end + 1 :])


def stripped(value: bytes) -> bytes:
    """An opened event without what was sealed, as it is read once the key is destroyed. Others stay as they are."""
    parts = opened_parts(value)
    if parts is None:
        return value
    return _in_the_clear(parts.clear, parts.facts, _key(value).key.encode())


def _in_the_clear(clear: bytes, facts: bytes, event: bytes) -> bytes:
    return b'%b"properties":%b,"id":"%b"}' % (clear, facts, event)


class Opener:
    """Opens events with the keys at hand."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def open(self, value: bytes) -> bytes:
        """One event, opened where it can be."""
        return self.open_all([value])[0]

    def open_all(self, values: Sequence[bytes]) -> list[bytes]:
        """The same of many. Whatever is no sealed event stays as it is, opened ones included."""
        opened = list(values)
        sealed = [(i, one) for i, value in enumerate(values) if (one := _look(value))]
        if not sealed:
            return opened
        wanted: dict[int, set[str]] = {}
        for _, one in sealed:
            wanted.setdefault(one.node, set()).add(one.id)
        keys = self._keyring.find_all(wanted)
        for i, one in sealed:
            opened[i] = one.open(values[i], _pick(keys.get(one.node, ()), one.id))
        return opened


class _Blob(NamedTuple):
    """What a sealed record says about itself."""

    node: int
    id: str
    event: bytes
    clear: int
    whole: bool
    facts: int
    """Where they end."""
    dictionary: int
    content: bytes

    def open(self, value: bytes, key: DataKey | None) -> bytes:
        clear, facts = value[: self.clear], value[self.clear + len(_PROPERTIES) : self.facts]
        if key is not None:
            try:
                bound = b"%b%d" % (self.event, self.dictionary)
                content = decompress(key.open(a2b_base64(self.content), bound), self.dictionary)
                properties = b"%b%b," % (_PROPERTIES, facts) if self.whole else b""
                lengths = (len(clear), len(facts))
                return b'%b"sealed":[%d,%d],"facts":%b,%b%b' % (clear, *lengths, facts, properties, content[1:])
            except (InvalidTag, ValueError):
                pass  # not what the door wrote: only what is in the clear counts
        return _in_the_clear(clear, facts, self.event)


def _look(value: bytes) -> _Blob | None:
    """None for what is not a sealed event: anybody may write to the topic."""
    start = value.rfind(SEALED) - _ID_LENGTH
    found = _PARTS(value, start) if start >= 0 else None
    if found is None:
        return None
    event, owner, clear, whole, key, dictionary, content = found.groups()
    end = int(clear)
    if value[end : end + len(_PROPERTIES)] != _PROPERTIES:
        return None
    if owner is None:
        node = value.find(_NODE, 0, end) + len(_NODE)
        owner = value[node : node + 32]
    try:
        return _Blob(int(owner, 16), key.decode(), event, end, whole is not None, start, int(dictionary), content)
    except ValueError:
        return None


def _pick(keys: Sequence[DataKey], id: str) -> DataKey | None:
    for key in keys:
        if key.id == id:
            return key
    return None
