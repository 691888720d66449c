"""Queues items from Python; the SQL function ``etl.enqueue`` does the same from SQL."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, text

from etl.state.message_queue.items import NewItem

# What the SQL function etl.enqueue does, for many items at once and in a third of the time; a test compares the two. In
# order of their keys, like every other statement, so that two callers cannot deadlock. No item is moved to another
# location, which may have no token: the same id at two locations is two items.
ENQUEUE = text("""
    WITH added AS (
        INSERT INTO etl.message_queue AS q (kind, message_id, location_id, priority, conversation_id, dated_at)
        SELECT kind, message_id, location_id, :priority, max(conversation_id), max(dated_at)
        FROM jsonb_to_recordset(CAST(:named AS jsonb)) AS given (
            kind text, message_id text, location_id text, conversation_id text, dated_at timestamptz)
        GROUP BY kind, message_id, location_id ORDER BY kind, message_id, location_id
        ON CONFLICT (kind, message_id, location_id) DO UPDATE SET
            priority = greatest(q.priority, excluded.priority),
            scheduled_at = CASE WHEN q.lease_id IS NULL OR q.again THEN least(q.scheduled_at, excluded.scheduled_at)
                                ELSE excluded.scheduled_at END,
            attempt = CASE WHEN q.lease_id IS NULL THEN 0 ELSE q.attempt END,
            again = q.lease_id IS NOT NULL,
            enqueued_at = now(),
            conversation_id = coalesce(excluded.conversation_id, q.conversation_id),
            dated_at = coalesce(excluded.dated_at, q.dated_at)
        RETURNING q.xmax = 0 AS new
    )
    SELECT count(*) FILTER (WHERE new) FROM added
""")


def enqueue_items(connection: Connection, named: Sequence[NewItem], *, priority: int = 0) -> int:
    """Queue items of several kinds and locations at once; return how many are new."""
    if not named:
        return 0
    return int(connection.execute(ENQUEUE, {"named": _document(named), "priority": priority}).scalar_one())


# Never touches an existing item or dead letter. Follow-ups queue behind requested items.
# Read the queue first: ON CONFLICT would wait for a transaction that settles the item and may wait for our rows.
# It does wait for one that adds the same item now. If that waits for us, Postgres ends one of both, which retries.
FOLLOW_UP = text("""
    INSERT INTO etl.message_queue (kind, message_id, location_id, priority, scheduled_at, conversation_id)
    SELECT kind, message_id, location_id, -1, now() + make_interval(secs => delay), conversation_id
    FROM jsonb_to_recordset(CAST(:named AS jsonb)) AS given (
        kind text, message_id text, location_id text, conversation_id text, delay float)
    WHERE NOT EXISTS (SELECT FROM etl.dead_letters AS d
                      WHERE d.kind = given.kind AND d.message_id = given.message_id
                        AND d.location_id = given.location_id AND d.retried_at IS NULL)
      AND NOT EXISTS (SELECT FROM etl.message_queue AS q
                      WHERE q.kind = given.kind AND q.message_id = given.message_id
                        AND q.location_id = given.location_id)
    ORDER BY kind, message_id, location_id
    ON CONFLICT (kind, message_id, location_id) DO NOTHING
""")


def follow_up(connection: Connection, named: Sequence[NewItem]) -> int:
    """Queue the follow-ups of loaded records, unless queued or dead already; return how many."""
    return connection.execute(FOLLOW_UP, {"named": _document(named)}).rowcount if named else 0


def _document(named: Sequence[NewItem]) -> str:
    return json.dumps([asdict(each) for each in named], default=datetime.isoformat)


def enqueue(
    connection: Connection, message_ids: Iterable[str], *, kind: str, location_id: str = "", priority: int = 0
) -> int:
    """Queue items of one kind and location; return how many are new."""
    named = [NewItem(kind, message_id, location_id) for message_id in message_ids]
    return enqueue_items(connection, named, priority=priority)
