"""Removes items for good, even those in hand: a worker whose item is gone settles nothing."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select

from etl.database.conditions import in_array, in_rows
from etl.models import QueueItem

KEY = QueueItem.kind, QueueItem.message_id, QueueItem.location_id


def _about(ids: Collection[str], location_id: str) -> tuple[ColumnElement[bool], ...]:
    """Choose items of these ids, of every kind, and items of these conversations."""
    named = or_(in_array(QueueItem.message_id, ids), in_array(QueueItem.conversation_id, ids))
    return in_array(QueueItem.location_id, {location_id, ""}), named


def count(connection: Connection, ids: Collection[str], *, location_id: str) -> int:
    """Return how many items :func:`erase` would remove."""
    query = select(func.count()).select_from(QueueItem).where(*_about(ids, location_id))
    return connection.execute(query).scalar_one()


def erase(connection: Connection, ids: Collection[str], *, location_id: str) -> int:
    """Remove the items of these ids and of these conversations; return how many."""
    query = select(*KEY).where(*_about(ids, location_id)).order_by(*KEY).with_for_update()
    keys = [tuple(row) for row in connection.execute(query)]
    return connection.execute(delete(QueueItem).where(in_rows(KEY, keys))).rowcount if keys else 0
