"""From one parsed event of a request to the door's verdict on it. Pure but for fresh ids; never raises."""

from dataclasses import dataclass, field

from producers import cloudevents, segment
from producers.door import Door, Refused, Verdict, dump
from producers.limits import check_size
from producers.parsing import recheck
from producers.segment import Shared
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import IdMaker
from schemas.errors import InvalidEvent


@dataclass(slots=True)
class SdkRequest:
    """What one SDK request says for all of its events.

    `members` is the parsed body, `kind` the path's type of event (None for a batch), `doubtful` is `parse`'s,
    `large` whether an event of it may be over the limit of one event.
    """

    source: Source
    kind: str | None
    members: dict[str, object]
    body: bytes
    received_at: int
    ip: str | None = None
    doubtful: bool = False
    large: bool = True
    _shared: Shared = field(init=False)
    _at_once: bool = field(init=False)
    """Each event needs what it is kept as, before it is read; else only an event that is refused."""

    def __post_init__(self) -> None:
        self._shared = segment.shared_by(self.members, self.source, self.received_at, self.ip)
        self._at_once = self.large or self.doubtful or self.kind is not None or "context" in self.members

    def verdict(self, door: Door, catalog: Catalog, new_id: IdMaker, message: object, place: int = 0) -> Verdict:
        """`place`: which one of its request it is, from 0. May complete `message`, as it stands."""
        if not isinstance(message, dict):
            error = InvalidEvent("event: wanted a JSON object, got something else", code="invalid_event")
            return self._refuse(door, error, new_id(), dump(message), place)
        id = segment.event_id(message, new_id)
        raw = self._raw(message) if self._at_once else None
        try:
            if raw is not None:
                self._check(message, raw)
            return segment.read(message, id, place, self._shared, catalog, door.record)
        except InvalidEvent as error:
            return self._refuse(door, error, id, self._raw(message) if raw is None else raw, place)

    def _check(self, message: dict[str, object], raw: bytes) -> None:
        """Raises `InvalidEvent`."""
        check_size(raw)
        if self.doubtful:
            recheck(message)

    def _raw(self, message: dict[str, object]) -> bytes:
        """What is kept if the event is refused: it alone suffices to try again, and holds no key."""
        whole = message is self.members and message.get("type") == self.kind and "writeKey" not in message
        message.pop("writeKey", None)
        segment.complete(message, self.kind, self.members, self.ip)
        return self.body if whole else dump(message)

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
    id: str | None = None,
) -> Verdict:
    """`large`: the event may be over the limit of one event, so its size has to be looked at.

    `id` takes the place of the one that the event's own source and id give.
    """
    raw = dump(event) if large or not isinstance(event, dict) else event
    id = id or cloudevents.event_id(event) or new_id()
    try:
        incoming = cloudevents.to_incoming(
            event, id, source=source, received_at=received_at, place=place, catalog=catalog
        )
    except InvalidEvent as error:
        return door.refuse(error, id, raw, source=source, received_at=received_at, place=place)
    return door.admit(incoming, raw)
