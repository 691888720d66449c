"""Collects outcomes and settles them together, in one transaction or, after a failure, in several."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.api.client import KEPT_BODY
from etl.errors import ItemError, NotFoundError, RateLimitedError, RefusedError, SnoozedError
from etl.kinds import Kind
from etl.state.runs import RunCounts
from etl.worker.pipeline import Claimed, Outcome
from etl.worker.run_row import RunRow
from etl.worker.settlement import Settlement
from etl.worker.window_rows import WindowRows

log = structlog.get_logger("etl.worker")

MAX_IDS = 5
"""Most failed items named in one line of the log."""
BATCH_BYTES = 32 * 1024 * 1024
"""A batch is settled when the answers it holds are this large, full or not."""
USUAL_SIZE, LARGEST_SIZE = 100, 400
"""Outcomes that a batch holds where jobs.yaml does not say how many: the fewer, unless they come fast."""


class Batch:
    """The outcomes to be settled next.

    Attributes:
        size: how many outcomes it holds at most.
    """

    def __init__(self, settlement: Settlement, row: RunRow, *, size: int | None, linger: float) -> None:
        """Hold up to ``size`` outcomes (None: more while they come fast) for up to ``linger`` seconds."""
        self._settlement = settlement
        self._walked: deque[WindowRows] = deque()
        self._row = row
        self._smallest, self._largest = (USUAL_SIZE, LARGEST_SIZE) if size is None else (size, size)
        self.size = self._smallest
        self._linger = linger
        self._clock = settlement.context.clock
        self._outcomes: list[Outcome] = []
        self._unsent: list[Claimed] = []
        self._bytes = 0
        self._oldest = 0.0

    def __len__(self) -> int:
        return len(self._outcomes) + len(self._unsent) + len(self._walked)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Add outcomes of items."""
        self._walked.extend(
            WindowRows(each, self._settlement.context, self._row) for each in outcomes if _is_walked(each)
        )
        outcomes = [each for each in outcomes if not _is_walked(each)]
        if not self._outcomes:
            self._oldest = self._clock()
        self._outcomes.extend(outcomes)
        self._bytes += sum(len(outcome.body) for outcome in outcomes)

    def give_back(self, unsent: Sequence[Claimed]) -> None:
        """Take items that were claimed and not begun."""
        self._unsent.extend(unsent)

    def patience(self) -> float:
        """Return the seconds until the batch is due; 0 when it is due now."""
        if not len(self):
            return self._linger
        if len(self._outcomes) >= self.size or self._bytes >= BATCH_BYTES or self._unsent or self._walked:
            return 0.0
        return max(self._oldest + self._linger - self._clock(), 0.0)

    def settle(self) -> tuple[RunCounts, list[Claimed]]:
        """Settle everything, but of a walked window a slice; return the counts and the settled items."""
        outcomes, unsent = self._outcomes, self._unsent
        # A batch that fills before its time is up may grow: more items share the cost of one transaction.
        is_full = len(outcomes) >= self.size
        self.size = min(self.size * 2, self._largest) if is_full else max(self.size // 2, self._smallest)
        self._outcomes, self._unsent, self._bytes = [], [], 0
        counts = self._settle(outcomes, unsent) if outcomes or unsent else RunCounts()
        _log_failures(outcomes, self._settlement.kind)
        settled = [each.claimed for each in outcomes] + unsent
        if self._walked:
            counts.add(self._walked[0].step())
            if self._walked[0].is_over:
                settled.append(self._walked.popleft().outcome.claimed)
        return counts, settled

    def _settle(self, outcomes: Sequence[Outcome], unsent: Sequence[Claimed]) -> RunCounts:
        def work(connection: Connection) -> RunCounts:
            counts = self._settlement.apply(connection, outcomes, unsent)
            self._row.report(connection, counts)
            return counts

        try:
            return self._row.transact(work)
        except (DBAPIError, ValueError) as error:
            # Some row cannot be written as it is. Halving finds it; the others are written.
            if not any(outcome.records for outcome in outcomes):
                raise
            if len(outcomes) == 1:
                return self._settle([_poisonous(outcomes[0], error)], unsent)
        half = len(outcomes) // 2
        counts = self._settle(outcomes[:half], unsent)
        counts.add(self._settle(outcomes[half:], []))
        return counts


def _is_walked(outcome: Outcome) -> bool:
    """Whether a window was walked; a backlog's also when it failed, for its messages are fetched singly then."""
    is_dropped = outcome.claimed.is_backlog and not isinstance(outcome.error, SnoozedError)
    return outcome.walk is not None or is_dropped


def _poisonous(outcome: Outcome, error: Exception) -> Outcome:
    """Return the outcome of a record that Postgres refuses. Keep only the code: the text repeats the row."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None) or type(error).__name__
    refused = RefusedError("load", f"Postgres refuses the rows ({code})", payload=outcome.body[:KEPT_BODY])
    return replace(outcome, records=None, error=refused)


def _log_failures(outcomes: Sequence[Outcome], kind: Kind) -> None:
    """Log one line for each reason; harmless ones at level debug."""
    reasons: dict[tuple[type[ItemError], str, str, str], list[str]] = {}
    for outcome in outcomes:
        error = outcome.error
        if error is not None:
            reason = (type(error), outcome.claimed.token_location_id, error.cause, error.detail)
            reasons.setdefault(reason, []).append(outcome.claimed.item.message_id)
    for (kind_of_error, location_id, cause, detail), ids in reasons.items():
        write = log.debug if _is_usual(kind_of_error, kind) else log.warning
        write(
            "items_failed",
            count=len(ids),
            cause=cause,
            detail=detail,
            kind=kind.name,
            location_id=location_id,
            message_ids=ids[:MAX_IDS],
        )


def _is_usual(kind_of_error: type[ItemError], kind: Kind) -> bool:
    """Return whether a failure is harmless: a snooze, or a missing thing that is optional."""
    if issubclass(kind_of_error, NotFoundError):
        return not kind.not_found.is_failure
    return issubclass(kind_of_error, (SnoozedError, RateLimitedError))
