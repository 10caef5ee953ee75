"""The one shape of all connectors.

A connector knows one vendor: how it signs, which items are in a request, and which events they are. It is pure: it
never touches the log, HTTP or the door, and raises only `Unverified` (answered 401, nothing is kept) and `Unmappable`
(the bytes are kept as a rejected event). Most are an `EventMap` and a proof; the hooks are for what is odd.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

import orjson

from producers.vendors.mapping import EventMap, VendorEvent
from producers.vendors.paths import Scope, find
from producers.vendors.request import SIGNING, Reply, Secrets, VendorRequest
from producers.vendors.signing import Proof
from schemas.errors import Unmappable

Body = Literal["json", "form", "either"]

_MOST_FIELDS = 2_000
_MOST_LEVELS = 8


@dataclass(frozen=True)
class PrivacyRequest:
    """What a vendor passes on from a person. `erasure`: forget; `access`: show what is known. `identifiers`: (type,
    value) of the person; an erasure acts on claimed ones too. `id` is the same at every redelivery."""

    kind: Literal["erasure", "access"]
    id: str
    identifiers: Sequence[tuple[str, object]]
    reason: str


@dataclass(frozen=True)
class Connector:
    """`name`: in the path, `/v1/webhooks/{name}/{source}`. `channel`: of its events.

    verify           raises `Unverified` unless the request is the vendor's
    map              what the items mean
    body             how the body is written
    secrets          the uses of secrets -> what they are, for people
    greet            the vendor's handshake: a `Reply` ends the request, before `verify`; None: go on
    items            the items of a verified request, instead of `map.items`. Raises `Unmappable`
    read             the events of one item, instead of `map.read`. Raises `Unmappable`
    privacy          the requests of people in a verified request; its items are read as well
    reply            the answer to a request that was taken in; None: {"success": true}
    certificate_url  where the certificate is that the request names; the connector vouches for the host
    get              whether GET requests carry events too
    keeps            headers that say what an item is: kept with a refused item, for its retry
    store_down       status when nothing can be stored: 503, or 429 for vendors that drop events after 503
    guessable        the secret itself is sent, so wrong ones are counted and slowed down
    """

    name: str
    title: str
    channel: str
    verify: Proof
    map: EventMap
    body: Body = "json"
    secrets: Mapping[str, str] = field(default_factory=lambda: {SIGNING: "the signing secret"})
    greet: Callable[[VendorRequest, Secrets], Reply | None] | None = None
    items: Callable[[VendorRequest], Sequence[object]] | None = None
    read: Callable[[object, VendorRequest], Sequence[VendorEvent]] | None = None
    privacy: Callable[[VendorRequest], Sequence[PrivacyRequest]] | None = None
    reply: Callable[[VendorRequest], Reply | None] | None = None
    certificate_url: Callable[[VendorRequest], str | None] | None = None
    get: bool = False
    keeps: tuple[str, ...] = ()
    store_down: int = 503
    guessable: bool = False

    def items_of(self, request: VendorRequest) -> list[object]:
        """In order. Raises `Unmappable` for a body that cannot be read."""
        if self.items is not None:
            return list(self.items(request))
        return self.items_by_map(request)

    def items_by_map(self, request: VendorRequest) -> list[object]:
        """As `map.items` says."""
        return listed(self.map, parsed(request, self.body), request)

    def events_of(self, item: object, request: VendorRequest) -> list[VendorEvent]:
        """Usually one; none if the item is no event. Raises `Unmappable`."""
        if self.read is not None:
            return list(self.read(item, request))
        whole = parsed(request, self.body) if self.map.items else item
        return self.map.read(item, request, vendor=self.name, whole=whole)


def listed(map: EventMap, message: object, request: VendorRequest) -> list[object]:
    """The items of a message. Raises `Unmappable` where the list is not there."""
    if not map.items:
        return message if isinstance(message, list) else [message]
    found = find(map.items, Scope(message, request))
    if not isinstance(found, list):
        raise Unmappable(f"{map.items}: wanted a list, got something else; see the rejected event")
    return found


def parsed(request: VendorRequest, body: Body = "json") -> object:
    """The message: JSON, or a form's (or the query's) fields; read once. Raises `Unmappable`."""
    if body not in request.memo:
        request.memo[body] = _parsed(request, body)
    return request.memo[body]


def _parsed(request: VendorRequest, body: Body) -> object:
    if body == "json":
        return json_of(request.body)
    if not request.body and request.query:
        return unfolded(list(request.query.items()))
    content_type = (request.headers.get("content-type") or "").lower()
    if body == "either" and ("json" in content_type or request.body.lstrip()[:1] in (b"{", b"[")):
        return json_of(request.body)
    return form_of(request.body)


def json_of(body: bytes) -> object:
    """Raises `Unmappable`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Unmappable("body: wanted JSON in UTF-8, got something else; see the rejected event") from None


def form_of(body: bytes) -> dict[str, object]:
    """The fields of a form: `a[b][c]=1` as nested objects, fields that come twice as lists. Raises `Unmappable`."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Unmappable("body: wanted a form in UTF-8, got something else; see the rejected event") from None
    return unfolded(pairs)


def unfolded(pairs: Sequence[tuple[str, str]]) -> dict[str, object]:
    """`a[b]` as `{"a": {"b": …}}`, to eight levels; deeper names stay as they are."""
    found: dict[str, object] = {}
    for name, value in pairs:
        steps = _steps(name)
        inner = found
        for step in steps[:-1]:
            below = inner.setdefault(step, {})
            if not isinstance(below, dict):
                break
            inner = below
        else:
            known = inner.get(steps[-1])
            if known is None:
                inner[steps[-1]] = value
            elif isinstance(known, list):
                known.append(value)
            elif not isinstance(known, dict):
                inner[steps[-1]] = [known, value]
    return found


def _steps(name: str) -> list[str]:
    head, *rest = name.split("[")
    if not head or not rest or len(rest) >= _MOST_LEVELS or not all(part.endswith("]") for part in rest):
        return [name]
    return [head, *(part[:-1] for part in rest)]
