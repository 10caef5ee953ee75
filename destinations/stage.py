"""The trigger stage: transitions of simorgh.segments become deliveries to the destinations of triggers.

Side effects, in this order, and what a crash after each means:

1. append the scheduled deliveries to simorgh.deliveries: the next start finds them in the log, writes their
   rows and attempts them; the transition is read again and recognised by its delivery's id;
2. attempt: the destination may have it and the log does not say so: attempted again under the same id;
3. append the outcome: the log says so; the next start writes its row and makes no attempt;
4. write the rows (a row's version is the offset of its record): the same rows are written again;
5. commit the positions of simorgh.segments and simorgh.deliveries: done.

Step 2 does not wait for steps 4 and 5 of what step 1 appended: the log is what a restart reads, and a table insert
and a commit would only delay the delivery. So: at least once, one id per transition and trigger, and first attempts to
one trigger about one profile in the order of its transitions.

If a trigger names a purpose, deliveries about people who do not allow it are refused in step 1, on record. Consent is
checked again right before each attempt, so withdrawn consent stops a delivery.

Threads: the stage's own, which runs an event loop (attempts, and the order of everything else), and one each for the
blocking work of the intake and of the ledger.

Failures are retried (`schemas.retry`): a fault of the outside for as long as it lasts, shown as `status().failing`; a
fault of our own a few times in a row, then the stage stops and `status().error` says why.
"""

import asyncio
import contextlib
import logging
import random as random_module
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from destinations.delivery import Delivery
from destinations.dispatch import Dispatcher
from destinations.intake import IdentitiesOf, Intake, WhoAllows
from destinations.ledger import Ledger, Pending, WriteRows
from destinations.retrying import Retrying
from destinations.senders.port import OpenSender
from eventlog.port import EventLog
from registry.registry import Registry
from schemas import topics
from schemas.clock import Clock, system_clock

_LOG = logging.getLogger(__name__)

MAX_BACKLOG: Final = 5000
"""The number of deliveries that may wait for their rows; beyond it no more transitions are read."""


@dataclass(frozen=True, slots=True)
class TriggerStatus:
    """`held`: deliveries in memory (the table has all pending ones); `failing`: why a step of ours is being retried, or
    ''; `error`: why the stage has stopped, or ''."""

    running: bool
    held: int
    in_flight: int
    attempts: int
    failed_attempts: int
    delivered: int
    gave_up: int
    refused: int
    failing: str
    error: str


