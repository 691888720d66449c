"""``etl run --processes``: workers share each run; this process hands it out, adds up what they tell, and ends last.

A worker is a process of its own, with its own connections. It and we share a pipe. We tell it which runs to do, and to
stop; it tells the counts, the state and the report of each. Signals are ours alone. A worker whose pipe ends has
lost us: it ends in good order, or at once if it was told to stop before.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, TypeAlias

from etl.app.aggregate import added, shares, together, total
from etl.app.composition import RunSpec
from etl.app.job_runner import LOOK_SECONDS, Runner, run_together
from etl.app.signals import signals_stop
from etl.app.warehouse import load_settings, warehouse
from etl.config.jobs import Job
from etl.errors import EtlError
from etl.output import print_line, tell
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.evidence import SharedEvidence
from etl.worker.leases import LEASE_SECONDS
from etl.worker.run_limits import Report, RunLimits
from etl.worker.state import WorkerState

Pipe: TypeAlias = "Connection[Any, Any]"

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOP = "stop"


@contextmanager
def open_team(count: int, *, runs: int) -> Iterator[Runner]:
    """Yield a runner that shares each run among worker processes.

    The runner raises EtlError when one of them cannot go on; the others were stopped in good order.
    """
    team = _Team()
    with signals_stop([team.stop]):
        try:
            for _ in range(count):
                team.start(runs)
            yield team.run
        finally:
            team.end()


@dataclass(eq=False, slots=True)
class _Worker:
    """A process, as we know it; what it sent of each run, by the name of its job."""

    process: SpawnProcess
    pipe: Pipe
    run_counts: dict[str, RunCounts] = field(default_factory=dict)
    states: dict[str, WorkerState] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)

    def tell(self, message: object) -> None:
        with suppress(OSError):  # it has ended
            self.pipe.send(message)

    def note(self, name: str, message: RunCounts | WorkerState | Report) -> None:
        if isinstance(message, WorkerState):
            self.states[name] = message
        elif isinstance(message, RunCounts):
            self.run_counts[name] = message
        else:
            self.reports[name], self.run_counts[name] = message, message.counts
            self.states.pop(name, None)


class _Team:
    """The workers."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._is_stopped = False
        self._fault: EtlError | None = None

    def start(self, runs: int) -> None:
        """Add a worker, which does up to so many runs at a time."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, runs))
        # A process begins with the signals blocked that were blocked here, so those of a terminal or a service, which
        # go to all, reach only us. The tracker comes first, because starting it would unblock them.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process.start()
            self._workers.append(_Worker(process, ours))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            theirs.close()
        if self._is_stopped:
            self._workers[-1].tell(STOP)

    def stop(self) -> None:
        """Tell all workers to end in good order; safe in a signal handler."""
        self._is_stopped = True
        for worker in self._workers:
            worker.tell(STOP)

    def end(self) -> None:
        """End all workers and wait for them."""
        self.stop()
        for worker in self._workers:
            worker.tell(None)
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def run(self, specs: Sequence[RunSpec]) -> list[Report]:
        """Have all work on these; a limit, which only one run alone may have, is for all together."""
        runs = {each.job.name: each for each in specs}
        living = [worker for worker in self._workers if not worker.pipe.closed]
        limits = shares(specs[0].limits.limit, len(living))
        chosen = living[: len(limits)]
        for worker, limit in zip(chosen, limits, strict=True):
            worker.tell([(each.job, replace(each.limits, limit=limit)) for each in specs])
        while waiting := [worker for worker in chosen if not runs.keys() <= worker.reports.keys()]:
            ready = wait([worker.pipe for worker in waiting], timeout=LOOK_SECONDS)
            for worker in [each for each in waiting if each.pipe in ready]:
                self._hear(worker, runs)
        if self._fault is not None:
            raise self._fault
        lost = Report(RunOutcome.LOST, RunCounts(), 0.0)
        return [added([worker.reports[name] for worker in chosen] or [lost]) for name in runs]

    def _hear(self, worker: _Worker, runs: Mapping[str, RunSpec]) -> None:
        """Handle one message."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._lose(worker, runs)
            return
        if isinstance(message, str):
            with suppress(OSError, ValueError):  # nobody may be reading any more
                print_line(message, err=True)
        elif isinstance(message, EtlError):
            self._fault = self._fault or message
            self.stop()
        else:
            name, content = message
            worker.note(name, content)
            self._show(runs[name])
            if isinstance(content, Report) and content.outcome.is_fault:
                self.stop()

    def _show(self, run: RunSpec) -> None:
        name = run.job.name
        run.progress(total(worker.run_counts.get(name, RunCounts()) for worker in self._workers))
        if states := [worker.states[name] for worker in self._workers if name in worker.states]:
            run.watch(together(states))

    def _lose(self, worker: _Worker, runs: Mapping[str, RunSpec]) -> None:
        """Drop a worker that has ended; if it was killed, the leases of its items lapse."""
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode or 0
        if code:
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"crashed (exit code {code})"
            tell(f"A worker {how}. Its items are free again after {LEASE_SECONDS:.0f} seconds.")
        for name in runs.keys() - worker.reports.keys():
            worker.note(name, Report(RunOutcome.LOST, worker.run_counts.get(name, RunCounts()), 0.0))
        if any(each.limits.follow for each in runs.values()):
            self.stop()


