"""What an import does about events that are here already: nothing if they are the same, and a correction if an order of
the file has changed since."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from producers.files.events import Event
from schemas.content import content_digest

COMPLETED: Final = "order.completed"
UPDATED: Final = "order.updated"
_MOST: Final = 100
"""Corrections of one order that are looked at."""

Ask = Callable[[list[Event]], list[tuple[bool, str | None]]]
"""Of each event: whether it is here, and the digest of its content, None if the platform cannot say."""


class EarlierImport(NamedTuple):
    """What was here of an event before this import. `same`: the latest word is that of the file. `corrections`: how
    often the order has been corrected."""

    known: bool = False
    same: bool = False
    corrections: int = 0


def earlier(events: Sequence[Event], ask: Ask) -> list[EarlierImport]:
    """One for each event, by as few questions as there are corrections of an order, and one."""
    found = [
        EarlierImport(known, known and _is_same(event, content)) for event, (known, content) in _asked(events, ask)
    ]
    open_ = [i for i, event in enumerate(events) if found[i].known and event["type"] == COMPLETED]
    for number in range(1, _MOST):
        corrected = [correction(events[i], number) for i in open_]
        answers = list(_asked(corrected, ask)) if corrected else []
        open_ = [i for i, (_, (known, _)) in zip(open_, answers, strict=True) if known]
        told = [(event, content) for event, (known, content) in answers if known]
        for i, (event, content) in zip(open_, told, strict=True):
            found[i] = EarlierImport(True, _is_same(event, content), number)
        if not open_:
            break
    return found


def _asked(events: Sequence[Event], ask: Ask) -> list[tuple[Event, tuple[bool, str | None]]]:
    return list(zip(events, ask(list(events)), strict=True))


def _is_same(event: Event, content: str | None) -> bool:
    return content is None or content == digest_of(event)


def digest_of(event: Event) -> str:
    """Of its content, as the platform computes it of what it holds."""
    return content_digest(event.get("time"), event["data"].get("properties", {}))


def correction(event: Event, number: int) -> Event:
    """An event of its own that says how the order is now. It has the order's time, since the file does not say when it
    was corrected; it is received later, so it is the later word. `number`: from 1 on, for this order."""
    return event | {"id": f"{event['id']}/corrected/{number}", "type": UPDATED}
