"""From one parsed event of a request to the door's verdict on it. Pure but for fresh ids; never raises."""

from dataclasses import dataclass, field

from producers import cloudevents, segment
from producers.door import Door, Refused, Verdict
from producers.limits import check_size
from producers.parsing import dump, dump_as_sent, recheck
from producers.segment import SharedFields
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import IdMaker
from schemas.errors import InvalidEvent


@dataclass(slots=True)
class SdkRequest:
    """The common data of one SDK request's events. `members` is the parsed body, `kind` the path's type of event (None
    for a batch), `doubtful` is `parse`'s, `large` whether an event of it may be over the limit of one event.
    """

    source: Source
    kind: str | None
    members: dict[str, object]
    body: bytes
    received_at: int
    ip: str | None = None
    doubtful: bool = False
    large: bool = True
    _shared: SharedFields = field(init=False)
    _is_plain: bool = field(init=False)
    """Whether events need no check before they are read."""
    _is_whole: bool = field(init=False)
    """Whether the body can be kept for its one event: it has a type, and no key."""

    def __post_init__(self) -> None:
        self._shared = segment.shared_by(self.members, self.source, self.received_at, self.ip)
        is_batch = self.kind is None
        self._is_plain = not (self.large or self.doubtful or (is_batch and "context" in self.members))
        self._is_whole = not is_batch and self.members.get("type") == self.kind and "writeKey" not in self.members

    def verdict(self, door: Door, catalog: Catalog, new_id: IdMaker, message: object, place: int = 0) -> Verdict:
        """`place`: its index in its request, from 0. May complete `message` in place."""
        if not isinstance(message, dict):
            error = InvalidEvent(
                "event: wanted a JSON object, got something else; send an object", code="invalid_event"
            )
            return self._refuse(door, error, new_id(), dump_as_sent(message), place)
        if self.kind is not None:
            message["type"] = self.kind
        id = segment.event_id(message, new_id)
        try:
            if not self._is_plain:
                message = self._checked(message)
            return door.record(segment.read(message, id, place, self._shared, catalog))
        except InvalidEvent as error:
            return self._refuse(door, error, id, self._raw(message), place)

    def _checked(self, message: dict[str, object]) -> dict[str, object]:
        """The message with the common members of its request, within its limit, and valid JSON. Raises
        `InvalidEvent`."""
        if self.doubtful:
            message = recheck(message)
        message.pop("writeKey", None)
        segment.complete(message, self.members, self.ip)
        check_size(dump(message))
        return message

    def _raw(self, message: dict[str, object]) -> bytes:
        """The part of a refused event that is kept: enough for a retry, without the key."""
        if self._is_whole:
            return self.body
        message.pop("writeKey", None)
        segment.complete(message, self.members, self.ip)
        segment.date(message, self.members)
        return dump_as_sent(message) if self.doubtful else dump(message)

    def _refuse(self, door: Door, error: InvalidEvent, id: str, raw: bytes, place: int) -> Refused:
        return door.refuse(error, id, raw, source=self.source, received_at=self.received_at, place=place)


def cloudevent_verdict(
    door: Door,
    catalog: Catalog,
    new_id: IdMaker,
    event: object,
    place: int = 0,
    *,
    source: Source,
    received_at: int,
    large: bool = True,
    doubtful: bool = False,
    id: str | None = None,
) -> Verdict:
    """`large`: the event may be over the limit of one event, so its size must be checked. `doubtful`: see `parse`. `id`
    replaces the one made from the event's own source and id.
    """
    id = id or cloudevents.event_id(event) or new_id()
    try:
        if doubtful:
            event = recheck(event)
        raw = dump(event) if large or not isinstance(event, dict) else event
        incoming = cloudevents.to_incoming(
            event, id, source=source, received_at=received_at, place=place, catalog=catalog
        )
    except InvalidEvent as error:
        payload = dump_as_sent(event) if doubtful else dump(event)
        return door.refuse(error, id, payload, source=source, received_at=received_at, place=place)
    return door.admit(incoming, raw)
