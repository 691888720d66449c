"""When an item that failed comes back, or whether it is given up on; pure, with the randomness passed in."""

from collections.abc import Callable, Sequence

from etl.errors import ItemError, NotFoundError, RetriableError

BASE = 60.0
"""Seconds: bound of the first delay, doubled by each attempt."""
CAP = 7200.0
FLOOR = 1.0


def next_delay(
    error: ItemError,
    *,
    attempt: int,
    max_attempts: int,
    uniform: Callable[[float, float], float],
    not_found_delays: Sequence[float],
    previous_cause: str | None = None,
) -> float | None:
    """Seconds until the next attempt; None means give up.

    Backoff is exponential with full jitter, so that items that failed together do not return together.

    Args:
        error: What went wrong.
        attempt: Attempts spent, this one included.
        max_attempts: Attempts the job allows.
        uniform: ``random.uniform``, or a fake.
        not_found_delays: Seconds until an unknown id is asked for again, by how often it was.
        previous_cause: Why the attempt before this one failed.
    """
    if attempt >= max_attempts:
        return None
    if isinstance(error, NotFoundError):
        # Attempts that failed for another reason say nothing about how long the API has had the id.
        tries = attempt if previous_cause == error.cause else 1
        return not_found_delays[tries - 1] if tries <= len(not_found_delays) else None
    if isinstance(error, RetriableError):
        return max(FLOOR, uniform(0.0, min(CAP, BASE * 2 ** (attempt - 1))))
    return None
