"""Every statement on ``etl.runs``, and the counts of a run. Nothing here commits."""

import json
import os
import platform
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from etl import __version__

MOST_DRIFT = 200
"""Different drift entries a run reports; beyond that something else is wrong."""


@dataclass(slots=True)
class Tally:
    """What a run did so far; counts of items."""

    loaded: int = 0
    unchanged: int = 0
    deleted: int = 0
    retried: int = 0
    snoozed: int = 0
    dead: int = 0
    drift: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add what one transaction did, once it is committed."""
        for name in ("loaded", "unchanged", "deleted", "retried", "snoozed", "dead"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for entry, count in other.drift.items():
            if entry in self.drift or len(self.drift) < MOST_DRIFT:
                self.drift[entry] += count


START = text("""
    INSERT INTO etl.runs (job, host, pid, version) VALUES (:job, :host, :pid, :version) RETURNING run_id
""")


def start(connection: Connection, job: str) -> int:
    """Note that a run begins; returns its run_id."""
    run_id: int = connection.execute(
        START, {"job": job, "host": platform.node(), "pid": os.getpid(), "version": __version__}
    ).scalar_one()
    return run_id


# Increments rather than totals: the transaction that loads the rows also counts them, whatever happens to its worker.
REPORT = text("""
    UPDATE etl.runs SET
        seen_at = now(), loaded = loaded + :loaded, unchanged = unchanged + :unchanged, deleted = deleted + :deleted,
        retried = retried + :retried, snoozed = snoozed + :snoozed, dead = dead + :dead
    WHERE run_id = :run_id
""")


def report(connection: Connection, run_id: int, tally: Tally) -> None:
    """Add what this transaction did to the run."""
    counts = {name: getattr(tally, name) for name in ("loaded", "unchanged", "deleted", "retried", "snoozed", "dead")}
    connection.execute(REPORT, {"run_id": run_id} | counts)


FINISH = text("""
    UPDATE etl.runs SET seen_at = now(), finished_at = now(), outcome = :outcome, drift = CAST(:drift AS jsonb)
    WHERE run_id = :run_id
""")


def finish(connection: Connection, run_id: int, *, outcome: str, drift: Counter[str]) -> None:
    """Note how a run ended, and the schema drift it saw."""
    document = json.dumps(dict(drift.most_common())) if drift else None
    connection.execute(FINISH, {"run_id": run_id, "outcome": outcome, "drift": document})


LATEST = text("""
    SELECT run_id, job, host, pid, started_at, seen_at, finished_at, outcome,
           loaded, unchanged, deleted, retried, snoozed, dead, drift
    FROM etl.runs ORDER BY run_id DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Run:
    """One row of etl.runs."""

    run_id: int
    job: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    finished_at: datetime | None
    outcome: str | None
    loaded: int
    unchanged: int
    deleted: int
    retried: int
    snoozed: int
    dead: int
    drift: dict[str, int] | None


def latest(connection: Connection, most: int) -> list[Run]:
    """The last runs, newest first."""
    return [Run(*row) for row in connection.execute(LATEST, {"most": most})]
