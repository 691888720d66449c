"""``etl run --processes``: several processes do one order; this one starts them, adds up what they tell, and ends last.

A worker is a process of its own, with its own connections. It and we share a pipe. A worker tells the counts, the
condition and the report of each run; what we say is always "stop". Signals are ours alone. A worker whose pipe ends
has lost us: it ends in good order, or at once if it was told to stop before.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import click

from etl.cli.adding import added, shares, together
from etl.cli.composition import Planned, settings, warehouse
from etl.cli.following import LOOK_SECONDS
from etl.cli.stopping import Stoppable, signals_stop
from etl.cli.working import Order, Watched, work
from etl.errors import EtlError
from etl.jobs import Job
from etl.runs import Tally
from etl.worker.condition import Condition
from etl.worker.leases import LEASE_SECONDS
from etl.worker.plan import Plan, Report

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_processes(order: Order, count: int, *, watched: Watched) -> list[tuple[Job, Report]]:
    """Do the order with so many processes; each job with what all of them did.

    Raises:
        EtlError: why one of them cannot go on; the others were stopped in good order.
    """
    team = _Team(order, watched)
    with signals_stop([team]):
        return team.run(shares(order, count))


@dataclass(slots=True)
class _Worker:
    """A process, as we know it; what it told of each job, by its name."""

    process: SpawnProcess
    pipe: "Connection[Any, Any]"
    tallies: dict[str, Tally] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)


class _Team:
    """The workers of one order."""

    def __init__(self, order: Order, watched: Watched) -> None:
        self._order = order
        self._watched = watched
        self._planned: dict[str, Planned] = {}
        self._workers: list[_Worker] = []
        self._is_stopped = False
        self._fault: EtlError | None = None

    def stop(self) -> None:
        """End all in good order; safe in a signal handler."""
        self._is_stopped = True
        for worker in self._workers:
            _tell_to_stop(worker)

    def run(self, orders: Sequence[Order]) -> list[tuple[Job, Report]]:
        with ExitStack() as watching:
            self._look_at(watching, self._order.plans()[: None if self._order.follow else 1])
            try:
                for order in orders:
                    self._start(order)
                running = list(self._workers)
                while running:
                    ready = wait([worker.pipe for worker in running], timeout=LOOK_SECONDS)
                    for worker in [each for each in running if each.pipe in ready]:
                        if not self._hear(worker, watching):
                            running.remove(worker)
                            self._end(worker)
            finally:
                for worker in self._workers:
                    worker.pipe.close()
        if self._fault is not None:
            raise self._fault
        reports = [
            (job, [w.reports[job.name] for w in self._workers if job.name in w.reports]) for job in self._order.jobs
        ]
        return [(job, added(told)) for job, told in reports if told]

    def _look_at(self, watching: ExitStack, plans: Sequence[tuple[Job, Plan]]) -> None:
        for job, plan in plans:
            self._planned[job.name] = watching.enter_context(self._watched(job, plan))

    def _start(self, order: Order) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, order))
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
            _tell_to_stop(self._workers[-1])

    def _hear(self, worker: _Worker, watching: ExitStack) -> bool:
        """Take one message; False when there will be no more."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return False
        if isinstance(message, str):
            with suppress(OSError, ValueError):  # nobody may be reading any more
                click.echo(message, err=True, nl=False)
        elif isinstance(message, EtlError):
            self._fault = self._fault or message
            self.stop()
        else:
            self._note(worker, *message)
            self._show(message[0], watching)
        return True

    def _note(self, worker: _Worker, name: str, told: Tally | Condition | Report) -> None:
        if isinstance(told, Tally):
            worker.tallies[name] = told
        elif isinstance(told, Condition):
            worker.conditions[name] = told
        else:
            worker.reports[name] = told
            worker.tallies[name] = told.tally
            worker.conditions.pop(name, None)
            if told.outcome == "misconfigured":
                self.stop()

    def _show(self, name: str, watching: ExitStack) -> None:
        """Show the job that one of the workers told about, unless another one is at a later job already."""
        names = [job.name for job in self._order.jobs]
        if name not in self._planned:
            if names.index(name) < max(map(names.index, self._planned)):
                return
            watching.close()
            self._look_at(watching, [self._order.plans()[names.index(name)]])
        elif not self._order.follow and name != max(self._planned, key=names.index):
            return
        tally = Tally()
        for worker in self._workers:
            tally.add(worker.tallies.get(name, Tally()))
        self._planned[name].progress(tally)
        if conditions := [worker.conditions[name] for worker in self._workers if name in worker.conditions]:
            self._planned[name].watch(together(conditions))

    def _end(self, worker: _Worker) -> None:
        """A worker is gone. If it did not end by itself, what it had in hand comes back by its lease."""
        worker.process.join()
        code = worker.process.exitcode or 0
        if code == 0:
            return
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"crashed (exit code {code})"
        with suppress(OSError, ValueError):
            click.echo(f"A worker {how}. Its items are free again after {LEASE_SECONDS:.0f} seconds.", err=True)
        open_jobs = [job.name for job in self._order.jobs if job.name not in worker.reports]
        for name in open_jobs if self._order.follow else open_jobs[:1]:
            worker.reports[name] = Report("lost", worker.tallies.get(name, Tally()), 0.0)
            worker.conditions.pop(name, None)
        if self._order.follow:
            self.stop()


def _tell_to_stop(worker: _Worker) -> None:
    with suppress(OSError):  # it has ended
        worker.pipe.send("stop")


def _work(pipe: "Connection[Any, Any]", order: Order) -> None:
    """A worker, from its start to its end."""
    link = _Link(pipe)
    if sys.stderr.isatty():
        sys.stderr = link
    try:
        found = settings()
        with warehouse(found, runs=len(order.jobs) if order.follow else 1) as engine:
            for job, report in work(found, engine, order, watched=link.watched, stopping=link.stopping):
                link.tell((job.name, report))
    except EtlError as error:
        link.tell(error)


class _Link:
    """A worker's end of the pipe. It is its standard error, too, where that is a terminal: we write above our line."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._stopping = threading.Lock()
        self._is_stopped = False
        self._works: Sequence[Stoppable] = ()
        threading.Thread(target=self._listen, name="link", daemon=True).start()

    def tell(self, message: object) -> None:
        with self._sending, suppress(OSError):  # the other end may be gone; we shall be stopped
            self._pipe.send(message)

    @contextmanager
    def watched(self, job: Job, plan: Plan) -> Iterator[Planned]:
        """A run that is watched from the other end."""
        yield Planned(
            job,
            plan,
            progress=lambda tally: self.tell((job.name, tally)),
            watch=lambda condition: self.tell((job.name, condition)),
        )

    @contextmanager
    def stopping(self, works: Sequence[Stoppable]) -> Iterator[None]:
        """As long as the block lasts, the other end stops these."""
        self._stop(works, is_asked=self._is_stopped)
        yield

    def _stop(self, works: Sequence[Stoppable], *, is_asked: bool) -> None:
        with self._stopping:
            self._works = works
            self._is_stopped = self._is_stopped or is_asked
            if self._is_stopped:
                for each in works:
                    each.stop()

    def _listen(self) -> None:
        try:
            while True:
                self._pipe.recv()
                self._stop(self._works, is_asked=True)
        except (EOFError, OSError):
            if self._is_stopped:
                os._exit(1)
            self._stop(self._works, is_asked=True)

    def write(self, text: str) -> None:
        self.tell(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return True
