"""Publishing and reading with confluent-kafka (librdkafka): the extra `simorgh[fast]`."""

import logging
import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as Delivery
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from eventlog.kafka.client import (
    BATCH_BYTES,
    COMPRESSION,
    FETCH_BYTES,
    FETCH_WAIT_MS,
    LINGER_MS,
    PAUSES,
    Connection,
    Headers,
    Outcome,
    unavailable,
)
from eventlog.port import Message, Record
from schemas.errors import Broken, Denied, InvalidInput, SimorghError

_LOG: Final = logging.getLogger(__name__)

LONGEST_WAVE: Final = 0.5
"""Seconds that messages wait for the outcome of others."""

AHEAD_KB: Final = 16 * 1024
"""How many bytes one reader may read ahead into memory."""

SHORTEST_LOOK: Final = 1.0
"""The shortest timeout in seconds of a request for ends: a busy broker is not an unreachable one."""

YOUNG: Final = 1.0
"""Seconds in which a client may still learn of the leaders."""

_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class ConfluentClient:
    name = "confluent"

    def __init__(self, connection: Connection, topics: Sequence[str]) -> None:
        self._connection = connection
        self._topics = topics

    def publisher(self) -> "ConfluentPublisher":
        return ConfluentPublisher(self._connection, self._topics)

    def reader(self, topic: str, partition: int) -> "ConfluentReader":
        return ConfluentReader(self._connection, topic, partition)

    def ends(self) -> "ConfluentEnds":
        return ConfluentEnds(self._connection)


class _Send(NamedTuple):
    topic: str
    messages: Sequence[Message]
    headers: Headers
    first: int
    outcome: Outcome


class ConfluentPublisher:
    """Outcomes are reported in a thread of its own. Messages submitted while others are in flight go in one wave after
    them. An idempotent producer may have five requests in flight, one for each batch of a partition. With more to send,
    librdkafka (2.16) polls without sleeping and uses a whole core; a broker on the same machine hardly gets to answer.
    Waves make few and large requests.
    """

    def __init__(self, connection: Connection, topics: Sequence[str]) -> None:
        patience = int(connection.patience * 1000)
        self._broken = False
        self._producer = Producer(
            {
                **_common_settings(connection),
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",  # kafka-python's and Java's; librdkafka's own default is another
                "compression.type": COMPRESSION,
                "linger.ms": LINGER_MS,
                "batch.size": BATCH_BYTES,
                "message.max.bytes": 2 * connection.largest + BATCH_BYTES,
                "message.timeout.ms": patience,
                "request.timeout.ms": patience // 2,
                "queue.buffering.max.messages": 0,  # the adapter bounds what waits
                "queue.buffering.max.kbytes": 2**31 - 1,
            },
            logger=_LOG,
        )
        self._require_broker(connection, topics)
        self._stopped = False
        self._sending = threading.Lock()  # held while a wave is handed over, so that waves follow one another
        self._gate = threading.Lock()  # guards the three that follow
        self._held: list[_Send] = []
        self._under_way = 0
        self._wave_at = 0.0
        self._poller = threading.Thread(target=self._poll, name="log-delivery", daemon=True)
        self._poller.start()

    def _require_broker(self, connection: Connection, topics: Sequence[str]) -> None:
        """Also makes the library know the topics before the first message."""
        try:
            for topic in topics[:1]:
                self._producer.list_topics(topic, timeout=connection.patience)
        except KafkaException as error:
            raise explain("connecting", error.args[0]) from error

    def send(self, topic: str, messages: Sequence[Message], headers: Headers, first: int, outcome: Outcome) -> None:
        with self._gate:
            self._held.append(_Send(topic, messages, headers, first, outcome))
        self._next_wave()

    def _next_wave(self) -> None:
        """Send the held messages if none are in flight, or if those have been for so long that a broker must be
        unreachable; others may answer. If another thread is sending a wave, it checks again after it.
        """
        looking = True
        while looking and self._held and self._sending.acquire(blocking=False):
            try:
                looking = self._send_wave()
            finally:
                self._sending.release()

    def _send_wave(self) -> bool:
        """False if it is too early."""
        with self._gate:
            if self._under_way and time.monotonic() - self._wave_at < LONGEST_WAVE:
                return False
            wave, self._held = self._held, []
            self._under_way += sum(len(send.messages) for send in wave)
            self._wave_at = time.monotonic()
        for send in wave:
            self._produce(send)
        return True

    def _produce(self, send: _Send) -> None:
        produce = self._producer.produce
        headers: list[tuple[str, str | bytes | None]] = [*send.headers]
        for number, (key, value) in enumerate(send.messages, send.first):
            told = partial(self._report, send.outcome, number)
            try:
                produce(send.topic, value or None, key, on_delivery=told, headers=headers)
            except KafkaException as error:
                self._failed(send.outcome, number, error.args[0])
            except BufferError:
                self._ended()
                send.outcome.failed(number, unavailable("publishing", "a full queue of the client"))

    @property
    def broken(self) -> bool:
        return self._broken

    def close(self, timeout: float) -> None:
        if self._stopped:
            return
        deadline = time.monotonic() + timeout
        while (self._held or self._under_way) and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopped = True
        self._poller.join()

    def _poll(self) -> None:
        while not self._stopped:
            self._producer.poll(0.1)
            self._next_wave()

    def _report(self, outcome: Outcome, number: int, error: KafkaError | None, message: Delivery) -> None:
        if error is None:
            self._ended()
            outcome.delivered(number, message.partition(), message.offset())  # type: ignore[arg-type]
        else:
            self._failed(outcome, number, error)

    def _failed(self, outcome: Outcome, number: int, error: KafkaError) -> None:
        self._broken = self._broken or error.fatal() or error.code() in _BREAKING
        self._ended()
        outcome.failed(number, explain("publishing", error))

    def _ended(self) -> None:
        with self._gate:
            self._under_way -= 1


