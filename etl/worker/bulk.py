"""How a run hands a backlog over to be fetched in bulk: many items with one request. Who does that is passed in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from etl.database.retrying_transaction import RetryingTransaction
from etl.state.runs import RunCounts


@dataclass(slots=True)
class BulkTask:
    """What a bulk fetch may do, and whom it tells."""

    run_id: int
    stopping: Callable[[], bool]
    """Whether it shall end after what is in hand."""
    report: Callable[[RunCounts], None]
    """Called with what each committed transaction did."""


class Bulk(Protocol):
    """Fetches many items with few requests; see :class:`etl.exports.bulk.Bulk`."""

    def is_wanted(self, transact: RetryingTransaction) -> bool:
        """Whether a backlog waits for its turn: nothing else is claimed until then."""

    def fetch(self, task: BulkTask) -> None:
        """Fetch that; what it leaves is fetched one by one."""
