"""What several workers get and tell: a limit is shared out, their answers are added up. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from etl.state.runs import Tally
from etl.worker.condition import Condition
from etl.worker.plan import Report

WORST_FIRST = (
    "misconfigured",
    "api_unreachable",
    "lost",
    "stopped",
    "max_seconds",
    "rate_limited",
    "budget",
    "paused",
    "drained",
    "limit",
)
"""Outcomes of workers, that of all first. One that drained knows that nothing is due, though others met their limit."""


def shares(limit: int | None, count: int) -> list[int | None]:
    """A limit for each of so many workers, or of fewer: together they keep it."""
    if limit is None:
        return [None] * count
    return [limit // count + (number < limit % count) for number in range(min(count, limit))]


def added(reports: Sequence[Report]) -> Report:
    """What the runs of several workers did together.

    A worker that got no proper answer may have asked for one location only: it tells nothing of the API if others did.
    """
    worst = min(reports, key=lambda each: WORST_FIRST.index(each.outcome))
    is_answered = any(each.tally.loaded and each.outcome != "api_unreachable" for each in reports)
    outcome = "paused" if worst.outcome == "api_unreachable" and is_answered else worst.outcome
    tally = total(each.tally for each in reports)
    withheld = _union(each.withheld for each in reports)
    return Report(outcome, tally, max(each.seconds for each in reports), withheld, worst.detail)


def total(tallies: Iterable[Tally]) -> Tally:
    """The counts of all of them."""
    sum_ = Tally()
    for each in tallies:
        sum_.add(each)
    return sum_


def together(conditions: Sequence[Condition]) -> Condition:
    """The condition of several workers: they rest only if all do."""
    for state in ("working", "api_unreachable"):
        for each in conditions:
            if each.state == state:
                return each
    waits = [each.wait for each in conditions if each.wait is not None]
    return Condition("resting", _union(each.withheld for each in conditions), min(waits, default=None))


def _union(several: Iterable[Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """The locations of all of them, by cause."""
    union: dict[str, set[str]] = {}
    for withheld in several:
        for cause, names in withheld.items():
            union.setdefault(cause, set()).update(names)
    return union
