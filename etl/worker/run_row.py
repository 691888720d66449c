"""The row of a run in ``etl.runs``, its counts and its time; every run keeps one, whatever it does."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Self

from sqlalchemy import Connection

from etl.database import schema
from etl.database.retrying_transaction import RetryingTransaction
from etl.state import runs
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts, Started
from etl.worker.run import Report, RunSpec

BEAT_SECONDS = 15.0
"""How often a run reports that it is alive, even when it has nothing to do."""


class RunRow:
    """The row of one run. A context manager: the row begins with the block, and an error that leaves it ends it.

    Attributes:
        transact: does the transactions of the run.
        ends_at: when the time of the run is over; infinite: never.
        mismatch: how another version has migrated the database meanwhile; None: it has not.
    """

    def __init__(self, transact: RetryingTransaction, spec: RunSpec, clock: Callable[[], float]) -> None:
        """Let the run's time begin."""
        self.transact = transact
        self._spec = spec
        self._clock = clock
        self._started = Started(0)
        self._counts = RunCounts()
        self._began = clock()
        self._next_beat = self._began + BEAT_SECONDS
        seconds = spec.limits.max_seconds
        self.ends_at = inf if seconds is None else self._began + seconds
        self.mismatch: str | None = None

    def __enter__(self) -> Self:
        """Write the row."""
        self._started = self.transact(partial(runs.start, job=self._spec.job.name))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Note in the row if an error ended the run."""
        if isinstance(error, Exception):
            self.transact.attempt(partial(self._end, outcome=None, skipped={}))

    def report(self, connection: Connection, counts: RunCounts) -> None:
        """Add the counts of this transaction to the row."""
        runs.report(connection, self._started.run_id, counts)

    def count(self, counts: RunCounts) -> None:
        """Add the counts of a committed transaction, and show them."""
        self._counts.add(counts)
        self._spec.display.progress(self._counts)

    def beat(self) -> None:
        """Report that the run is alive, and check the database's version, when that is due."""
        if self._clock() >= self._next_beat:
            self.transact(partial(runs.seen, run_id=self._started.run_id))
            self.check_version()
            self._next_beat = self._clock() + BEAT_SECONDS

    def check_version(self) -> None:
        """Note whether another version has migrated the database."""
        self.mismatch = self.transact(schema.mismatch)

    def patience(self) -> float:
        """Return the seconds until the next report is due or the time of the run is over."""
        return max(min(self._next_beat, self.ends_at) - self._clock(), 0.0)

    def finish(self, outcome: RunOutcome, skipped: dict[str, set[str]], *, detail: str = "") -> Report:
        """Note how the run ended, with the locations whose due items it left."""
        self.transact(partial(self._end, outcome=outcome, skipped=skipped))
        seconds, is_news = self._clock() - self._began, self._started.is_news(outcome, skipped)
        return Report(outcome, self._counts, seconds, skipped, detail or self.mismatch or "", is_news)

    def _end(self, connection: Connection, *, outcome: RunOutcome | None, skipped: dict[str, set[str]]) -> None:
        runs.finish(connection, run_id=self._started.run_id, outcome=outcome, drift=self._counts.drift, skipped=skipped)
