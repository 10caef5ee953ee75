"""Segment's and RudderStack's message, as a JSON object, to the fields of an `Incoming` event. Pure.

The two protocols differ in places where both can be read: RudderStack's identify has its traits in
`context.traits`, its events carry `sentAt` each, its external ids have two members instead of four.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from producers.times import read_time
from registry.models import Source
from schemas.catalog import Catalog, custom_type
from schemas.clock import IdMaker
from schemas.errors import InvalidEvent

Message = dict[str, object]
Object = Mapping[str, object]
T = TypeVar("T")

KINDS: Final = ("identify", "track", "page", "screen", "group", "alias")

_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_LONG_NAME: Final = 200
_LONG_TIME: Final = 100
"""Longer names and times are not cached: the caches must stay small whatever is sent."""


def event_id(message: Message, new_id: IdMaker) -> str:
    """The `messageId` as it is, a number as text; a fresh id where there is none that could be one."""
    given = message.get("messageId")
    if isinstance(given, str) and given:
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    return new_id()


def complete(message: Message, kind: str | None, request: Message, ip: str | None) -> None:
    """Write into the message what its request says for all, so that it can stand alone.

    That is the path's type, the batch's `sentAt` and `context`, and the sender's address where the client
    asks for it (`context.direct`).
    """
    if kind is not None:
        message["type"] = kind
    if "sentAt" in request and not message.get("sentAt") and request["sentAt"]:
        message["sentAt"] = request["sentAt"]
    own = message.get("context")
    if "context" in request and (own is None or isinstance(own, dict)):
        shared = request["context"]
        if isinstance(shared, dict) and shared:
            message["context"] = own = {**shared, **(own or {})}
    if isinstance(own, dict):
        _add_address(own, ip)


def _add_address(context: dict[str, object], ip: str | None) -> None:
    if context.get("direct") is True and not context.get("ip") and ip:
        context["ip"] = ip


@dataclass(frozen=True, slots=True)
class Shared:
    """What one request says for all of its events. Times in ms; `ip` is the sender's address."""

    source: Source
    received_at: int
    sent_at: int | None
    ip: str | None


def shared_by(request: Message, source: Source, received_at: int, ip: str | None) -> Shared:
    """`request`: the parsed body."""
    return Shared(source, received_at, _sent_at(request.get("sentAt") or None), ip)


def read(message: Message, id: str, place: int, shared: Shared, catalog: Catalog, make: Callable[..., T]) -> T:
    """What `make` makes of the message; it takes the fields of `Incoming` in their order.

    That is `Incoming` itself, or the door's `record`: a tuple for each event would take as long as a tenth of all
    that is done with it. Raises `InvalidEvent` for a message that cannot be read. May write the sender's address
    into its context.
    """
    kind = message.get("type")
    read_call = _READERS.get(kind) if isinstance(kind, str) else None
    if read_call is None:
        raise InvalidEvent(f"type: wanted one of {', '.join(KINDS)}, got something else", code="unknown_type")
    context = message.get("context")
    if not isinstance(context, dict):
        context = _object(message, "context")
    traits = _object(message, "traits") if "traits" in message else {}
    person = _person(traits, context) if kind == "identify" else {}
    event_type, properties, name, dataschema = read_call(message, traits, catalog)
    source, sent_at = shared.source, shared.sent_at
    original = read_time(message.get("timestamp"), "timestamp")
    if "sentAt" in message and (own := message["sentAt"]):
        sent_at = _sent_at(own)
    if "originalTimestamp" in message:
        original, sent_at = _claimed(message, original, sent_at)
    identifiers: _Found = ()
    if (user := message.get("userId")) is not None and user != "":
        identifiers = (("user_id", user),)
    if (anonymous := message.get("anonymousId")) is not None and anonymous != "":
        identifiers += (("anonymous_id", anonymous),)
    if not identifiers:
        raise InvalidEvent("event: wanted a userId or an anonymousId, got neither; send one", code="no_identifier")
    if kind == "alias":
        identifiers += _former_ids(message)
    if person:
        identifiers += _contacts(person)
    consent = None
    if not _TELLING.isdisjoint(context):  # false for most: nothing more to look for
        _add_address(context, shared.ip)
        identifiers += _contacts(None if person else context.get("traits"))
        identifiers += _context_ids(context)
        consent = _consent(context)
    return make(
        event_type,
        id,
        source,
        source.channel,
        shared.received_at,
        place,
        original,
        sent_at,
        identifiers,
        person,
        properties,
        context,
        consent,
        name,
        dataschema,
        kind == "alias",
    )


def _object(message: Message, field: str) -> Message:
    value = message.get(field)
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise InvalidEvent(
        f"{field}: wanted an object, got {type(value).__name__}; send {{}} or leave it out",
        code="invalid_field",
    )


def _person(traits: Object, context: Object) -> Object:
    """The traits of an identify; those of its context are RudderStack's."""
    others = context.get("traits")
    return {**others, **traits} if isinstance(others, dict) and others else traits


# --- One reader a kind: what the call says ---


_Call = tuple[str, Object, str | None, str | None]
"""Type, properties, name, dataschema."""


@lru_cache(maxsize=4096)
def type_of_track(catalog: Catalog, name: str) -> tuple[str, str | None]:
    """Type and dataschema of a track event's name; `custom.*` without one for a name that no table knows.

    Raises `InvalidEvent` for a blank one.
    """
    if not name.strip():
        raise _nameless()
    known = catalog.by_track_name(name)
    return (custom_type(name), None) if known is None else (known.type, known.dataschema)


