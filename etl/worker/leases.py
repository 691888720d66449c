"""Renews the leases of claimed items in a separate thread, so that none lapses during a slow batch."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from etl.state import limits, message_queue
from etl.worker.pipeline import Claimed

log = structlog.get_logger("etl.worker.leases")

LEASE_SECONDS = 45.0
"""Seconds after which a killed worker's items are free again."""
USAGE_SECONDS = 120.0
"""How long a killed worker's granted requests count: longer than any request it may have sent can take."""
SAFE_SHARE_OF_LEASE = 8 / 9
"""The share of a lease's time in which it is certainly ours; the rest allows for clocks and slow commits."""


@dataclass(slots=True)
class _Lease:
    items: int
    renewed_at: float

    def is_sure(self, now: float) -> bool:
        return now - self.renewed_at < LEASE_SECONDS * SAFE_SHARE_OF_LEASE


class Leases:
    """The leases this worker holds. A context manager: renewing ends with the block."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._held: dict[int, _Lease] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, items: Iterable[Claimed], *, since: float) -> None:
        """Renew the leases of these items from now on; they were claimed after ``since`` on the clock."""
        with self._lock:
            for each in items:
                self._held.setdefault(each.item.lease_id, _Lease(0, since)).items += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_renewing, name="leases", daemon=True)
            self._thread.start()

    def is_held(self, lease_id: int) -> bool:
        """Whether a lease is certainly ours.

        It is not if this process was suspended for longer than a lease lasts, or could not renew it for so long. Then
        another worker may have had the items and the allowance, even if a late renewal finds them unchanged.
        """
        with self._lock:
            lease = self._held.get(lease_id)
            return lease is not None and lease.is_sure(self._clock())

    def drop(self, items: Iterable[Claimed]) -> None:
        """Drop the leases of items that are settled."""
        with self._lock:
            for each in items:
                lease = self._held.get(each.item.lease_id)
                if lease is not None:
                    lease.items -= 1
                    if lease.items <= 0:
                        del self._held[each.item.lease_id]

    def _keep_renewing(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 3):
            self.renew()

    def renew(self) -> None:
        """Renew all leases once; a failure is logged."""
        now = self._clock()
        with self._lock:
            held = list(self._held)
            sure = [lease for lease in self._held.values() if lease.is_sure(now)]
        if not held:
            return
        try:
            with self._engine.begin() as connection:
                message_queue.renew(connection, held, lease_seconds=LEASE_SECONDS)
                limits.renew(connection, held, seconds=USAGE_SECONDS)
        except DBAPIError as error:
            # If this lasts, the leases lapse and another worker fetches the items: nothing is lost.
            log.warning("lease_not_renewed", error=type(error.orig).__name__)
        else:
            for lease in sure:
                lease.renewed_at = now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
