"""Rows of an order that an earlier import could not use are settled once the order is imported whole.

Which rows wait is read at the start: memory holds as many names as there are rejected events, whatever the file's size.
"""

from collections.abc import Callable, Collection, Sequence

from producers.cloudevents import event_id
from producers.files.events import REFUSED, Event


class Settling:
    """`waiting`: the ids of open rejected events. `dismiss` settles one of them."""

    def __init__(self, waiting: Collection[str], dismiss: Callable[[str], None]) -> None:
        self._waiting = frozenset(waiting)
        self._dismiss = dismiss
        self._whole: set[str] = set()
        self._refused: set[str] = set()

    def saw(self, events: Sequence[Event]) -> None:
        """Events that the platform is about to have, or rows that are refused again."""
        for event in events if self._waiting else ():
            if event["type"] == REFUSED:
                self._refused.add(event_id(event) or "")
            elif (name := event_id(event | {"id": f"{event['id']}/refused"})) in self._waiting:
                self._whole.add(name)

    def finish(self) -> int:
        """Settle what this import brought in whole. The number of events settled."""
        settled = self._whole - self._refused
        for name in sorted(settled):
            self._dismiss(name)
        return len(settled)
