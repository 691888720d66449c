"""Runs jobs one after another, or with ``--follow`` all at the same time; a signal, or a fault, stops all of them."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from etl.app.composition import open_loops
from etl.app.signals import hanging_up, signals_stop
from etl.config.jobs import MARTS, Job
from etl.config.settings import Settings
from etl.worker.evidence import SharedEvidence
from etl.worker.loop import Loop
from etl.worker.marts import MartsRun
from etl.worker.run import Report, RunLimits, RunSpec

LOOK_SECONDS = 1.0
"""How often the main thread, which alone handles signals, wakes: a signal that comes just as it begins to wait, or that
the kernel gives to another thread, does not wake it."""

Watched = Callable[[Job, RunLimits], AbstractContextManager[RunSpec]]
"""Adds the display of its progress to a run, during a block."""
Runner = Callable[[Sequence[RunSpec]], list[Report]]
"""Does runs at the same time."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The jobs to run; the limits and a signal apply to all of them together."""

    jobs: tuple[Job, ...]
    limits: RunLimits

    @property
    def stages(self) -> list[tuple[Job, ...]]:
        """The jobs that run at the same time, one group after another."""
        return [self.jobs] if self.limits.follow else [(job,) for job in self.jobs]

    @property
    def runs(self) -> int:
        """How many runs there are at a time."""
        return len(self.stages[0])


def work(
    request: RunRequest, run: Runner, watched: Watched, *, began: float | None = None
) -> Generator[tuple[Job, Report]]:
    """Run the jobs; yield each with its report as soon as it is known. ``began`` is when the seconds begin to count.

    Raises:
        EtlError: why it cannot go on.
    """
    limit, most = request.limits.limit, request.limits.max_seconds
    began = time.monotonic() if began is None else began
    for jobs in request.stages:
        seconds = None if most is None else max(most - (time.monotonic() - began), 0.0)
        limits = replace(request.limits, limit=limit, max_seconds=seconds)
        with ExitStack() as watching:
            reports = run([watching.enter_context(watched(job, limits)) for job in jobs])
        yield from zip(jobs, reports, strict=True)
        if limit is not None:
            limit -= sum(report.counts.loaded + report.counts.dead for report in reports)
        if limit == 0 or reports[-1].outcome.ends_other_jobs:
            return


def run_together(
    settings: Settings, engine: Engine, specs: Sequence[RunSpec], *, shared: SharedEvidence | None = None
) -> list[Report]:
    """Do these runs in this process, each in a thread; ``shared`` is the evidence of earlier ones.

    Raises:
        EtlError: why one of them cannot go on; the others were stopped in good order.
    """
    fetching = [each for each in specs if each.job.kind != MARTS]
    with (
        hanging_up(engine) as hang_up,
        open_loops(settings, engine, fetching, shared=shared) as opened,
        ExitStack() as stack,
    ):
        by_job = dict(zip((each.job.name for each in fetching), opened, strict=True))
        loops = [by_job.get(each.job.name) or MartsRun(engine, each, time.monotonic) for each in specs]
        stack.enter_context(signals_stop([*(loop.stop for loop in loops), hang_up]))
        pool = stack.enter_context(ThreadPoolExecutor(len(loops), thread_name_prefix="loop"))
        running = [pool.submit(_run, loop, loops) for loop in loops]
        while wait(running, timeout=LOOK_SECONDS).not_done:
            pass
        return [each.result() for each in running]


def _run(loop: Loop | MartsRun, loops: Sequence[Loop | MartsRun]) -> Report:
    """Run one loop to its end; a fault of it stops the others too."""
    is_fault = True
    try:
        report = loop.run()
        is_fault = report.outcome.is_fault
        return report
    finally:
        if is_fault:
            for each in loops:
                each.stop()
