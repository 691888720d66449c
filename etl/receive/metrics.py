"""The metrics of the receiver; no label holds what a sender chose, or the number of series would have no bound."""

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
        # Without this, each counter gets a second series, …_created.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no types
        self._registry = own = CollectorRegistry()
        outcome, reason = ["outcome"], ["status", "reason"]
        self.stored = Counter(
            "etl_webhook_events", "Events acknowledged, by what became of them.", outcome, registry=own
        )
        self.refused = Counter("etl_webhook_refused", "Requests refused, by status and reason.", reason, registry=own)
        self.seconds = Histogram("etl_webhook_seconds", "From request to answer.", buckets=SECONDS, registry=own)
        self.failures = Counter("etl_webhook_store_failures", "Transactions that Postgres did not take.", registry=own)
        self.waiting = Gauge("etl_webhook_waiting_events", "Events that wait to be stored.", registry=own)
        self.ready = Gauge("etl_webhook_ready", "1 while events can be stored.", registry=own)
        self.purged = Counter("etl_webhook_purged_events", "Old events deleted.", registry=own)
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
