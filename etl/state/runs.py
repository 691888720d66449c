"""Every statement on ``etl.runs``, and the counts of a run. Nothing here commits."""

import os
import platform
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Double, and_, delete, extract, func, insert, or_, select, text, update

from etl import __version__
from etl.models import Run

MAX_DRIFT = 200
"""Different drift entries a run reports; beyond that something else is wrong."""


@dataclass(slots=True)
class RunCounts:
    """What a run did so far; counts of items."""

    loaded: int = 0
    unchanged: int = 0
    deleted: int = 0
    retried: int = 0
    snoozed: int = 0
    dead: int = 0
    drift: Counter[str] = field(default_factory=Counter)

    def add(self, other: "RunCounts") -> None:
        """Add what one transaction did, once it is committed."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for entry, count in other.drift.items():
            if entry in self.drift or len(self.drift) < MAX_DRIFT:
                self.drift[entry] += count


SILENT_SECONDS = 90.0
"""A run that has not ended and was not seen for so long was probably killed: it reports every 15 seconds, and a little
later while Postgres is busy."""

COUNTS = ("loaded", "unchanged", "deleted", "retried", "snoozed", "dead")
"""The columns that count items."""


def start(connection: Connection, job: str) -> int:
    """Note that a run begins; returns its run_id."""
    statement = insert(Run).values(job=job, host=platform.node(), pid=os.getpid(), version=__version__)
    return connection.execute(statement.returning(Run.run_id)).scalar_one()


def report(connection: Connection, run_id: int, counts: RunCounts) -> None:
    """Add what this transaction did to the run.

    Increments rather than totals: the transaction that loads the rows also counts them, whatever happens to its worker.
    """
    totals = {name: getattr(Run, name) + getattr(counts, name) for name in COUNTS}
    connection.execute(update(Run).where(Run.run_id == run_id).values(seen_at=func.now(), **totals))


def seen(connection: Connection, run_id: int) -> None:
    """Note that a run is alive."""
    connection.execute(update(Run).where(Run.run_id == run_id).values(seen_at=func.now()))


def finish(connection: Connection, run_id: int, *, outcome: str, drift: Counter[str]) -> None:
    """Note how a run ended, and the schema drift it saw."""
    connection.execute(
        update(Run)
        .where(Run.run_id == run_id)
        .values(
            seen_at=func.now(),
            finished_at=func.now(),
            outcome=outcome,
            drift=dict(drift.most_common()) or None,
        )
    )


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


def count(connection: Connection) -> int:
    """How many runs there were."""
    return connection.execute(select(func.count()).select_from(Run)).scalar_one()


def _older(days: float) -> ColumnElement[bool]:
    return Run.started_at < func.now() - timedelta(days=days)


def count_old(connection: Connection, *, older_than_days: float) -> int:
    """How many runs started longer ago."""
    return connection.execute(select(func.count()).select_from(Run).where(_older(older_than_days))).scalar_one()


def purge(connection: Connection, *, older_than_days: float, limit: int) -> int:
    """Delete the oldest runs that started longer ago; returns how many. One that reports right now is passed over."""
    oldest = (
        select(Run.run_id)
        .where(_older(older_than_days))
        .order_by(Run.run_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(Run).where(Run.run_id.in_(oldest))).rowcount


def state_of(run: RunSummary) -> str:
    """Return ended, running, or lost: a run that did not end and has fallen silent, as when it was killed."""
    if run.finished_at is not None:
        return "ended"
    return "running" if run.unseen_seconds < SILENT_SECONDS else "lost"


LAST_SEEN = text("""
    SELECT job, max(seen_at) AS seen_at FROM etl.runs WHERE seen_at > now() - interval '90 days' GROUP BY job
""")


def last_seen(connection: Connection) -> dict[str, datetime]:
    """Return when a run of each job was seen last."""
    return {row.job: row.seen_at for row in connection.execute(LAST_SEEN)}


def latest(connection: Connection, limit: int) -> list[RunSummary]:
    """Return the last runs, and those of the last day that have not ended; newest first."""
    unseen = extract("epoch", func.clock_timestamp() - Run.seen_at).cast(Double).label("unseen_seconds")
    columns = [unseen if each.name == "unseen_seconds" else getattr(Run, each.name) for each in fields(RunSummary)]
    last = select(Run.run_id).order_by(Run.run_id.desc()).limit(limit)
    recent = Run.seen_at > func.now() - timedelta(days=1)
    query = select(*columns).where(or_(Run.run_id.in_(last), and_(Run.finished_at.is_(None), recent)))
    return [RunSummary(**row) for row in connection.execute(query.order_by(Run.run_id.desc())).mappings()]
