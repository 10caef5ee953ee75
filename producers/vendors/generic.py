"""JSON and forms from anybody, by a mapping that the source declares: `webhook: {"mapping": …, "proof": …}`.

The mapping is an `EventMap` in JSON. The proof says how the sender signs; without one, the source's secret itself is
wanted: in `X-Webhook-Token`, as a bearer token, as Basic auth's `user:password`, or as `?token=`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
import orjson
from msgspec import Struct

from producers.vendors.connector import Connector, listed, parsed
from producers.vendors.mapping import EventMap, VendorEvent, read_map
from producers.vendors.request import SIGNING, Secrets, VendorRequest
from producers.vendors.signing import (
    BasicAuth,
    Encoding,
    Hash,
    Hmac,
    OneOf,
    Proof,
    SharedToken,
    StandardWebhooks,
    Timestamp,
    base64_key,
    plain_key,
)
from schemas.errors import InvalidInput, Unmappable, Unverified

_ANY_TOKEN: Final = OneOf(
    (
        SharedToken(header="x-webhook-token"),
        SharedToken(header="authorization", prefix="Bearer "),
        BasicAuth(),
        SharedToken(query="token"),
    )
)


class DeclaredProof(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How a sender signs. `scheme`: hmac (the other members are those of `signing.Hmac`; `timestamp` is a header, whose
    time may be `window` seconds from now, or anything if that is 0), token, basic, or standard (Standard Webhooks)."""

    scheme: Literal["hmac", "token", "basic", "standard"]
    header: str = ""
    query: str = ""
    hash: Hash = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp: str = ""
    unit: Literal["s", "ms", "iso", "http"] = "s"
    window: int = 0
    key: Literal["text", "base64"] = "text"


def proof_of(declared: Mapping[str, Any]) -> Proof:
    """Raises `InvalidInput`, which names the part that is wrong."""
    try:
        found = msgspec.convert(declared, DeclaredProof)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"proof: {error}; see docs/channels.md", code="invalid_proof") from None
    if found.scheme == "standard":
        return StandardWebhooks()
    if found.scheme == "basic":
        return BasicAuth()
    if not found.header and (found.scheme == "hmac" or not found.query):
        raise InvalidInput("proof: wanted the header of it, got none; name it", code="invalid_proof")
    if found.scheme == "token":
        return SharedToken(header=found.header or (), query=found.query, prefix=found.prefix)
    timestamp = Timestamp(found.timestamp, found.unit, found.window or None) if found.timestamp else None
    key = base64_key if found.key == "base64" else plain_key
    return Hmac(found.header, found.hash, found.encoding, found.prefix, found.signed, timestamp=timestamp, key=key)


def verify(request: VendorRequest, secrets: Secrets) -> None:
    declared = request.settings.get("proof")
    if declared is None:
        return _ANY_TOKEN(request, secrets)
    try:
        proof = _proof(orjson.dumps(declared))
    except InvalidInput:
        raise Unverified("proof: wanted one of the documented forms, got another; declare it again") from None
    return proof(request, secrets)


@lru_cache(256)
def _proof(declared: bytes) -> Proof:
    return proof_of(orjson.loads(declared))


@lru_cache(256)
def _map(declared: bytes) -> EventMap:
    return read_map(orjson.loads(declared))


def map_of(request: VendorRequest) -> EventMap:
    """The source's. Raises `Unmappable` where it has none."""
    known = request.memo.get("mapping")
    if isinstance(known, EventMap):
        return known
    declared = request.settings.get("mapping")
    if declared is None:
        raise Unmappable("mapping: wanted one at the source, got none; declare it, then retry the rejected event")
    try:
        found = request.memo["mapping"] = _map(orjson.dumps(declared))
    except InvalidInput as error:
        raise Unmappable(error.message) from None
    return found


def items(request: VendorRequest) -> list[object]:
    return listed(map_of(request), parsed(request, "either"), request)


def read(item: object, request: VendorRequest) -> Sequence[VendorEvent]:
    found = map_of(request)
    whole = parsed(request, "either") if found.items else item
    return found.read(item, request, whole=whole)


GENERIC: Final = Connector(
    name="generic",
    title="JSON and forms, by a mapping of your own",
    channel="",
    verify=verify,
    map=EventMap(kind="type", id=("{id}",)),
    body="either",
    secrets={SIGNING: "the signing secret, or a token, or user:password"},
    items=items,
    read=read,
    get=True,
    guessable=True,
)
