"""Statements of consent that are no customer's event: over the API, by the unsubscribe of a vendor."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from eventlog.port import Message
from producers.door import Door
from producers.incoming import ClaimedAt, Incoming
from registry.models import UNLIMITED, Source
from schemas import platform
from schemas.errors import InvalidEvent

PLATFORM: Final = Source.model_construct(id=platform.SOURCE, name="Simorgh", channel="server", budget=UNLIMITED)
"""The source of what the platform itself states. It is not declared, so no write key leads to it."""


def stated(
    door: Door,
    source: Source,
    identifier: tuple[str, str],
    consent: Mapping[str, bool],
    *,
    id: str,
    received_at: int,
    at: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Message:
    """The record for simorgh.events by which the person of this identifier allows purposes or does not.

    `source`: `PLATFORM`, or the vendor's where its webhook says that somebody has unsubscribed; then the event counts
    as one of theirs. `id`: unique within it. `at`: when it was stated, in ms; None: when it was received. `detail`: why
    and by whom. Raises `InvalidEvent`, also where the identity rules take the identifier for nobody's.
    """
    message = door.record(
        Incoming(
            type=platform.CONSENT_STATED,
            id=id,
            source=source,
            channel=source.channel,
            received_at=received_at,
            original_time=None if at is None else ClaimedAt(at),
            identifiers=[identifier],
            properties=dict(detail or {}),
            consent=consent,
        )
    )
    if not orjson.loads(message[1])["identifiers"]:
        raise InvalidEvent(
            "consent: wanted an identifier of one person, got one that the identity rules block; name another one of"
            " theirs",
            code="identifier_blocked",
        )
    return message
