"""Every statement on ``etl.runs``, and the counts of a run. Nothing here commits."""

import os
import platform
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from etl import __version__
from etl.database.conditions import columns_of, count_of, older_than
from etl.models import Run

MAX_DRIFT = 200
"""Most different drift entries that a run reports; with more, something else is wrong."""


@dataclass(slots=True)
class RunCounts:
    """Counts of the items of a run so far."""

    loaded: int = 0
    unchanged: int = 0
    deleted: int = 0
    retried: int = 0
    snoozed: int = 0
    dead: int = 0
    answered_2xx: int = 0
    answered_4xx: int = 0
    answered_429: int = 0
    answered_5xx: int = 0
    unanswered: int = 0
    drift: Counter[str] = field(default_factory=Counter)

    def count_answers(self, statuses: Sequence[int], *, sent: int) -> None:
        """Count requests by the API's answer; a redirect counts as 4xx, because a setting is wrong."""
        for status in statuses:
            if status < 300:
                self.answered_2xx += 1
            elif status == 429:
                self.answered_429 += 1
            elif status < 500:
                self.answered_4xx += 1
            else:
                self.answered_5xx += 1
        self.unanswered += sent - len(statuses)

    def add(self, other: "RunCounts") -> None:
        """Add the counts of a committed transaction."""
        for name in COLUMNS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for entry, count in other.drift.items():
            if entry in self.drift or len(self.drift) < MAX_DRIFT:
                self.drift[entry] += count


SILENT_SECONDS = 90.0
"""Seconds of silence after which a run was probably killed: it reports every 15 seconds, a little
less often while Postgres is busy."""

COUNTS = ("loaded", "unchanged", "deleted", "retried", "snoozed", "dead")
"""The columns that count items."""
ANSWERS = ("answered_2xx", "answered_4xx", "answered_429", "answered_5xx", "unanswered")
"""The columns that count requests to the API, by answer."""
COLUMNS = (*COUNTS, *ANSWERS)

MAX_SKIPPED = 100
"""Most locations stored of those that a run left, for each cause."""

Skipped = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Started:
    """A run that has begun, and the outcome of the job's previous run."""

    run_id: int
    outcome: str | None = None
    skipped: dict[str, list[str]] | None = None

    def is_news(self, outcome: str, skipped: Skipped) -> bool:
        """Return whether a run ends differently from the one before it."""
        return (outcome, _kept(skipped)) != (self.outcome, self.skipped)


def start(connection: sa.Connection, job: str) -> Started:
    """Note that a run begins. Reuse the row of the job's last run if that did nothing, as most runs do."""
    did_nothing = sa.and_(*(getattr(Run, name) == 0 for name in COUNTS), Run.drift.is_(None)).label("did_nothing")
    ended = (Run.job == job, Run.outcome.is_not(None), Run.started_at > sa.func.now() - timedelta(days=1))
    query = sa.select(Run.run_id, Run.outcome, Run.skipped, did_nothing).where(*ended).order_by(Run.run_id.desc())
    last = connection.execute(query.limit(1)).first()
    values = {"job": job, "host": platform.node(), "pid": os.getpid(), "version": __version__}
    run_id = None
    if last is not None and last.did_nothing:
        now = dict.fromkeys(("started_at", "seen_at"), sa.func.now())
        anew = now | dict.fromkeys(("finished_at", "outcome", "skipped"))
        # Another run of the job may have taken the row meanwhile.
        free = sa.update(Run).where(Run.run_id == last.run_id, Run.outcome.is_not(None))
        run_id = connection.execute(free.values(values | anew).returning(Run.run_id)).scalar_one_or_none()
    run_id = run_id or connection.execute(sa.insert(Run).values(values).returning(Run.run_id)).scalar_one()
    return Started(run_id, *(last[1:3] if last else ()))


def _kept(skipped: Skipped) -> dict[str, list[str]] | None:
    return {cause: sorted(names)[:MAX_SKIPPED] for cause, names in sorted(skipped.items())} or None


REPORT = (
    sa.update(Run)
    .where(Run.run_id == sa.bindparam("of_run"))
    .values(seen_at=sa.func.now(), **{name: getattr(Run, name) + sa.bindparam(f"more_{name}") for name in COLUMNS})
)


def report(connection: sa.Connection, run_id: int, counts: RunCounts) -> None:
    """Add the counts of this transaction to the run.

    Increments rather than totals: the transaction that loads the rows also counts them, whatever happens to its worker.
    """
    totals = {f"more_{name}": getattr(counts, name) for name in COLUMNS}
    connection.execute(REPORT, {"of_run": run_id} | totals)


def seen(connection: sa.Connection, run_id: int) -> None:
    """Note that a run is alive."""
    connection.execute(sa.update(Run).where(Run.run_id == run_id).values(seen_at=sa.func.now()))


