"""The queue of one trigger: bounded, fair between profiles, in order within a profile. Each trigger has its own, so a
slow or dead receiver delays no other. Used on the loop's thread only.
"""

from collections import deque
from typing import Final

from destinations.delivery import Delivery

CAPACITY: Final = 500
"""Deliveries of one trigger held in memory; the rest waits in the table (a delivery is about 2 KB)."""

CONCURRENCY: Final = 16
"""Attempts at one destination at a time."""

SUSPECT_AFTER: Final = 5
PROBES: Final = 2
"""After `SUSPECT_AFTER` failures in a row a destination gets only so many attempts at a time, to spare it and our
sockets."""


class Queue:
    """First in, first out per profile, one attempt per profile at a time."""

    def __init__(self) -> None:
        self._by_profile: dict[str, deque[Delivery]] = {}
        self._ready: deque[str] = deque()
        self._failures = 0
        self.waiting = 0
        self.in_flight = 0
        self.overflow = -1
        """The highest `ver` without room, which waits in the table; -1: none. While there is one, newer deliveries must
        wait in the table too, or they would overtake it."""

    @property
    def size(self) -> int:
        return self.waiting + self.in_flight

    @property
    def has_room(self) -> bool:
        return self.size < CAPACITY

    @property
    def is_idle(self) -> bool:
        """Whether no delivery is held here or waits in the table for room."""
        return not self.size and self.overflow < 0

    def add(self, delivery: Delivery) -> None:
        """The caller has checked that there is room."""
        waiting = self._by_profile.get(delivery.profile)
        if waiting is None:
            self._by_profile[delivery.profile] = deque((delivery,))
            self._ready.append(delivery.profile)
        else:
            waiting.append(delivery)
        self.waiting += 1

    def take(self) -> Delivery | None:
        """The next delivery to attempt, or None if none may be attempted now."""
        allowed = PROBES if self._failures >= SUSPECT_AFTER else CONCURRENCY
        if not self._ready or self.in_flight >= allowed:
            return None
        delivery = self._by_profile[self._ready.popleft()].popleft()
        self.waiting -= 1
        self.in_flight += 1
        return delivery

    def done(self, delivery: Delivery, *, ok: bool) -> None:
        """A delivery that was taken has been attempted (or abandoned: `ok`)."""
        self.in_flight -= 1
        self._failures = 0 if ok else self._failures + 1
        if self._by_profile[delivery.profile]:
            self._ready.append(delivery.profile)
        else:
            del self._by_profile[delivery.profile]
