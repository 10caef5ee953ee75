"""Retries a rejected event under the same id, time of receipt and place, perhaps with corrected bytes."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from producers.door import Door, Verdict
from producers.parsing import parse
from producers.vendor_message import VendorMessage
from producers.vendors.catalogue import CONNECTORS
from producers.vendors.connector import json_of
from producers.vendors.request import Headers, VendorRequest
from producers.verdicts import SdkRequest, cloudevent_verdict
from registry.models import UNLIMITED, Source
from registry.registry import Registry
from schemas.catalog import Catalog
from schemas.errors import InvalidEvent, NotFound


def retry_rejected(
    record: Mapping[str, Any], payload: bytes | None, *, door: Door, registry: Registry, catalog: Catalog
) -> list[Verdict]:
    """Pass a record of simorgh.rejected to the door again. `payload` replaces its bytes if they were fixed.

    The caller appends the verdicts. SDK messages and CloudEvents are one event each, whose verdict has the record's id;
    anything else is refused again. What came in a vendor's webhook is read anew by its connector, and may be several
    events, under the ids that the vendor gives them, so that a redelivery is a copy. Raises `NotFound` if the source no
    longer exists.
    """
    source = registry.sources.get(record["source"])
    if source is None:
        raise NotFound("rejected event: wanted its source, got none; declare the source again")
    source = source.model_copy(update={"budget": UNLIMITED})
    id = str(record["id"])
    body = bytes_of(record) if payload is None else payload
    received_at = round(datetime.fromisoformat(record["received_at"]).timestamp() * 1000)
    place = int(record.get("place", 0))
    if webhook := record.get("webhook"):
        return _heard_again(webhook, body, received_at, place, source, door, catalog)
    return [_sent_again(id, body, received_at, place, source, door, catalog)]


def _heard_again(
    webhook: Mapping[str, Any], body: bytes, received_at: int, place: int, source: Source, door: Door, catalog: Catalog
) -> list[Verdict]:
    connector = CONNECTORS.get(str(webhook.get("vendor")))
    if connector is None:
        raise NotFound("rejected event: wanted its vendor's connector, got none; install the version that has it")
    settings = source.webhook
    request = VendorRequest(
        "POST",
        Headers(dict(webhook.get("headers", {})).items()),
        body,
        received_at,
        url=settings.url or "",
        zone=source.zone,
        settings=source.heard,
    )
    message = VendorMessage(connector, source, request, links_hints=settings.hints == "link")
    try:
        items = connector.items_of(request) if webhook.get("whole") else [json_of(body)]
    except InvalidEvent as error:
        return [message.refuse_whole(door, error)]
    return [verdict for item in items for verdict in message.verdicts(door, catalog, item, place)]


def _sent_again(
    id: str, body: bytes, received_at: int, place: int, source: Source, door: Door, catalog: Catalog
) -> Verdict:
    try:
        event = _one_event(body)
    except InvalidEvent as error:
        return door.refuse(error, id, body, source=source, received_at=received_at, place=place)
    if "specversion" in event:
        return cloudevent_verdict(
            door, catalog, lambda: id, event, place, source=source, received_at=received_at, id=id
        )
    event["messageId"] = id
    kind = event.get("type")
    sdk = SdkRequest(
        source=source,
        kind=kind if isinstance(kind, str) else None,
        members=event,
        body=body,
        received_at=received_at,
    )
    return sdk.verdict(door, catalog, lambda: id, event, place)


def bytes_of(record: Mapping[str, Any]) -> bytes:
    """The original bytes."""
    encoded = record.get("payload_base64")
    return base64.b64decode(encoded) if encoded is not None else str(record["payload"]).encode()


def _one_event(body: bytes) -> dict[str, object]:
    event, _ = parse(body)
    if not isinstance(event, dict):
        raise InvalidEvent("payload: wanted a JSON object, got something else; send an object", code="invalid_event")
    if "batch" in event and "type" not in event:
        raise InvalidEvent("payload: wanted one event, got a batch; send its events again", code="not_one_event")
    return event
