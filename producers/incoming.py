"""One event as read by a connector: the input of the door.

The types are distinct, so that the type checker finds a connector that confuses two members. Members are given by name,
and no time or object has the type of another.
"""

from collections.abc import Mapping, Sequence
from typing import NewType

import msgspec

from producers.odd import Odd
from registry.models import Source

Object = Mapping[str, object]
Traits = NewType("Traits", Object)
Context = NewType("Context", Object)
Consent = Mapping[str, bool | str]
"""Purpose -> yes, no, or a word of the sender's."""

ClaimedAt = NewType("ClaimedAt", int)
"""When it happened, in ms, by the sender's clock."""
SentAt = NewType("SentAt", int)
"""When it was sent, in ms, by the sender's clock."""

Values = Sequence[tuple[str, object] | tuple[str, object, str]]


def as_hints(values: Values) -> Values:
    """The same identifiers, which link nobody."""
    return [(value[0], value[1], "hint") for value in values]


class Incoming(msgspec.Struct, kw_only=True, gc=False):
    """One event, before any check of ours. Times in ms.

    `id`: unique within its source, stable over the sender's retries. `received_at`: by our clock. `place`: its index in
    its request, from 0. `identifiers`: (type, value as received), or (type, value, "hint"); None and "" are skipped.
    `name`: the sender's own name of it. `dataschema`: type and version where it is not the newest. `alias`: its links
    override the limit of one user id. `odd`: values that the connector had to convert or leave out. `of_nobody`: it is
    kept even if all its identifiers are invalid; else it is refused. `sender`: the address that a person's device sent
    it from; it says where they are, and is not stored.
    """

    type: str
    id: str
    source: Source
    channel: str
    received_at: int
    place: int = 0
    original_time: ClaimedAt | None = None
    sent_at: SentAt | None = None
    identifiers: Values = ()
    traits: Traits | None = None
    properties: Object | None = None
    context: Context | None = None
    consent: Consent | None = None
    name: str | None = None
    dataschema: str | None = None
    alias: bool = False
    odd: Odd | None = None
    of_nobody: bool = False
    sender: str | None = None
