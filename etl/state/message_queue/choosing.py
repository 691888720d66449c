"""Items that an operator counts, looks at, cancels or hurries; claimed ones are never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, delete, func, select, text, tuple_, update

from etl.database.conditions import columns_of, counts_by, equals, older_than
from etl.models import QueueItem

KEY = QueueItem.kind, QueueItem.message_id, QueueItem.location_id
BATCH = 10_000
"""Rows that one transaction changes, so that workers wait for none for long."""


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items; None chooses all."""

    message_ids: Sequence[str] | None = None
    cause: str | None = None
    kind: str | None = None
    location_id: str | None = None
    older_than_days: float | None = None
    """Since they were queued."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter in SQL."""
        item = QueueItem
        conditions = equals({item.message_id: self.message_ids, item.location_id: self.location_id})
        conditions += equals({item.cause: self.cause, item.kind: self.kind})
        return conditions + older_than(item.enqueued_at, self.older_than_days)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An item as an operator sees it."""

    kind: str
    message_id: str
    location_id: str
    priority: int
    attempt: int
    cause: str | None
    """Why the last attempt failed or waits."""
    scheduled_at: datetime
    enqueued_at: datetime
    leased_until: datetime | None
    """When its claim lapses, unless the worker renews it; None while it waits."""
    is_due: bool


def find(connection: Connection, which: ItemFilter, *, limit: int) -> list[Waiting]:
    """Return the chosen items that come due first."""
    is_due = (QueueItem.leased_until.is_(None) & (QueueItem.scheduled_at <= func.now())).label("is_due")
    query = select(*columns_of(QueueItem, Waiting), is_due).where(*which.conditions())
    rows = connection.execute(query.order_by(QueueItem.scheduled_at, QueueItem.message_id).limit(limit))
    return [Waiting(**row) for row in rows.mappings()]


def counts(connection: Connection, which: ItemFilter) -> tuple[int, int]:
    """Return how many chosen items wait, and how many are claimed."""
    waits, claimed = (func.count().filter(condition) for condition in (_WAITS, ~_WAITS))
    row = connection.execute(select(waits, claimed).select_from(QueueItem).where(*which.conditions())).one()
    return row[0], row[1]


def causes(connection: Connection) -> dict[str | None, int]:
    """Return how many items there are, by cause; None: nothing went wrong yet."""
    return dict(connection.execute(counts_by(QueueItem.cause)).all())


@dataclass(frozen=True, slots=True)
class Depth:
    """Counts of one kind at one location."""

    kind: str
    location_id: str
    items: int
    in_hand: int
    due: int
    oldest: datetime | None
    """When the earliest waiting item came, or comes, due; None when all are claimed."""


def depth(connection: Connection) -> list[Depth]:
    """Return the counts of the queue, by kind and location. Reads the whole queue."""
    query = text("""
        SELECT kind, location_id, count(*) AS items,
               count(*) FILTER (WHERE lease_id IS NOT NULL) AS in_hand,
               count(*) FILTER (WHERE lease_id IS NULL AND scheduled_at <= now()) AS due,
               min(scheduled_at) FILTER (WHERE lease_id IS NULL) AS oldest
        FROM etl.message_queue GROUP BY kind, location_id ORDER BY kind, location_id
    """)
    return [Depth(**row) for row in connection.execute(query).mappings()]


def due(connection: Connection, *, kind: str, most: int) -> int:
    """Return how many items of a kind are due; counts up to ``most``, so that it is always quick."""
    query = text("""
        SELECT count(*) FROM (
            SELECT FROM etl.message_queue WHERE kind = :kind AND lease_id IS NULL AND scheduled_at <= now() LIMIT :most
        ) AS due
    """)
    return int(connection.execute(query, {"kind": kind, "most": most}).scalar_one())


def cancel(connection: Connection, which: ItemFilter) -> int:
    """Delete up to :data:`BATCH` of the chosen items that wait; returns how many."""
    return connection.execute(delete(QueueItem).where(tuple_(*KEY).in_(_locked(which)))).rowcount


def hurry(connection: Connection, which: ItemFilter) -> int:
    """Let up to :data:`BATCH` of the chosen items that wait be due now, with all their attempts; returns how many."""
    is_late = (QueueItem.scheduled_at > func.now()) | (QueueItem.attempt > 0)
    statement = update(QueueItem).where(tuple_(*KEY).in_(_locked(which, is_late)))
    return connection.execute(statement.values(scheduled_at=func.now(), attempt=0)).rowcount


_WAITS = QueueItem.lease_id.is_(None)


def _locked(which: ItemFilter, *more: ColumnElement[bool]) -> Select[str, str, str]:
    """Choose waiting items, in the order in which all transactions lock them; skip those that are locked."""
    chosen = select(*KEY).where(*which.conditions(), _WAITS, *more).order_by(*KEY).limit(BATCH)
    return chosen.with_for_update(skip_locked=True)
