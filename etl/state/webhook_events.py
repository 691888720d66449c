"""Every SQL statement on ``etl.webhook_events``: the received webhooks. Nothing here commits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import columns_of, count_of, counts_by, equals, older_than
from etl.models import WebhookEvent
from etl.state.suppression_list import About


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One row of etl.webhook_events, without its body."""

    webhook_id: str
    received_at: datetime
    type: str
    location_id: str
    conversation_id: str | None
    message_id: str | None
    email_id: str | None
    outcome: str
    replayed_at: datetime | None
    body_bytes: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None chooses all."""

    webhook_ids: Sequence[str] | None = None
    outcome: str | None = None
    type: str | None = None
    location_id: str | None = None
    since: datetime | None = None
    """Received then or later."""
    about: About | None = None
    older_than_days: float | None = None
    """Least age in days."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter in SQL."""
        event = WebhookEvent
        given = {event.webhook_id: self.webhook_ids, event.outcome: self.outcome, event.location_id: self.location_id}
        conditions = equals({**given, event.type: self.type}) + older_than(event.received_at, self.older_than_days)
        if self.since is not None:
            conditions.append(event.received_at >= self.since)
        if self.about is not None:
            named = event.conversation_id, event.message_id, event.email_id
            conditions += self.about.conditions(event.location_id, event.body, named)
        return conditions


def find(connection: Connection, which: EventFilter, *, limit: int | None = None) -> list[StoredEvent]:
    """Return the newest chosen events."""
    size = func.length(WebhookEvent.body).label("body_bytes")
    query = select(*columns_of(WebhookEvent, StoredEvent), size).where(*which.conditions())
    newest = query.order_by(WebhookEvent.received_at.desc(), WebhookEvent.webhook_id).limit(limit)
    return [StoredEvent(**row) for row in connection.execute(newest).mappings()]


def body(connection: Connection, webhook_id: str) -> bytes | None:
    """Return the body of an event. It holds customers' words."""
    query = select(WebhookEvent.body).where(WebhookEvent.webhook_id == webhook_id)
    return connection.execute(query).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When the events of a location come."""

    location_id: str
    first_at: datetime
    last_at: datetime
    events: int
    """Stored events; counted up to 100."""
    weeks: int
    """How many of the last four weeks are known. In each, the same hours as those since ``last_at`` were counted."""
    fewest: int
    """The fewest events in those hours of any week; counted up to 100."""
    total: int
    """The events of those hours in all weeks."""


def last_at(connection: Connection) -> datetime | None:
    """Return when the last event was stored; None: no event is stored."""
    return connection.execute(select(func.max(WebhookEvent.received_at))).scalar_one()


RHYTHMS = text("""
    SELECT asked.location_id, f.at AS first_at, l.at AS last_at, n.events,
           p.weeks, coalesce(p.fewest, 0) AS fewest, coalesce(p.total, 0) AS total
    FROM unnest(CAST(:location_ids AS text[])) AS asked (location_id)
    CROSS JOIN LATERAL (
        SELECT received_at AS at FROM etl.webhook_events AS e WHERE e.location_id = asked.location_id
        ORDER BY received_at DESC LIMIT 1
    ) AS l
    CROSS JOIN LATERAL (
        SELECT received_at AS at FROM etl.webhook_events AS e WHERE e.location_id = asked.location_id
        ORDER BY received_at LIMIT 1
    ) AS f
    CROSS JOIN LATERAL (
        SELECT count(*) AS events FROM (
            SELECT FROM etl.webhook_events AS e WHERE e.location_id = asked.location_id LIMIT 100
        ) AS kept
    ) AS n
    CROSS JOIN LATERAL (
        SELECT count(*) AS weeks, min(c.events) AS fewest, sum(c.events) AS total
        FROM generate_series(1, 4) AS w (week)
        CROSS JOIN LATERAL (
            SELECT count(*) AS events FROM (
                SELECT FROM etl.webhook_events AS e
                WHERE e.location_id = asked.location_id AND e.received_at > l.at - w.week * interval '7 days'
                  AND e.received_at <= least(now(), l.at + interval '7 days') - w.week * interval '7 days'
                LIMIT 100
            ) AS kept
        ) AS c
        WHERE f.at <= l.at - w.week * interval '7 days'
    ) AS p
    ORDER BY asked.location_id
""")


def rhythms(connection: Connection, location_ids: Collection[str]) -> list[Rhythm]:
    """Return the rhythm of those locations that have events."""
    rows = connection.execute(RHYTHMS, {"location_ids": sorted(location_ids)})
    return [Rhythm(**row) for row in rows.mappings()]


def outcomes(connection: Connection) -> dict[str, int]:
    """Return how many events are stored, by outcome. Reads the whole table."""
    return dict(connection.execute(counts_by(WebhookEvent.outcome)).all())


def insert_new(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert events; return the ids of those that are new."""
    if not rows:
        return set()
    statement = insert(WebhookEvent).on_conflict_do_nothing().returning(WebhookEvent.webhook_id)
    return set(connection.execute(statement, rows).scalars())


def digests(connection: Connection, webhook_ids: Collection[str]) -> dict[str, bytes]:
    """Return the body digests of these events, as far as they are stored."""
    if not webhook_ids:
        return {}
    query = select(WebhookEvent.webhook_id, WebhookEvent.digest).where(WebhookEvent.webhook_id.in_(webhook_ids))
    return {row.webhook_id: row.digest for row in connection.execute(query)}


def lock_page(
    connection: Connection,
    which: EventFilter,
    *,
    until: datetime,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[Row[str, datetime, str, bytes]]:
    """Lock and return the next chosen events with their bodies, in order of arrival; no installations and removals."""
    event = WebhookEvent
    key = event.received_at, event.webhook_id
    beyond = [] if after is None else [tuple_(*key) > tuple_(*after)]
    replayable = event.outcome.not_in(("install", "uninstall")), event.received_at <= until
    query = select(event.webhook_id, event.received_at, event.type, event.body)
    query = query.where(*which.conditions(), *beyond, *replayable).order_by(*key).limit(limit)
    return connection.execute(query.with_for_update()).all()


def note_replay(connection: Connection, webhook_id: str, new: Mapping[str, str | None]) -> None:
    """Note that an event was replayed, and its new outcome."""
    event = update(WebhookEvent).where(WebhookEvent.webhook_id == webhook_id)
    connection.execute(event.values(replayed_at=func.now(), **new))


def location_ids(connection: Connection, which: EventFilter) -> set[str]:
    """Return the locations of the chosen events; empty for events without a location."""
    query = select(WebhookEvent.location_id).where(*which.conditions()).distinct()
    return set(connection.execute(query).scalars())


def count(connection: Connection, which: EventFilter) -> int:
    """Return how many events the filter chooses."""
    return connection.execute(count_of(WebhookEvent, which.conditions())).scalar_one()


def purge(connection: Connection, which: EventFilter, *, limit: int) -> int:
    """Delete the oldest chosen events for good, at most so many; returns how many."""
    oldest = select(WebhookEvent.webhook_id).where(*which.conditions()).order_by(WebhookEvent.received_at).limit(limit)
    these = WebhookEvent.webhook_id.in_(oldest.with_for_update(skip_locked=True))
    return connection.execute(delete(WebhookEvent).where(these)).rowcount
