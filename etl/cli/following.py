"""``etl run --follow``: the loops of several jobs in one process, each in a thread; a signal, or a fault, stops all."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from etl import locations, message_queue
from etl.cli.composition import Planned, described, open_loops
from etl.cli.narration import Narrator, Outlook, first_line, local_now
from etl.cli.stopping import signals_stop
from etl.cli.tables import print_sentence
from etl.jobs import Job
from etl.settings import Settings
from etl.worker.condition import Condition
from etl.worker.loop import Loop
from etl.worker.plan import Plan, Report

LOOK_SECONDS = 1.0
"""How often the main thread, which alone handles signals, looks up: one that comes just as it begins to wait, or that
the kernel gives to another thread, does not wake it."""


def follow(
    found: Settings,
    engine: Engine,
    planned: Sequence[Planned],
    *,
    stopping: Callable[[Sequence[Loop]], AbstractContextManager[None]] = signals_stop,
) -> list[Report]:
    """Follow each job until the first signal, or until one cannot go on.

    Raises:
        EtlError: why it cannot; the others were stopped in good order.
    """
    with (
        open_loops(found, engine, planned) as loops,
        stopping(loops),
        ThreadPoolExecutor(len(loops), thread_name_prefix="loop") as pool,
    ):
        running = [pool.submit(_run, loop, loops) for loop in loops]
        while wait(running, timeout=LOOK_SECONDS).not_done:
            pass
        return [each.result() for each in running]


def _run(loop: Loop, loops: Sequence[Loop]) -> Report:
    """One loop to its end. What it cannot go on with concerns the others too."""
    is_fault = True
    try:
        report = loop.run()
        is_fault = report.outcome == "misconfigured"
        return report
    finally:
        if is_fault:
            for each in loops:
                each.stop()


def announce(names: Sequence[str], found: Settings) -> None:
    """Say what is followed, and where."""
    _say(first_line(names, described(found), now=local_now()))


@contextmanager
def narrated(found: Settings, engine: Engine, job: Job, plan: Plan) -> Iterator[Planned]:
    """A run whose story is told on standard error."""
    narrator = Narrator(job.name, say=_say, look=partial(_look, engine, job.kind, found.highlevel_location_id))
    yield Planned(job, plan, narrator.progress, narrator.watch)


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # nobody may be reading any more
        print_sentence(line, hang=len("10:21:17 "), err=True)


def _look(engine: Engine, kind: str, default: str, condition: Condition) -> Outlook:
    """Why locations wait and when the next item comes due; what is not known while Postgres is away is left out."""
    try:
        with engine.connect() as connection:
            places = {place.location_id: place for place in locations.overview(connection)}
            # With something withheld nobody is told, and the queue may be long.
            depths = [] if condition.withheld else message_queue.depth(connection)
    except DBAPIError:
        return Outlook(default=default)
    oldest = [each.oldest for each in depths if each.kind == kind and each.oldest]
    return Outlook(places, min((each for each in oldest if each > local_now()), default=None), default)
