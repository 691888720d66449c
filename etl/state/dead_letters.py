"""Every statement that reads or returns dead letters; making them is the queue's. Nothing here commits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select, text, tuple_, update

from etl.database.conditions import columns_of, count_of, counts_by, equals, in_rows, older_than
from etl.models import DeadLetter
from etl.state import message_queue
from etl.state.message_queue import NewItem
from etl.state.suppression_list import About

BAD_ID = "bad_id"
"""The cause of a payload without an id that could be requested: it cannot be retried."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A dead letter without its payload."""

    kind: str
    message_id: str
    location_id: str
    attempt: int
    cause: str
    detail: str
    died_at: datetime
    retried_at: datetime | None
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters; None chooses all."""

    message_ids: Sequence[str] | None = None
    cause: str | None = None
    kind: str | None = None
    location_ids: Collection[str] | None = None
    about: About | None = None
    older_than_days: float | None = None
    """Least age in days, since it died."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter in SQL."""
        letter = DeadLetter
        given = {letter.message_id: self.message_ids, letter.location_id: self.location_ids, letter.cause: self.cause}
        conditions = equals({**given, letter.kind: self.kind}) + older_than(letter.died_at, self.older_than_days)
        if self.about is not None:
            conditions += self.about.conditions(letter.location_id, letter.payload, [letter.message_id])
        return conditions


KEY = DeadLetter.kind, DeadLetter.message_id, DeadLetter.location_id


def find(connection: Connection, which: LetterFilter, *, limit: int | None = None) -> list[Summary]:
    """Return the newest of the chosen dead letters."""
    size = func.coalesce(func.length(DeadLetter.payload), 0).label("payload_bytes")
    query = select(*columns_of(DeadLetter, Summary), size).where(*which.conditions())
    newest = query.order_by(DeadLetter.died_at.desc(), DeadLetter.message_id).limit(limit)
    return [Summary(**row) for row in connection.execute(newest).mappings()]


def payload(connection: Connection, letter: Summary) -> bytes | None:
    """Return the payload of a dead letter. It holds customers' words."""
    key = letter.kind, letter.message_id, letter.location_id
    query = select(DeadLetter.payload).where(in_rows(KEY, [key]))
    return connection.execute(query).scalar_one_or_none()


def retry(connection: Connection, which: LetterFilter) -> int:
    """Queue the chosen letters' items again; returns how many. The letters stay until their items are loaded.

    Changes the queue first, in the order in which a worker locks both. Dead letters of :data:`BAD_ID` are left
    alone.
    """
    chosen = select(*KEY).where(*which.conditions(), DeadLetter.cause != BAD_ID)
    items = [NewItem(**row) for row in connection.execute(chosen).mappings()]
    message_queue.enqueue_items(connection, items)
    if items:
        these = in_rows(KEY, [(item.kind, item.message_id, item.location_id) for item in items])
        connection.execute(select(*KEY).where(these).order_by(*KEY).with_for_update())
        connection.execute(update(DeadLetter).where(these).values(retried_at=func.now()))
    return len(items)


def purge(connection: Connection, which: LetterFilter, *, limit: int | None = None) -> int:
    """Delete the chosen dead letters for good; return how many. Skip those that somebody settles or retries."""
    chosen = select(*KEY).where(*which.conditions()).order_by(*KEY).limit(limit).with_for_update(skip_locked=True)
    return connection.execute(delete(DeadLetter).where(tuple_(*KEY).in_(chosen))).rowcount


def count(connection: Connection, which: LetterFilter) -> int:
    """Return how many dead letters the filter chooses."""
    return connection.execute(count_of(DeadLetter, which.conditions())).scalar_one()


@dataclass(frozen=True, slots=True)
class Tally:
    """How many letters of one kind and cause there are."""

    kind: str
    cause: str
    letters: int
    recent: int
    """How many of those became dead letters within a day and were not retried since."""
    recent_since: datetime | None
    """When the first of these died."""


def tallies(connection: Connection) -> list[Tally]:
    """Return how many letters there are, by kind and cause."""
    query = text("""
        WITH letters AS (
            SELECT kind, cause, died_at, died_at > now() - interval '1 day'
                   AND coalesce(retried_at < died_at, true) AS is_recent FROM etl.dead_letters
        )
        SELECT kind, cause, count(*) AS letters, count(*) FILTER (WHERE is_recent) AS recent,
               min(died_at) FILTER (WHERE is_recent) AS recent_since
        FROM letters GROUP BY kind, cause ORDER BY letters DESC, kind, cause
    """)
    return [Tally(**row) for row in connection.execute(query).mappings()]


def causes(connection: Connection) -> dict[str, int]:
    """Return how many dead letters there are, by cause."""
    return dict(connection.execute(counts_by(DeadLetter.cause)).all())
