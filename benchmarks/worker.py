"""One `simorgh work` beside a bare confluent-kafka loop that hosts the same stages, on the same log.

Both begin with a broker full of events and an empty warehouse (the test bridge: ClickHouse's engine behind HTTP, as a
process of its own) and end when no stage lags. The bare loop has no group, no fences, no lanes and no watchdog: it
polls each topic in turn, in one thread, processes and commits. Rounds alternate; medians and the ratio are shown, and
where the worker's seconds went, by stage. Then what the dearest step, looking at touched profiles, costs in batches of
several sizes.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, TopicPartition

from benchmarks.report import machine, median, show
from benchmarks.world import fill
from deploy.kafka.fetch import Unavailable
from eventlog.kafka.client import Connection
from eventlog.kafka.log import KafkaEventLog
from eventlog.port import EventLog, Record
from schemas import topics
from schemas.clock import system_clock
from stream_processors.flow.profiles import ProfilesStage
from stream_processors.flow.topology import TOPOLOGY, projections
from stream_processors.host.worker import WorkerStages
from stream_processors.state import touches
from stream_processors.state.stage import Stage
from stream_processors.state.touches import Touch
from tests.cluster.harness import Cluster, running_cluster
from warehouse.client import Warehouse, Writer

EVENTS: Final = 30_000
RULES: Final = 20
ROUNDS: Final = 3
BATCH: Final = 10_000
SIZES: Final = (1, 10, 100, 1_000)
_STAGES = ("events", "identity", "profiles")


def main() -> None:
    """Measure and print."""
    rates: dict[str, list[float]] = {"bare loop": [], "simorgh work": []}
    spent: dict[str, list[float]] = {name: [] for name in _STAGES}
    try:
        for number in range(ROUNDS):
            rate, by_size = _bare(SIZES if number == ROUNDS - 1 else ())
            rates["bare loop"].append(rate)
            rate, seconds = _worker()
            rates["simorgh work"].append(rate)
            for name, value in seconds.items():
                spent[name].append(value)
    except Unavailable as reason:
        print(f"worker: not measured: {reason}")
        return
    bare, work = median(rates["bare loop"]), median(rates["simorgh work"])
    show(
        f"One worker, {EVENTS:,} events, {RULES} segments ({machine()})",
        ("host", "events/s", "ratio"),
        [("bare loop", f"{bare:,.0f}", "1.00"), ("simorgh work", f"{work:,.0f}", f"{work / bare:.2f}")],
        "seconds in process(): " + ", ".join(f"{name} {median(values):.1f}" for name, values in spent.items()),
    )
    show(
        "Looking at touched profiles again, by size of batch",
        ("touches in a batch", "µs a touch"),
        [(f"{size:,}", f"{cost * 1e6:,.0f}") for size, cost in by_size.items()],
    )


@contextmanager
def _full() -> Iterator[tuple[Cluster, KafkaEventLog]]:
    """A cluster without roles whose log is full, and that log."""
    with tempfile.TemporaryDirectory(prefix="worker-") as folder, running_cluster(Path(folder)) as cluster:
        log = KafkaEventLog(Connection(cluster.brokers[0].bootstrap), partitions=4)
        try:
            fill(log, EVENTS, RULES)
            yield cluster, log
        finally:
            log.close()


def _settled(log: EventLog) -> bool:
    """No stage lags, upstream first."""
    followed = [stage for stage in projections(TOPOLOGY) if stage.name not in ("triggers", "rejected")]
    return all(
        done >= end
        for stage in followed
        for topic in stage.reads
        for done, end in zip(log.committed(stage.group, topic), log.ends(topic), strict=True)
    )


def _worker() -> tuple[float, dict[str, float]]:
    with _full() as (cluster, log):
        role = cluster.role("work")
        started = time.monotonic()
        while not _settled(log):
            time.sleep(0.05)
        rate = EVENTS / (time.monotonic() - started)
        return rate, {name: role.metric("simorgh_batch_seconds_sum", stage=name) for name in _STAGES}


def _bare(sizes: Sequence[int]) -> tuple[float, dict[int, float]]:
    """Events a second; then, by size of batch, seconds for a profile that is looked at again."""
    with _full() as (cluster, log):
        warehouse = Warehouse(cluster.bridge.url)
        warehouse.migrate(1)
        writer = warehouse.writer(1)
        own = WorkerStages(log, writer, warehouse.reader(lambda: 1), system_clock)
        stages: list[Stage] = [own.events, own.identity, own.profiles]
        started = time.monotonic()
        _loop(cluster, log, stages)
        rate = EVENTS / (time.monotonic() - started)
        by_size = {size: _touched(log, writer, own.profiles, size) for size in sizes}
        warehouse.close()
        return rate, by_size


def _touched(log: EventLog, writer: Writer, stage: ProfilesStage, size: int) -> float:
    """Seconds for each of `size` profiles, touched once and processed as one batch: the median of three."""
    costs = []
    for _ in range(ROUNDS):
        found = writer.rows(f"SELECT profile FROM profile_rows WHERE live ORDER BY rand() LIMIT {size}")
        before = log.ends(topics.TOUCHED)
        log.append(topics.TOUCHED, [touches.message(Touch(profile, touches.EVENT)) for (profile,) in found])
        records = [
            record for part, offset in enumerate(before) for record in log.read(topics.TOUCHED, part, offset, size)
        ]
        started = time.monotonic()
        stage.process(records)
        costs.append((time.monotonic() - started) / len(records))
    return median(costs)


def _loop(cluster: Cluster, log: EventLog, stages: Sequence[Stage]) -> None:
    consumers = {stage.name: _consumer(cluster, log, stage) for stage in stages}
    while True:
        done = 0
        for stage in stages:
            messages = consumers[stage.name].consume(BATCH, 0.02)
            records = [
                Record(m.partition(), m.offset(), m.key(), m.value(), m.timestamp()[1])  # type: ignore[arg-type]
                for m in messages
            ]
            if records:
                records.sort(key=lambda record: record[:2])
                stage.process(records)
                log.commit(stage.group, {stage.topic: {record.partition: record.offset + 1 for record in records}})
            stage.idle()
            done += len(records)
        if not done and _settled(log):
            break
    for consumer in consumers.values():
        consumer.close()


def _consumer(cluster: Cluster, log: EventLog, stage: Stage) -> Consumer:
    positions = stage.assign(range(len(log.ends(stage.topic))), 1)
    consumer = Consumer(
        {"bootstrap.servers": cluster.brokers[0].bootstrap, "group.id": "bare", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(stage.topic, partition, offset) for partition, offset in positions.items()])
    return consumer


if __name__ == "__main__":
    main()
