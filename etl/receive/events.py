"""Every statement on ``etl.webhook_events``, and what an event sets going. Nothing here commits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import contains, in_array
from etl.models import WebhookEvent
from etl.receive import webhook
from etl.receive.policy import choose
from etl.receive.webhook import Event, digest_of, name_of
from etl.state import locations, message_queue, suppression_list
from etl.state.message_queue import NewItem
from etl.state.suppression_list import About

DUPLICATE = "duplicate"
FORGOTTEN = "forgotten"

REPLAYED_EVENTS = 1000
"""How many are replayed in one transaction."""


def store(connection: Connection, events: Sequence[Event]) -> list[str]:
    """Keep events and do what the new ones ask for; returns what became of each, in order.

    An event that is here already, or twice among these, is a ``duplicate`` and sets nothing going. Nor does one about
    what was erased with a contact, which is not kept: it is ``forgotten``.
    """
    events = _judged(connection, events)
    gone = _forgotten(connection, events)
    kept = [event for event in events if event not in gone]
    new = _insert(connection, kept)
    taken = _taken(connection, [event for event in kept if event not in new])
    if taken:
        events = [replace(each, webhook_id=name_of(each.body)) if each in taken else each for each in events]
        new |= _insert(connection, [replace(event, webhook_id=name_of(event.body)) for event in kept if event in taken])
    act(connection, [event for event in dict.fromkeys(events) if event in new])
    outcomes = []
    for event in events:
        outcomes.append(FORGOTTEN if event in gone else event.outcome if event in new else DUPLICATE)
        new.discard(event)
    return outcomes


def _forgotten(connection: Connection, events: Sequence[Event]) -> set[Event]:
    """Return the events about what was erased with a contact; one that names no location may be of any."""
    columns = ("contact_id", "conversation_id", "message_id", "email_id")
    ids = {id_ for event in events for name in columns if (id_ := getattr(event, name))}
    keys = suppression_list.suppressed(connection, ids) if ids else set()
    return {
        event
        for event in events
        if suppression_list.covers(
            keys,
            event.location_id,
            contact_id=event.contact_id,
            conversation_id=event.conversation_id,
            ids=(event.message_id, event.email_id),
        )
    }


def _judged(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """Return the events, of which those queue nothing that only a location that we know would vouch for."""
    unvouched = {event.location_id for event in events if not event.is_vouched}
    known = locations.known(connection, unvouched) if unvouched else set()
    return [
        event if event.is_vouched or event.location_id in known else replace(event, outcome="ignored", items=())
        for event in events
    ]


def _insert(connection: Connection, events: Sequence[Event]) -> set[Event]:
    """Keep events; returns those that are new. Of several with one id the first may be."""
    # In order of id, so that two receivers given the same redeliveries wait for each other but cannot deadlock.
    distinct = dict(sorted({event.webhook_id: event for event in reversed(events)}.items()))
    statement = insert(WebhookEvent).on_conflict_do_nothing().returning(WebhookEvent.webhook_id)
    new = connection.execute(statement, list(map(_columns, distinct.values()))).scalars() if distinct else ()
    return {distinct[webhook_id] for webhook_id in new}


def _taken(connection: Connection, events: Collection[Event]) -> set[Event]:
    """Those of the events whose id another one has, which has another body; a redelivery's is the same."""
    query = select(WebhookEvent.webhook_id, WebhookEvent.digest)
    query = query.where(WebhookEvent.webhook_id.in_({event.webhook_id for event in events}))
    stored = {row.webhook_id: row.digest for row in connection.execute(query)} if events else {}
    return {event for event in events if stored.get(event.webhook_id) not in (None, digest_of(event.body))}


def _columns(event: Event) -> dict[str, object]:
    return {
        "webhook_id": event.webhook_id,
        "type": event.type,
        "location_id": event.location_id,
        "conversation_id": event.conversation_id,
        "message_id": event.message_id,
        "email_id": event.email_id,
        "outcome": event.outcome,
        "body": event.body,
        "digest": digest_of(event.body),
    }


