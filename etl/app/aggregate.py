"""Divides a limit among workers and adds up their reports. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.run import Report, WorkerState


def shares(limit: int | None, count: int) -> list[int | None]:
    """Return the limit of each worker; of as many workers as the limit has items. They add up to the limit."""
    if limit is None:
        return [None] * count
    return [limit // count + (number < limit % count) for number in range(min(count, limit))]


def added(reports: Sequence[Report]) -> Report:
    """Return the combined report of several workers.

    A worker without a proper answer may have asked for one location only: if others got answers, the API is up.
    """
    worst = min(reports, key=lambda each: each.outcome.severity)
    is_answered = any(each.counts.loaded and each.outcome != RunOutcome.API_UNREACHABLE for each in reports)
    outcome = RunOutcome.PAUSED if worst.outcome == RunOutcome.API_UNREACHABLE and is_answered else worst.outcome
    skipped, seconds = _union(each.skipped for each in reports), max(each.seconds for each in reports)
    is_news = any(each.is_news for each in reports)
    return Report(outcome, total(each.counts for each in reports), seconds, skipped, worst.detail, is_news)


def total(run_counts: Iterable[RunCounts]) -> RunCounts:
    """Add up the counts of several runs."""
    sum_ = RunCounts()
    for each in run_counts:
        sum_.add(each)
    return sum_


def together(states: Sequence[WorkerState]) -> WorkerState:
    """Return the state of several workers: they rest only if all do."""
    for state in ("working", "api_unreachable"):
        for each in states:
            if each.activity == state:
                return each
    waits = [each.wait for each in states if each.wait is not None]
    return WorkerState("resting", _union(each.skipped for each in states), min(waits, default=None))


def _union(several: Iterable[Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """Return the locations of all workers, by cause."""
    union: dict[str, set[str]] = {}
    for skipped in several:
        for cause, names in skipped.items():
            union.setdefault(cause, set()).update(names)
    return union
