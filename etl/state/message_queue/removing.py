"""Removes items that need not be fetched: a page of an export has answered them, or their contact was erased."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, or_, select, text

from etl.database.conditions import count_of, in_array, in_rows
from etl.models import QueueItem
from etl.state.message_queue.choosing import KEY
from etl.state.message_queue.items import SUSPECT

WAITING = text("""
    SELECT message_id, location_id FROM etl.message_queue
    WHERE kind = 'message' AND message_id = ANY(CAST(:ids AS text[])) AND location_id = ANY(CAST(:locations AS text[]))
      AND lease_id IS NULL AND enqueued_at < :before AND scheduled_at < :before
    FOR UPDATE SKIP LOCKED
""")


Key = tuple[str, str]
"""Id and location of an item."""


def waiting(
    connection: Connection, ids: Collection[str], *, location_ids: Collection[str], before: datetime
) -> set[Key]:
    """Lock those of the messages that waited at these locations and were due ``before`` a time.

    A request sent at that time answers them. A claimed message is skipped, as is one that was queued since, or is
    due later.
    """
    given = {"ids": list(ids), "locations": list(location_ids), "before": before}
    return {(row.message_id, row.location_id) for row in connection.execute(WAITING, given)}


def remove(connection: Connection, keys: Collection[Key]) -> None:
    """Remove messages that :func:`waiting` locked in this transaction, which writes their rows."""
    if keys:
        these = in_rows((QueueItem.message_id, QueueItem.location_id), list(keys))
        connection.execute(delete(QueueItem).where(QueueItem.kind == "message", these))


def queued(connection: Connection, ids: Collection[str], *, location_ids: Collection[str]) -> set[str]:
    """Return those of the messages that are queued for these locations, be they claimed."""
    query = select(QueueItem.message_id).where(
        QueueItem.kind == "message", in_array(QueueItem.message_id, ids), in_array(QueueItem.location_id, location_ids)
    )
    return set(connection.execute(query).scalars())


def locations_of(connection: Connection, kind: str, *, prefix: str, claimed: bool = False) -> frozenset[str]:
    """Return the locations with an item whose id begins so; ``claimed``: only with a claimed one."""
    query = select(QueueItem.location_id).where(QueueItem.kind == kind, QueueItem.message_id.startswith(prefix))
    if claimed:
        query = query.where(QueueItem.lease_id.is_not(None))
    return frozenset(connection.execute(query.distinct()).scalars())


def drop_suspects(connection: Connection, kind: str, *, prefix: str) -> list[Key]:
    """Remove waiting items whose id begins so, and that may be what kills their workers; return them."""
    which = QueueItem.kind == kind, QueueItem.message_id.startswith(prefix), QueueItem.lease_id.is_(None)
    statement = delete(QueueItem).where(*which, QueueItem.lapses >= SUSPECT)
    rows = connection.execute(statement.returning(QueueItem.message_id, QueueItem.location_id))
    return [(row.message_id, row.location_id) for row in rows]


def _about(ids: Collection[str], location_id: str) -> tuple[ColumnElement[bool], ...]:
    """Choose items of these ids, of every kind, and items of these conversations."""
    named = or_(in_array(QueueItem.message_id, ids), in_array(QueueItem.conversation_id, ids))
    return in_array(QueueItem.location_id, {location_id, ""}), named


def count(connection: Connection, ids: Collection[str], *, location_id: str) -> int:
    """Return how many items :func:`erase` would remove."""
    return connection.execute(count_of(QueueItem, _about(ids, location_id))).scalar_one()


def erase(connection: Connection, ids: Collection[str], *, location_id: str) -> int:
    """Remove the items of these ids and conversations; return how many. Their workers settle nothing."""
    query = select(*KEY).where(*_about(ids, location_id)).order_by(*KEY).with_for_update()
    keys = [tuple(row) for row in connection.execute(query)]
    return connection.execute(delete(QueueItem).where(in_rows(KEY, keys))).rowcount if keys else 0
