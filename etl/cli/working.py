"""What one process of ``etl run`` does: it runs jobs one after another, or follows all of them at the same time."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from sqlalchemy import Engine

from etl.cli.composition import Planned, open_loops
from etl.cli.following import follow
from etl.cli.stopping import Stoppable, signals_stop
from etl.jobs import Job
from etl.settings import Settings
from etl.worker.plan import Plan, Report

Watched = Callable[[Job, Plan], AbstractContextManager[Planned]]
"""Gives a run somebody who watches it."""
Stopping = Callable[[Sequence[Stoppable]], AbstractContextManager[None]]
"""Lets somebody stop these, as long as the block lasts."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, by one process or by several together; data only."""

    jobs: tuple[Job, ...]
    taken: frozenset[str]
    """The kinds of items that some job takes."""
    follow: bool = False
    limit: int | None = None
    max_seconds: float | None = None

    def plan(self, job: Job, *, limit: int | None, max_seconds: float | None) -> Plan:
        """What a run of one of the jobs may do."""
        return Plan(
            job=job.name,
            concurrency=job.concurrency,
            batch_size=job.batch_size,
            follow=self.follow,
            limit=limit,
            max_seconds=max_seconds,
            taken=self.taken,
        )

    def plans(self) -> list[tuple[Job, Plan]]:
        """Each job with all that is left of limit and seconds."""
        return [(job, self.plan(job, limit=self.limit, max_seconds=self.max_seconds)) for job in self.jobs]


def work(
    found: Settings, engine: Engine, order: Order, *, watched: Watched, stopping: Stopping = signals_stop
) -> Iterator[tuple[Job, Report]]:
    """Do it; each job with its report, as soon as that is known.

    Raises:
        EtlError: why it cannot go on.
    """
    if not order.follow:
        yield from _one_after_another(found, engine, order, watched, stopping)
        return
    with ExitStack() as watching:
        planned = [watching.enter_context(watched(job, plan)) for job, plan in order.plans()]
        yield from zip(order.jobs, follow(found, engine, planned, stopping=stopping), strict=True)


def _one_after_another(
    found: Settings, engine: Engine, order: Order, watched: Watched, stopping: Stopping
) -> Iterator[tuple[Job, Report]]:
    """The limit, the seconds and a signal are for all jobs together."""
    began, limit = time.monotonic(), order.limit
    for job in order.jobs:
        left = None if order.max_seconds is None else max(order.max_seconds - (time.monotonic() - began), 0.0)
        plan = order.plan(job, limit=limit, max_seconds=left)
        report = run_job(found, engine, job, plan, watched=watched, stopping=stopping)
        yield job, report
        if report.outcome in ("stopped", "limit", "max_seconds"):
            return
        if limit is not None:
            limit -= report.tally.loaded + report.tally.dead


def run_job(
    found: Settings, engine: Engine, job: Job, plan: Plan, *, watched: Watched, stopping: Stopping = signals_stop
) -> Report:
    """One run, which the first signal ends in good order."""
    with watched(job, plan) as planned, open_loops(found, engine, [planned]) as loops, stopping(loops):
        return loops[0].run()
