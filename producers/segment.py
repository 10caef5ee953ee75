"""Segment's and RudderStack's message, as a JSON object, to the fields of an `Incoming` event. Pure.

The two protocols differ in places where both can be read: RudderStack's identify has its traits in
`context.traits`, its events carry `sentAt` each, its external ids have two members instead of four.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from typing import Final, NamedTuple, cast

from producers.incoming import ClaimedAt, Consent, Context, Incoming, Object, SentAt, Traits
from producers.naming import account_of
from producers.odd import ALIAS_OF_ITSELF, Odd
from registry.models import Source
from schemas import accounts
from schemas.catalog import Catalog
from schemas.clock import IdMaker
from schemas.custom import custom_type, folded
from schemas.errors import InvalidEvent
from schemas.moments import LONGEST, read_moment
from schemas.sets import ga4

Message = dict[str, object]

KINDS: Final = ("identify", "track", "page", "screen", "group", "alias")

_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_LONG_NAME: Final = 200
"""Longer names are not cached: the cache must stay small, whatever is sent."""


def event_id(message: Message, new_id: IdMaker) -> str:
    """The `messageId` as it is, a number as text; a fresh id if there is no usable one."""
    given = message.get("messageId")
    if isinstance(given, str) and given:
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    return new_id()


def complete(message: Message, request: Message, ip: str | None) -> None:
    """Write the request's common members into the message: the batch's `context`, and the sender's address if the
    client asks for it (`context.direct`)."""
    own = message.get("context")
    if "context" in request and (own is None or isinstance(own, dict)):
        shared = request["context"]
        if isinstance(shared, dict) and shared:
            message["context"] = own = {**shared, **(own or {})}
    if isinstance(own, dict):
        _add_address(own, ip)


def date(message: Message, request: Message) -> None:
    """Write its request's `sentAt` into the message, so that it can stand alone."""
    if "sentAt" in request and not message.get("sentAt") and request["sentAt"]:
        message["sentAt"] = request["sentAt"]


def _add_address(context: dict[str, object], ip: str | None) -> None:
    if context.get("direct") is True and not context.get("ip") and ip:
        context["ip"] = ip


@dataclass(frozen=True, slots=True)
class SharedFields:
    """The common members of one request's events. Times in ms; `ip` is the sender's address."""

    source: Source
    received_at: int
    sent_at: SentAt | None
    ip: str | None


def shared_by(request: Message, source: Source, received_at: int, ip: str | None) -> SharedFields:
    """`request`: the parsed body."""
    return SharedFields(source, received_at, _sent_at(request.get("sentAt") or None, source.zone), ip)


def read(  # noqa: PLR0912, PLR0915 - what is usual stands in place, as in `Door.record`
    message: Message, id: str, place: int, shared: SharedFields, catalog: Catalog
) -> Incoming:
    """Raises `InvalidEvent` for a message without a type, a name or an identifier.

    May write the sender's address into its context.
    """
    kind = message.get("type")
    read_call = _READERS.get(kind) if isinstance(kind, str) else None
    if read_call is None:
        raise InvalidEvent(
            f"type: wanted one of {', '.join(KINDS)}, got something else; send one of them", code="unknown_type"
        )
    source, sent_at, odd = shared.source, shared.sent_at, None
    where, properties = message.get("context", _NONE), message.get("properties", _NONE)
    traits = message.get("traits", _NONE)
    if not (type(where) is type(properties) is type(traits) is dict):
        where, properties, traits, odd = _objects(where, properties, traits, kind)
    context: Context = where  # type: ignore[assignment]  # a call of the type would cost 1 % of the event
    person = _person(traits, context) if kind == "identify" else None
    event_type, properties, name, dataschema = read_call(message, properties, traits, source, catalog)
    original = None
    if (stated := message.get("timestamp")) is not None and stated != "":
        original = _claimed_at(stated, source.zone)
    if "sentAt" in message and (own := message["sentAt"]):
        sent_at = _sent_at(own, source.zone)
    if "originalTimestamp" in message:
        original, sent_at = _claimed(message, original, sent_at, source)
    if original is None:
        odd = _without_time(message, odd)
    identifiers: _Found = ()
    if (user := message.get("userId")) is not None and user != "":
        identifiers = (("user_id", user),)
    if (anonymous := message.get("anonymousId")) is not None and anonymous != "":
        identifiers += (("anonymous_id", anonymous),)
    of_account = not identifiers
    if of_account and not _names_account(event_type, properties, context):
        raise InvalidEvent("event: wanted a userId or an anonymousId, got neither; send one", code="no_identifier")
    is_alias = False
    if kind == "alias":
        former, odd = _former_ids(message, odd)
        identifiers += former
        is_alias = bool(former)
    if person:
        identifiers += _contacts(person)
    consent = None
    if not _TELLING.isdisjoint(context):  # false for most, which skips the checks below
        _add_address(where, shared.ip)
        identifiers += _contacts(None if person else context.get("traits"))
        identifiers += _context_ids(context)
        consent = _consent(context)
    event = Incoming(  # up to 15 arguments by name cost Python little; with more it makes a dict of them
        type=event_type,
        id=id,
        source=source,
        channel=source.channel,
        received_at=shared.received_at,
        place=place,
        original_time=original,
        sent_at=sent_at,
        identifiers=identifiers,
        traits=person,
        properties=properties,
        context=context,
        name=name,
        dataschema=dataschema,
        odd=odd,
    )
    if is_alias:
        event.alias = True
    if consent:
        event.consent = consent
    if of_account:
        event.of_nobody = True
    if source.channel in _DEVICES:
        event.sender = shared.ip
    return event


