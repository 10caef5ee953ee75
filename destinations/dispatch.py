"""Attempts: from the queues to the destinations, and back as outcomes. What is in memory is bounded per trigger."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from destinations.delivery import DELIVERED, GAVE_UP, REFUSED, Delivery, abandoned, after, refused
from destinations.queues import CAPACITY, Queue
from destinations.senders.port import OpenSender, Sender
from registry.models import Trigger
from schemas.clock import Clock


@dataclass(slots=True)
class Counters:
    """Since the start of the process."""

    attempts: int = 0
    failed_attempts: int = 0
    delivered: int = 0
    gave_up: int = 0
    refused: int = 0


class Dispatcher:
    """One queue and one sender per trigger. Used on the loop's thread only; nothing here blocks.

    `settle` gets each outcome at once and must not block; the caller records the outcome and then calls `release`.
    Until then the delivery stays held, so that it is not read again from the table, which may be a moment behind.
    `disable` is called for a trigger whose destination wants no more deliveries. `hungry` says that a queue with an
    overflow has room again (true: the queue of a deleted trigger). `allows` says whether a person allows a purpose at
    this moment, right before an attempt. `crash` gets the error of a task of ours.
    """

    def __init__(
        self,
        open_sender: OpenSender,
        *,
        allows: Callable[[str, Delivery], Awaitable[bool]],
        settle: Callable[[Delivery], None],
        disable: Callable[[str], None],
        hungry: Callable[[bool], None],
        crash: Callable[[BaseException], None],
        reached: Callable[[str], None],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._open_sender = open_sender
        self._allows = allows
        self._settle = settle
        self._disable = disable
        self._hungry = hungry
        self._crash = crash
        self._reached = reached
        self._clock = clock
        self._random = random
        self._triggers: Mapping[str, Trigger] = {}
        self._queues: dict[str, Queue] = {}
        self._senders: dict[str, tuple[Trigger, Sender]] = {}
        """By trigger: its sender, and the declaration that it was opened for."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()
        self._stopping = False
        self.stopped = False
        self.counters = Counters()

    @property
    def held(self) -> int:
        """Deliveries in memory: waiting, in flight, or not yet recorded."""
        return len(self._held)

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def use(self, triggers: Mapping[str, Trigger]) -> bool:
        """Read the present declarations. True if a trigger was deleted or disabled since the last call."""
        if triggers is self._triggers:
            return False
        live = {id for id, trigger in triggers.items() if trigger.enabled}
        left = {id for id, trigger in self._triggers.items() if trigger.enabled} - live
        self._triggers = triggers
        return bool(left)

    def is_live(self, id: str) -> bool:
        trigger = self._triggers.get(id)
        return trigger is not None and trigger.enabled

    def offer_new(self, deliveries: Iterable[Delivery]) -> None:
        """First attempts, in the order of their transitions. Deliveries without room wait in the table; those that were
        refused when they were made are finished."""
        for delivery in deliveries:
            if delivery.status == REFUSED:
                self.counters.refused += 1
                continue
            queue = self._queue(delivery.trigger)
            if queue.overflow >= 0 or not queue.has_room:
                queue.overflow = max(queue.overflow, delivery.ver)
            else:
                self._hold(queue, delivery)

    def offer_stored(self, deliveries: Iterable[Delivery], on_record: int) -> None:
        """The pending deliveries in the table, at most CAPACITY of each trigger, read when it held all records below
        offset `on_record`. Deliveries of live triggers that are not due yet stay there; due ones are held."""
        now = self._clock()
        due: Counter[str] = Counter()
        for delivery in deliveries:
            if delivery.next_at > now and self.is_live(delivery.trigger):
                continue
            due[delivery.trigger] += 1
            queue = self._queue(delivery.trigger)
            if delivery.id not in self._held and queue.has_room:
                self._hold(queue, delivery)
        for id, queue in self._queues.items():
            if due[id] >= CAPACITY or not queue.has_room:
                queue.overflow = max(queue.overflow, 0)
            elif queue.overflow < on_record:
                queue.overflow = -1

    def release(self, ids: Iterable[str]) -> None:
        """These outcomes are recorded: forget them, and ask for more if the table has some."""
        self._held.difference_update(ids)
        hungry = [id for id, queue in self._queues.items() if queue.overflow >= 0 and queue.size < CAPACITY // 2]
        if hungry:
            self._hungry(not all(self.is_live(id) for id in hungry))

    async def stop(self, timeout: float) -> None:
        """Begin no more attempts; wait up to `timeout` seconds for those in flight, then drop them."""
        self._stopping = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for _, sender in self._senders.values():
            await sender.close()
        self.stopped = True

    async def tidy(self) -> None:
        """Release unused connections, and everything of deleted triggers."""
        for id in [id for id, queue in self._queues.items() if queue.is_idle and not self.is_live(id)]:
            del self._queues[id]
        gone = [id for id in self._senders if id not in self._queues]
        for sender in [self._senders.pop(id)[1] for id in gone]:
            await sender.close()
        for _, sender in list(self._senders.values()):
            await sender.tidy()

    def _queue(self, trigger: str) -> Queue:
        return self._queues.setdefault(trigger, Queue())

    def _hold(self, queue: Queue, delivery: Delivery) -> None:
        self._held.add(delivery.id)
        queue.add(delivery)
        self._pump(queue)

    def _pump(self, queue: Queue) -> None:
        while not self._stopping and (delivery := queue.take()) is not None:
            trigger = self._triggers.get(delivery.trigger)
            if trigger is None or not trigger.enabled:
                reason = "trigger_deleted" if trigger is None else "trigger_disabled"
                queue.done(delivery, ok=True)
                self._finish(abandoned(delivery, reason, self._clock()))
                continue
            task = asyncio.get_running_loop().create_task(self._attempt(queue, trigger, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _attempt(self, queue: Queue, trigger: Trigger, delivery: Delivery) -> None:
        purpose = None if delivery.is_of_erasure else trigger.purpose
        if purpose is not None and not await self._allows(purpose, delivery):
            queue.done(delivery, ok=True)
            self._finish(refused(delivery, purpose, self._clock()))
            self._pump(queue)
            return
        sender = await self._sender(trigger)
        answer = await sender.attempt(delivery)
        self._reached("attempted")
        self.counters.attempts += 1
        self.counters.failed_attempts += not answer.ok
        queue.done(delivery, ok=answer.ok)
        if answer.gone:
            self._disable(trigger.id)
        self._finish(after(delivery, answer, self._clock(), self._random()))
        self._pump(queue)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._crash(error)

    def _finish(self, outcome: Delivery) -> None:
        self.counters.delivered += outcome.status == DELIVERED
        self.counters.gave_up += outcome.status == GAVE_UP
        self.counters.refused += outcome.status == REFUSED
        self._settle(outcome)

    async def _sender(self, trigger: Trigger) -> Sender:
        """The trigger's sender; a new one if the trigger has been declared again."""
        known = self._senders.get(trigger.id)
        if known is not None and known[0] is trigger:
            return known[1]
        same = known is not None and known[0] == trigger
        sender = known[1] if known is not None and same else self._open_sender(trigger)
        self._senders[trigger.id] = (trigger, sender)
        if known is not None and not same:
            await known[1].close()
        return sender
