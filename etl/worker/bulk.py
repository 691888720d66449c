"""When a run hands a backlog over to be fetched in bulk: many items with one request. Who does that is passed in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from etl.runs import Tally
from etl.worker.transactor import Transactor

CHECK_SECONDS = 60.0
"""How often a run looks for a backlog."""


@dataclass(slots=True)
class BulkTask:
    """What a bulk fetch may do, and whom it tells."""

    run_id: int
    limit: int | None
    """Items it may still load; None: any number."""
    stopping: Callable[[], bool]
    """Whether it shall end after what is in hand."""
    report: Callable[[Tally], None]
    """Called with what each committed transaction did."""


class Bulk(Protocol):
    """Fetches many items with few requests; see :class:`etl.exports.bulk.Bulk`."""

    def is_wanted(self, connection: Connection) -> bool:
        """Whether there is a backlog for it."""

    def fetch(self, task: BulkTask) -> None:
        """Fetch that; what it leaves is fetched one by one."""


class BulkTurns:
    """Gives a bulk fetch its turns: at the start of a run, and when a backlog has grown since."""

    def __init__(self, bulk: Bulk | None, transact: Transactor) -> None:
        self._bulk = bulk
        self._transact = transact
        self._next_check = 0.0
        self._is_wanted = False

    def is_wanted(self) -> bool:
        """Whether a backlog waits for its turn: nothing else is claimed until then."""
        if self._bulk is not None and not self._is_wanted and time.monotonic() >= self._next_check:
            self._is_wanted = self._transact(self._bulk.is_wanted)
            self._next_check = time.monotonic() + CHECK_SECONDS
        return self._is_wanted

    def take(self, task: BulkTask) -> None:
        """Its turn, while nothing is in hand."""
        if self._bulk is not None:
            self._bulk.fetch(task)
        self._is_wanted = False
        self._next_check = time.monotonic() + CHECK_SECONDS
