"""``etl run --processes``: workers do the same runs, each with a share of the limit; we add up what they send.

A worker is a process with its own connections. It shares a pipe with us: we send it the runs to do, or a stop, and it
sends the counts, the state and the report of each run. Signals reach only us. A worker whose pipe ends has lost us: it
ends in good order, or at once if it was stopped before.
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, TypeAlias

from etl.app.composition import RunSpec
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
from etl.worker.run import Display, Report, RunLimits, WorkerState

Pipe: TypeAlias = "Connection[Any, Any]"
Send: TypeAlias = Callable[[object], None]
Orders: TypeAlias = list[tuple[Job, RunLimits]]
"""The runs that a worker does at the same time; none: it ends."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def work_in_processes(request: RunRequest, count: int, watched: Watched) -> Generator[tuple[Job, Report]]:
    """Run the jobs in worker processes; yield each with the report of all workers as soon as it is known.

    Raises:
        EtlError: why one of them cannot go on; the others were stopped in good order.
    """
    team = _Team()
    with signals_stop([team.stop]):
        try:
            for _ in shares(request.limit, count):
                team.start(runs=request.runs)
            yield from work(request, team.run, watched)
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
    """A process, and what it sent last of each of its runs."""

    process: SpawnProcess
    pipe: Pipe
    counts: dict[str, RunCounts] = field(default_factory=dict)
    states: dict[str, WorkerState] = field(default_factory=dict)
    reports: list[Report] | None = None
    """None while it is at work."""


class _Team:
    """The workers."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._is_stopped = False
        self._fault: EtlError | None = None

    def start(self, *, runs: int) -> None:
        """Add a worker, for so many runs at a time."""
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
            self.stop()

    def stop(self) -> None:
        """Tell all workers to end in good order; safe in a signal handler."""
        self._is_stopped = True
        for worker in self._workers:
            with suppress(OSError):  # it has ended
                worker.pipe.send(None)

    def end(self) -> None:
        """End all workers and wait for them."""
        self.stop()
        for worker in self._workers:
            with suppress(OSError):  # it has ended
                worker.pipe.send([])
            worker.process.join()
            worker.pipe.close()

    def run(self, specs: Sequence[RunSpec]) -> list[Report]:
        """Have the workers do these runs; return the reports of all of them. Empty when none of them lives.

        Raises:
            EtlError: why one of them cannot go on.
        """
        living = [each for each in self._workers if not each.pipe.closed]
        at_work = list(zip(living, shares(specs[0].limits.limit, len(living)), strict=False))
        for worker, limit in at_work:
            worker.counts, worker.states, worker.reports = {}, {}, None
            with suppress(OSError):  # it has ended
                worker.pipe.send([(each.job, replace(each.limits, limit=limit)) for each in specs])
        while waiting := {each.pipe: each for each, _ in at_work if each.reports is None}:
            ready = wait(list(waiting), timeout=LOOK_SECONDS)
            for worker in [each for pipe, each in waiting.items() if pipe in ready]:
                self._hear(worker, specs)
        if self._fault is not None:
            raise self._fault
        return [added(each) for each in zip(*(worker.reports or () for worker, _ in at_work), strict=True)]

    def _hear(self, worker: _Worker, specs: Sequence[RunSpec]) -> None:
        """Handle one message."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._drop(worker, specs)
            return
        if isinstance(message, str):
            with suppress(OSError, ValueError):  # nobody may be reading any more
                print_line(message, err=True)
        elif isinstance(message, EtlError):
            self._fault = self._fault or message
            self.stop()
        elif isinstance(message, list):
            worker.reports, worker.states = message, {}
            if any(each.outcome.is_fault for each in message):
                self.stop()
        else:
            name, content = message
            (worker.states if isinstance(content, WorkerState) else worker.counts)[name] = content
            display = next(each.display for each in specs if each.job.name == name)
            display.progress(total(each.counts.get(name, RunCounts()) for each in self._workers))
            if states := [each.states[name] for each in self._workers if name in each.states]:
                display.watch(together(states))

    def _drop(self, worker: _Worker, specs: Sequence[RunSpec]) -> None:
        """Drop a worker that has ended; if it was killed, the leases of its items lapse."""
        worker.process.join()
        worker.pipe.close()
        worker.reports = [Report(RunOutcome.LOST, worker.counts.get(each.job.name, RunCounts()), 0.0) for each in specs]
        if code := worker.process.exitcode or 0:
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"crashed (exit code {code})"
            print_progress(f"A worker {how}. Its items are free again after {LEASE_SECONDS:.0f} seconds.")
        if any(each.limits.follow for each in specs):
            self.stop()


def _work(pipe: Pipe, runs: int) -> None:
    """Be a worker, from its start to its end."""
    sending = threading.Lock()
    orders: SimpleQueue[Orders] = SimpleQueue()

    def send(message: object) -> None:
        with sending, suppress(OSError):  # the other end may be gone; we shall be stopped
            pipe.send(message)

    threading.Thread(target=_obey, args=(pipe, orders), daemon=True).start()
    if sys.stderr.isatty():
        sys.stderr = _Terminal(send)
    try:
        settings, shared = load_settings(), SharedEvidence()
        with warehouse(settings, runs=runs) as engine:
            while order := orders.get():
                specs = [RunSpec(job, limits, _Sent(job.name, send)) for job, limits in order]
                send(run_together(settings, engine, specs, shared=shared))
    except EtlError as error:
        send(error)


def _obey(pipe: Pipe, orders: SimpleQueue[Orders]) -> None:
    """Hand on what is to be run. Stop in good order when told so or when the other end is gone; after both, at once."""
    is_stopped = False
    with suppress(EOFError, OSError):
        while True:
            order = pipe.recv()
            if order is not None:
                orders.put(order)
                continue
            is_stopped = True
            stop_all()
    if is_stopped:
        os._exit(1)
    stop_all()
    orders.put([])


@dataclass(frozen=True, slots=True)
class _Sent(Display):
    """Sends what a run of a worker shows to the other end."""

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
