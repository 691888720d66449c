"""Renews tokens in separate threads, so that a slow token endpoint delays no other location."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import structlog

from etl.state.outcomes import SkipCause
from etl.tokens.renewal import Refusal, Renewal, RenewalFailedError

log = structlog.get_logger("etl.tokens.renewal")

WORKERS = 4
"""Most tokens renewed at once; each may hold two database connections."""
PAUSES = (1.0, 3.0, 10.0, 30.0, 60.0)
"""Seconds between attempts; the first are short, because a used refresh token works for 30 seconds more."""
PATIENCE = 3
"""Failures in a row after which runs stop waiting for this location."""


@dataclass(slots=True)
class _Progress:
    running: bool = False
    failures: int = 0
    not_before: float = 0.0


class Renewals:
    """Starts threads with the first renewal. A context manager, which waits at its end for renewals under way."""

    def __init__(self, renewal: Renewal, clock: Callable[[], float]) -> None:
        self._renewal = renewal
        self._clock = clock
        self._lock = threading.Lock()
        self._progress: dict[str, _Progress] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="renew")

    def ask(self, location_id: str, refusal: Refusal | None) -> SkipCause:
        """Renew the location's token in the background; return RENEWING, or NO_TOKEN after several failures."""
        with self._lock:
            progress = self._progress.setdefault(location_id, _Progress())
            if not progress.running and self._clock() >= progress.not_before:
                progress.running = True
                self._pool.submit(self._work, location_id, refusal)
            return SkipCause.RENEWING if progress.failures < PATIENCE else SkipCause.NO_TOKEN

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the renewals under way; no others can begin."""
        self._pool.shutdown(wait=True)

    def _work(self, location_id: str, refusal: Refusal | None) -> None:
        try:
            self._renewal.renew(location_id, refusal)
        except RenewalFailedError as error:
            self._failed(location_id, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the location must not count as renewing for ever
            self._failed(location_id, type(error).__name__)
        else:
            with self._lock:
                self._progress.pop(location_id, None)

    def _failed(self, location_id: str, reason: str) -> None:
        with self._lock:
            progress = self._progress[location_id]
            progress.running = False
            progress.not_before = self._clock() + PAUSES[min(progress.failures, len(PAUSES) - 1)]
            progress.failures += 1
        log.warning("token_not_renewed", location=location_id, reason=reason, failures=progress.failures)
