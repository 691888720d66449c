"""Decides when a failed item is retried, or that it becomes a dead letter; pure, with the randomness passed in."""

from collections.abc import Sequence

from etl.errors import ItemError, NotFoundError, RetriableError

BASE = 60.0
"""Seconds: the bound of the first delay, which doubles with each attempt."""
CAP = 7200.0
FLOOR = 1.0


def next_delay(
    error: ItemError,
    *,
    attempt: int,
    max_attempts: int,
    fraction: float,
    not_found_delays: Sequence[float],
    previous_cause: str | None = None,
) -> float | None:
    """Return the seconds until the next attempt; None: give up.

    Backoff is exponential with full jitter, so that items that failed together do not return together.

    Args:
        error: What went wrong.
        attempt: Attempts spent, this one included.
        max_attempts: Attempts the job allows.
        fraction: Of the longest delay: a random number from 0 to below 1.
        not_found_delays: Seconds until an unknown id is requested again, by the number of requests before.
        previous_cause: Why the previous attempt failed.
    """
    if attempt >= max_attempts:
        return None
    if isinstance(error, NotFoundError):
        # Attempts that failed for another reason say nothing about how long the API has had the id.
        tries = attempt if previous_cause == error.cause else 1
        return not_found_delays[tries - 1] if tries <= len(not_found_delays) else None
    if isinstance(error, RetriableError):
        return max(FLOOR, fraction * min(CAP, BASE * 2.0 ** (attempt - 1)))
    return None
