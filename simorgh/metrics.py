"""Metrics of this process's stages, for /metrics."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from destinations.metrics import METRICS
from destinations.stage import TriggerStage
from schemas.condition import Condition


class StageMetrics(Collector):
    """Read at each scrape."""

    def __init__(
        self, triggers: Callable[[], TriggerStage | None], conditions: Callable[[], Mapping[str, Condition]]
    ) -> None:
        """`conditions`: of the stages by their group."""
        self._triggers = triggers
        self._conditions = conditions

    def collect(self) -> Iterator[Metric]:
        running = GaugeMetricFamily(
            "simorgh_stage_running", "0 where the stage has stopped or its latest try failed.", labels=["stage"]
        )
        for name, stands in self._conditions().items():
            running.add_metric([name], float(stands.state not in ("stopped", "failing")))
        yield from TriggerMetrics(self._triggers).collect()
        yield running


class TriggerMetrics(Collector):
    """Metrics of the trigger stage alone, if this process runs it now."""

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