def _track(message: Message, traits: Object, catalog: Catalog) -> _Call:
    name = message.get("event")
    if not isinstance(name, str):
        raise _nameless()
    named = type_of_track if len(name) <= _LONG_NAME else type_of_track.__wrapped__
    event_type, dataschema = named(catalog, name)
    properties = message.get("properties")
    if not isinstance(properties, dict):
        properties = _object(message, "properties")
    return event_type, properties, name, dataschema


def _nameless() -> InvalidEvent:
    return InvalidEvent("event: wanted the name of what happened, got none; send a text", code="missing_event")


def _identify(message: Message, traits: Object, catalog: Catalog) -> _Call:
    return "profile.identified", _object(message, "properties"), None, None


def _page(message: Message, traits: Object, catalog: Catalog) -> _Call:
    return "page.viewed", _with_title(message), None, None


def _screen(message: Message, traits: Object, catalog: Catalog) -> _Call:
    return "screen.viewed", _with_title(message), None, None


def _with_title(message: Message) -> Object:
    properties = _object(message, "properties")
    if "name" not in message and "category" not in message:
        return properties
    titles = {key: value for key in ("name", "category") if isinstance(value := message.get(key), str)}
    return {**properties, **titles}


def _group(message: Message, traits: Object, catalog: Catalog) -> _Call:
    group = message.get("groupId")
    if isinstance(group, int) and not isinstance(group, bool):
        group = str(group)
    if not isinstance(group, str) or not group:
        raise InvalidEvent("groupId: wanted the group's id, got none; send a text", code="missing_group")
    properties = {**_object(message, "properties"), "group_id": group, "traits": traits}
    return "group.joined", properties, None, None


def _alias(message: Message, traits: Object, catalog: Catalog) -> _Call:
    if not message.get("previousId") and not message.get("anonymousId"):
        raise InvalidEvent("previousId: wanted the id used before, got none; send it", code="missing_previous_id")
    return "profile.aliased", {**_object(message, "properties"), "previous_id": message.get("previousId")}, None, None


_READERS: Final[Mapping[str, Callable[[Message, Object, Catalog], _Call]]] = {
    "identify": _identify,
    "track": _track,
    "page": _page,
    "screen": _screen,
    "group": _group,
    "alias": _alias,
}


# --- Time ---


def _claimed(message: Message, stated: int | None, sent_at: int | None) -> tuple[int | None, int | None]:
    """(original, sent at). `timestamp` beside another `originalTimestamp` is a chosen moment on a good clock
    and not corrected: RudderStack keeps it, events that Segment forwards carry it corrected."""
    original = read_time(message["originalTimestamp"], "originalTimestamp")
    if stated is None:
        return original, sent_at
    return stated, (sent_at if original is None or original == stated else None)


def _sent_at(value: object) -> int | None:
    if not isinstance(value, str) or len(value) > _LONG_TIME:
        return _sent_once(value)
    return _sent_again(value)


def _sent_once(value: object) -> int | None:
    try:
        return read_time(value, "sentAt")
    except InvalidEvent:
        return None  # the client's clock stays uncorrected: no reason to refuse what it tells


_sent_again: Final = lru_cache(maxsize=64)(_sent_once)
"""All events of a batch were sent at one time."""


# --- Identifiers: (type, value as received); null and "" are none ---

_Found = tuple[tuple[str, object], ...]

_TELLING: Final = frozenset({"traits", "device", "externalIds", "externalId", "consent", "direct"})
"""The members of a context that say who it is, where from, or what is allowed."""


def _former_ids(message: Message) -> _Found:
    """Which of the two a previous id was cannot be known here: it names both."""
    if (previous := message.get("previousId")) is not None and previous != "":
        return ("user_id", previous), ("anonymous_id", previous)
    return ()


def _contacts(traits: object) -> _Found:
    if not isinstance(traits, dict):
        return ()
    return tuple([(type_, contact) for type_ in ("email", "phone") if (contact := traits.get(type_))])


def _context_ids(context: Object) -> _Found:
    found: _Found = ()
    device = context.get("device")
    if isinstance(device, dict):
        if device_id := device.get("id"):
            found += (("device_id", device_id),)
        if device.get("adTrackingEnabled") is True and (advertising := device.get("advertisingId")):
            found += (("advertising_id", advertising),)
    found += _external_ids(context.get("externalIds"), ("id", "type", "collection", "encoding"))
    return found + _external_ids(context.get("externalId"), ("id", "type"))


def _external_ids(listed: object, members: tuple[str, ...]) -> _Found:
    if not isinstance(listed, list):
        return ()
    return tuple(
        (_slug(str(entry["type"])), entry["id"])
        for entry in listed
        if isinstance(entry, dict) and all(entry.get(member) for member in members)
    )


def _slug(type_: str) -> str:
    """`brazeExternalId` is the identifier type `braze_external_id`."""
    return _WORD_START.sub("_", type_).lower().replace("-", "_").replace(" ", "_")


def _consent(context: Object) -> dict[str, bool | str] | None:
    consent = context.get("consent")
    if not isinstance(consent, dict):
        return None
    return purposes(consent.get("categoryPreferences"))


def purposes(given: object) -> dict[str, bool | str] | None:
    """The purposes with a yes, a no or a word; None where there is none."""
    if not isinstance(given, dict):
        return None
    return {purpose: value for purpose, value in given.items() if isinstance(value, bool | str)} or None
