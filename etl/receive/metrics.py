"""What ``/metrics`` tells; no label ever holds what a sender chose, or the number of series would have no bound."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class Metrics:
    """The measurements of one receiver, with a registry of its own."""

    def __init__(self) -> None:
        # When a counter began is told by its first value.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no types
        self._registry = CollectorRegistry()
        self.stored = Counter(
            "etl_webhook_events", "Events acknowledged, by what became of them.", ["outcome"], registry=self._registry
        )
        self.refused = Counter(
            "etl_webhook_refused",
            "Requests refused, by status and reason.",
            ["status", "reason"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "etl_webhook_seconds", "From request to answer.", buckets=SECONDS, registry=self._registry
        )
        self.failures = Counter(
            "etl_webhook_store_failures", "Transactions that Postgres did not take.", registry=self._registry
        )
        self.waiting = Gauge("etl_webhook_waiting_events", "Events that wait to be stored.", registry=self._registry)
        self.ready = Gauge("etl_webhook_ready", "1 while events can be stored.", registry=self._registry)
        self.purged = Counter("etl_webhook_purged_events", "Old events deleted.", registry=self._registry)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
