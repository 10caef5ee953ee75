"""Segment's and RudderStack's message, as a JSON object, to an `Incoming` event. Pure.

The two protocols differ in places where both can be read: RudderStack's identify has its traits in
`context.traits`, its events carry `sentAt` each, its external ids have two members instead of four.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from producers.door import Incoming
from producers.times import read_time
from registry.models import Source
from schemas.catalog import Catalog, custom_type
from schemas.clock import IdMaker
from schemas.errors import InvalidEvent

Message = dict[str, object]
Object = Mapping[str, object]

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
    if isinstance(own, dict) and "direct" in own and own["direct"] is True and not own.get("ip") and ip:
        own["ip"] = ip


def to_incoming(
    message: Message, id: str, raw: bytes | Object, source: Source, received_at: int, catalog: Catalog
) -> Incoming:
    """Raises `InvalidEvent` for a message that cannot be read. `raw` is kept if it is refused later."""
    kind = message.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise InvalidEvent(f"type: wanted one of {', '.join(KINDS)}, got something else", code="unknown_type")
    context = _object(message, "context") if "context" in message else {}
    traits = _object(message, "traits") if "traits" in message else {}
    person = _person(traits, context) if kind == "identify" else {}
    event_type, properties, name, dataschema = read(message, traits, catalog)
    original, sent_at = _clock(message)
    identifiers: _Found = []
    if (user := message.get("userId")) is not None and user != "":
        identifiers.append(("user_id", user))
    if (anonymous := message.get("anonymousId")) is not None and anonymous != "":
        identifiers.append(("anonymous_id", anonymous))
    if not identifiers:
        raise InvalidEvent("event: wanted a userId or an anonymousId, got neither; send one", code="no_identifier")
    if kind == "alias":
        identifiers += _former_ids(message)
    if person:
        identifiers += _contacts(person)
    consent = None
    if not _TELLING.isdisjoint(context):  # false for most: nothing more to look for
        identifiers += _contacts(None if person else context.get("traits"))
        identifiers += _context_ids(context)
        consent = _consent(context)
    # What `Incoming(…)` does, without a call of Python, in less than half of its time: every event is made here.
    return tuple.__new__(
        Incoming,
        (
            event_type,
            id,
            source,
            source.channel,
            received_at,
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
            False,
            raw,
        ),
    )


def _object(message: Message, field: str) -> Object:
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
    """Type and dataschema of a track event's name; `custom.*` without one for a name that no table knows."""
    known = catalog.by_track_name(name)
    return (custom_type(name), None) if known is None else (known.type, known.dataschema)


def _track(message: Message, traits: Object, catalog: Catalog) -> _Call:
    name = message.get("event")
    if not isinstance(name, str) or not name.strip():
        raise InvalidEvent("event: wanted the name of what happened, got none; send a text", code="missing_event")
    named = type_of_track if len(name) <= _LONG_NAME else type_of_track.__wrapped__
    event_type, dataschema = named(catalog, name)
    return event_type, _object(message, "properties"), name, dataschema


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


def _clock(message: Message) -> tuple[int | None, int | None]:
    """(original, sent at). `timestamp` beside another `originalTimestamp` is a chosen moment on a good clock
    and not corrected: RudderStack keeps it, events that Segment forwards carry it corrected."""
    original = stated = read_time(message.get("timestamp"), "timestamp")
    if "originalTimestamp" in message:
        original = read_time(message["originalTimestamp"], "originalTimestamp")
        if stated is not None and original is not None and stated != original:
            return stated, None
    sent = message.get("sentAt")
    short = isinstance(sent, str) and len(sent) < _LONG_TIME
    return (original if stated is None else stated), (_sent_again(sent) if short else _sent_at(sent))


def _sent_at(value: object) -> int | None:
    try:
        return read_time(value, "sentAt")
    except InvalidEvent:
        return None  # the client's clock stays uncorrected: no reason to refuse what it tells


_sent_again: Final = lru_cache(maxsize=64)(_sent_at)
"""All events of a batch were sent at one time."""


# --- Identifiers: (type, value as received); null and "" are none ---

_Found = list[tuple[str, object]]

_TELLING: Final = frozenset({"traits", "device", "externalIds", "externalId", "consent"})
"""The members of a context that say who it is, or what is allowed."""


def _former_ids(message: Message) -> _Found:
    """Which of the two a previous id was cannot be known here: it names both."""
    if (previous := message.get("previousId")) is not None and previous != "":
        return [("user_id", previous), ("anonymous_id", previous)]
    return []


def _contacts(traits: object) -> _Found:
    if not isinstance(traits, dict):
        return []
    return [(type_, contact) for type_ in ("email", "phone") if (contact := traits.get(type_))]


def _context_ids(context: Object) -> _Found:
    found: _Found = []
    device = context.get("device")
    if isinstance(device, dict):
        if device_id := device.get("id"):
            found.append(("device_id", device_id))
        if device.get("adTrackingEnabled") is True and (advertising := device.get("advertisingId")):
            found.append(("advertising_id", advertising))
    found += _external_ids(context.get("externalIds"), ("id", "type", "collection", "encoding"))
    found += _external_ids(context.get("externalId"), ("id", "type"))
    return found


def _external_ids(listed: object, members: tuple[str, ...]) -> _Found:
    if not isinstance(listed, list):
        return []
    return [
        (_slug(str(entry["type"])), entry["id"])
        for entry in listed
        if isinstance(entry, dict) and all(entry.get(member) for member in members)
    ]


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
