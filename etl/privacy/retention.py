"""Deletes what is older than jobs.yaml says. Safe to repeat and to kill at any point.

The oldest allowed date of messages is stored first: from then on no loader writes an older one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from etl.database.connections import moment_of
from etl.load import erasure
from etl.privacy.message_erasure import BATCH, ROWS, MessageErasure
from etl.state import dead_letters, runs, suppression_list, webhook_events
from etl.state.dead_letters import LetterFilter
from etl.state.webhook_events import EventFilter
from etl.worker import marts


@dataclass(frozen=True, slots=True)
class Pruning:
    """Deletes what is older than the retention."""

    erasing: MessageErasure
    event_days: float
    """Days that events are kept; of what is below, None means for ever."""
    messages: float | None = None
    """Days since a message was created, with all that belongs to it."""
    status_changes: float | None = None
    dead_letters: float | None = None
    runs: float | None = None

    def count(self) -> Counter[str]:
        """Return how many rows are too old, by table; messages without their child rows."""
        return self.erasing.transact(self._count)

    def _count(self, connection: Connection) -> Counter[str]:
        rows = Counter[str]()
        for location_id in erasure.location_ids(connection):
            if self.messages is not None:
                before = _before(connection, self.messages)
                old = erasure.old_messages(connection, before, location_id=location_id, limit=None)
                rows["messages"] += len(old)
            for table, days in self._aging():
                before = _before(connection, days)
                rows[table] += erasure.count_old(connection, table, before, location_id=location_id)
        rows.update({table: count(connection) for table, count, _ in self._tables()})
        return +rows

    def run(self) -> Counter[str]:
        """Delete what is too old; return how many rows, by table.

        Raises:
            EtlError: audio cannot be removed, or Postgres is away; what is done stays done.
        """
        rows = Counter[str]()
        floor = self.erasing.transact(lambda connection: _set_floor(connection, self.messages))
        for location_id in self.erasing.transact(erasure.location_ids):
            if floor is not None:
                rows += self._messages(floor, location_id)
            for table, days in self._aging():
                rows[table] += self.erasing.old_rows(table, days, location_id=location_id)
        rows.update({table: self.erasing.until_none(purge) for table, _, purge in self._tables()})
        marts.work_out_all(self.erasing.transact)
        return +rows

    def _tables(self) -> Iterator[tuple[str, Callable[[Connection], int], Callable[[Connection], int]]]:
        """Yield the tables that are simply emptied of what is old: how to count that, and to delete some of it."""
        events = EventFilter(older_than_days=self.event_days)
        purge_events = partial(webhook_events.purge, which=events, limit=ROWS)
        yield "webhook_events", partial(webhook_events.count, which=events), purge_events
        if self.dead_letters is not None:
            letters = LetterFilter(older_than_days=self.dead_letters)
            purge_letters = partial(dead_letters.purge, which=letters, limit=ROWS)
            yield "dead_letters", partial(dead_letters.count, which=letters), purge_letters
        if self.runs is not None:
            days = self.runs
            purge_runs = partial(runs.purge, older_than_days=days, limit=ROWS)
            yield "runs", partial(runs.count, older_than_days=days), purge_runs

    def _messages(self, before: datetime, location_id: str) -> Counter[str]:
        rows: Counter[str] = Counter()
        while ids := self.erasing.transact(
            lambda connection: erasure.old_messages(connection, before, location_id=location_id, limit=BATCH)
        ):
            rows += self.erasing.messages(ids, location_id=location_id, why="pruned")
        return rows

    def _aging(self) -> Iterator[tuple[str, float]]:
        """Yield the tables whose rows are deleted by their own age, and the days that they are kept."""
        if self.status_changes is not None:
            yield from (("status_changes", self.status_changes), ("email_status_changes", self.status_changes))
        yield "deleted_rows", erasure.DELETED_DAYS


def _before(connection: Connection, days: float) -> datetime:
    return moment_of(connection) - timedelta(days=days)


def _set_floor(connection: Connection, days: float | None) -> datetime | None:
    floor = None if days is None else _before(connection, days)
    suppression_list.set_floor(connection, floor)
    return floor
