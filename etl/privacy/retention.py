"""Deletes what is older than jobs.yaml says. Safe to repeat and to kill at any point.

The oldest allowed date of messages is stored first: from then on no loader writes an older one.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.config.jobs import Retention
from etl.load import erasure, loader
from etl.privacy.message_erasure import BATCH, ROWS, MessageErasure
from etl.state import dead_letters, runs, suppression_list, webhook_events
from etl.state.dead_letters import LetterFilter
from etl.state.webhook_events import EventFilter
from etl.worker import marts


@dataclass(frozen=True, slots=True)
class Pruning:
    """Deletes what is older than the retention."""

    erasing: MessageErasure
    retention: Retention
    event_days: float
    """Days that events are kept."""

    def count(self) -> Counter[str]:
        """Return how many rows are too old, by table; messages without their child rows."""
        return self.erasing.transact(self._count)

    def _count(self, connection: Connection) -> Counter[str]:
        keep, rows = self.retention, Counter[str]()
        for location_id in erasure.location_ids(connection):
            if keep.messages is not None:
                before = _before(connection, keep.messages)
                old = erasure.old_messages(connection, before, location_id=location_id, limit=None)
                rows["messages"] += len(old)
            if keep.status_changes is not None:
                before = _before(connection, keep.status_changes)
                rows["status_changes"] += erasure.old_status_changes(connection, before, location_id=location_id)
        if keep.dead_letters is not None:
            rows["dead_letters"] = dead_letters.count(connection, LetterFilter(older_than_days=keep.dead_letters))
        if keep.runs is not None:
            rows["runs"] = runs.count(connection, older_than_days=keep.runs)
        rows["webhook_events"] = webhook_events.count(connection, EventFilter(older_than_days=self.event_days))
        return +rows

    def run(self) -> Counter[str]:
        """Delete what is too old; return how many rows, by table.

        Raises:
            EtlError: audio cannot be removed, or Postgres is away; what is done stays done.
        """
        keep, rows = self.retention, Counter[str]()
        floor = self.erasing.transact(lambda connection: _set_floor(connection, keep.messages))
        for location_id in self.erasing.transact(erasure.location_ids):
            if floor is not None:
                rows += self._messages(floor, location_id)
            if keep.status_changes is not None:
                rows["status_changes"] += self._status_changes(keep.status_changes, location_id)
        rows["webhook_events"] = self.erasing.until_none(
            lambda connection: webhook_events.purge(
                connection, EventFilter(older_than_days=self.event_days), limit=ROWS
            )
        )
        if keep.dead_letters is not None:
            rows["dead_letters"] = self.erasing.until_none(
                lambda connection: dead_letters.purge(
                    connection, LetterFilter(older_than_days=keep.dead_letters), limit=ROWS
                )
            )
        if keep.runs is not None:
            days = keep.runs
            rows["runs"] = self.erasing.until_none(
                lambda connection: runs.purge(connection, older_than_days=days, limit=ROWS)
            )
        marts.work_out_all(self.erasing.transact)
        return +rows

    def _messages(self, before: datetime, location_id: str) -> Counter[str]:
        rows: Counter[str] = Counter()
        while ids := self.erasing.transact(
            lambda connection: erasure.old_messages(connection, before, location_id=location_id, limit=BATCH)
        ):
            rows += self.erasing.messages(ids, location_id=location_id)
        return rows

    def _status_changes(self, days: int, location_id: str) -> int:
        return self.erasing.until_none(
            lambda connection: erasure.erase_status_changes(
                connection, _before(connection, days), location_id=location_id, limit=ROWS
            )
        )


def _before(connection: Connection, days: float) -> datetime:
    return loader.now_of(connection) - timedelta(days=days)


def _set_floor(connection: Connection, days: int | None) -> datetime | None:
    floor = None if days is None else _before(connection, days)
    suppression_list.set_floor(connection, floor)
    return floor