def _work(pipe: Pipe, runs: int) -> None:
    """Run a worker from its start to its end."""
    link = _Link(pipe)
    if sys.stderr.isatty():
        sys.stderr = link
    try:
        settings = load_settings()
        shared = SharedEvidence()
        with warehouse(settings, runs=runs) as engine:
            for limits_of_jobs in link.orders():
                specs = [link.watched(job, limits) for job, limits in limits_of_jobs]
                reports = run_together(settings, engine, specs, shared=shared, stopping=link.stopping)
                for (job, _), report in zip(limits_of_jobs, reports, strict=True):
                    link.tell((job.name, report))
    except EtlError as error:
        link.tell(error)


class _Link:
    """A worker's end of the pipe. It is its standard error, too, where that is a terminal: we write above our line."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._orders: SimpleQueue[list[tuple[Job, RunLimits]] | None] = SimpleQueue()
        self._sending = threading.Lock()
        self._stopping = threading.Lock()
        self._is_stopped = False
        self._stops: Sequence[Callable[[], None]] = ()
        threading.Thread(target=self._listen, name="link", daemon=True).start()

    def orders(self) -> Iterator[list[tuple[Job, RunLimits]]]:
        """Yield the runs to do."""
        return iter(self._orders.get, None)

    def tell(self, message: object) -> None:
        with self._sending, suppress(OSError):  # the other end may be gone; we shall be stopped
            self._pipe.send(message)

    def watched(self, job: Job, limits: RunLimits) -> RunSpec:
        """Return a run that is watched from the other end."""
        return RunSpec(
            job,
            limits,
            progress=lambda counts: self.tell((job.name, counts)),
            watch=lambda state: self.tell((job.name, state)),
        )

    @contextmanager
    def stopping(self, stops: Sequence[Callable[[], None]]) -> Iterator[None]:
        """As long as the block lasts, these are called when the other end says stop, or is gone."""
        with self._stopping:
            self._stops = stops
        if self._is_stopped:
            self._stop()
        yield

    def _stop(self) -> None:
        self._is_stopped = True
        with self._stopping:
            for each in self._stops:
                each()

    def _listen(self) -> None:
        try:
            while (message := self._pipe.recv()) is not None:
                if message == STOP:
                    self._stop()
                else:
                    self._orders.put(message)
        except (EOFError, OSError):
            if self._is_stopped:
                os._exit(1)
            self._stop()
        self._orders.put(None)

    def write(self, text: str) -> None:
        self.tell(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True
