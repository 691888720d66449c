"""Decides what is wrong: figures and thresholds in, findings out; pure. Holds no customer's word and no secret."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim

from etl.config.jobs import Alarms, Job
from etl.output import counted, duration
from etl.state.locations import Overview
from etl.state.outcomes import SkipCause
from etl.state.webhook_events import Rhythm
from etl.state.windows import KIND
from etl.watch.advice import CONNECT, cure_of, shown, state_of
from etl.watch.figures import Figures, Surroundings

UNSCHEDULED = timedelta(days=1)
"""How long a job may be idle that has no schedule in jobs.yaml."""
NEW = timedelta(days=3)
"""How long a location may be silent that sent its first webhook less than a week ago."""
USUAL = 10
"""Least number of events in the same hours of the weeks before."""
FEWEST = 3
"""Least number of them in each of these weeks."""
REFRESH_TOKEN = timedelta(days=365)
"""A refresh token is valid for a year or until it is used: HighLevel docs, OAuth "Authorization"."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    name: str
    """The kind of finding: webhooks, runs, queue, dead_letters, location, token, allowance, transaction, …"""
    subject: str
    """Which one: a location, a job, a kind of item; empty where there is only one."""
    says: str
    since: datetime | None
    """None: not known."""
    costs: str
    fix: str

    def line(self, now: datetime | None) -> str:
        """Return it as one line; ``now`` None: the time is not known."""
        return f"{self.about}: {self.summary(now)}. {self.fix}"

    @property
    def about(self) -> str:
        """The name and the subject."""
        return f"{self.name} {self.subject}".strip()

    def summary(self, now: datetime | None) -> str:
        """Say what is wrong, since when, and what it costs."""
        age = ""
        if self.since is not None and now is not None:
            ago = duration(max((now - self.since).total_seconds(), 0.0))
            age = f", since {self.since.astimezone():%Y-%m-%d %H:%M} ({ago})"
        return f"{self.says}{age}. {self.costs}"


def findings(figures: Figures, around: Surroundings, *, alarms: Alarms, jobs: Mapping[str, Job]) -> list[Finding]:
    """Return everything that is wrong, what is lost for good first."""
    return [
        *of_surroundings(around, alarms),
        *_of_database(figures),
        *(_of_webhooks(figures, alarms.webhooks) if alarms.webhooks else ()),
        *(_of_missing_webhooks(figures, alarms.lost) if alarms.lost else ()),
        *(_of_runs(figures, alarms.runs, jobs) if alarms.runs else ()),
        *_of_locations(figures),
        *(_of_tokens(figures, alarms.token_ends) if alarms.token_ends else ()),
        *(_of_queue(figures, alarms.oldest_due, jobs) if alarms.oldest_due else ()),
        *(_of_letters(figures, alarms.dead_letters) if alarms.dead_letters else ()),
        *(_of_allowance(figures, alarms.allowance) if alarms.allowance else ()),
        *(_of_transactions(figures, alarms.transactions) if alarms.transactions else ()),
    ]


def of_surroundings(around: Surroundings, alarms: Alarms) -> Iterator[Finding]:
    """Find what is wrong outside of Postgres."""
    if around.receiver is not None:
        costs = "Events are answered 429, so that HighLevel sends them again, for a while"
        fix = "Look at the log of etl serve, and run etl doctor. When it is fixed: etl reconcile"
        yield Finding("receiver", "", around.receiver, None, costs, fix)
    for name, problem in around.audio.items():
        fix = f"Fix that address, or change recordings_url in jobs.yaml; then: etl run {name}; etl dead retry --all"
        yield Finding("audio", name, problem, None, "Recordings are retried, and become dead letters in the end", fix)
    if around.disk_free is not None and alarms.disk is not None and around.disk_free < alarms.disk:
        says = f"{around.disk_free:.0f} % of the disk of the embedded Postgres are free"
        costs = "When it is full, nothing can be stored or loaded"
        yield Finding("disk", "", says, None, costs, "Free space there, or move: docs/operations.md, Postgres")


