"""Messages that were answered without a request of their own: by pages of an export, which hold many at once."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, delete, select, text

from etl.database import among
from etl.models import QueueItem

WAITING = text("""
    SELECT message_id FROM etl.message_queue
    WHERE kind = 'message' AND message_id = ANY(CAST(:ids AS text[])) AND lease_id IS NULL
      AND enqueued_at < :before AND scheduled_at < :before
    ORDER BY message_id FOR UPDATE SKIP LOCKED
""")


def waiting(connection: Connection, ids: Collection[str], *, before: datetime) -> set[str]:
    """Lock those of the messages that waited and were due ``before`` that time; returns their ids.

    What was asked for at that time answers them. One that somebody has in hand is passed over, as is one that was
    queued since, or is to be looked at later.
    """
    found = connection.execute(WAITING, {"ids": list(ids), "before": before})
    return set(found.scalars())


def remove(connection: Connection, ids: Collection[str]) -> None:
    """Remove messages that :func:`waiting` locked in this transaction, which writes their rows."""
    connection.execute(delete(QueueItem).where(QueueItem.kind == "message", among(QueueItem.message_id, ids)))


def queued(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the messages that are in the queue, waiting or in hand."""
    query = select(QueueItem.message_id).where(QueueItem.kind == "message", among(QueueItem.message_id, ids))
    return set(connection.execute(query).scalars())
