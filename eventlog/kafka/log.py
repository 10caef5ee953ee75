"""The log on Kafka: the port over a client library, admin requests and readers."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Final

from eventlog.about import claim_format
from eventlog.checks import (
    check_beyond,
    check_group,
    check_messages,
    check_partition,
    checked_offset,
    closed,
    unknown_topic,
)
from eventlog.kafka.admin import Admin
from eventlog.kafka.client import Client, ClientName, Connection, Ends
from eventlog.kafka.publishing import Publishing
from eventlog.kafka.reading import Readers
from eventlog.port import Message, Position, Record
from schemas import topics
from schemas.errors import Backpressure, InvalidSettings

FIRST_LOOK: Final = 0.002
LAST_LOOK: Final = 0.1
"""Seconds between two reads of a topic's ends while threads wait: longer, the longer it has not grown. Each read is a
request to the broker, and an idle cluster has some ten waiting threads. Between an event and its webhook are four
topics, so a first event after a pause may wait four times as long."""


class KafkaEventLog:
    """`eventlog.port.EventLog` on a Kafka cluster, for any number of processes.

    Beyond the port's contract:
    - Opening makes the topics that are missing and refuses (`InvalidSettings`) one that would forget records,
      or a log of a format that we do not read.
      `partitions` counts only for topics that are not there; `prefix` goes before their names.
    - Acknowledged means: all replicas in sync have it. A submit that fails may have left some of its records,
      since Kafka's transactions would put holes into the offsets; offered again, these come twice. Everything
      behind the log knows copies by their ids.
    - A broker that does not answer within `connection.patience` is `Backpressure` with code `log_unavailable`,
      from a call or through the future; `wait` takes it for no growth.
    - `queue_limit` messages and `queue_bytes` may wait for acknowledgement; more is `Backpressure`. A submit
      that alone exceeds a limit is taken when nothing else waits.
    - Callbacks of the futures run in the client's thread: they must be short and must not call this log's
      blocking methods. A future cannot be cancelled.
    - `commit` is for groups without members. The broker forgets their positions `offsets.retention.minutes`
      after the last commit: set it to its maximum.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        partitions: int = 2,
        replication: int = -1,
        min_insync: int = 0,
        client: ClientName = "auto",
        prefix: str = "",
        queue_limit: int = 100_000,
        queue_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.connection = connection
        self._names = {topic: prefix + topic for topic in topics.ALL}
        self._admin = Admin(connection)
        wanted = {name: 1 if topic in topics.SINGLE_PARTITION else partitions for topic, name in self._names.items()}
        try:
            self._partitions = self._admin.ensure_topics(wanted, replication, min_insync)
            self._client = make_client(client, connection, list(self._names.values()))
            self._ends: Ends = self._client.ends() or self._admin
            self._known = {name: [0] * count for name, count in self._partitions.items()}
            self._grew = dict.fromkeys(self._known, 0.0)
            self._looked = dict.fromkeys(self._known, -1.0)
            self._looking = {name: threading.Lock() for name in self._known}
            self._grown = threading.Condition()  # guards self._known and self._closed
            self._closed = False
            self._closing = threading.Lock()
            self._readers = Readers(self._client.reader, connection.patience)
            self._publishing = Publishing(
                self._client, queue_limit, queue_bytes, connection.patience, self._acknowledged
            )
        except BaseException:
            self._admin.close()
            raise
        try:
            claim_format(self, f"kafka://{connection.bootstrap}")
        except BaseException:
            self.close()
            raise

    @property
    def client(self) -> str:
        """The name of the library that publishes and reads."""
        return self._client.name

    # --- appending

    def append(self, topic: str, messages: Sequence[Message]) -> list[Position]:
        return self.submit([(topic, messages)]).result()[0]

    def submit(self, writes: Sequence[tuple[str, Sequence[Message]]]) -> Future[list[list[Position]]]:
        for topic, messages in writes:
            check_messages(topic, messages, self.connection.largest)
        named = [(self._name(topic), messages) for topic, messages in writes]
        self._check_open()
        return self._publishing.submit([topic for topic, _ in writes], named)

    def commit(self, group: str, positions: dict[str, dict[int, int]]) -> None:
        check_group(group)
        named = {}
        for topic, by_partition in positions.items():
            name = self._name(topic)
            for partition, offset in by_partition.items():
                check_partition(topic, partition, self._partitions[name])
                checked_offset(topic, offset)
            named[name] = by_partition
        self._check_open()
        self._admin.commit(group, named)

    def _acknowledged(self, name: str, positions: Sequence[Position]) -> None:
        ends = [0] * self._partitions[name]
        for partition, offset in positions:
            ends[partition] = max(ends[partition], offset + 1)
        self._know(name, ends)

    # --- reading

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Record]:
        name = self._name(topic)
        check_partition(topic, partition, self._partitions[name])
        checked_offset(topic, offset)
        self._check_open()
        if self._known[name][partition] < offset + limit:
            self._look(name)
        count = min(limit, self._known[name][partition] - offset)
        return self._readers.read(name, partition, offset, count) if count > 0 else []

    def ends(self, topic: str) -> list[int]:
        name = self._name(topic)
        self._check_open()
        return self._look(name)

    def committed(self, group: str, topic: str) -> list[int]:
        name = self._name(topic)
        self._check_open()
        return self._admin.committed(group, name, self._partitions[name])

    def wait(self, topic: str, beyond: Sequence[int], timeout: float) -> bool:
        name = self._name(topic)
        check_beyond(topic, beyond, self._partitions[name])
        deadline = time.monotonic() + timeout
        while True:
            self._check_open()
            if self._has_grown(name, beyond):
                return True
            pause = self._pause(name)
            left = deadline - time.monotonic()
            self._look_again(name, pause, max(left, pause))
            with self._grown:
                if not (self._has_grown(name, beyond) or self._closed) and left <= 0:
                    return False
                self._grown.wait_for(lambda: self._closed or self._has_grown(name, beyond), min(pause, max(left, 0)))

    def _has_grown(self, name: str, beyond: Sequence[int]) -> bool:
        return any(end > known for end, known in zip(self._known[name], beyond, strict=True))

    # --- known ends

    def _pause(self, name: str) -> float:
        return min(LAST_LOOK, max(FIRST_LOOK, (time.monotonic() - self._grew[name]) / 3))

    def _look(self, name: str, patience: float | None = None) -> list[int]:
        """The ends, from the brokers."""
        asked = time.monotonic()
        ends = self._ends.ends(name, self._partitions[name], patience)
        self._looked[name] = asked
        self._know(name, ends)
        return ends

    def _look_again(self, name: str, age: float, patience: float) -> None:
        """Read the ends unless another thread did within `age` seconds, since many may wait. An unreachable broker
        changes nothing."""
        with self._looking[name]:
            if time.monotonic() - self._looked[name] >= age:
                self._readers.let_go()
                try:
                    self._look(name, patience)
                except Backpressure:
                    self._looked[name] = time.monotonic()

    def _know(self, name: str, ends: Sequence[int]) -> None:
        with self._grown:
            known = self._known[name]
            self._known[name] = [max(pair) for pair in zip(known, ends, strict=True)]
            if self._known[name] != known:
                self._grew[name] = time.monotonic()
                self._grown.notify_all()

    # --- the rest

    def close(self) -> None:
        with self._closing:
            with self._grown:
                if self._closed:
                    return
                self._closed = True
                self._grown.notify_all()
            self._publishing.close()
            self._readers.close()
            self._ends.close()
            self._admin.close()

    def _check_open(self) -> None:
        if self._closed:
            raise closed(self.connection.bootstrap)

    def _name(self, topic: str) -> str:
        name = self._names.get(topic)
        if name is None:
            raise unknown_topic(self._names)
        return name


def make_client(name: ClientName, connection: Connection, names: Sequence[str]) -> Client:
    """`auto`: confluent-kafka if it is installed. Raises `InvalidSettings` for a client that is not installed."""
    if name == "auto":
        name = "confluent" if find_spec("confluent_kafka") else "kafka-python"
    if name == "kafka-python":
        from eventlog.kafka.kafka_python import KafkaPythonClient

        return KafkaPythonClient(connection, names)
    if not find_spec("confluent_kafka"):
        raise InvalidSettings(
            "Kafka client: wanted confluent-kafka, got no such package; run pip install 'simorgh[fast]'"
        )
    from eventlog.kafka.confluent import ConfluentClient

    return ConfluentClient(connection, names)