def _of_database(figures: Figures) -> Iterator[Finding]:
    if figures.unreadable is not None:
        says = f"the messages cannot be read: {figures.unreadable}"
        costs = "Items that need them wait. Webhooks are still stored, and nothing is lost"
        yield Finding("database", "highlevel", says, None, costs, "For more: etl doctor")


def is_overdue(rhythm: Rhythm, now: datetime, min_silence: timedelta) -> bool:
    """Whether a location's webhooks should have come by now.

    They should if some came in the same hours of each of the last weeks. So nights and weekends that are always quiet
    are no finding.
    """
    silence = now - rhythm.last_at
    if silence < min_silence:
        return False
    if rhythm.weeks:
        return rhythm.fewest >= FEWEST and rhythm.total >= USUAL
    return silence >= max(NEW, min_silence) and rhythm.events >= USUAL


def _of_webhooks(figures: Figures, silence: timedelta) -> Iterator[Finding]:
    for rhythm in figures.rhythms:
        if is_overdue(rhythm, figures.taken_at, silence):
            usual = f", although in these hours of {counted(rhythm.weeks, 'week')} before some came"
            says, costs = "no webhook came" + (usual if rhythm.weeks else ""), "New messages are missing in the tables"
            fix = "Check that etl serve runs and HighLevel can reach it; then fetch what was missed: etl reconcile"
            yield Finding("webhooks", rhythm.location_id, says, rhythm.last_at, costs, fix)


def _of_missing_webhooks(figures: Figures, least: int) -> Iterator[Finding]:
    for each in figures.lost:
        if each.lost >= least:
            says = f"{counted(each.lost, 'message')} came without a webhook"
            costs = "They are queued, and will be loaded late"
            fix = "Check that HighLevel can always reach etl serve, and look at its log; then: etl reconcile"
            yield Finding("lost", each.location_id, says, each.since, costs, fix)


def due_again(job: Job, seen_at: datetime) -> datetime:
    """Return when a job should have run again; cron uses the local time of this machine."""
    if "schedule" not in job.model_fields_set:
        return seen_at + UNSCHEDULED
    local = seen_at.astimezone().replace(tzinfo=None)
    return next(CronSim(job.schedule, local)).astimezone(UTC)


def _of_runs(figures: Figures, delay: timedelta, jobs: Mapping[str, Job]) -> Iterator[Finding]:
    """Find jobs that ran once and no longer do. One that never ran may be unused on purpose."""
    for name, job in jobs.items():
        seen_at = figures.last_seen.get(name)
        if seen_at is not None and figures.taken_at - due_again(job, seen_at) >= delay:
            waiting = counted(sum(each.due for each in figures.depth if each.kind == job.kind), "item")
            costs = f"{waiting} of kind {job.kind} wait for it"
            fix = f"Look at cron (etl crontab prints its lines) or the service; to run it now: etl run {name}"
            yield Finding("runs", name, "the job does not run", seen_at, costs, fix)


def _of_locations(figures: Figures) -> Iterator[Finding]:
    items = Counter[str]()
    for depth in figures.depth:
        items[depth.location_id] += depth.items
    paused = [each for each in figures.locations if each.paused_at is not None]
    waits = {each.location_id: (state_of(each), each.paused_at, cure_of(each) or "") for each in paused}
    waits |= {name: ("no token serves it", None, CONNECT) for name in figures.unserved if name not in waits}
    for name, (says, since, fix) in waits.items():
        yield Finding("location", shown(name), says, since, f"{counted(items[name], 'item')} wait for it", fix)


def _of_tokens(figures: Figures, ahead: timedelta) -> Iterator[Finding]:
    ends = {shown(each.location_id): _end_of(each) for each in figures.locations if each.retired_at is None}
    for company in figures.companies:
        if company.connected and company.retired_at is None and company.token_issued_at is not None:
            ends[f"of company {company.company_id}"] = company.token_issued_at + REFRESH_TOKEN
    for name, end in ends.items():
        if end is not None and end - figures.taken_at < ahead:
            says = f"its token ends on {end:%Y-%m-%d}"
            yield Finding("token", name, says, None, "Then its items wait", "Connect it again: etl connect")


