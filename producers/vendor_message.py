"""From a vendor's verified request to the door's verdicts on its events. Pure but for fresh ids.

A connector says what happened; here the source's settings are added: its aliases, channel, and what it makes of hints.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from producers.door import Door, Refused, Verdict
from producers.incoming import ClaimedAt, Context, Incoming, Traits, Values
from producers.limits import MAX_EVENT, check_size
from producers.odd import Odd
from producers.parsing import dump
from producers.vendors.connector import Connector
from producers.vendors.mapping import VendorEvent
from producers.vendors.request import VendorRequest
from registry.models import Source
from schemas.catalog import Catalog, custom_type
from schemas.custom import PREFIX, folded
from schemas.errors import InvalidEvent

_MARKED: Final = 3
"""Members of an identifier that is a hint."""


@dataclass(frozen=True, slots=True)
class VendorMessage:
    """One verified request of one source, as the door sees it."""

    connector: Connector
    source: Source
    request: VendorRequest
    links_hints: bool = False

    def verdicts(self, door: Door, catalog: Catalog, item: object, place: int) -> list[Verdict]:
        """On the events of one item; one refusal for an item that cannot be understood. Never raises because of it."""
        try:
            events = self.connector.events_of(item, self.request)
        except InvalidEvent as error:
            return [self.refuse(door, error, item, place)]
        return [self._verdict(door, catalog, event, item, place + index) for index, event in enumerate(events)]

    def _verdict(self, door: Door, catalog: Catalog, event: VendorEvent, item: object, place: int) -> Verdict:
        try:
            if len(self.request.body) > MAX_EVENT:
                check_size(dump({"traits": event.traits, "properties": event.properties}))
            return door.record(self._incoming(event, catalog, place))
        except InvalidEvent as error:
            return self.refuse(door, error, item, place, event.id)

    def refuse_whole(self, door: Door, error: InvalidEvent) -> Refused:
        """The record that keeps the request's body."""
        return self.refuse(door, error, self.request.body, 0)

    def refuse(self, door: Door, error: InvalidEvent, item: object, place: int, id: str = "") -> Refused:
        """The record that keeps an item; whole bytes where `item` is bytes. The same item has the same id whenever it
        comes again."""
        raw = item if isinstance(item, bytes) else dump(item)
        return door.refuse(
            error,
            id or sha256(raw).hexdigest()[:40],
            raw,
            source=self.source,
            channel=self.connector.channel or None,
            received_at=self.request.received_at,
            place=place,
            webhook=self._kept(whole=isinstance(item, bytes)),
        )

    def _kept(self, *, whole: bool) -> dict[str, object]:
        """What a retry needs besides the item: the vendor, and the headers that say what the item is."""
        headers = self.request.headers
        kept = {name: value for name in self.connector.keeps if (value := headers.get(name)) is not None}
        return {"vendor": self.connector.name, "whole": whole, "headers": kept}

    def _incoming(self, event: VendorEvent, catalog: Catalog, place: int) -> Incoming:
        odd = Odd()
        if event.unread_time is not None:
            odd.time_unreadable(event.unread_time)
        type_, dataschema = self._type(event, catalog)
        return Incoming(
            type=type_,
            id=event.id,
            source=self.source,
            channel=event.channel or self.connector.channel or self.source.channel,
            received_at=self.request.received_at,
            place=place,
            original_time=None if event.time is None else ClaimedAt(event.time),
            identifiers=_linking(event.identifiers) if self.links_hints else event.identifiers,
            traits=Traits(event.traits) if event.traits else None,
            properties=event.properties,
            context=Context(event.context) if event.context else None,
            consent=event.consent or None,
            name=event.name or None,
            dataschema=dataschema,
            odd=odd,
            of_nobody=not event.somebody,
        )

    def _type(self, event: VendorEvent, catalog: Catalog) -> tuple[str, str | None]:
        """The source's own alias for the vendor's word, else the connector's type; other names are custom."""
        if self.source.aliases and (declared := self.source.types_by_name.get(folded(event.name))) is not None:
            return declared, None
        if catalog.by_type(event.type) is not None or event.type.startswith(PREFIX):
            return event.type, None
        known = catalog.by_track_name(event.type)
        return (custom_type(event.type), None) if known is None else (known.type, known.dataschema)


def _linking(identifiers: Values) -> Values:
    return [(one[0], one[1]) if len(one) == _MARKED else one for one in identifiers]