_DEVICES: Final = frozenset({"web", "mobile", "app"})
"""The channels of people's own devices: elsewhere the sender's address is a server's."""


def _names_account(type_: str, properties: Object, context: Object) -> bool:
    """Whether the event belongs to an account, so that it needs no person."""
    return account_of(accounts.member_of(type_), properties, context, None) is not None


_NONE: Final[Message] = {}
"""A shared empty object: do not change it."""


def _objects(
    context: object, properties: object, traits: object, kind: object
) -> tuple[Message, Message, Message, Odd | None]:
    """The three as objects; one that is not an object is left out."""
    odd = Odd()
    found: list[Message] = []
    places = ("/context", "/properties", "/properties/traits" if kind == "group" else "/traits")
    for place, value in zip(places, (context, properties, traits), strict=True):
        if value is not None and not isinstance(value, dict):
            odd.left_out(place, value)
        found.append(value if isinstance(value, dict) else {})
    return found[0], found[1], found[2], odd or None


def _person(traits: Object, context: Object) -> Traits:
    """The traits of an identify; those of its context are RudderStack's."""
    others = context.get("traits")
    return Traits({**others, **traits} if isinstance(others, dict) and others else traits)


# --- One reader for each kind of call ---


_Call = tuple[str, Object, str | None, str | None]
"""Type, properties, name, dataschema."""


class _Type(NamedTuple):
    """`translate`: the name is one of Google Analytics', so its parameters may be, too."""

    type: str
    dataschema: str | None
    translate: bool = False


@lru_cache(maxsize=4096)
def type_of_track(catalog: Catalog, name: str) -> _Type:
    """The type of a track event's name; `custom.*` without a dataschema for a name that no table knows.

    Raises `InvalidEvent` for a blank one.
    """
    if not name.strip():
        raise _nameless()
    known = catalog.by_track_name(name)
    if known is None:
        return _Type(custom_type(name), None)
    return _Type(known.type, known.dataschema, folded(name) in ga4.FOLDED)


def _track(message: Message, properties: Object, traits: Object, source: Source, catalog: Catalog) -> _Call:
    name = message.get("event")
    if not isinstance(name, str):
        name = _as_name(name)
    if source.aliases and (declared := source.types_by_name.get(folded(name))) is not None:
        return declared, properties, name, None
    named = type_of_track if len(name) <= _LONG_NAME else type_of_track.__wrapped__
    event_type, dataschema, translate = named(catalog, name)
    return event_type, ga4.translated(event_type, properties) if translate else properties, name, dataschema


def _as_name(name: object) -> str:
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    raise _nameless()


def _nameless() -> InvalidEvent:
    return InvalidEvent("event: wanted the name of what happened, got none; send a text", code="missing_event")


def _identify(message: Message, properties: Object, traits: Object, source: Source, catalog: Catalog) -> _Call:
    return "profile.identified", properties, None, None


def _page(message: Message, properties: Object, traits: Object, source: Source, catalog: Catalog) -> _Call:
    return "page.viewed", _with_title(message, properties), None, None


def _screen(message: Message, properties: Object, traits: Object, source: Source, catalog: Catalog) -> _Call:
    return "screen.viewed", _with_title(message, properties), None, None


