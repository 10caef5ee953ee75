"""A person's consent, stated over the API: what it means for the log."""

from eventlog.port import Position, RecordLog
from producers.door import Door
from producers.statements import PLATFORM, stated
from profile_api.statements import Stated
from schemas import topics
from schemas.clock import random_id


def state_consent(log: RecordLog, door: Door, said: Stated) -> Position:
    """Append the statement; durable on return. Its place in simorgh.events."""
    message = stated(
        door,
        PLATFORM,
        said.identifier,
        said.consent,
        id=random_id(),
        received_at=said.received_at,
        at=said.at,
        detail=said.detail,
    )
    [position] = log.append(topics.EVENTS, [message])
    return position
