"""Logs failures: many items that fail for one reason are one line with a count."""

from collections.abc import Sequence

import structlog

from etl.errors import ItemError, NotFoundError, RateLimitedError, SnoozedError
from etl.kinds import Kind
from etl.worker.pipeline import Outcome

log = structlog.get_logger("etl.worker")

MAX_IDS = 5
"""Most items named in one line."""


def log_failures(outcomes: Sequence[Outcome], kind: Kind) -> None:
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
