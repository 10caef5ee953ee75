"""The Faust app of a worker: membership in the group, assignment and rebalance, web pages, low-volume agents.

`docs/faust.md` explains what Faust does here and what it does not. In short: its streams carry a few thousand records a
second and acknowledge in `finally`, so

- no topic is acknowledged by Faust (`acks=False`): it commits nothing, tracks nothing, waits for nothing;
- partitions of topics that lanes read are paused for Faust's own fetcher as soon as a rebalance ends;
- a lane commits by itself, in the group's present generation, over the consumer that Faust has joined the group with.

An app belongs to the event loop that runs while it is made: make it in a coroutine.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLong
from dataclasses import dataclass
from typing import Final, Protocol, cast

import faust
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP, AppT, Message, StreamT, TopicT
from faust.types.auth import CredentialsT
from mode.threads import ServiceThread, WorkerThread
from mode.types.signals import SignalHandlerT

from eventlog.port import Record
from schemas.errors import Backpressure
from stream_processors.host.lane import NotMember

_LOG = logging.getLogger(__name__)

NEVER: Final = 10.0**9
"""Seconds. aiokafka leaves the group when nothing is fetched for so long, and with all partitions paused nothing is."""

COMMIT_SECONDS: Final = 15.0

LONGEST_END: Final = 2.0
"""Seconds that the loop waits for the end of the consumer's thread, in which nothing else runs in it."""


class GroupCoordinator(Protocol):
    def request_rejoin(self) -> None: ...


class GroupConsumer(Protocol):
    """What is used of aiokafka's consumer."""

    _coordinator: GroupCoordinator

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None: ...


