"""What several workers of one order get and tell: the order is shared out, their answers are added up. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from etl.cli.working import Order
from etl.runs import Tally
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


def shares(order: Order, count: int) -> list[Order]:
    """The order for each of so many processes: the limit is for all together."""
    if order.limit is None:
        return [order] * count
    parts = [order.limit // count + (number < order.limit % count) for number in range(count)]
    return [replace(order, limit=part) for part in parts if part]


def added(reports: Sequence[Report]) -> Report:
    """What the runs of several workers did together."""
    worst = min(reports, key=lambda each: WORST_FIRST.index(each.outcome))
    tally = Tally()
    for each in reports:
        tally.add(each.tally)
    withheld = _union(each.withheld for each in reports)
    return Report(worst.outcome, tally, max(each.seconds for each in reports), withheld, worst.detail)


def together(conditions: Iterable[Condition]) -> Condition:
    """The condition of several workers: they rest only if all do."""
    known = list(conditions)
    for state in ("working", "api_unreachable"):
        for each in known:
            if each.state == state:
                return each
    waits = [each.wait for each in known if each.wait is not None]
    return Condition("resting", _union(each.withheld for each in known), min(waits, default=None))


def _union(several: Iterable[Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """The locations of all of them, by cause."""
    union: dict[str, set[str]] = {}
    for withheld in several:
        for cause, names in withheld.items():
            union.setdefault(cause, set()).update(names)
    return union
