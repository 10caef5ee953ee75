"""CloudEvents 1.0 over HTTP (structured, batch and binary mode) to `Incoming` events. Pure.

`data` is ours when it is an object with `identifiers`, `traits` or `properties`; any other object is the
event's properties, and a `subject` of the form `type:value` its identifier.
"""

import base64
import re
import uuid
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final
from urllib.parse import unquote

import orjson

from producers import addresses
from producers.identifiers import HINT
from producers.incoming import ClaimedAt, Context, Incoming, Object, Traits
from producers.odd import Odd
from producers.parsing import invalid_json, parse
from producers.segment import purposes
from registry.models import Source
from schemas.catalog import Catalog, custom_type
from schemas.custom import PREFIX, folded
from schemas.envelope import MAX_ID
from schemas.errors import InvalidEvent
from schemas.moments import read_moment

BATCH: Final = "application/cloudevents-batch+json"
REFUSED_BY_SENDER: Final = "refused_by_sender"
"""The code of what a sender keeps with us that it could not use itself, such as an import's broken rows."""

_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")


def events_of(headers: Mapping[str, str], body: bytes) -> tuple[list[object], bool, bool]:
    """The events of a request as structured JSON, whether it was a batch, and whether its events are `doubtful` (see
    `parse`). Raises `InvalidEvent` if the request as a whole cannot be read. `headers` have lower-case names.
    """
    if "ce-specversion" in headers or "ce-id" in headers:
        return [_from_binary(headers, body)], False, False
    parsed, doubtful = parse(body)
    if isinstance(parsed, list):
        return parsed, True, doubtful
    return [parsed], False, False


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
    """Our id for the sender's (source, id): the same for every copy. None if the sender gave none. It is the id as
    sent, `~`, and a hash of its `source`. So two producers that share a write key and use the same numbers stay apart,
    and the id stays readable and fits into a path. An id that is too long is hashed as a whole.
    """
    if not isinstance(event, dict):
        return None
    source, given = _text(event.get("source")), _text(event.get("id"))
    if source is None or given is None:
        return None
    try:
        given.encode()  # must be valid Unicode
        id = f"{given}~{blake2b(source.encode(), digest_size=6).hexdigest()}"
        return id if len(id) <= MAX_ID else str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source}\x1f{given}"))
    except UnicodeEncodeError:
        return None


def to_incoming(
    event: object, id: str, *, source: Source, received_at: int, catalog: Catalog, place: int = 0
) -> Incoming:
    """Raises `InvalidEvent` for anything that is not a CloudEvent, or that its sender refused. Odd values in its data
    are noted and left out, as in an SDK's message.
    """
    if not isinstance(event, dict):
        raise InvalidEvent("event: wanted a JSON object, got something else; send an object", code="invalid_event")
    _check_attributes(event)
    if isinstance(refused := event.get("refused"), str):  # the sender's own word: an import's broken rows
        raise InvalidEvent(refused[:500], code=REFUSED_BY_SENDER)
    odd = Odd()
    data = _data(event, odd)
    ours = addresses.is_ours(data)
    type_, dataschema = _type(event["type"], source, catalog)
    properties = _member(data, "properties", odd) if ours else addresses.in_foreign(data, source)
    return Incoming(
        type=type_,
        id=id,
        source=source,
        channel=_channel(event, source, odd),
        received_at=received_at,
        place=place,
        original_time=_time(event, source, odd),
        identifiers=_identifiers(data, odd) if ours else _subject(event),
        traits=Traits(_member(data, "traits", odd)) if ours else None,
        properties=properties,
        context=Context(
            {
                **(_member(data, "context", odd) if ours else {}),
                "vendor_id": event["id"],
                "vendor_source": event["source"],
            }
        ),
        consent=purposes(data.get("consent")) if ours else None,
        name=None,
        dataschema=dataschema,
        odd=odd or None,
        of_nobody=True,
    )


def _check_attributes(event: Object) -> None:
    for attribute in ("specversion", "id", "source", "type"):
        value = event.get(attribute)
        value = _text(value) if attribute == "id" else value
        if not isinstance(value, str) or not value or "\x00" in value:
            raise InvalidEvent(
                f"{attribute}: wanted a text, got none; CloudEvents needs specversion, id, source and type",
                code="invalid_cloudevent",
            )
    if event["specversion"] != "1.0":
        raise InvalidEvent("specversion: wanted 1.0, got another; send CloudEvents 1.0", code="invalid_cloudevent")


def _text(value: object) -> str | None:
    """A text, or a whole number as text; None for "" and everything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _time(event: Object, source: Source, odd: Odd) -> ClaimedAt | None:
    given = event.get("time")
    if given is None or given == "":
        return None
    time = read_moment(given, source.zone)
    if time is None:
        odd.time_unreadable(given)
        return None
    return ClaimedAt(time)


def _channel(event: Object, source: Source, odd: Odd) -> str:
    channel = event.get("channel")
    if isinstance(channel, str) and _CHANNEL.fullmatch(channel):
        return channel
    if channel is not None:
        odd.left_out("/channel", channel)
    return source.channel


def _data(event: Object, odd: Odd) -> Object:
    data = event.get("data")
    if data is None and isinstance(encoded := event.get("data_base64"), str):
        data = _decoded(encoded)
        if not isinstance(data, dict):
            odd.left_out("/properties", encoded)
            return {}
    if data is not None and not isinstance(data, dict):
        odd.left_out("/properties", data)
    return data if isinstance(data, dict) else {}


def _decoded(encoded: str) -> object:
    """JSON from bytes; None for other bytes."""
    try:
        return orjson.loads(base64.b64decode(encoded, validate=True))
    except ValueError:
        return None


def _member(data: Object, name: str, odd: Odd) -> Object:
    value = data.get(name)
    if value is not None and not isinstance(value, dict):
        odd.left_out(f"/{name}", value)
    return value if isinstance(value, dict) else {}


def _type(given: object, source: Source, catalog: Catalog) -> tuple[str, str | None]:
    """(type, dataschema if it is not the newest). A known type is recognised in any spelling; any other name is
    custom."""
    name = str(given)
    if catalog.by_type(name) is not None:
        return name, None
    if source.aliases and (declared := source.types_by_name.get(folded(name))) is not None:
        return declared, None
    known = catalog.by_track_name(name)
    if known is not None:
        return known.type, known.dataschema
    return custom_type(name.removeprefix(PREFIX)), None


def _identifiers(data: Object, odd: Odd) -> list[tuple[str, object] | tuple[str, object, str]]:
    """(type, value), with `hint` at the end if the sender marks it: somebody merely typed it, or a URL carried it."""
    listed = data.get("identifiers")
    if listed is None:
        return []
    if not isinstance(listed, list):
        odd.left_out("/identifiers", listed)
        return []
    found: list[tuple[str, object] | tuple[str, object, str]] = []
    for entry in listed:
        type_ = entry.get("type") if isinstance(entry, dict) else None
        if not isinstance(type_, str):
            odd.left_out("/identifiers", listed)
        elif entry.get("trust") == HINT:
            found.append((type_, entry.get("value"), HINT))
        else:
            found.append((type_, entry.get("value")))
    return found


def _subject(event: Object) -> list[tuple[str, object] | tuple[str, object, str]]:
    subject = event.get("subject")
    if not isinstance(subject, str):
        return []
    type_, colon, value = subject.partition(":")
    if not (colon and type_ and value) or value.startswith("//"):
        return []  # the last: an address, not an identifier
    return [(type_, value)]
