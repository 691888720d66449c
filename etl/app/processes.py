"""``etl run --processes``: workers do the same runs, each with a share of the limit; we add up what they send.

A worker is a process with its own connections. It shares a pipe with us: it sends the counts, the state and the report
of each run, and we send it a stop. Signals reach only us. A worker whose pipe ends has lost us: it ends in good order,
or at once if it was stopped before.

Why: docs/decisions, "Several processes are started by spawn, and share a pipe with the first".
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeAlias

from etl.app.job_runner import LOOK_SECONDS, RunRequest, Watched, run_together, work
from etl.app.signals import signals_stop, stop_all
from etl.app.warehouse import load_settings, warehouse
from etl.config.jobs import Job
from etl.errors import EtlError
from etl.output import print_line, print_progress
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.evidence import SharedEvidence
from etl.worker.leases import LEASE_SECONDS
from etl.worker.run import Display, Report, RunLimits, RunSpec, WorkerState

Pipe: TypeAlias = "Connection[Any, Any]"
Send: TypeAlias = Callable[[object], None]
Runs: TypeAlias = Mapping[str, RunSpec]
"""By the names of their jobs."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def work_in_processes(request: RunRequest, count: int, watched: Watched) -> Generator[tuple[Job, Report]]:
    """Run the jobs in worker processes; yield each with the report of all workers as soon as it is known.

    Raises:
        EtlError: why one of them cannot go on; the others were stopped in good order.
    """
    team = _Team()
    with signals_stop([team.stop]):
        try:
            for limit in shares(request.limits.limit, count):
                team.start(replace(request, limits=replace(request.limits, limit=limit)))
            for jobs in request.stages:
                with ExitStack() as watching:
                    runs = {job.name: watching.enter_context(watched(job, request.limits)) for job in jobs}
                    reports = team.reports(runs)
                yield from ((job, added(reports[job.name])) for job in jobs if reports[job.name])
                if any(each.outcome.is_fault for of_job in reports.values() for each in of_job):
                    return
        finally:
            team.end()


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


@dataclass(eq=False, slots=True)
class _Worker:
    """A process, and the last counts, state and report that it sent of each run."""

    process: SpawnProcess
    pipe: Pipe
    counts: dict[str, RunCounts] = field(default_factory=dict)
    states: dict[str, WorkerState] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    is_lost: bool = False
    """Whether it crashed or was killed, in a run that is not reported yet."""

    def owes(self, runs: Runs) -> set[str]:
        return runs.keys() - self.reports.keys()

    def note(self, name: str, content: RunCounts | WorkerState | Report) -> None:
        if isinstance(content, WorkerState):
            self.states[name] = content
        elif isinstance(content, RunCounts):
            self.counts[name] = content
        else:
            self.reports[name], self.counts[name] = content, content.counts
            self.states.pop(name, None)


class _Team:
    """The workers."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._is_stopped = False
        self._fault: EtlError | None = None

    def start(self, request: RunRequest) -> None:
        """Add a worker."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, request, time.monotonic()))
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
            self.stop()

    def stop(self) -> None:
        """Tell all workers to end in good order; safe in a signal handler."""
        self._is_stopped = True
        for worker in self._workers:
            with suppress(OSError):  # it has ended
                worker.pipe.send("stop")

    def end(self) -> None:
        """End all workers and wait for them."""
        self.stop()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def reports(self, runs: Runs) -> dict[str, list[Report]]:
        """Wait until each worker has sent a report of these runs, or has ended."""
        while any(each.owes(runs) for each in self._workers if not each.pipe.closed):
            # A process that is ahead is read from, too: it would wait until we read what it sends.
            living = [each for each in self._workers if not each.pipe.closed]
            ready = wait([each.pipe for each in living], timeout=LOOK_SECONDS)
            for worker in [each for each in living if each.pipe in ready]:
                self._hear(worker, runs)
        if self._fault is not None:
            raise self._fault
        for worker in [each for each in self._workers if each.is_lost]:
            for name in worker.owes(runs):
                worker.is_lost = False
                worker.note(name, Report(RunOutcome.LOST, worker.counts.get(name, RunCounts()), 0.0))
        return {name: [each.reports[name] for each in self._workers if name in each.reports] for name in runs}

    def _hear(self, worker: _Worker, runs: Runs) -> None:
        """Handle one message."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._drop(worker, runs)
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
            if name in runs:
                runs[name].display.progress(total(each.counts.get(name, RunCounts()) for each in self._workers))
                if states := [each.states[name] for each in self._workers if name in each.states]:
                    runs[name].display.watch(together(states))
            if isinstance(content, Report) and content.outcome.is_fault:
                self.stop()

    def _drop(self, worker: _Worker, runs: Runs) -> None:
        """Drop a worker that has ended; if it was killed, the leases of its items lapse."""
        worker.process.join()
        worker.pipe.close()
        if code := worker.process.exitcode or 0:
            worker.is_lost = True
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"crashed (exit code {code})"
            print_progress(f"A worker {how}. Its items are free again after {LEASE_SECONDS:.0f} seconds.")
        if worker.owes(runs) and any(each.limits.follow for each in runs.values()):
            self.stop()


def _work(pipe: Pipe, request: RunRequest, began: float) -> None:
    """Be a worker, from its start to its end; all processes of a machine have one monotonic clock."""
    sending = threading.Lock()

    def send(message: object) -> None:
        with sending, suppress(OSError):  # the other end may be gone; we shall be stopped
            pipe.send(message)

    @contextmanager
    def watched(job: Job, limits: RunLimits) -> Iterator[RunSpec]:
        yield RunSpec(job, limits, _Sent(job.name, send))

    threading.Thread(target=_obey, args=(pipe,), daemon=True).start()
    if sys.stderr.isatty():
        sys.stderr = _Terminal(send)
    try:
        settings = load_settings()
        with warehouse(settings, runs=request.runs) as engine:
            run = partial(run_together, settings, engine, shared=SharedEvidence())
            for job, report in work(request, run, watched, began=began):
                send((job.name, report))
    except EtlError as error:
        send(error)


def _obey(pipe: Pipe) -> None:
    """Stop in good order when the other end says so or is gone; when it is gone after that, end at once."""
    is_stopped = False
    with suppress(EOFError, OSError):
        while pipe.recv():
            is_stopped = True
            stop_all()
    if is_stopped:
        os._exit(1)
    stop_all()


@dataclass(frozen=True, slots=True)
class _Sent(Display):
    """Sends the progress of a worker's run to the other end."""

    name: str
    send: Send

    def progress(self, counts: RunCounts) -> None:
        self.send((self.name, counts))

    def watch(self, state: WorkerState) -> None:
        self.send((self.name, state))


class _Terminal(io.TextIOBase):
    """The standard error of a worker on a terminal: the other end writes it above its live line."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def write(self, text: str) -> int:
        self._send(text)
        return len(text)

    def isatty(self) -> bool:
        return True
