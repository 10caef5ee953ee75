"""Imported events into the log of this process: for an import while no server runs on the data folder."""

from collections.abc import Sequence

import orjson

from eventlog.port import RecordLog
from producers import cloudevents
from producers.door import Door, Refused, Verdict
from producers.files.events import Event
from producers.files.sinks import ACCEPTED, SendOutcome
from registry.models import Source
from schemas.catalog import Catalog
from schemas.clock import Clock, Forward
from schemas.errors import Broken, InvalidEvent
from schemas.topics import EVENTS, REJECTED


class LocalSink:
    """Appends to the log of this process, through the same door as HTTP and with the same ids."""

    def __init__(self, door: Door, log: RecordLog, catalog: Catalog, source: Source, clock: Clock) -> None:
        self._door = door
        self._log = log
        self._catalog = catalog
        self._source = source
        self._clock = Forward(clock)

    def send(self, events: Sequence[Event]) -> list[SendOutcome]:
        received_at = self._clock()
        verdicts = [self._verdict(event, place, received_at) for place, event in enumerate(events)]
        writes = {EVENTS: [one for one in verdicts if not isinstance(one, Refused)]}
        writes[REJECTED] = [one.message for one in verdicts if isinstance(one, Refused) and one.message is not None]
        self._log.submit([(topic, messages) for topic, messages in writes.items() if messages]).result()
        return [SendOutcome(False, one.code, one.reason) if isinstance(one, Refused) else ACCEPTED for one in verdicts]

    def _verdict(self, event: Event, place: int, received_at: int) -> Verdict:
        raw = orjson.dumps(event)
        id = cloudevents.event_id(event)
        if id is None:
            raise Broken("import: wanted an event with source and id, got one without; report this")
        try:
            incoming = cloudevents.to_incoming(
                event, id, source=self._source, received_at=received_at, place=place, catalog=self._catalog
            )
        except InvalidEvent as error:
            return self._door.refuse(
                error,
                id,
                raw,
                source=self._source,
                channel=event["channel"],
                received_at=received_at,
                place=place,
            )
        return self._door.admit(incoming, raw)