def _end_of(location: Overview) -> datetime | None:
    """Return when a token ends, if nothing renews it by then. Tokens from a company's token are fetched again."""
    issued = location.token_issued_at
    ends = {"app": issued and issued + REFRESH_TOKEN, "private": location.token_expires_at}
    return ends.get(location.token_source or "")


def _of_queue(figures: Figures, age: timedelta, jobs: Mapping[str, Job]) -> Iterator[Finding]:
    """Find items that wait though their location is served; for others, the location is the finding."""
    held = {each.location_id for each in figures.locations if each.paused_at is not None or each.blocked_cause}
    # Windows of a stopped backfill wait until etl backfill is repeated; no job takes them.
    depths = [each for each in figures.depth if each.kind != KIND]
    served = [each for each in depths if each.location_id not in held | set(figures.unserved)]
    costs = "They are not in the tables yet, or not as they are now"
    for kind in sorted({each.kind for each in served}):
        mine = [each for each in served if each.kind == kind]
        oldest = min((each.oldest for each in mine if each.due and each.oldest is not None), default=None)
        if all(job.kind != kind for job in jobs.values()):
            says = f"no job takes items of this kind: {sum(each.items for each in mine)} wait"
            yield Finding("queue", kind, says, oldest, costs, "Add a job for that kind to jobs.yaml")
        elif oldest is not None and figures.taken_at - oldest >= age:
            says = f"the oldest of {counted(sum(each.due for each in mine), 'due item')} waits"
            fix = "See whether etl run is at work: etl status. To load more at a time: etl run --processes"
            yield Finding("queue", kind, says, oldest, costs, fix)


def _of_letters(figures: Figures, least: int) -> Iterator[Finding]:
    recent = [each for each in figures.letters if each.recent]
    total = sum(each.recent for each in recent)
    if total < least:
        return
    causes = Counter[str]()
    for each in sorted(recent, key=lambda each: each.cause):
        causes[each.cause] += each.recent
    counts = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
    says = f"{counted(total, 'item')} became dead letters: {counts}"
    since = min(each.recent_since for each in recent if each.recent_since is not None)
    fix = "etl dead list says why; when the cause is fixed: etl dead retry --all"
    yield Finding("dead_letters", "", says, since, "They are not in the tables", fix)


def _of_allowance(figures: Figures, percent: int) -> Iterator[Finding]:
    for location in figures.locations:
        name, until = shown(location.location_id), location.blocked_until or figures.taken_at
        left, limit = location.daily_remaining, location.daily_limit
        if location.blocked_cause == SkipCause.DAILY_BUDGET:
            says = f"used up for today, HighLevel is asked again from {until:%H:%M %Z} on"
            fix = f"It comes back by itself. If HighLevel allows more already: etl locations resume {name}"
            yield Finding("allowance", name, says, None, "Its items wait", fix)
        elif left is not None and limit and location.heard_at and 100 * left < percent * limit:
            says = f"{100 * max(left, 0) / limit:.0f} % of {limit:,} requests a day are left"
            fix = "Tomorrow there are new ones. To need fewer: bulk: auto, fewer status_checks in jobs.yaml"
            costs = "When none is left, its items wait for the next day (UTC)"
            yield Finding("allowance", name, says, None, costs, fix)


def _of_transactions(figures: Figures, age: timedelta) -> Iterator[Finding]:
    for each in figures.transactions:
        if figures.taken_at - each.since >= age:
            says = f"{each.program or 'a session'} of role {each.role} has a transaction open"
            costs = "Postgres cannot clean up meanwhile, so the queue becomes slow"
            fix = f"End it there, or: SELECT pg_terminate_backend({each.pid})"
            yield Finding("transaction", f"pid {each.pid}", says, each.since, costs, fix)
