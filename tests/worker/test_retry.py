from typing import Any

import pytest

from etl.errors import ItemError, NotFoundError, RefusedError, TransformError, UnreachableError
from etl.worker import retry
from etl.worker.retry import BASE, CAP

DELAYS = (2.0, 8.0, 30.0)
AWAY = UnreachableError("http_500", "…")
MISSING = NotFoundError("not_found", "…")


def next_delay(error: ItemError, **given: Any) -> float | None:
    return retry.next_delay(error, not_found_delays=DELAYS, **given)


def test_the_bound_of_the_delay_doubles_with_each_attempt_up_to_a_cap() -> None:
    delays = [next_delay(AWAY, attempt=n, max_attempts=20, fraction=1.0) for n in range(1, 11)]
    assert delays == [min(CAP, BASE * 2**n) for n in range(10)]


def test_the_jitter_is_full_but_never_a_busy_loop() -> None:
    assert next_delay(AWAY, attempt=5, max_attempts=20, fraction=0.0) == 1.0


def test_the_last_attempt_is_the_last() -> None:
    assert next_delay(AWAY, attempt=8, max_attempts=8, fraction=1.0) is None


def test_an_unknown_id_is_asked_for_a_few_times_soon() -> None:
    delays = [
        next_delay(MISSING, attempt=n, max_attempts=8, fraction=1.0, previous_cause="not_found") for n in range(1, 5)
    ]
    assert delays == [*DELAYS, None]


def test_attempts_that_failed_otherwise_do_not_make_an_unknown_id_final() -> None:
    delay = next_delay(MISSING, attempt=6, max_attempts=8, fraction=1.0, previous_cause="http_503")
    assert delay == DELAYS[0]


@pytest.mark.parametrize("error", [RefusedError("wrong_id", "…"), TransformError("id", "…")])
def test_what_will_never_work_is_not_tried_again(error: RefusedError) -> None:
    assert next_delay(error, attempt=1, max_attempts=8, fraction=1.0) is None
