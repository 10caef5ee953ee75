"""CloudEvents 1.0 over HTTP (structured, batch and binary mode) to `Incoming` events. Pure.

`data` is ours when it is an object with `identifiers`, `traits` or `properties`; any other object is the
event's properties, and a `subject` of the form `type:value` its identifier.
"""

import re
import uuid
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote

import orjson

from producers.door import Incoming
from producers.parsing import invalid_json
from producers.segment import purposes
from producers.times import read_time
from registry.models import Source
from schemas.catalog import Catalog, custom_type
from schemas.custom import PREFIX
from schemas.envelope import MAX_ID
from schemas.errors import InvalidEvent

Object = Mapping[str, object]

BATCH: Final = "application/cloudevents-batch+json"

_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
_OURS: Final = ("identifiers", "traits", "properties")


def events_of(headers: Mapping[str, str], body: bytes) -> tuple[list[object], bool]:
    """The events of a request as structured JSON, and whether it was a batch.

    Raises `InvalidEvent` where the request as a whole cannot be read. `headers` have lower-case names.
    """
    if "ce-specversion" in headers or "ce-id" in headers:
        return [_from_binary(headers, body)], False
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid_json(error) from error
    if isinstance(parsed, list):
        return parsed, True
    return [parsed], False


def _from_binary(headers: Mapping[str, str], body: bytes) -> dict[str, object]:
    event: dict[str, object] = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    content_type = headers.get("content-type", "application/json")
    event["datacontenttype"] = content_type
    if body:
        try:
            event["data"] = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise invalid_json(error) from error
    return event


def event_id(event: object) -> str | None:
    """Ours for the sender's (source, id): the same for every copy. None where the sender gave none.

    The id as sent, `~`, and what its `source` comes to: two producers that share a write key and number alike stay
    apart, and the id is still read, found and written into a path. Too long a one is hashed whole.
    """
    if not isinstance(event, dict):
        return None
    source, given = event.get("source"), event.get("id")
    if not (isinstance(source, str) and source and isinstance(given, str) and given):
        return None
    try:
        given.encode()  # must be text that can be written
        id = f"{given}~{blake2b(source.encode(), digest_size=6).hexdigest()}"
        return id if len(id) <= MAX_ID else str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source}\x1f{given}"))
    except UnicodeEncodeError:
        return None


def to_incoming(
    event: object, id: str, *, source: Source, received_at: int, catalog: Catalog, place: int = 0
) -> Incoming:
    """Raises `InvalidEvent` for what is no CloudEvent, or whose data is neither ours nor an object."""
    if not isinstance(event, dict):
        raise InvalidEvent("event: wanted a JSON object, got something else", code="invalid_event")
    _check_attributes(event)
    if isinstance(refused := event.get("refused"), str):  # the sender's own word: an import's broken rows
        raise InvalidEvent(refused[:500], code="refused_by_sender")
    data = _data(event)
    ours = any(isinstance(data.get(member), dict | list) for member in _OURS)
    channel = event.get("channel")
    return Incoming(
        type=_type(str(event["type"]), catalog),
        id=id,
        source=source,
        channel=channel if isinstance(channel, str) and _CHANNEL.fullmatch(channel) else source.channel,
        received_at=received_at,
        place=place,
        original_time=read_time(event.get("time"), "time"),
        identifiers=_identifiers(data) if ours else _subject(event),
        traits=_member(data, "traits") if ours else None,
        properties=_member(data, "properties") if ours else data,
        context={
            **(_member(data, "context") if ours else {}),
            "vendor_id": event["id"],
            "vendor_source": event["source"],
        },
        consent=purposes(data.get("consent")) if ours else None,
        name=None,
        strict=ours,
    )


def _check_attributes(event: Object) -> None:
    for attribute in ("specversion", "id", "source", "type"):
        value = event.get(attribute)
        if not isinstance(value, str) or not value or "\x00" in value:
            raise InvalidEvent(
                f"{attribute}: wanted a text, got none; CloudEvents needs specversion, id, source and type",
                code="invalid_cloudevent",
            )
    if event["specversion"] != "1.0":
        raise InvalidEvent("specversion: wanted 1.0, got another; send CloudEvents 1.0", code="invalid_cloudevent")


def _data(event: Object) -> Object:
    data = event.get("data")
    if data is None and "data_base64" not in event:
        return {}
    if not isinstance(data, dict):
        raise InvalidEvent("data: wanted a JSON object, got something else; send an object", code="invalid_data")
    return data


def _member(data: Object, name: str) -> Object:
    value = data.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidEvent(f"data.{name}: wanted an object, got {type(value).__name__}", code="invalid_data")
    return value


def _type(given: str, catalog: Catalog) -> str:
    """A known type as it is; anything else is custom, named by its words."""
    if catalog.by_type(given) is not None:
        return given
    return custom_type(given.removeprefix(PREFIX))


def _identifiers(data: Object) -> list[tuple[str, object]]:
    listed = data.get("identifiers")
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise InvalidEvent("data.identifiers: wanted a list, got something else", code="invalid_data")
    found: list[tuple[str, object]] = []
    for index, entry in enumerate(listed):
        type_ = entry.get("type") if isinstance(entry, dict) else None
        if not isinstance(type_, str):
            raise InvalidEvent(
                f'data.identifiers[{index}]: wanted {{"type", "value"}}, got something else',
                code="invalid_data",
            )
        found.append((type_, entry.get("value")))
    return found


def _subject(event: Object) -> list[tuple[str, object]]:
    subject = event.get("subject")
    if not isinstance(subject, str):
        return []
    type_, colon, value = subject.partition(":")
    if not (colon and type_ and value) or value.startswith("//"):
        return []  # the last: an address, not an identifier
    return [(type_, value)]