class ConfluentReader:
    def __init__(self, connection: Connection, topic: str, partition: int) -> None:
        self._topic, self._partition = topic, partition
        self._consumer = Consumer(
            {
                **_common_settings(connection),
                "group.id": "simorgh-reader",  # the library wants one; no group is joined and nothing committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "fetch.message.max.bytes": FETCH_BYTES,
                "queued.min.messages": 100_000,
                "queued.max.messages.kbytes": AHEAD_KB,
                "fetch.queue.backoff.ms": 5,  # after a full queue; the default pauses a reader for a second
                "fetch.error.backoff.ms": 100,
            },
            logger=_LOG,
        )

    def seek(self, offset: int) -> None:
        self._consumer.assign([TopicPartition(self._topic, self._partition, offset)])

    def take(self, count: int, timeout: float) -> list[Record]:
        partition = self._partition
        records = []
        for message in self._consumer.consume(count, timeout):
            if (error := message.error()) is not None:
                if _passing(error):
                    continue
                raise explain("reading", error)
            key, value = message.key() or b"", message.value() or b""
            records.append(Record(partition, message.offset(), key, value, message.timestamp()[1]))  # type: ignore[arg-type]
        return records

    def close(self) -> None:
        self._consumer.close()


class ConfluentEnds:
    """One request each time, where kafka-python takes two and nine times the CPU: every waiting thread asks.

    It keeps its client as long as that knows the leaders: a new client after each timeout would add connections to a
    busy broker until it answers nobody.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._client: AdminClient | None = None
        self._made_at = 0.0
        self._closed = threading.Event()

    def ends(self, topic: str, partitions: int, patience: float | None = None) -> list[int]:
        wanted = {TopicPartition(topic, number): _LATEST for number in range(partitions)}
        deadline = time.monotonic() + (self._connection.patience if patience is None else patience)
        failures = 0
        while True:
            client = self._connected()
            try:
                left = max(SHORTEST_LOOK, deadline - time.monotonic())
                found = client.list_offsets(wanted, request_timeout=min(left, self._connection.patience / 2))
                return [_told(found[partition].result().offset) for partition in wanted]
            except KafkaException as error:
                reason = error.args[0]
                if reason.code() in _MOVED:
                    self._drop(client)  # this one may never look for the new leader, a fresh one does
                failures += 1
                pause = min(PAUSES.after(failures, random.random()), deadline - time.monotonic())
                if not _passing(reason) or self._closed.is_set() or pause <= 0:
                    raise explain("asking for ends", reason) from error
            self._closed.wait(pause)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._client = None

    def _connected(self) -> AdminClient:
        with self._lock:
            if self._client is None:
                self._client = AdminClient(_common_settings(self._connection), logger=_LOG)
                self._made_at = time.monotonic()
            return self._client

    def _drop(self, client: AdminClient) -> None:
        with self._lock:
            if self._client is client and time.monotonic() - self._made_at > YOUNG:
                self._client = None


def _told(offset: int) -> int:
    """librdkafka (2.16) returns -1001 without an error if the leader disappears during the request."""
    if offset < 0:
        raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
    return offset


def _common_settings(connection: Connection) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": connection.bootstrap,
        "client.id": "simorgh",
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1000,
        **connection.security,
    }


_TOO_LARGE: Final = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_REFUSED: Final = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
_GONE: Final = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION}
_MOVED: Final = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._NOENT,  # after a broker's return, for minutes
}
_BREAKING: Final = {
    KafkaError._FATAL,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}


def _passing(error: KafkaError) -> bool:
    """An error of a reader from which the library recovers by itself."""
    return error.code() not in _REFUSED | _GONE and not error.fatal()


def explain(what: str, error: KafkaError) -> SimorghError:
    """Our error for an error of the library. It contains only the name, since the text may contain values."""
    code, name = error.code(), error.name()
    if code in _TOO_LARGE:
        return InvalidInput(f"Kafka: {what}: wanted a smaller message, got {name}; split it", code="too_large")
    if code in _REFUSED:
        return Denied(f"Kafka: {what}: wanted access, got {name}; check SIMORGH_KAFKA_SECURITY and the broker's ACLs")
    if code in _GONE:
        return Broken(f"Kafka: {what}: wanted every record, got {name}; restore the topic, and set retention.ms=-1")
    return unavailable(what, name)
