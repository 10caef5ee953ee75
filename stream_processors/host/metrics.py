"""Metrics of a worker, read from the lanes at each scrape, except for the seconds of batches."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from eventlog.port import RecordLog
from schemas.errors import SimorghError
from stream_processors.host.lane import Lane

SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class BatchMetrics:
    """One for all lanes of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "simorgh_batch_seconds", "What a batch took a stage.", ["stage"], buckets=SECONDS, registry=registry
        )
        self.records = Counter("simorgh_batch_records", "Records that were processed.", ["stage"], registry=registry)
        self.rebalances = Counter("simorgh_rebalances", "Assignments by the group.", registry=registry)

    def batch(self, stage: str, records: int, seconds: float) -> None:
        self.seconds.labels(stage).observe(seconds)
        self.records.labels(stage).inc(records)


class LaneMetrics(Collector):
    """Gauges and counters of the lanes. If the log does not answer, the lag is missing and the scrape succeeds."""

    def __init__(
        self, lanes: Sequence[Lane], log: RecordLog, triggers_run: Callable[[], bool | None] = lambda: None
    ) -> None:
        """`triggers_run`: whether the trigger stage runs; None if another worker has it."""
        self._lanes = lanes
        self._log = log
        self._triggers_run = triggers_run

    def collect(self) -> Iterator[Metric]:
        yield self._gauge("simorgh_partitions_owned", "Partitions that this worker holds.", lambda lane: len(lane.held))
        yield self._running()
        yield self._gauge("simorgh_batch_largest", "Records in the largest batch.", lambda lane: lane.progress.largest)
        yield self._gauge("simorgh_worker_lag_events", "Records that wait in this worker's partitions.", self._lag)
        yield self._counter(
            "simorgh_retries", "Tries that failed, and were made again.", lambda lane: lane.progress.retries
        )
        yield self._counter("simorgh_takeovers", "Partitions taken over.", lambda lane: lane.progress.takeovers)
        yield self._counter("simorgh_superseded", "A later owner was met.", lambda lane: lane.progress.superseded)

    def _running(self) -> Metric:
        family = self._gauge(
            "simorgh_stage_running",
            "0 where the stage has stopped or its latest try failed.",
            lambda lane: float(lane.condition.state not in ("stopped", "failing")),
        )
        if (runs := self._triggers_run()) is not None:
            family.add_metric(["triggers"], float(runs))
        return family

    def _gauge(self, name: str, says: str, value: Callable[[Lane], float]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, says, labels=["stage"])
        for lane in self._lanes:
            family.add_metric([lane.stage.name], value(lane))
        return family

    def _counter(self, name: str, says: str, value: Callable[[Lane], float]) -> Metric:
        family = CounterMetricFamily(name, says, labels=["stage"])
        for lane in self._lanes:
            family.add_metric([lane.stage.name], value(lane))
        return family

    def _lag(self, lane: Lane) -> float:
        return lag(self._log, lane)


def lag(log: RecordLog, lane: Lane) -> float:
    """Records that wait in the partitions of a lane; NaN if the log does not answer."""
    try:
        ends = log.ends(lane.topic)
    except SimorghError:
        return float("nan")
    return float(sum(max(0, ends[p] - offset) for p, offset in dict(lane.progress.positions).items()))