class TriggerStage:
    """`start` and `stop` once each; every method may be called from any thread.

    `reached(step)` is called after each numbered side effect (`scheduled`, `attempted`, `settled`, `written`,
    `committed`), in the thread that did it: tests raise there.
    """

    def __init__(
        self,
        log: EventLog,
        registry: Registry,
        identities_of: IdentitiesOf,
        who_allows: WhoAllows,
        write_rows: WriteRows,
        pending: Pending,
        open_sender: OpenSender,
        *,
        clock: Clock = system_clock,
        random: Callable[[], float] = random_module.random,
        reached: Callable[[str], None] = lambda step: None,
        shown: Callable[[], Sequence[int]] | None = None,
    ) -> None:
        """`shown`: the offsets of simorgh.segments up to which views show the transitions. Later transitions wait.
        None: views show all.
        """
        self._log = log
        self._shown = shown or (lambda: log.ends(topics.SEGMENTS))
        self._registry = registry
        self._identities_of = identities_of
        self._who_allows = who_allows
        self._clock = clock
        self._reached = reached
        self._retrying = Retrying(random)
        self._ledger = Ledger(log, write_rows, pending, clock, self._retrying, reached)
        self._dispatcher = Dispatcher(
            open_sender,
            allows=self._allows,
            settle=self._ledger.settle,
            disable=self._disable,
            hungry=lambda sweep: self._ledger.look(sweep=sweep),
            crash=self._crashed,
            reached=reached,
            clock=clock,
            random=random,
        )
        self._thread = threading.Thread(target=self._run, name="triggers", daemon=True)
        self._intake_thread = ThreadPoolExecutor(1, thread_name_prefix="triggers-intake")
        self._asking_thread = ThreadPoolExecutor(1, thread_name_prefix="triggers-consent")
        self._begun = threading.Event()
        """The loop is running, or has ended."""
        self._ready = threading.Event()
        """Recovery is complete, or the stage has ended."""
        self._progress = asyncio.Condition()
        self._disabling: set[asyncio.Task[None]] = set()
        self._intake: Intake | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Future[float]
        self._stopping = False
        self._error = ""

    # ---- from any thread

    def start(self) -> None:
        """Start to recover, then read transitions. Returns at once."""
        self._thread.start()
        self._begun.wait()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop reading, and finish and record the attempts in flight, for at most about `timeout` seconds. Other
        deliveries stay pending in the table. May be called twice, and after the stage has ended by itself.
        """
        if self._loop is not None:
            # The loop is closed when the stage has ended by itself; then there is nothing to stop.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop, timeout)
            self._thread.join(timeout + 5)

    def flush(self, timeout: float = 30.0) -> bool:
        """Block until all due deliveries in the log have been attempted, recorded and committed. False if that takes
        more than `timeout` seconds or the stage has ended.
        """
        deadline = time.monotonic() + timeout
        self._ready.wait(timeout)
        if self._loop is None or self._intake is None:
            return False
        flushing = self._flush(self._log.ends(topics.SEGMENTS))
        try:
            done = asyncio.run_coroutine_threadsafe(flushing, self._loop)
        except RuntimeError:  # the loop is closed
            flushing.close()
            return False
        # In slices: a loop that ends at this moment may never run the call.
        while self._thread.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError, CancelledError):
                done.result(min(0.1, timeout))
                return True
        done.cancel()
        return False

    def status(self) -> TriggerStatus:
        counters = self._dispatcher.counters
        return TriggerStatus(
            running=self._thread.is_alive() and self._ready.is_set(),
            held=self._dispatcher.held,
            in_flight=self._dispatcher.in_flight,
            attempts=counters.attempts,
            failed_attempts=counters.failed_attempts,
            delivered=counters.delivered,
            gave_up=counters.gave_up,
            refused=counters.refused,
            failing=self._retrying.failing,
            error=self._error,
        )

    # ---- on the loop

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # no caller of this thread would report it
            self._error = f"{type(error).__name__}: {error}"
            _LOG.error("triggers: the stage has stopped; nothing is lost: %s", self._error)
        finally:
            self._begun.set()
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._begun.set()
        work = self._loop.create_task(self._work())
        work.add_done_callback(self._ended)
        try:
            await self._wind_down(work, await self._over)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self._dispatcher.stop(0)
            self._intake_thread.shutdown(cancel_futures=True)
            self._asking_thread.shutdown(cancel_futures=True)
            self._ledger.close()

    async def _work(self) -> None:
        known = await self._ledger.recover()
        self._intake = await self._retrying.run(self._intake_thread, self._open, known)
        self._dispatcher.use(self._registry.triggers)
        await self._read_back()
        self._ready.set()
        await asyncio.gather(self._schedule(self._intake), self._record())

    def _open(self, known: set[str]) -> Intake:
        self._registry.refresh()
        return Intake(
            self._log,
            self._registry,
            self._identities_of,
            self._who_allows,
            self._clock,
            reached=self._reached,
            known=known,
            shown=self._shown,
        )

    async def _schedule(self, intake: Intake) -> None:
        while not self._stopping:
            batch = await self._retrying.run(self._intake_thread, intake.take)
            if self._dispatcher.use(batch.triggers):
                self._ledger.look(sweep=True)
            if batch.positions:
                self._dispatcher.offer_new(batch.deliveries)
                self._ledger.scheduled(batch.deliveries, batch.positions)
            await self._until(lambda: self._stopping or self._ledger.backlog < MAX_BACKLOG)

    async def _allows(self, purpose: str, delivery: Delivery) -> bool:
        """Checks consent right before an attempt; waits as long as the answer is unavailable."""
        profile = int(delivery.profile, 16)
        return profile in await self._retrying.run(self._asking_thread, self._who_allows, purpose, [profile])

    async def _record(self) -> None:
        while not (self._stopping and self._is_settled()):
            await self._ledger.wait()
            self._dispatcher.release(await self._ledger.write())
            if self._ledger.look_is_due and not self._stopping:
                await self._read_back()
            async with self._progress:
                self._progress.notify_all()

    async def _read_back(self) -> None:
        found, on_record = await self._ledger.due()
        self._dispatcher.offer_stored(found, on_record)
        await self._dispatcher.tidy()

    def _is_settled(self) -> bool:
        return self._dispatcher.stopped and not self._ledger.backlog

    async def _wind_down(self, work: asyncio.Task[None], timeout: float) -> None:
        self._stopping = True
        try:
            async with asyncio.timeout(timeout):
                if self._ready.is_set():
                    await self._dispatcher.stop(timeout * 0.8)
                    await asyncio.gather(*self._disabling)
                    self._ledger.hurry()
                    await asyncio.shield(work)
        except TimeoutError:
            _LOG.warning("triggers: stopped before every outcome was recorded; the next start attempts these again")

    async def _flush(self, ends: list[int]) -> None:
        intake = self._intake
        assert intake is not None  # flush comes after start
        self._ledger.look()
        await self._until(
            lambda: (
                all(done >= end for done, end in zip(intake.positions, ends, strict=True))
                and not self._dispatcher.held
                and not self._disabling
                and self._ledger.idle
            )
        )

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with self._progress:
            await self._progress.wait_for(holds)

    def _stop(self, timeout: float) -> None:
        if not self._over.done():
            self._over.set_result(timeout)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._disabling.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._crashed(error)

    def _crashed(self, error: BaseException) -> None:
        if not self._over.done():
            self._over.set_exception(error)

    def _disable(self, id: str) -> None:
        """The destination wants no more deliveries. This is declared, so that people see it and can revert it."""
        assert self._loop is not None
        task = self._loop.create_task(self._retrying.run(self._intake_thread, self._declare_disabled, id))
        self._disabling.add(task)
        task.add_done_callback(self._ended)

    def _declare_disabled(self, id: str) -> None:
        trigger = self._registry.triggers.get(id)
        if trigger is not None and trigger.enabled:
            body = trigger.model_dump(mode="json", context={"reveal": True}) | {"enabled": False}
            self._registry.declare("trigger", id, body, by="triggers: the destination is gone")
