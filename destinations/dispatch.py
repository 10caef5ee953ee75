"""Attempts: from lanes to receivers and back as outcomes. Holds what is in memory, bounded per trigger."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import httpcore

from destinations.delivery import DELIVERED, GAVE_UP, Delivery, abandoned, after
from destinations.guard import Lookup
from destinations.lanes import CAPACITY, Lane
from destinations.schedule import GONE
from destinations.sender import Sender
from registry.models import Trigger
from schemas.clock import Clock


@dataclass(slots=True)
class Counters:
    """Since the start of the process."""

    attempts: int = 0
    failed_attempts: int = 0
    delivered: int = 0
    gave_up: int = 0


class Dispatcher:
    """One lane and one sender per trigger. Used on the loop's thread only; nothing here blocks.

    `settle` gets each outcome at once and must not block; it calls `release` when the outcome is on record.
    Until then the delivery stays held, so that the table, which may be a moment behind, cannot bring it
    back. `disable` is told of a receiver that answered 410. `hungry` says that a lane with an overflow has
    room again (true: a lane of a trigger that is gone). `crash` gets what a task of ours raised.
    """

    def __init__(
        self,
        *,
        settle: Callable[[Delivery], None],
        disable: Callable[[str], None],
        hungry: Callable[[bool], None],
        crash: Callable[[BaseException], None],
        reached: Callable[[str], None],
        clock: Clock,
        random: Callable[[], float],
        allow_private: bool,
        lookup: Lookup,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._settle = settle
        self._disable = disable
        self._hungry = hungry
        self._crash = crash
        self._reached = reached
        self._clock = clock
        self._random = random
        self._allow_private = allow_private
        self._lookup = lookup
        self._ssl_context = ssl_context or httpcore.default_ssl_context()
        self._triggers: Mapping[str, Trigger] = {}
        self._lanes: dict[str, Lane] = {}
        self._senders: dict[str, Sender] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()
        self._stopping = False
        self.stopped = False
        self.counters = Counters()

    @property
    def held(self) -> int:
        """Deliveries in memory: waiting, in flight, or not yet on record."""
        return len(self._held)

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def use(self, triggers: Mapping[str, Trigger]) -> bool:
        """Take over what is declared now; true when a trigger has left or been disabled since."""
        if triggers is self._triggers:
            return False
        live = {id for id, trigger in triggers.items() if trigger.enabled}
        left = {id for id, trigger in self._triggers.items() if trigger.enabled} - live
        self._triggers = triggers
        return bool(left)

    def alive(self, id: str) -> bool:
        trigger = self._triggers.get(id)
        return trigger is not None and trigger.enabled

    def offer_new(self, deliveries: Iterable[Delivery]) -> None:
        """First attempts, in the order of their transitions. What finds no room waits in the table."""
        for delivery in deliveries:
            lane = self._lanes.setdefault(delivery.trigger, Lane())
            if lane.overflow >= 0 or not lane.has_room:
                lane.overflow = max(lane.overflow, delivery.ver)
            else:
                self._hold(lane, delivery)

    def offer_stored(self, deliveries: Iterable[Delivery], on_record: int) -> None:
        """What the table holds as pending, at most CAPACITY of each trigger, from a look at it when all
        records below offset `on_record` were in it. Future ones of live triggers are left there; the due
        ones are held."""
        now = self._clock()
        due: Counter[str] = Counter()
        for delivery in deliveries:
            if delivery.next_at > now and self.alive(delivery.trigger):
                continue
            due[delivery.trigger] += 1
            lane = self._lanes.setdefault(delivery.trigger, Lane())
            if delivery.id not in self._held and lane.has_room:
                self._hold(lane, delivery)
        for id, lane in self._lanes.items():
            if due[id] >= CAPACITY or not lane.has_room:
                lane.overflow = max(lane.overflow, 0)
            elif lane.overflow < on_record:
                lane.overflow = -1

    def release(self, ids: Iterable[str]) -> None:
        """These outcomes are on record: forget them, and ask for more where the table has some."""
        self._held.difference_update(ids)
        hungry = [id for id, lane in self._lanes.items() if lane.overflow >= 0 and lane.size < CAPACITY // 2]
        if hungry:
            self._hungry(not all(self.alive(id) for id in hungry))

    async def stop(self, timeout: float) -> None:
        """Begin no attempt any more; wait up to `timeout` seconds for those in flight, then drop them."""
        self._stopping = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for sender in self._senders.values():
            await sender.close()
        self.stopped = True

    async def tidy(self) -> None:
        """Close the connections that nobody will use any more."""
        for sender in self._senders.values():
            await sender.tidy()

    def _hold(self, lane: Lane, delivery: Delivery) -> None:
        self._held.add(delivery.id)
        lane.add(delivery)
        self._pump(lane)

    def _pump(self, lane: Lane) -> None:
        while not self._stopping and (delivery := lane.take()) is not None:
            trigger = self._triggers.get(delivery.trigger)
            if trigger is None or not trigger.enabled:
                reason = "trigger_deleted" if trigger is None else "trigger_disabled"
                lane.done(delivery, ok=True)
                self._finish(abandoned(delivery, reason, self._clock()))
                continue
            task = asyncio.get_running_loop().create_task(self._attempt(lane, trigger, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _attempt(self, lane: Lane, trigger: Trigger, delivery: Delivery) -> None:
        answer = await self._sender(trigger.id).attempt(trigger, delivery)
        self._reached("attempted")
        self.counters.attempts += 1
        self.counters.failed_attempts += not answer.ok
        lane.done(delivery, ok=answer.ok)
        if answer.code == GONE:
            self._disable(trigger.id)
        self._finish(after(delivery, answer, self._clock(), self._random()))
        self._pump(lane)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._crash(error)

    def _finish(self, outcome: Delivery) -> None:
        self.counters.delivered += outcome.status == DELIVERED
        self.counters.gave_up += outcome.status == GAVE_UP
        self._settle(outcome)

    def _sender(self, id: str) -> Sender:
        sender = self._senders.get(id)
        if sender is None:
            sender = self._senders[id] = Sender(
                clock=self._clock,
                allow_private=self._allow_private,
                ssl_context=self._ssl_context,
                lookup=self._lookup,
            )
        return sender
