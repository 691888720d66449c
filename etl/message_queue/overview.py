"""How much waits."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

DEPTH = text("""
    SELECT kind, location_id, count(*) AS items,
           count(*) FILTER (WHERE lease_id IS NOT NULL) AS in_hand,
           count(*) FILTER (WHERE lease_id IS NULL AND scheduled_at <= now()) AS due,
           min(scheduled_at) FILTER (WHERE lease_id IS NULL) AS oldest
    FROM etl.message_queue GROUP BY kind, location_id ORDER BY kind, location_id
""")


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of one kind waits at one location."""

    kind: str
    location_id: str
    items: int
    in_hand: int
    due: int
    oldest: datetime | None
    """When the item that has waited longest came, or comes, due; None when all are in hand."""


def depth(connection: Connection) -> list[Depth]:
    """What is in the queue, by kind and location. Reads the whole queue."""
    return [Depth(**row) for row in connection.execute(DEPTH).mappings()]


BACKLOGS = text("""
    SELECT location_id, date_trunc('hour', dated_at) AS hour, count(*) AS items
    FROM etl.message_queue
    WHERE kind = 'message' AND lease_id IS NULL AND scheduled_at <= now() AND isfinite(dated_at)
    GROUP BY 1, 2 ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many due messages of one location and hour wait, where the time they were created is known."""

    location_id: str
    hour: datetime
    items: int


def backlogs(connection: Connection) -> list[Backlog]:
    """What could be fetched together. Reads the whole queue."""
    return [Backlog(**row) for row in connection.execute(BACKLOGS).mappings()]
