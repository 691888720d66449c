"""Renews the leases of what is in hand, in a thread of its own, so that a slow batch never lets one lapse."""

import threading
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from etl import message_queue
from etl.extract import throttle
from etl.pipeline import Claimed

log = structlog.get_logger("etl.worker.leases")

LEASE_SECONDS = 45.0
"""A killed worker's items are free again after this."""
USAGE_SECONDS = 120.0
"""How long a killed worker's granted requests count: longer than any request it may have sent can take."""


class Leases:
    """The leases this worker holds. A context manager: renewing ends with the block."""

    def __init__(self, engine: Engine, *, seconds: float = LEASE_SECONDS) -> None:
        self._engine = engine
        self._seconds = seconds
        self._held: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, items: Iterable[Claimed]) -> None:
        """Renew the leases of these items from now on."""
        with self._lock:
            self._held.update(each.item.lease_id for each in items)
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
            self._thread.start()

    def drop(self, items: Iterable[Claimed]) -> None:
        """These items are settled."""
        with self._lock:
            self._held.subtract(each.item.lease_id for each in items)
            self._held = +self._held

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            with self._lock:
                held = list(self._held)
            if not held:
                continue
            try:
                with self._engine.begin() as connection:
                    message_queue.renew(connection, held, lease_seconds=self._seconds)
                    throttle.renew(connection, held, seconds=USAGE_SECONDS)
            except DBAPIError as error:
                # If it lasts, the leases lapse and the items are fetched by somebody else: nothing is lost.
                log.warning("lease_not_renewed", error=type(error.orig).__name__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
