"""The collector's metrics: the one list of their names."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram


class CollectorMetrics:
    """Counters by source and, for what went wrong, by code. `source` is empty if the key is unknown."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.accepted = Counter(
            "simorgh_collector_events_accepted", "Events appended to the log", ["source"], registry=registry
        )
        self.rejected = Counter(
            "simorgh_collector_events_rejected",
            "Events kept as rejected",
            ["source", "code"],
            registry=registry,
        )
        self.refused = Counter(
            "simorgh_collector_requests_refused",
            "Requests answered with an error: of no known source, too large, or not taken now",
            ["status", "code"],
            registry=registry,
        )
        self.seconds = Histogram(
            "simorgh_collector_request_seconds",
            "From the request's body to its answer, the log's disk sync included",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
            registry=registry,
        )
