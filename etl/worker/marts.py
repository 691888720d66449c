"""The job ``marts``: counts what changed, one transaction after another. Fetches nothing.

Why: docs/decisions, "Turns and totals are tables that a job keeps".
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, Engine, text

from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.load import marts
from etl.load.clocks import clocks
from etl.load.upsert import Key
from etl.models import Base
from etl.state import mart_changes
from etl.state.mart_changes import Change
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.run import Report, RunSpec
from etl.worker.run_row import RunRow

CHANGES = 1000
"""About how many changes one transaction counts; if it fails, they are counted again."""
PAUSE_SECONDS = 20.0
"""Seconds between two rounds of a run with ``--follow``."""


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one transaction."""

    loaded: int
    """Conversations and days that were counted."""
    is_last: bool
    """Whether nothing is left, or another process is counting."""


class MartsRun:
    """One run of the job in this process."""

    def __init__(self, engine: Engine, spec: RunSpec, clock: Callable[[], float]) -> None:
        self._follow = spec.limits.follow
        self._clock = clock
        self._stop = threading.Event()
        patience = None if self._follow else PATIENCE
        transact = RetryingTransaction(engine, patience=patience, stopping=self._stop.is_set)
        self._row = RunRow(transact, spec, clock)

    def stop(self) -> None:
        """End after the current transaction; safe to call from a signal handler."""
        self._stop.set()

    def run(self) -> Report:
        """Run to the end.

        Raises:
            DatabaseUnavailableError: Postgres went away and did not come back in time.
            ConfigurationError: it refuses what a run needs.
        """
        with self._row:
            outcome = self._refresh()
            while self._follow and outcome is RunOutcome.DRAINED:
                self._rest()
                outcome = self._refresh()
        return self._row.finish(outcome, {})

    def _refresh(self) -> RunOutcome:
        """Count all noted changes; return how the run ended."""
        self._row.check_version()
        if self._row.mismatch is not None:
            return RunOutcome.MIGRATED
        self._row.transact(note_clocks)
        while True:
            if self._stop.is_set():
                return RunOutcome.STOPPED
            if self._clock() >= self._row.ends_at:
                return RunOutcome.MAX_SECONDS
            step = self._row.transact(self._step)
            self._row.count(RunCounts(loaded=step.loaded))
            if step.is_last:
                return RunOutcome.DRAINED

    def _step(self, connection: Connection) -> Step:
        step = work_out(connection, wait=False)
        self._row.report(connection, RunCounts(loaded=step.loaded))
        return step

    def _rest(self) -> None:
        until = min(self._clock() + PAUSE_SECONDS, self._row.ends_at)
        while (left := until - self._clock()) > 0 and not self._stop.wait(min(left, self._row.patience())):
            self._row.beat()


def work_out(connection: Connection, *, wait: bool) -> Step:
    """Count some of the noted changes, and note when none is left. Do nothing while another process counts."""
    if not mart_changes.lock(connection, wait=wait):
        return Step(0, is_last=True)
    changes, are_all = mart_changes.take(connection, most=CHANGES)
    whole = {change.location_id for change in changes if change.is_whole}
    for location_id in whole:
        mart_changes.note(connection, marts.everything(connection, location_id))
    parts = marts.parts(connection, [change for change in changes if change.location_id not in whole])
    # Noted before it is used, so that the next run sees a clock that changes meanwhile.
    known = mart_changes.clocks(connection)
    mart_changes.set_clocks(connection, {p.location_id: p.clock for p in parts if p.location_id not in known})
    for part in parts:
        marts.work_out(connection, part)
        mart_changes.note(connection, part.ahead)
    is_last = are_all and not whole
    if is_last:
        marts.set_as_of(connection)
    return Step(sum(len(part.conversation_ids) + len(part.days) for part in parts), is_last)


def work_out_all(transact: RetryingTransaction) -> int:
    """Count all noted changes, after any process that counts already; return how many conversations and days."""
    transact(note_clocks)
    loaded = 0
    while True:
        step = transact(partial(work_out, wait=True))
        loaded += step.loaded
        if step.is_last:
            return loaded


def note_clocks(connection: Connection) -> None:
    """Have locations counted anew whose time zone or opening hours have changed, in whatever way."""
    before = mart_changes.clocks(connection)
    now = clocks(connection, before)
    changed = {location_id: clock for location_id, clock in now.items() if clock != before[location_id]}
    mart_changes.note_locations(connection, list(changed))
    mart_changes.set_clocks(connection, changed)


def rebuild(transact: RetryingTransaction, location_id: str) -> set[tuple[type[Base], Key]]:
    """Count a location anew; return the rows that differed without a noted change: there should be none."""
    every = transact(lambda connection: marts.everything(connection, location_id))
    differed: set[tuple[type[Base], Key]] = set()
    for start in range(0, len(every), CHANGES):
        differed |= transact(partial(_rebuild, changes=every[start : start + CHANGES]))
    return differed


def _rebuild(connection: Connection, changes: list[Change]) -> set[tuple[type[Base], Key]]:
    # The messages, the marts and the noted changes, all as of one moment.
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    mart_changes.lock(connection, wait=True)
    noted = mart_changes.noted(connection, location_id=changes[0].location_id)
    (part,) = marts.parts(connection, changes)
    excused = {id_ for each in marts.parts(connection, noted) for id_ in (*each.conversation_ids, *each.days)}
    return {(table, key) for table, key in marts.work_out(connection, part) if key[1] not in excused}
