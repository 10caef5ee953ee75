"""What waits for one trigger: bounded, fair between profiles, in order within a profile.

A lane belongs to one trigger, so that a receiver that is slow or dead holds up nobody else. Used on the
loop's thread only.
"""

from collections import deque
from typing import Final

from destinations.delivery import Delivery

CAPACITY: Final = 500
"""Deliveries of one trigger held in memory; the rest waits in the table (a delivery is about 2 KB)."""

CONCURRENCY: Final = 16
"""Requests to one receiver at a time."""

SUSPECT_AFTER: Final = 5
PROBES: Final = 2
"""After so many failures in a row a receiver gets two requests at a time: it is spared, and so are our
sockets."""


class Lane:
    """First in, first out per profile, one request per profile at a time."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Delivery]] = {}
        self._ready: deque[str] = deque()
        self._failures = 0
        self.waiting = 0
        self.in_flight = 0
        self.overflow = -1
        """The highest `ver` that found no room and waits in the table; -1: none. While there is one, newer
        deliveries have to wait in the table too, or they would overtake it."""

    @property
    def size(self) -> int:
        return self.waiting + self.in_flight

    @property
    def has_room(self) -> bool:
        return self.size < CAPACITY

    def add(self, delivery: Delivery) -> None:
        """The caller has seen that there is room."""
        queue = self._queues.get(delivery.profile)
        if queue is None:
            self._queues[delivery.profile] = deque((delivery,))
            self._ready.append(delivery.profile)
        else:
            queue.append(delivery)
        self.waiting += 1

    def take(self) -> Delivery | None:
        """The next delivery to attempt, or None when nothing may be attempted now."""
        allowed = PROBES if self._failures >= SUSPECT_AFTER else CONCURRENCY
        if not self._ready or self.in_flight >= allowed:
            return None
        delivery = self._queues[self._ready.popleft()].popleft()
        self.waiting -= 1
        self.in_flight += 1
        return delivery

    def done(self, delivery: Delivery, *, ok: bool) -> None:
        """A delivery that was taken has been attempted (or abandoned: `ok`)."""
        self.in_flight -= 1
        self._failures = 0 if ok else self._failures + 1
        if self._queues[delivery.profile]:
            self._ready.append(delivery.profile)
        else:
            del self._queues[delivery.profile]
