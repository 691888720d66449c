"""Prints what a run with ``--follow`` is doing: a line at a change, and one a minute while items are fetched.

Never sleeps and starts no threads: the loop calls it often enough.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from etl.config.jobs import MARTS, Job
from etl.config.settings import Settings
from etl.output import logs_json, print_progress
from etl.state import locations, message_queue
from etl.state.outcomes import SkipCause
from etl.state.runs import COUNTS, RunCounts
from etl.watch.advice import REASONS, UNANSWERED, in_words, reason
from etl.worker.run import Display, RunLimits, RunSpec, WorkerState

QUIET_SECONDS = 60.0
"""Counts, and a state that was printed before, are not printed again within this time."""
IDLE = ("resting",)
"""The key of a run that has nothing to do."""
PACING = (SkipCause.RATE, SkipCause.RATE_LIMITED, SkipCause.RENEWING)
"""Causes that come and go every second, for one location after the other."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """Why a run waits, by the database."""

    overviews: dict[str, locations.Overview] = field(default_factory=dict)
    retry_at: datetime | None = None
    """When the next item comes due; None when none will."""
    default: str = ""
    """The location of items that name none."""


@contextmanager
def narrated(settings: Settings, engine: Engine, job: Job, limits: RunLimits) -> Iterator[RunSpec]:
    """Yield a run whose states and counts are printed on standard error."""
    if job.kind == MARTS:  # it works each minute, and nobody waits for it
        yield RunSpec(job, limits)
        return
    narrator = Narrator(job.name, say=say, look=partial(_look, engine, job.kind, settings.highlevel_location_id))
    yield RunSpec(job, limits, narrator)


def say(line: str) -> None:
    """Print a line that begins with the time of day; a JSON log line has a time of its own."""
    clock = len("10:21:17 ")
    print_progress(line[clock:] if logs_json() else line, hang=clock)


def _look(engine: Engine, kind: str, default: str, state: WorkerState) -> Outlook:
    """Return why locations wait and when the next item comes due; less while Postgres is away."""
    try:
        with engine.connect() as connection:
            overviews = {location.location_id: location for location in locations.overview(connection)}
            # Not shown where locations are skipped, and the queue may be long.
            depths = [] if state.skipped else message_queue.depth(connection)
    except DBAPIError:
        return Outlook(default=default)
    oldest = [each.oldest for each in depths if each.kind == kind and each.oldest]
    return Outlook(overviews, min((each for each in oldest if each > local_now()), default=None), default)


def local_now() -> datetime:
    """Return the local time."""
    return datetime.now().astimezone()  # noqa: TID251 - shown, not compared


@dataclass
class Narrator(Display):
    """Prints the states and counts of one run with ``say``; calls ``look`` only for a line that is printed."""

    name: str
    say: Callable[[str], None]
    look: Callable[[WorkerState], Outlook] = lambda _: Outlook()
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = local_now
    _told: Hashable = None
    _told_at: dict[Hashable, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._line_at = self.clock()
        self._total = self._counted = dict.fromkeys(COUNTS, 0)

    def progress(self, counts: RunCounts) -> None:
        """Take note of the counts so far."""
        self._total = {name: getattr(counts, name) for name in COUNTS}

    def watch(self, state: WorkerState) -> None:
        """Take note of the state of the loop; most calls print nothing."""
        at, key = self.clock(), _key(state)
        if self._told is None and key == IDLE and not any(self._total.values()):
            self._told = key  # the first line said that it waits
        is_new = key != self._told and at - self._told_at.get(key, -QUIET_SECONDS) >= QUIET_SECONDS
        if state.activity == "working":
            # Work is news only after an outage.
            is_new = is_new and self._told == ("api_unreachable",)
        is_due = self._total != self._counted and at - self._line_at >= QUIET_SECONDS
        if not is_new and not is_due:
            return
        done = _counts(self._counted, self._total)
        self._told, self._told_at[key], self._line_at, self._counted = key, at, at, self._total
        look = self.look(state) if state.activity == "resting" else Outlook()
        now = self.now()
        line = "; ".join(filter(None, [done, *words(state, look, now=now)]))
        self.say(f"{now:%H:%M:%S} {self.name}: {line}")


def first_line(names: Sequence[str], database: str, *, now: datetime) -> str:
    """Return the line that says what is followed, and where."""
    return f"{now:%H:%M:%S} following {', '.join(names)}: loads what is queued in {database}, and waits for more"


def _key(state: WorkerState) -> Hashable:
    """Return the part of a state that must differ for a second line."""
    causes = ((cause, frozenset() if cause in PACING else frozenset(names)) for cause, names in state.skipped.items())
    return (state.activity, *sorted(causes, key=lambda each: each[0]))


def _counts(before: dict[str, int], after: dict[str, int]) -> str:
    """Return the difference in the words of the summary."""
    return ", ".join(f"{after[name] - before[name]} {name}" for name in COUNTS if after[name] > before[name])


def words(state: WorkerState, look: Outlook, *, now: datetime) -> list[str]:
    """Return a state in words: what it waits for, why, and until when; pure."""
    if state.activity == "working":
        return ["working"]
    until = None if state.wait is None else now + timedelta(seconds=state.wait)
    if state.activity == "api_unreachable":
        return [UNANSWERED["api_unreachable"] + "; next try" + _at(until, now)]
    if state.skipped:
        waiting = {cause: [name or look.default for name in names] for cause, names in state.skipped.items()}
        return [
            reason(cause, names, more=_more(cause, look.overviews.get(min(names)), until, now))
            for cause, names in waiting.items()
        ]
    return ["idle" + (f", retry{_at(look.retry_at, now)}" if look.retry_at else "")]


def _more(cause: str, location: locations.Overview | None, until: datetime | None, now: datetime) -> str:
    """Return what else is known about the first location that waits for this cause."""
    if cause in (SkipCause.RATE, SkipCause.RATE_LIMITED) and until:
        return f", next request in {max((until - now).total_seconds(), 1):.0f} s"
    if cause == SkipCause.DAILY_BUDGET and location and location.blocked_until:
        return f", next try{_at(location.blocked_until, now)}"
    return f": {in_words(location.pause_cause)}" if cause == SkipCause.PAUSED and location else ""


def pacing(state: WorkerState) -> str:
    """Return a few words on a wait of seconds; empty when it waits for something else."""
    for cause in PACING:
        if cause in state.skipped:
            return REASONS[cause][0] + (f": {max(state.wait, 1):.0f} s" if state.wait else "")
    return ""


def _at(moment: datetime | None, now: datetime) -> str:
    """Return a local time, with its date unless that is today's; empty when it is not known."""
    if moment is None:
        return ""
    there = moment.astimezone(now.tzinfo)
    form = "%H:%M:%S" if there.date() == now.date() else "%m-%d %H:%M"
    return f" at {there.strftime(form)}"