def act(connection: Connection, events: Sequence[Event]) -> None:
    """Queue what events name; add or retire the locations where our app was installed or removed."""
    # The queue first, as where items are settled and a location is paused.
    message_queue.enqueue_items(
        connection,
        [
            NewItem(kind, id_, event.location_id, event.conversation_id, event.dated_at)
            for event in events
            for kind, id_ in event.items
        ],
    )
    for event in events:
        place = {"location_id": event.location_id or None, "company_id": event.company_id or None}
        if event.outcome == "install":
            locations.install(connection, **place, app_id=event.app_id, at=event.sent_at)
        elif event.outcome == "uninstall":
            locations.retire(connection, **place, at=event.sent_at)


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
    """Since they were received."""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter in SQL."""
        found: list[ColumnElement[bool]] = []
        if self.webhook_ids is not None:
            found.append(WebhookEvent.webhook_id.in_(self.webhook_ids))
        if self.outcome is not None:
            found.append(WebhookEvent.outcome == self.outcome)
        if self.type is not None:
            found.append(WebhookEvent.type == self.type)
        if self.location_id is not None:
            found.append(WebhookEvent.location_id == self.location_id)
        if self.since is not None:
            found.append(WebhookEvent.received_at >= self.since)
        if self.about is not None:
            columns = WebhookEvent.conversation_id, WebhookEvent.message_id, WebhookEvent.email_id
            by_column = [in_array(column, self.about.ids) for column in columns]
            by_body = [contains(WebhookEvent.body, id_) for id_ in self.about.named]
            found += [self.about.is_at(WebhookEvent.location_id), or_(*by_column, *by_body)]
        if self.older_than_days is not None:
            found.append(WebhookEvent.received_at < func.now() - timedelta(days=self.older_than_days))
        return found


def find(connection: Connection, which: EventFilter, *, limit: int | None = None) -> list[StoredEvent]:
    """Return the newest chosen events."""
    query = (
        select(
            WebhookEvent.webhook_id,
            WebhookEvent.received_at,
            WebhookEvent.type,
            WebhookEvent.location_id,
            WebhookEvent.conversation_id,
            WebhookEvent.message_id,
            WebhookEvent.email_id,
            WebhookEvent.outcome,
            WebhookEvent.replayed_at,
            func.length(WebhookEvent.body).label("body_bytes"),
        )
        .where(*which.conditions())
        .order_by(WebhookEvent.received_at.desc(), WebhookEvent.webhook_id)
        .limit(limit)
    )
    return [StoredEvent(**row) for row in connection.execute(query).mappings()]


def body(connection: Connection, webhook_id: str) -> bytes | None:
    """Return what was posted. Holds customers' words."""
    query = select(WebhookEvent.body).where(WebhookEvent.webhook_id == webhook_id)
    return connection.execute(query).scalar_one_or_none()


def outcomes(connection: Connection) -> dict[str, int]:
    """How many events are kept, by outcome. Reads the whole table."""
    count = func.count()
    query = select(WebhookEvent.outcome, count.label("events")).group_by(WebhookEvent.outcome)
    rows = connection.execute(query.order_by(count.desc(), WebhookEvent.outcome))
    return {row.outcome: row.events for row in rows}


@dataclass(frozen=True, slots=True)
class Page:
    """Where a replay stands."""

    replayed: int
    after_at: datetime
    after_id: str


def replay(
    connection: Connection,
    which: EventFilter,
    *,
    kinds: Collection[str],
    until: datetime,
    after: Page | None = None,
) -> Page | None:
    """Read the next chosen events anew and queue the items of ``kinds`` that they name; None when there are no more.

    A page at a time, in order of arrival, so that a month of events neither fills memory nor makes one long
    transaction. Installations are left alone: an old one would bring back, or take away, a location that has changed
    since.
    """
    place = tuple_(WebhookEvent.received_at, WebhookEvent.webhook_id)
    beyond = [] if after is None else [place > tuple_(after.after_at, after.after_id)]
    query = (
        select(
            WebhookEvent.webhook_id,
            WebhookEvent.received_at,
            WebhookEvent.type,
            WebhookEvent.outcome,
            WebhookEvent.body,
        )
        .where(
            *which.conditions(),
            *beyond,
            WebhookEvent.outcome.not_in(("install", "uninstall")),
            WebhookEvent.received_at <= until,
        )
        .order_by(WebhookEvent.received_at, WebhookEvent.webhook_id)
        .limit(REPLAYED_EVENTS)
        .with_for_update()
    )
    rows = connection.execute(query).all()
    if not rows:
        return None
    read = [choose(_read_again(row.webhook_id, row.type, row.body), kinds) for row in rows]
    act(connection, read)
    for event in read:
        connection.execute(
            update(WebhookEvent)
            .where(WebhookEvent.webhook_id == event.webhook_id)
            .values(replayed_at=func.now(), outcome=event.outcome, message_id=event.message_id, email_id=event.email_id)
        )
    return Page(len(rows), rows[-1].received_at, rows[-1].webhook_id)


def _read_again(webhook_id: str, event_type: str, posted: bytes) -> Event:
    if event_type == webhook.WORKFLOW:
        return webhook.parse_workflow(posted, webhook_id=webhook_id)
    event = replace(webhook.parse(posted), webhook_id=webhook_id)
    return replace(event, outcome="ignored") if event.outcome in ("install", "uninstall") else event


def location_ids(connection: Connection, which: EventFilter) -> set[str]:
    """Return the locations that the chosen events name; empty: one names none."""
    query = select(WebhookEvent.location_id).where(*which.conditions()).distinct()
    return set(connection.execute(query).scalars())


def count(connection: Connection, which: EventFilter) -> int:
    """How many events are chosen."""
    query = select(func.count()).select_from(WebhookEvent).where(*which.conditions())
    return connection.execute(query).scalar_one()


def purge(connection: Connection, which: EventFilter, *, limit: int) -> int:
    """Delete the oldest chosen events for good, at most so many; returns how many."""
    oldest = (
        select(WebhookEvent.webhook_id)
        .where(*which.conditions())
        .order_by(WebhookEvent.received_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(delete(WebhookEvent).where(WebhookEvent.webhook_id.in_(oldest))).rowcount
