"""Every statement on ``etl.backfills``. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from etl.models import Backfill

OVERLAP = timedelta(hours=1)
"""A backfill that is done and shall go further begins so much earlier: the newest messages may have come late."""


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a backfill has come."""

    since: datetime
    until: datetime
    reached: datetime
    messages: int
    missing: int
    finished_at: datetime | None


def begin(connection: Connection, *, location_id: str, since: datetime, until: datetime, again: bool) -> Stand:
    """Start a backfill, go on with one that has not reached its end, or move its end on; safe to repeat.

    ``again`` forgets how far it had come.
    """
    is_further = Backfill.until < until
    overlapped = func.greatest(Backfill.since, Backfill.reached - OVERLAP)
    moved = {
        "until": func.greatest(Backfill.until, until),
        "reached": case((is_further & Backfill.finished_at.is_not(None), overlapped), else_=Backfill.reached),
        "finished_at": case((is_further, None), else_=Backfill.finished_at),
        "seen_at": func.now(),
    }
    anew = {
        "until": until,
        "reached": since,
        "messages": 0,
        "missing": 0,
        "started_at": func.now(),
        "seen_at": func.now(),
        "finished_at": None,
    }
    connection.execute(
        insert(Backfill)
        .values(location_id=location_id, since=since, until=until, reached=since)
        .on_conflict_do_update(index_elements=[Backfill.location_id, Backfill.since], set_=anew if again else moved)
    )
    query = select(
        Backfill.since,
        Backfill.until,
        Backfill.reached,
        Backfill.messages,
        Backfill.missing,
        Backfill.finished_at,
    ).where(Backfill.location_id == location_id, Backfill.since == since)
    return Stand(**connection.execute(query).mappings().one())


def advance(
    connection: Connection, *, location_id: str, since: datetime, reached: datetime, messages: int, missing: int
) -> None:
    """Note that everything before ``reached`` is loaded: so many messages more, and so many that the export kept."""
    connection.execute(
        update(Backfill)
        .where(Backfill.location_id == location_id, Backfill.since == since)
        .values(
            reached=func.greatest(Backfill.reached, reached),
            messages=Backfill.messages + messages,
            missing=Backfill.missing + missing,
            seen_at=func.now(),
            finished_at=case((Backfill.until <= reached, func.now()), else_=None),
        )
    )
