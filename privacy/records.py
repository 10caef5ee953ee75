"""Sealing and opening of the log's other records that hold something personal: rejected events, and deliveries.

A rejected event has a key of its own, so that each can be destroyed by itself. A delivery is sealed under the key of
its profile's founding node; everything but the identities is in the clear.
"""

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag

from eventlog.port import LOST, Message, Record
from privacy.dictionary import LATEST, compress, decompress
from privacy.keyring import DataKey, Keyring
from schemas import topics

Body = dict[str, Any]

_PAYLOADS: Final = ("payload", "payload_base64")
_SEALED: Final = b'"sealed":{'


def seal(topic: str, messages: Sequence[Message], keyring: Keyring) -> Sequence[Message]:
    """The messages for this topic, with their personal parts sealed."""
    sealed = _SEALS.get(topic)
    return messages if sealed is None else [sealed(message, keyring) for message in messages]


def opened(topic: str, records: list[Record], keyring: Keyring) -> list[Record]:
    """The records of this topic, with their sealed parts opened where possible."""
    if topic not in _SEALS:
        return records
    return [
        record._replace(value=_open(record.value, keyring)) if _SEALED in record.value else record for record in records
    ]


def _seal_rejection(message: Message, keyring: Keyring) -> Message:
    body = _parsed(message[1])
    content: Body = {name: body.pop(name) for name in _PAYLOADS if name in body}
    if not content or not {"id", "source", "digest"} <= body.keys():
        return message
    node = keyring.node_of_rejection(body["source"], body["id"], body["digest"])
    name = f"{node:032x}"
    content["id"] = body["id"]
    clear = {**body, "id": name, "payload": ""}
    return name.encode(), _with_sealed(clear, content, keyring.key_of(node))


def _seal_delivery(message: Message, keyring: Keyring) -> Message:
    record = _parsed(message[1])
    said = _parsed(record.get("body", ""))
    data = said.get("data")
    if not isinstance(data, dict) or not data.get("identities"):
        return message
    clear = {**record, "body": orjson.dumps({**said, "data": {**data, "identities": []}}).decode()}
    node = int(str(data["profile_id"]).removeprefix("prf_"), 16)
    return message[0], _with_sealed(clear, {"body": record["body"]}, keyring.key_of(node))


_SEALS: Final[Mapping[str, Callable[[Message, Keyring], Message]]] = {
    topics.REJECTED: _seal_rejection,
    topics.DELIVERIES: _seal_delivery,
}


def _with_sealed(clear: Body, content: Body, key: DataKey) -> bytes:
    bound = f"{clear['id']}".encode()
    text = b64encode(key.seal(compress(orjson.dumps(content)), bound)).decode()
    sealed = {"node": f"{key.node:032x}", "key": key.id, "dictionary": LATEST, "content": text}
    return orjson.dumps({**clear, "sealed": sealed})


def _open(value: bytes, keyring: Keyring) -> bytes:
    body = _parsed(value)
    sealed = body.pop("sealed", None)
    try:
        node, id, dictionary = int(sealed["node"], 16), sealed["key"], sealed["dictionary"]
        keys = [key for key in keyring.find_all({node: {id}}).get(node, ()) if key.id == id]
        if not keys and "digest" in body:
            return LOST  # a rejected event that was forgotten: nothing is left of it
        if keys:
            content = keys[0].open(a2b_base64(sealed["content"]), str(body["id"]).encode())
            body |= orjson.loads(decompress(content, dictionary))
    except (InvalidTag, TypeError, LookupError, ValueError):
        pass  # not what was sealed here: what is in the clear counts
    return orjson.dumps(body)


def _parsed(text: bytes | str) -> Body:
    """Parsed JSON; {} if it is no object, since other programs may write to the topic."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
