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
