"""Every statement on ``etl.backfills``. Nothing here commits; all times are Postgres's."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from etl.models import Backfill

OVERLAP = timedelta(hours=1)
"""The newest messages may come late into the export. What is younger than this does not count as reached: it is loaded
again when the backfill goes further, and counted then."""


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a backfill has come."""

    since: datetime
    until: datetime
    settled: datetime
    """What was created before this cannot come late any more; not after ``until``."""
    reached: datetime
    """Everything created before this is loaded; not after ``settled``."""
    messages: int
    missing: int
    finished_at: datetime | None


def begin(connection: Connection, *, location_id: str, since: datetime, until: datetime, again: bool) -> Stand:
    """Start a backfill, go on with one that has not reached its end, or move its end on; safe to repeat.

    ``again`` forgets how far it had come. What was written down by a clock that was ahead is not believed: nothing is
    reached that was younger than ``OVERLAP`` when it was loaded, and no end was in the future.
    """
    is_as_far = (Backfill.until >= until) & (Backfill.until <= Backfill.seen_at)
    moved = {
        "until": func.least(func.greatest(Backfill.until, until), func.now()),
        "reached": func.greatest(Backfill.since, func.least(Backfill.reached, Backfill.seen_at - OVERLAP)),
        "finished_at": case((is_as_far, Backfill.finished_at), else_=None),
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
        func.greatest(Backfill.since, func.least(Backfill.until, func.now() - OVERLAP)).label("settled"),
        Backfill.reached,
        Backfill.messages,
        Backfill.missing,
        Backfill.finished_at,
    ).where(_is(location_id, since))
    return Stand(**connection.execute(query).mappings().one())


def advance(
    connection: Connection,
    *,
    location_id: str,
    since: datetime,
    start: datetime,
    end: datetime,
    messages: int,
    missing: int,
) -> datetime:
    """Note that a window is loaded: so many messages, and so many that the export kept; returns what is reached.

    Where another process has moved that meanwhile, what it says stays, and is where to go on.
    """
    connection.execute(
        update(Backfill)
        .where(_is(location_id, since), Backfill.reached == start)
        .values(
            reached=end, messages=Backfill.messages + messages, missing=Backfill.missing + missing, seen_at=func.now()
        )
    )
    return connection.execute(select(Backfill.reached).where(_is(location_id, since))).scalar_one_or_none() or end


def finish(connection: Connection, stand: Stand, *, location_id: str) -> None:
    """Note that all is loaded up to an end, unless another process has moved that on, or begun again."""
    connection.execute(
        update(Backfill)
        .where(
            _is(location_id, stand.since),
            Backfill.until <= stand.until,
            Backfill.reached >= stand.settled,
            Backfill.finished_at.is_(None),
        )
        .values(seen_at=func.now(), finished_at=func.now())
    )


def _is(location_id: str, since: datetime) -> ColumnElement[bool]:
    return and_(Backfill.location_id == location_id, Backfill.since == since)
