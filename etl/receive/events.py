"""Stores each event once and queues the items that it names. Nothing here commits."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from etl.receive import webhook
from etl.receive.policy import choose
from etl.receive.webhook import Event, digest_of, name_of
from etl.state import locations, message_queue, suppression_list, webhook_events
from etl.state.message_queue import NewItem
from etl.state.suppression_list import Named
from etl.state.webhook_events import EventFilter

DUPLICATE = "duplicate"
FORGOTTEN = "forgotten"

STORED = ("webhook_id", "type", "location_id", "conversation_id", "message_id", "email_id", "outcome", "body")
"""Columns of a stored event, under the same names."""
REPLAYED_EVENTS = 1000
"""Events replayed in one transaction."""


def store(connection: Connection, events: Sequence[Event]) -> list[str]:
    """Store events and act on the new ones; return the outcome of each, in order.

    An event that is stored already, or is twice among these, is a ``duplicate`` and queues nothing. An event about an
    erased contact is ``forgotten``: it is not stored, and queues nothing.
    """
    events = _without_unknown_locations(connection, events)
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
    things = {
        each: Named(each.location_id, each.contact_id, each.conversation_id, (each.message_id, each.email_id))
        for each in events
    }
    return set(suppression_list.suppressed(connection, things))


def _without_unknown_locations(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """Return the events; one that may be for others, and names no known location, is ignored and queues nothing."""
    unsure = {event.location_id for event in events if not event.is_surely_ours}
    known = locations.known(connection, unsure) if unsure else set()
    return [
        event if event.is_surely_ours or event.location_id in known else replace(event, outcome="ignored", items=())
        for event in events
    ]


def _insert(connection: Connection, events: Sequence[Event]) -> set[Event]:
    """Insert events; return the new ones. Of several with one id only the first can be new."""
    # In order of id, so that two receivers given the same redeliveries wait for each other but cannot deadlock.
    distinct = dict(sorted({event.webhook_id: event for event in reversed(events)}.items()))
    return {distinct[id_] for id_ in webhook_events.insert_new(connection, list(map(_columns, distinct.values())))}


def _taken(connection: Connection, events: Collection[Event]) -> set[Event]:
    """Return the events whose id is stored with another body; a redelivery has the same body."""
    stored = webhook_events.digests(connection, {event.webhook_id for event in events})
    return {event for event in events if stored.get(event.webhook_id) not in (None, digest_of(event.body))}


def _columns(event: Event) -> dict[str, object]:
    return {name: getattr(event, name) for name in STORED} | {"digest": digest_of(event.body)}


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
            locations.uninstall(connection, **place, at=event.sent_at)


@dataclass(frozen=True, slots=True)
class Page:
    """The position of a replay."""

    replayed: int
    last: tuple[datetime, str]
    """When the last event was received, and its id."""


def replay_page(
    connection: Connection,
    which: EventFilter,
    *,
    kinds: Collection[str],
    until: datetime,
    after: Page | None = None,
) -> Page | None:
    """Read the next chosen events again and queue the items of ``kinds`` that they name; None when there are no more.

    This reads a page at a time, in order of arrival, so that a month of events neither fills memory nor makes one long
    transaction. Installations are skipped: an old one would add or remove a location that has changed since.
    """
    last = None if after is None else after.last
    rows = webhook_events.lock_page(connection, which, until=until, after=last, limit=REPLAYED_EVENTS)
    if not rows:
        return None
    read = [choose(_read_again(row.webhook_id, row.type, row.body), kinds) for row in rows]
    act(connection, read)
    for event in read:
        new = {"outcome": event.outcome, "message_id": event.message_id, "email_id": event.email_id}
        webhook_events.note_replay(connection, event.webhook_id, new)
    return Page(len(rows), (rows[-1].received_at, rows[-1].webhook_id))


def _read_again(webhook_id: str, event_type: str, posted: bytes) -> Event:
    if event_type == webhook.WORKFLOW:
        return webhook.parse_workflow(posted, webhook_id=webhook_id)
    event = replace(webhook.parse(posted), webhook_id=webhook_id)
    return replace(event, outcome="ignored") if event.outcome in ("install", "uninstall") else event


def rehearse(connection: Connection) -> None:
    """Try whether tables of another version take events: store some of every outcome, and one again. Roll that back.

    Raises:
        DBAPIError: tables or rights are not what :func:`store` needs.
    """
    name = f"rehearsal-{uuid.uuid4()}"
    queued = Event(name, "", "queued", b"", name, name, name, message_id=name, items=(("message", name),))
    others = [replace(queued, webhook_id=f"{name}-{each}", outcome=each) for each in ("install", "uninstall")]
    stranger = replace(queued, webhook_id=f"{name}-stranger", is_surely_ours=False)
    for _ in range(2):
        store(connection, [queued, *others, stranger])
