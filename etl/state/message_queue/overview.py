"""Counts what waits in the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


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


@dataclass(frozen=True, slots=True)
class Backlog:
    """The due messages of one location that were created in one hour."""

    location_id: str
    hour: datetime
    items: int


def backlogs(connection: Connection, locations: Sequence[str], *, most: int | None) -> list[Backlog]:
    """Return which of the next ``most`` due items of each location (None: of all) an export could fetch together."""
    query = text("""
        SELECT asked.location_id, date_trunc('hour', due.dated_at) AS hour, count(*) AS items
        FROM unnest(CAST(:locations AS text[])) AS asked (location_id)
        CROSS JOIN LATERAL (
            SELECT dated_at FROM etl.message_queue AS q
            WHERE q.kind = 'message' AND q.location_id = asked.location_id AND q.lease_id IS NULL
              AND q.scheduled_at <= now()
            ORDER BY q.priority DESC, q.scheduled_at LIMIT CAST(:most AS bigint)
        ) AS due
        WHERE isfinite(due.dated_at) GROUP BY 1, 2 ORDER BY 1, 2
    """)
    rows = connection.execute(query, {"locations": list(locations), "most": most})
    return [Backlog(**row) for row in rows.mappings()]
