"""What the processors of this process say of themselves, for /metrics."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream_processors.runner import Runner
from stream_processors.triggers.metrics import METRICS
from stream_processors.triggers.stage import TriggerStage


class StageMetrics(Collector):
    """Read at each scrape; a stage that has not started yet says nothing."""

    def __init__(self, triggers: Callable[[], TriggerStage | None], runner: Callable[[], Runner]) -> None:
        self._triggers = triggers
        self._runner = runner

    def collect(self) -> Iterator[Metric]:
        running = GaugeMetricFamily(
            "simorgh_stage_running", "1 while the stage runs; 0: see the log.", labels=["stage"]
        )
        running.add_metric(["projections"], float(self._runner().failure is None))
        stage = self._triggers()
        if stage is not None:
            running.add_metric(["triggers"], float(stage.status().running))
        yield from TriggerMetrics(self._triggers).collect()
        yield running


class TriggerMetrics(Collector):
    """Of the trigger stage alone, where this process runs it now."""

    def __init__(self, triggers: Callable[[], TriggerStage | None]) -> None:
        self._triggers = triggers

    def collect(self) -> Iterator[Metric]:
        stage = self._triggers()
        if stage is None:
            return
        status = stage.status()
        for metric in METRICS:
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            yield family(metric.name.removesuffix("_total"), metric.says, value=getattr(status, metric.field))