def _with_title(message: Message, properties: Object) -> Object:
    if "name" not in message and "category" not in message:
        return properties
    titles = {key: value for key in ("name", "category") if (value := message.get(key)) is not None}
    return {**properties, **titles}


def _group(message: Message, properties: Object, traits: Object, source: Source, catalog: Catalog) -> _Call:
    group = message.get("groupId")
    if isinstance(group, int) and not isinstance(group, bool):
        group = str(group)
    if not isinstance(group, str) or not group:
        raise InvalidEvent("groupId: wanted the group's id, got none; send a text", code="missing_group")
    placed, own = _without_place(traits) if accounts.PLACING.keys() & traits.keys() else (_NONE, traits)
    return "group.joined", {**placed, **properties, "group_id": group, "traits": own}, None, None


def _without_place(traits: Object) -> tuple[Object, Object]:
    """The person's place in the group and the group's parent, and the other traits: SDKs send both as traits."""
    placed = {accounts.PLACING[name]: value for name, value in traits.items() if name in accounts.PLACING}
    return placed, {name: value for name, value in traits.items() if name not in accounts.PLACING}


def _alias(message: Message, properties: Object, traits: Object, source: Source, catalog: Catalog) -> _Call:
    if not message.get("previousId") and not message.get("anonymousId"):
        raise InvalidEvent("previousId: wanted the id used before, got none; send it", code="missing_previous_id")
    return "profile.aliased", {**properties, "previous_id": message.get("previousId")}, None, None


_READERS: Final[Mapping[str, Callable[[Message, Object, Object, Source, Catalog], _Call]]] = {
    "identify": _identify,
    "track": _track,
    "page": _page,
    "screen": _screen,
    "group": _group,
    "alias": _alias,
}


# --- Time ---

_claimed_at: Final = cast(Callable[[object, tzinfo], ClaimedAt | None], read_moment)
_sent_once: Final = cast(Callable[[object, tzinfo], SentAt | None], read_moment)


def _claimed(
    message: Message, stated: ClaimedAt | None, sent_at: SentAt | None, source: Source
) -> tuple[ClaimedAt | None, SentAt | None]:
    """(original, sent at). If `timestamp` and `originalTimestamp` differ, `timestamp` is a moment that the sender
    chose, and is not corrected: RudderStack keeps it, and in events that Segment forwards it is corrected already."""
    original = _claimed_at(message["originalTimestamp"], source.zone)
    if stated is None:
        return original, sent_at
    return stated, (sent_at if original is None or original == stated else None)


def _without_time(message: Message, odd: Odd | None) -> Odd | None:
    """Whether none was sent, or none is readable."""
    for member in ("timestamp", "originalTimestamp"):
        if (came := message.get(member)) is not None and came != "":
            odd = odd or Odd()
            odd.time_unreadable(came)
            return odd
    return odd


def _sent_at(value: object, zone: tzinfo) -> SentAt | None:
    """None if it cannot be read: then the client's clock stays uncorrected. That is no reason to refuse the event."""
    if not isinstance(value, str) or len(value) > LONGEST:
        return _sent_once(value, zone)
    return _sent_again(value, zone)


_sent_again: Final = lru_cache(maxsize=64)(_sent_once)
"""All events of a batch were sent at one time."""


# --- Identifiers: (type, value as received); null and "" are none ---

_Found = tuple[tuple[str, object], ...]

_TELLING: Final = frozenset({"traits", "device", "externalIds", "externalId", "consent", "direct"})
"""The members of a context with identifiers, the address, or consent."""


def _former_ids(message: Message, odd: Odd | None) -> tuple[_Found, Odd | None]:
    """A previous id may be a user id or an anonymous id, so it becomes both. SDKs alias an id to itself for a known
    user, which links nothing.
    """
    previous, now = message.get("previousId"), message.get("userId")
    if previous is None or previous == "":
        return (), odd
    if now is None or now == "":
        now = message.get("anonymousId")
    if str(previous).strip() == str(now).strip():
        odd = odd or Odd()
        odd.flag(ALIAS_OF_ITSELF)
        return (), odd
    return (("user_id", previous), ("anonymous_id", previous)), odd


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


def _consent(context: Object) -> Consent | None:
    consent = context.get("consent")
    if not isinstance(consent, dict):
        return None
    return purposes(consent.get("categoryPreferences"))


def purposes(given: object) -> dict[str, bool | str] | None:
    """The purposes with true, false or a word; None if there is none."""
    if not isinstance(given, dict):
        return None
    return {purpose: value for purpose, value in given.items() if isinstance(value, bool | str)} or None
