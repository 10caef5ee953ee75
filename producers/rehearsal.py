"""What the API asks of the connectors: whether a vendor is known, how its secrets are sealed, what a recorded request
would become. Nothing here is kept: a rehearsal reads, and seals and appends nothing."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import orjson

from privacy.secret_box import SecretBox
from producers.door import Door, Refused
from producers.vendor_message import VendorMessage
from producers.vendor_secrets import opened, sealed
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import Connector
from producers.vendors.generic import proof_of
from producers.vendors.mapping import read_map
from producers.vendors.request import Headers, VendorRequest
from registry.models import Source, SourceSecret
from schemas.catalog import Catalog
from schemas.clock import Clock
from schemas.errors import InvalidEvent, InvalidInput, Unverified
from schemas.moments import read_moment

SHOWN: Final = (
    *("type", "id", "name", "time", "channel", "identifiers"),
    *("traits", "properties", "context", "consent", "money", "flags"),
)


class VendorDesk:
    """All methods may be called from any thread. `door` seals nothing and keeps no budgets."""

    def __init__(self, door: Door, box: SecretBox, catalog: Catalog, clock: Clock, public_url: str = "") -> None:
        self._door = door
        self._box = box
        self._catalog = catalog
        self._clock = clock
        self._public_url = public_url

    def channel(self, vendor: str) -> str:
        """Of the vendor's events; "" where the source says. Raises `InvalidInput` for an unknown vendor."""
        return self._connector(vendor).channel

    def uses(self, vendor: str) -> Mapping[str, str]:
        """The uses of the vendor's secrets -> what they are. Raises `InvalidInput`."""
        return self._connector(vendor).secrets

    def check(self, vendor: str, hearing: Mapping[str, Any]) -> None:
        """Raises `InvalidInput` for settings that the vendor's connector cannot use."""
        self._connector(vendor)
        if hearing.get("mapping") is not None:
            read_map(hearing["mapping"])
        if hearing.get("proof") is not None:
            proof_of(hearing["proof"])

    def seal(self, source: str, id: str, use: str, secret: str) -> SourceSecret:
        return sealed(self._box, source, id, use, secret, self._clock())

    def rehearse(self, source: Source, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """What a recorded request would become now: see docs/channels.md for its form. Raises `InvalidInput` for one of
        another form, or a source that hears no vendor."""
        if source.vendor is None:
            raise InvalidInput("source: wanted one with a vendor, got one without; set its vendor", code="no_vendor")
        connector = self._connector(source.vendor)
        request = self._recorded(source, recorded)
        said: dict[str, Any] = {"verified": True, "events": [], "rejected": [], "privacy": []}
        secrets = opened(self._box, source, request.received_at)
        try:
            reply = connector.greet(request, secrets) if connector.greet else None
            if reply is not None:
                body = reply.body.decode(errors="replace")
                return said | {"handshake": {"status": reply.status, "body": body}}
            connector.verify(request, secrets)
        except Unverified as error:
            said |= {"verified": False, "reason": error.message}
        message = VendorMessage(connector, source, request, links_hints=source.webhook.hints == "link")
        try:
            asked = connector.privacy(request) if connector.privacy else ()
            items = connector.items_of(request)
        except InvalidEvent as error:
            return said | {"rejected": [{"code": error.code, "reason": error.message}]}
        said["privacy"] = [{"type": one.kind, "id": one.id, "reason": one.reason} for one in asked]
        place = 0
        for item in items:
            for verdict in message.verdicts(self._door, self._catalog, item, place):
                place += 1
                if isinstance(verdict, Refused):
                    said["rejected"].append({"code": verdict.code, "reason": verdict.reason})
                else:
                    said["events"].append(shown(orjson.loads(verdict[1])))
        return said

    def _connector(self, vendor: str) -> Connector:
        connector = CONNECTORS.get(vendor)
        if connector is None:
            raise InvalidInput(
                f"vendor: wanted one of {', '.join(CONNECTORS)}, got another; name one of these", code="unknown_vendor"
            )
        return connector

    def _recorded(self, source: Source, recorded: Mapping[str, Any]) -> VendorRequest:
        headers, query = recorded.get("headers") or {}, recorded.get("query") or {}
        if not isinstance(headers, dict) or not isinstance(query, dict):
            raise _wrong("objects of texts as headers and query")
        at = recorded.get("received_at")
        received_at = self._clock() if at is None else read_moment(at)
        if received_at is None:
            raise _wrong("a time in received_at")
        path = f"/v1/webhooks/{source.vendor}/{source.id}"
        return VendorRequest(
            str(recorded.get("method") or "POST").upper(),
            Headers((str(name), str(value)) for name, value in headers.items()),
            _body(recorded),
            received_at,
            {str(name): str(value) for name, value in query.items()},
            source.webhook.url or str(recorded.get("url") or f"{self._public_url}{path}"),
            source.zone,
            source.heard,
        )


def _body(recorded: Mapping[str, Any]) -> bytes:
    if "json" in recorded:
        return orjson.dumps(recorded["json"])
    encoded, text = recorded.get("body_base64"), recorded.get("body", "")
    if encoded is None:
        return text.encode() if isinstance(text, str) else orjson.dumps(text)
    try:
        return base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("Base64 in body_base64") from None


def _wrong(wanted: str) -> InvalidInput:
    return InvalidInput(
        f"recorded request: wanted {wanted}, got something else; see docs/channels.md", code="invalid_recording"
    )


def shown(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an envelope that say what the event is."""
    members = {name: envelope[name] for name in SHOWN if envelope.get(name)}
    members["identifiers"] = [
        {name: one[name] for name in ("type", "value", "trust") if name in one} for one in envelope["identifiers"]
    ]
    return members
