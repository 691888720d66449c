"""Reads which messages of a location are loaded."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select, text

from etl.database.conditions import in_array
from etl.load.versions import Versions
from etl.models import Message


@dataclass(frozen=True, slots=True)
class Version:
    """Identifies one state of a message."""

    status: str | None
    date_updated: datetime | None
    is_deleted: bool = False


def versions(connection: Connection, location_id: str, ids: Collection[str], *, now: datetime) -> dict[str, Version]:
    """Return the versions of the messages that are loaded; an implausible date is None."""
    dated = Versions.at(now).dated(Message.__table__.columns.date_updated)
    query = select(Message.message_id, Message.status, dated, Message.deleted_at.is_not(None)).where(
        Message.location_id == location_id, in_array(Message.message_id, ids)
    )
    return {id_: Version(*version) for id_, *version in connection.execute(query)}


def living(
    connection: Connection, location_id: str, *, start: datetime, end: datetime, without: Collection[str]
) -> dict[str, datetime]:
    """Return the ids and dates of messages from ``start`` to before ``end``, without deleted ones and some types."""
    query = select(Message.message_id, Message.date_added).where(
        Message.location_id == location_id,
        Message.date_added >= start,
        Message.date_added < end,
        Message.deleted_at.is_(None),
        or_(Message.message_type.is_(None), Message.message_type.not_in(without)),
    )
    return {row.message_id: row.date_added for row in connection.execute(query)}


LAG = text("""
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY m.seconds) AS p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY m.seconds) AS p95
    FROM (
        SELECT location_id, extract(epoch FROM created_at - date_added) AS seconds FROM highlevel.messages
        WHERE location_id = ANY(CAST(:location_ids AS text[])) AND date_added > CAST(:since AS timestamptz)
          AND date_added <= created_at
    ) AS m
""")


def lag(connection: Connection, location_ids: Collection[str], *, since: datetime) -> tuple[float, float] | None:
    """Return the seconds from a message to its row, median and 95th percentile, of those created since; None: none."""
    row = connection.execute(LAG, {"location_ids": sorted(location_ids), "since": since}).one()
    return None if row.p50 is None else (float(row.p50), float(row.p95))