def finish(
    connection: sa.Connection, *, run_id: int, outcome: str | None, drift: Counter[str], skipped: Skipped
) -> None:
    """Note how a run ended (None: by an error), its schema drift, and the locations whose items it left, by cause."""
    now, own = sa.func.now(), sa.update(Run).where(Run.run_id == run_id)
    ended = own.values(seen_at=now, finished_at=now, outcome=outcome, skipped=_kept(skipped))
    connection.execute(ended.values(drift=dict(drift.most_common()) or None))


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One row of etl.runs."""

    run_id: int
    job: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    unseen_seconds: float
    """Since ``seen_at``, by Postgres's clock."""
    finished_at: datetime | None
    outcome: str | None
    loaded: int
    unchanged: int
    deleted: int
    retried: int
    snoozed: int
    dead: int
    drift: dict[str, int] | None
    skipped: dict[str, list[str]] | None


def count(connection: sa.Connection, *, older_than_days: float | None = None) -> int:
    """Return how many runs there were, or started longer ago."""
    return connection.execute(count_of(Run, older_than(Run.started_at, older_than_days))).scalar_one()


NAMES = ", ".join(COLUMNS)
SUMS = ", ".join(f"sum({name}) AS {name}" for name in COLUMNS)
ADDED = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in COLUMNS)
PURGE = sa.text(f"""
    WITH oldest AS (
        SELECT run_id FROM etl.runs WHERE started_at < now() - make_interval(secs => :seconds)
        ORDER BY run_id LIMIT :limit FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM etl.runs WHERE run_id IN (SELECT run_id FROM oldest) RETURNING *
    ), kept AS (
        INSERT INTO etl.run_totals AS t (job, {NAMES})
        SELECT job, {SUMS} FROM gone GROUP BY job
        ON CONFLICT (job) DO UPDATE SET {ADDED}
    )
    SELECT count(*) FROM gone
""")  # noqa: S608 - names of columns


def purge(connection: sa.Connection, *, older_than_days: float, limit: int) -> int:
    """Delete the oldest runs that started longer ago; return how many. Skip one that is reporting right now.

    Their counts are kept in ``etl.run_totals``, so that no total ever falls.
    """
    given = {"seconds": older_than_days * 86_400, "limit": limit}
    return int(connection.execute(PURGE, given).scalar_one())


TOTALS = sa.text(f"""
    SELECT job, {SUMS} FROM (
        SELECT job, {NAMES} FROM etl.runs UNION ALL SELECT job, {NAMES} FROM etl.run_totals
    ) AS counted GROUP BY job ORDER BY job
""")  # noqa: S608 - names of columns


def totals(connection: sa.Connection) -> dict[str, dict[str, int]]:
    """Return the totals of each job over all its runs, by the names in COUNTS and ANSWERS."""
    rows = connection.execute(TOTALS).mappings()
    return {row["job"]: {name: int(row[name]) for name in COLUMNS} for row in rows}


def endings(connection: sa.Connection) -> list[tuple[str, str, int]]:
    """Return how many runs of the last day had which outcome, by job; ``running`` and ``lost`` did not end."""
    query = sa.text("""
        SELECT job, coalesce(outcome, CASE WHEN finished_at IS NOT NULL THEN 'lost'
                                           WHEN seen_at < now() - make_interval(secs => :silent) THEN 'lost'
                                           ELSE 'running' END) AS ending, count(*) AS runs
        FROM etl.runs
        WHERE started_at > now() - interval '1 day' OR (outcome IS NULL AND seen_at > now() - interval '1 day')
        GROUP BY 1, 2 ORDER BY 1, 2
    """)
    return [tuple(row) for row in connection.execute(query, {"silent": SILENT_SECONDS})]


def state_of(run: RunSummary) -> str:
    """Return ended, running, or lost: a run that an error ended, or that fell silent, as when it was killed."""
    if run.outcome is not None:
        return "ended"
    return "running" if run.finished_at is None and run.unseen_seconds < SILENT_SECONDS else "lost"


def last_seen(connection: sa.Connection) -> dict[str, datetime]:
    """Return when the latest run of each job last reported."""
    query = sa.text("""
        SELECT job, max(seen_at) AS seen_at FROM etl.runs WHERE seen_at > now() - interval '90 days' GROUP BY job
    """)
    return {row.job: row.seen_at for row in connection.execute(query)}


def latest(connection: sa.Connection, limit: int) -> list[RunSummary]:
    """Return the last runs, running ones, and those lost within the last day without a later run of the job.

    The most recently active come first.
    """
    silent = sa.extract("epoch", sa.func.clock_timestamp() - Run.seen_at).cast(sa.Double)
    last = sa.select(Run.run_id).order_by(Run.started_at.desc(), Run.run_id.desc()).limit(limit)
    later = Run.__table__.alias().c
    followed = sa.exists().where(later.job == Run.job, later.started_at > Run.started_at)
    recent = Run.seen_at > sa.func.now() - timedelta(days=1)
    is_running = sa.and_(Run.finished_at.is_(None), silent < SILENT_SECONDS)
    open_ = sa.and_(Run.outcome.is_(None), recent, sa.or_(is_running, ~followed))
    active_at = sa.func.coalesce(Run.finished_at, Run.seen_at)
    query = sa.select(*columns_of(Run, RunSummary), silent.label("unseen_seconds"))
    query = query.where(sa.or_(Run.run_id.in_(last), open_)).order_by(active_at.desc(), Run.run_id.desc())
    return [RunSummary(**row) for row in connection.execute(query).mappings()]