class LaneOwner(Protocol):
    """Receives this worker's partitions of a topic: a lane, or the trigger stage's keeper."""

    topic: str

    def own(self, partitions: Iterable[int], generation: int) -> None: ...

    def hold(self, timeout: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """`brokers`: `host:port[,host:port]`; `session`: seconds after which a silent worker's partitions go elsewhere."""

    brokers: str
    group: str
    folder: str
    host: str = "127.0.0.1"
    port: int = 0
    session: float = 20.0
    prefix: str = ""
    credentials: CredentialsT | None = None


class ConsumerThread(WorkerThread):
    """The thread of Faust's consumer. While the broker is unreachable it may never end, so nothing waits for it:
    neither the loop that stops it, nor the process at its exit."""

    def __init__(self, service: ServiceThread, **options: object) -> None:
        super().__init__(service, **options)
        self.daemon = True

    def stop(self) -> None:
        self.is_stopped.wait(LONGEST_END)


AIOKafkaConsumerThread.Worker = ConsumerThread  # Faust has no setting for it


class WorkerApp(faust.App):
    """Faust, with the hot topics' partitions paused from the end of every rebalance on."""

    hot: frozenset[str] = frozenset()

    def on_rebalance_end(self) -> None:
        """Called by Faust after it has resumed all partitions."""
        super().on_rebalance_end()
        assignment = self.consumer.assignment()
        self.consumer.pause_partitions({tp for tp in assignment if tp.topic in self.hot})


class Membership:
    """One worker's place in the group. Made in a running loop; `run` until `leave` is called or Faust crashes."""

    def __init__(
        self,
        settings: GroupSettings,
        owners: Sequence[LaneOwner],
        *,
        rebalanced: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._owners = owners
        self._rebalanced = rebalanced
        self._loop = asyncio.get_running_loop()
        self._leaving = asyncio.Event()
        self.app = self._new_app()
        self.app.hot = frozenset(settings.prefix + owner.topic for owner in owners)
        for owner in owners:
            self.app.topics.add(self._topic(owner.topic))
        # Faust types a handler's arguments more narrowly than it calls it
        self.app.on_partitions_revoked.connect(cast(SignalHandlerT[AppT], self._revoked), weak=False)
        self.app.on_partitions_assigned.connect(cast(SignalHandlerT[AppT], self._assigned), weak=False)

    def _new_app(self) -> WorkerApp:
        given = self._settings
        brokers = ";".join(f"kafka://{address}" for address in given.brokers.split(","))
        return WorkerApp(
            given.group,
            broker=brokers,
            broker_credentials=given.credentials,
            autodiscover=False,
            datadir=given.folder,
            key_serializer="raw",
            value_serializer="raw",
            topic_allow_declare=False,  # topics are the event log's, made by it with their settings
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=given.session,
            broker_heartbeat_interval=given.session / 6,
            broker_request_timeout=max(90.0, given.session * 2),
            broker_max_poll_interval=NEVER,
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            web_host=given.host,
            web_bind=given.host,
            web_port=given.port,
            web_tables_enabled=False,
        )

    def _topic(self, name: str) -> TopicT:
        return self.app.topic(self._settings.prefix + name, acks=False, key_type=bytes, value_type=bytes)

    # ---- agents: low volume

    def agent(self, topic: str, offer: Callable[[list[Record]], Awaitable[None]], most: int, within: float) -> None:
        """Let Faust read a topic and offer it in micro-batches of up to `most`, gathered for `within` seconds.

        `offer` returns when the batch is processed; it must not raise, since an agent that dies ends its stream.
        """
        self.app.hot -= {self._settings.prefix + topic}

        async def gather(stream: StreamT[bytes]) -> None:
            assert isinstance(stream, faust.Stream)
            async for events in stream.noack_take(most, within=within):
                await offer([_record(event.message) for event in events])

        self.app.agent(self._topic(topic), name=f"simorgh.{topic}")(gather)

    # ---- from Faust

    async def _revoked(self, app: AppT, revoked: set[TP], **_: object) -> None:
        """Every rebalance first revokes everything: lanes finish their current batch, as long as the group waits."""
        patience = self._settings.session * 0.4
        held = await asyncio.gather(*(asyncio.to_thread(owner.hold, patience) for owner in self._owners))
        for owner, still in zip(self._owners, held, strict=True):
            if not still:
                _LOG.warning(
                    "%s: a batch goes on for %.0f s through a rebalance; it is fenced off", owner.topic, patience
                )

    async def _assigned(self, app: AppT, assigned: set[TP], **_: object) -> None:
        self._rebalanced()
        generation = int(app.consumer_generation_id)
        for owner in self._owners:
            name = self._settings.prefix + owner.topic
            owner.own([tp.partition for tp in assigned if tp.topic == name], generation)

    # ---- from lanes' threads

    def fence(self, topic: str, positions: Mapping[int, int]) -> None:
        """See `lane.Fence`."""
        name = self._settings.prefix + topic
        offsets = {TopicPartition(name, p): OffsetAndMetadata(offset, "") for p, offset in positions.items()}
        try:
            self._on_consumer(lambda consumer: consumer.commit(offsets)).result(COMMIT_SECONDS)
        except (CommitFailedError, IllegalStateError) as error:
            raise NotMember(
                f"{topic}: wanted to commit as a member of the group, got {type(error).__name__}; it joins again"
            ) from None
        except (KafkaError, TooLong) as error:
            raise Backpressure(
                f"{topic}: wanted to commit positions, got {type(error).__name__}; it tries again"
            ) from None

    def rejoin(self) -> None:
        """Ask the group for a new generation."""

        async def ask(consumer: GroupConsumer) -> None:
            consumer._coordinator.request_rejoin()

        with contextlib.suppress(NotMember):
            self._on_consumer(ask)

    def _on_consumer(self, call: Callable[[GroupConsumer], Coroutine[None, None, None]]) -> Future[None]:
        """Run a coroutine of the aiokafka consumer in the thread of its loop. Returns a future of its end."""
        thread = getattr(self.app.consumer, "_thread", None)
        consumer = getattr(thread, "_consumer", None)
        if thread is None or consumer is None or thread.thread_loop.is_closed():
            raise NotMember("worker: wanted to be in its group, got no membership; it joins again")
        return asyncio.run_coroutine_threadsafe(call(consumer), thread.thread_loop)

    # ---- life

    async def run(self) -> BaseException | None:
        """Join, and stay until `leave`. Returns why Faust crashed, None after `leave`. When leaving, lanes finish and
        commit their current batch (their `stop` comes first), then the worker leaves the group.
        """
        await self.app.start()
        ends = [asyncio.create_task(self._leaving.wait()), asyncio.create_task(self.app.wait_until_stopped())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        patience = self._settings.session * 0.8
        await asyncio.gather(*(asyncio.to_thread(owner.hold, patience) for owner in self._owners))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.app.stop(), self._settings.session)
        for end in ends:
            end.cancel()
        return self.app.crash_reason

    def leave(self) -> None:
        """From any thread or signal handler."""
        self._loop.call_soon_threadsafe(self._leaving.set)


def _record(message: Message) -> Record:
    stamp = int(message.timestamp * 1000)
    return Record(message.partition, message.offset, message.key or b"", message.value or b"", stamp)
