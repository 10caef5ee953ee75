"""Publishing and reading with kafka-python: pure Python, always installed."""

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.net.compat import KafkaNetClient
from kafka.producer.future import RecordMetadata

from eventlog.kafka.client import (
    BATCH_BYTES,
    COMPRESSION,
    FETCH_BYTES,
    FETCH_WAIT_MS,
    LINGER_MS,
    SECURITY,
    Connection,
    Headers,
    Outcome,
    unavailable,
)
from eventlog.port import Message, Record
from schemas.errors import Broken, Denied, InvalidInput, SimorghError

C = TypeVar("C")


class KafkaPythonClient:
    name = "kafka-python"

    def __init__(self, connection: Connection, topics: Sequence[str]) -> None:
        self._connection = connection
        self._topics = topics

    def publisher(self) -> "KafkaPythonPublisher":
        return KafkaPythonPublisher(self._connection, self._topics)

    def reader(self, topic: str, partition: int) -> "KafkaPythonReader":
        return KafkaPythonReader(self._connection, TopicPartition(topic, partition))

    def ends(self) -> None:
        """The admin requests are this library's."""


class KafkaPythonPublisher:
    """Outcomes are reported in the library's own thread."""

    def __init__(self, connection: Connection, topics: Sequence[str]) -> None:
        patience = int(connection.patience * 1000)
        self._broken = False
        try:
            self._producer = opened(
                KafkaProducer,
                connection,
                enable_idempotence=True,
                acks="all",
                compression_type=COMPRESSION,
                linger_ms=LINGER_MS,
                batch_size=BATCH_BYTES,
                max_request_size=2 * connection.largest + BATCH_BYTES,
                delivery_timeout_ms=patience + LINGER_MS,
                max_block_ms=patience,
            )
            # So that `send` need not ask, and so never blocks. At once: each question waits for a turn of 100 ms.
            with ThreadPoolExecutor(len(topics)) as pool:
                list(pool.map(self._producer.partitions_for, topics))
        except errors.KafkaError as error:
            raise explain("connecting", error) from error

    def send(self, topic: str, messages: Sequence[Message], headers: Headers, first: int, outcome: Outcome) -> None:
        for number, (key, value) in enumerate(messages, first):
            try:
                future = self._producer.send(topic, value or None, key, headers)
            except (errors.KafkaError, ValueError, AssertionError) as error:
                outcome.failed(number, explain("publishing", error))
            else:
                future.add_callback(partial(_delivered, outcome, number))
                future.add_errback(partial(self._failed, outcome, number))

    @property
    def broken(self) -> bool:
        return self._broken

    def close(self, timeout: float) -> None:
        try:
            self._producer.close(timeout)
        except errors.KafkaTimeoutError:
            # Its flush gave up, and so `close` did not get to this step of its own: fail what is left, and end.
            self._producer._sender.force_close()
            with contextlib.suppress(errors.KafkaTimeoutError):
                self._producer.close(1.0)

    def _failed(self, outcome: Outcome, number: int, error: Exception) -> None:
        # The library takes any refusal of the broker for the end of an idempotent producer, and after a message
        # that expired its sequence numbers may have a gap: its own advice is to make another.
        self._broken = True
        outcome.failed(number, explain("publishing", error))


def _delivered(outcome: Outcome, number: int, metadata: RecordMetadata) -> None:
    outcome.delivered(number, metadata.partition, metadata.offset)


class KafkaPythonReader:
    def __init__(self, connection: Connection, partition: TopicPartition) -> None:
        self._partition = partition
        try:
            self._consumer = opened(
                KafkaConsumer,
                connection,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                retry_backoff_ms=10,  # it sleeps as long while a new reader learns where the partition is
                fetch_max_wait_ms=FETCH_WAIT_MS,
                max_partition_fetch_bytes=FETCH_BYTES,
            )
        except errors.KafkaError as error:
            raise explain("connecting", error) from error
        self._consumer.assign([partition])

    def seek(self, offset: int) -> None:
        self._consumer.seek(self._partition, offset)

    def take(self, count: int, timeout: float) -> list[Record]:
        records: list[Record] = []
        deadline = time.monotonic() + timeout
        while len(records) < count and (left := deadline - time.monotonic()) > 0:
            try:
                found = self._consumer.poll(int(left * 1000) + 1, max_records=count - len(records))
            except errors.KafkaError as error:
                if not _passing(error):
                    raise explain("reading", error) from error
                continue
            number = self._partition.partition
            for fetched in found.values():
                records += [Record(number, r.offset, r.key or b"", r.value or b"", r.timestamp) for r in fetched]
        return records

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=1000)


def opened(kind: Callable[..., C], connection: Connection, **settings: object) -> C:
    """A client of one of the library's classes. If the library cannot connect, it raises and leaves a thread behind
    that looks for the broker until the process ends (kafka-python 3.0), so that thread is closed here.
    """
    made: list[KafkaNetClient] = []

    def client(**config: object) -> KafkaNetClient:
        made.append(KafkaNetClient(**config))
        return made[-1]

    try:
        return kind(kafka_client=client, **common_settings(connection), **settings)
    except Exception:
        for each in made:
            each.close()
        raise


def common_settings(connection: Connection) -> dict[str, object]:
    """Options of all of the library's clients."""
    patience = int(connection.patience * 1000)
    return {
        "bootstrap_servers": connection.bootstrap.split(","),
        "client_id": "simorgh",
        "request_timeout_ms": patience // 2,
        "bootstrap_timeout_ms": patience,
        "reconnect_backoff_max_ms": 1000,
        **{SECURITY[name]: value for name, value in connection.security.items()},
    }


_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


def _passing(error: Exception) -> bool:
    """Whether the same client may succeed later."""
    return bool(getattr(error, "retriable", False))


def explain(what: str, error: Exception) -> SimorghError:
    """Our error for an error of the library. It names only the class, since the text may contain values."""
    kind = type(error).__name__
    if isinstance(error, _TOO_LARGE):
        return InvalidInput(f"Kafka: {what}: wanted a smaller message, got {kind}; split it", code="too_large")
    if isinstance(error, errors.AuthorizationError) or "Authentication" in kind:
        return Denied(f"Kafka: {what}: wanted access, got {kind}; check SIMORGH_KAFKA_SECURITY and the broker's ACLs")
    if isinstance(error, errors.OffsetOutOfRangeError | errors.NoOffsetForPartitionError):
        return Broken(f"Kafka: {what}: wanted every record, got {kind}; restore the topic, and set retention.ms=-1")
    return unavailable(what, kind)
