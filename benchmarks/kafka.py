"""The log on Kafka beside bare loops over the same client libraries, on a broker of its own on loopback.

Bare publishing sends the same messages with the same settings and waits for the last acknowledgement; the log
besides checks them, bounds what waits and answers with every position. Bare reading fetches and decodes; the
log makes records of it. Rounds of bare and log alternate, medians are shown, with the ratio that counts.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Spot
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.report import machine, median, show
from deploy.kafka.broker import Broker
from deploy.kafka.fetch import Unavailable
from eventlog.kafka.client import BATCH_BYTES, COMPRESSION, FETCH_BYTES, LINGER_MS, ClientName, Connection, headers_of
from eventlog.kafka.log import KafkaEventLog
from eventlog.port import Message
from schemas.topics import EVENTS

RECORDS: Final[dict[ClientName, int]] = {"kafka-python": 20_000, "confluent": 100_000}
"""Of each round: some seconds each."""
ROUNDS: Final = 3
BATCH: Final = 500
STEP: Final = 5_000
CLIENTS: Final[tuple[ClientName, ...]] = ("kafka-python", "confluent")

HEADERS: Final = headers_of(EVENTS)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as folder:
        broker = Broker(Path(folder))
        try:
            broker.start()
        except Unavailable as reason:
            print(f"kafka: NOT MEASURED: {reason}")
            return
        try:
            rows = [row for client in CLIENTS for row in _measure(broker.bootstrap, client)]
        finally:
            broker.stop()
    columns = ("client", "what", "bare /s", "log /s", "ratio")
    show("The log on Kafka, records of some 600 bytes", columns, rows, f"{machine()}; broker on the same cores")


def _messages(count: int) -> Iterator[list[Message]]:
    """Batches; half of a value's text is the same in all, as in real events."""
    for start in range(0, count, BATCH):
        yield [
            (f"{n:036d}".encode(), b'{"type":"order.completed","id":"%036d","properties":"%s"}' % (n, b"ab%d" % n * 60))
            for n in range(start, start + BATCH)
        ]


def _measure(bootstrap: str, client: ClientName) -> list[tuple[object, ...]]:
    count = RECORDS[client]
    log = KafkaEventLog(Connection(bootstrap), client=client, prefix=f"{client}.", partitions=1, queue_limit=count)
    topic = f"{client}.{EVENTS}"
    batches = list(_messages(count))
    publish_bare = _publish_kafka_python if client == "kafka-python" else _publish_confluent
    read_bare = _read_kafka_python if client == "kafka-python" else _read_confluent
    try:
        _publish_log(log, batches[:10])  # warm
        publishing = _alternate(
            lambda: _timed(count, lambda: publish_bare(bootstrap, topic, batches)),
            lambda: _timed(count, lambda: _publish_log(log, batches)),
        )
        reading = _alternate(
            lambda: _timed(count, lambda: read_bare(bootstrap, topic, count)),
            lambda: _timed(count, lambda: _read_log(log, count)),
        )
    finally:
        log.close()
    return [(client, "publish", *publishing), (client, "read", *reading)]


def _alternate(bare: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both, and their ratio."""
    rounds = [(bare(), ours()) for _ in range(ROUNDS)]
    first, second = median([b for b, _ in rounds]), median([o for _, o in rounds])
    return first, second, second / first


def _timed(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def _publish_log(log: KafkaEventLog, batches: list[list[Message]]) -> None:
    for future in [log.submit([(EVENTS, batch)]) for batch in batches]:
        future.result(60)


def _read_log(log: KafkaEventLog, count: int) -> None:
    offset = 0
    while offset < count:
        offset += len(log.read(EVENTS, 0, offset, min(STEP, count - offset)))


# ---- bare loops


def _publish_kafka_python(bootstrap: str, topic: str, batches: list[list[Message]]) -> None:
    settings = {"compression_type": COMPRESSION, "linger_ms": LINGER_MS, "batch_size": BATCH_BYTES}
    producer = KafkaProducer(bootstrap_servers=bootstrap, **settings)
    futures = [producer.send(topic, value, key, HEADERS) for batch in batches for key, value in batch]
    for future in futures:
        future.get(60)
    producer.close()


def _publish_confluent(bootstrap: str, topic: str, batches: list[list[Message]]) -> None:
    failed: list[object] = []

    def note(error: object, _: object) -> None:
        if error is not None:
            failed.append(error)

    settings: dict[str, Any] = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": LINGER_MS}
    settings |= {"compression.type": COMPRESSION, "batch.size": BATCH_BYTES, "queue.buffering.max.messages": 0}
    producer = Producer(settings)
    headers: list[tuple[str, str | bytes | None]] = [*HEADERS]
    for batch in batches:
        for key, value in batch:
            producer.produce(topic, value, key, headers=headers, on_delivery=note)
        producer.poll(0)
    producer.flush()
    assert not failed


def _read_kafka_python(bootstrap: str, topic: str, count: int) -> None:
    with KafkaConsumer(bootstrap_servers=bootstrap, max_partition_fetch_bytes=FETCH_BYTES) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 0)
        while count > 0:
            found = consumer.poll(1000, max_records=min(STEP, count))
            count -= sum(len([(r.key, r.value) for r in records]) for records in found.values())


def _read_confluent(bootstrap: str, topic: str, count: int) -> None:
    settings = {"bootstrap.servers": bootstrap, "group.id": "bare", "fetch.message.max.bytes": FETCH_BYTES}
    consumer = Consumer({**settings, "fetch.queue.backoff.ms": 5})
    consumer.assign([Spot(topic, 0, 0)])
    while count > 0:
        count -= len([(m.key(), m.value()) for m in consumer.consume(min(STEP, count), 10)])
    consumer.close()
