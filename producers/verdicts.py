"""From one parsed event of a request to the door's verdict on it. Pure but for fresh ids; never raises."""

from dataclasses import dataclass

from producers import cloudevents, segment
from producers.door import Door, Refused, Verdict, dump
from producers.parsing import recheck
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

    def verdict(self, door: Door, catalog: Catalog, new_id: IdMaker, message: object) -> Verdict:
        """Completes `message` in place."""
        if not isinstance(message, dict):
            error = InvalidEvent("event: wanted a JSON object, got something else", code="invalid_event")
            return self._refuse(door, error, new_id(), dump(message))
        raw = self._raw(message)
        id = segment.event_id(message, new_id)
        try:
            if self.doubtful:
                recheck(message)
            incoming = segment.to_incoming(message, id, raw, self.source, self.received_at, catalog)
        except InvalidEvent as error:
            return self._refuse(door, error, id, raw)
        return door.admit(incoming)

    def _raw(self, message: dict[str, object]) -> bytes | dict[str, object]:
        """What is kept if the event is refused: it alone suffices to try again, and holds no key."""
        if message is self.members and message.get("type") == self.kind and "writeKey" not in message:
            segment.complete(message, self.kind, self.members, self.ip)
            return self.body
        message.pop("writeKey", None)
        segment.complete(message, self.kind, self.members, self.ip)
        return dump(message) if self.large else message

    def _refuse(self, door: Door, error: InvalidEvent, id: str, raw: bytes | dict[str, object]) -> Refused:
        return door.refuse(error, id, raw, source=self.source, received_at=self.received_at)


def cloudevent_verdict(
    door: Door,
    catalog: Catalog,
    new_id: IdMaker,
    event: object,
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
        incoming = cloudevents.to_incoming(event, id, raw=raw, source=source, received_at=received_at, catalog=catalog)
    except InvalidEvent as error:
        return door.refuse(error, id, raw, source=source, received_at=received_at)
    return door.admit(incoming)
