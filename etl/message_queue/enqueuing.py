"""The way into the queue from Python; the one from SQL is the function ``etl.enqueue``."""

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from etl.message_queue.items import NewItem

# What the SQL function etl.enqueue does, for many items at once and in a third of the time; a test compares the two. In
# order of kind and id, as by every other statement, so that two callers cannot deadlock. Of two locations the one that
# is known wins.
ENQUEUE = text("""
    WITH added AS (
        INSERT INTO etl.message_queue AS q (kind, message_id, location_id, priority)
        SELECT kind, message_id, max(location_id), :priority
        FROM jsonb_to_recordset(CAST(:named AS jsonb)) AS given (kind text, message_id text, location_id text)
        GROUP BY kind, message_id ORDER BY kind, message_id
        ON CONFLICT (kind, message_id) DO UPDATE SET
            location_id = CASE WHEN q.lease_id IS NULL AND excluded.location_id <> ''
                               THEN excluded.location_id ELSE q.location_id END,
            priority = greatest(q.priority, excluded.priority),
            scheduled_at = CASE WHEN q.lease_id IS NULL OR q.again THEN least(q.scheduled_at, excluded.scheduled_at)
                                ELSE excluded.scheduled_at END,
            attempt = CASE WHEN q.lease_id IS NULL THEN 0 ELSE q.attempt END,
            again = q.lease_id IS NOT NULL,
            enqueued_at = now()
        RETURNING q.xmax = 0 AS new
    )
    SELECT count(*) FILTER (WHERE new) FROM added
""")


def enqueue_items(connection: Connection, named: Sequence[NewItem], *, priority: int = 0) -> int:
    """Queue items of several kinds and locations at once; returns how many were not queued already."""
    if not named:
        return 0
    document = json.dumps(
        [{"kind": each.kind, "message_id": each.message_id, "location_id": each.location_id} for each in named]
    )
    added: int = connection.execute(ENQUEUE, {"named": document, "priority": priority}).scalar_one()
    return added


def enqueue(
    connection: Connection, message_ids: Iterable[str], *, kind: str, location_id: str = "", priority: int = 0
) -> int:
    """Queue items of one kind and location; returns how many were not queued already."""
    named = [NewItem(kind, message_id, location_id) for message_id in message_ids]
    return enqueue_items(connection, named, priority=priority)
