"""Events of an old version are lifted to the newest when they are projected; the log keeps them as sent.

Segment's e-commerce version 1, which the door still accepts, is such an old version. After an update with a new
upcaster, earlier rows keep the old shape until the next replay.
"""

import json
from typing import Final

import msgspec

from schemas.upcasters import UPCASTERS, lift

OLD: Final = frozenset(f"{type}/{version}" for type, version in UPCASTERS)
"""The dataschemas that have a newer version."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def lifted(value: bytes) -> bytes:
    """The envelope with the newest `dataschema` and `properties`; all other bytes are unchanged. Raises `ValueError`
    for properties that no upcaster can lift.
    """
    envelope = _members(value)
    # the standard parser: it keeps whole numbers of any length
    dataschema, properties = (json.loads(bytes(envelope[name])) for name in ("dataschema", "properties"))
    try:
        newest, properties = lift(dataschema, properties)
    except Exception as error:
        raise ValueError(f"properties that cannot be lifted from {dataschema}") from error
    envelope["dataschema"] = msgspec.Raw(json.dumps(newest).encode())
    envelope["properties"] = msgspec.Raw(json.dumps(properties, separators=(",", ":"), ensure_ascii=False).encode())
    return msgspec.json.encode(envelope)
