"""Writes the figures in Prometheus' text format; performs no I/O.

Labels are kinds, causes, jobs and states, never values that a customer or a sender chose. So the number of series is
limited. Figures of locations are sums, or those of the worst location.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from etl import __version__
from etl.state.runs import ANSWERS, COUNTS
from etl.watch.figures import Figures
from etl.watch.findings import Finding
from etl.watch.watcher import Look

MAX_CAUSES = 50
"""Most causes of dead letters with a series of their own."""
Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True)
class _Collector:
    look: Look | None

    def collect(self) -> Iterator[Metric]:
        is_up = float(self.look is not None)
        yield GaugeMetricFamily("etl_work_up", "1 if the other figures could be read from Postgres.", value=is_up)
        if self.look is not None:
            yield from _families(*self.look)


def text_of(look: Look | None) -> bytes:
    """Return all series; None: Postgres could not be asked."""
    return generate_latest(_Collector(look))


def _families(figures: Figures, findings: Sequence[Finding]) -> Iterator[Metric]:
    yield _gauge("etl_build_info", "Always 1; of which version.", [((__version__,), 1)], "version")
    states: Counter[tuple[str, str]] = Counter()
    ages: dict[tuple[str], float] = {}
    for each in figures.depth:
        states[each.kind, "due"] += each.due
        states[each.kind, "in_hand"] += each.in_hand
        states[each.kind, "waiting"] += each.items - each.due - each.in_hand
        if each.due and each.oldest is not None:
            age = (figures.taken_at - each.oldest).total_seconds()
            ages[each.kind,] = max(age, ages.get((each.kind,), 0.0))
    yield _gauge(
        "etl_queue_items", "Items: due, in_hand (claimed), or waiting for their time.", states.items(), "kind", "state"
    )
    yield _gauge("etl_queue_oldest_due_age_seconds", "Age of the oldest due item.", ages.items(), "kind")
    letters: Counter[tuple[str, str]] = Counter()
    for place, tally in enumerate(figures.letters):
        letters[tally.kind, tally.cause if place < MAX_CAUSES else "other"] += tally.letters
    yield _gauge("etl_dead_letters", "Dead letters.", letters.items(), "kind", "cause")
    for name, says, columns, label in (
        ("etl_items", "What runs did with items.", COUNTS, "outcome"),
        ("etl_api_answers", "Requests of runs to the API, by what was answered.", ANSWERS, "answer"),
    ):
        counter = CounterMetricFamily(name, says, labels=["job", label])
        for job, totals in figures.totals.items():
            for column in columns:
                counter.add_metric([job, column.removeprefix("answered_")], totals[column])
        yield counter
    endings = [((job, ending), float(count)) for job, ending, count in figures.endings]
    yield _gauge("etl_runs_last_day", "Runs, by how they ended.", endings, "job", "ending")
    seen = [((job,), at.timestamp()) for job, at in figures.last_seen.items()]
    yield _gauge("etl_run_last_seen_timestamp_seconds", "When a run of the job was last at work.", seen, "job")
    yield _gauge("etl_locations", "Locations, by state.", _locations(figures).items(), "state")
    says = "Share of today's requests left, of the location with the least."
    yield GaugeMetricFamily("etl_allowance_left_ratio", says, value=figures.allowance_left)
    last = figures.last_event_at.timestamp() if figures.last_event_at else None
    yield GaugeMetricFamily("etl_event_last_timestamp_seconds", "When the last event was stored.", value=last)
    lag = zip((("0.5",), ("0.95",)), figures.lag or (), strict=False)
    yield _gauge("etl_message_lag_seconds", "From a message of the last 15 minutes to its row.", lag, "quantile")
    found = Counter((each.name,) for each in findings)
    yield _gauge("etl_findings", "What etl check finds, by name; no series: nothing.", found.items(), "name")


def _gauge(name: str, says: str, samples: Iterable[Sample], *labels: str) -> Metric:
    gauge = GaugeMetricFamily(name, says, labels=labels)
    for values, number in samples:
        gauge.add_metric(values, number)
    return gauge


def _locations(figures: Figures) -> Counter[tuple[str]]:
    states = Counter({(state,): 0 for state in ("served", "paused", "retired", "blocked")})
    for each in figures.locations:
        if each.paused_at is not None:
            states["paused",] += 1
        elif each.retired_at is not None:
            states["retired",] += 1
        else:
            states["blocked" if each.blocked_cause else "served",] += 1
    return states
