"""Every statement on ``etl.webhook_events``, and what an event sets going. Nothing here commits."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, text

from etl import locations, message_queue
from etl.message_queue import Named
from etl.receive import webhook
from etl.receive.webhook import Event

DUPLICATE = "duplicate"

# Inserted in order of id, so that two receivers given the same redeliveries wait for each other but cannot deadlock.
# One document and all bodies end to end: quoting each value for an array would cost more than the insert.
KEEP = text("""
    INSERT INTO etl.webhook_events
        (webhook_id, type, location_id, conversation_id, message_id, email_id, outcome, body)
    SELECT webhook_id, type, location_id, conversation_id, message_id, email_id, outcome,
           substring(CAST(:bodies AS bytea) FROM first FOR bytes)
    FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS arrived (
        webhook_id text, type text, location_id text, conversation_id text, message_id text, email_id text,
        outcome text, first int, bytes int)
    ORDER BY webhook_id
    ON CONFLICT (webhook_id) DO NOTHING
    RETURNING webhook_id
""")


def store(connection: Connection, events: Sequence[Event]) -> list[str]:
    """Keep events and do what the new ones ask for; returns what became of each, in order.

    An event that is here already, or twice among these, is a ``duplicate`` and sets nothing going.
    """
    distinct = {event.webhook_id: event for event in reversed(events)}
    new = _keep(connection, list(distinct.values()))
    act(connection, [event for event in distinct.values() if event.webhook_id in new])
    outcomes = []
    for event in events:
        outcomes.append(event.outcome if event.webhook_id in new else DUPLICATE)
        new.discard(event.webhook_id)
    return outcomes


def _keep(connection: Connection, events: Sequence[Event]) -> set[str]:
    """Insert events; returns the ids of those that were not here."""
    rows = []
    first = 1
    for event in events:
        rows.append(
            {
                "webhook_id": event.webhook_id,
                "type": event.type,
                "location_id": event.location_id,
                "conversation_id": event.conversation_id,
                "message_id": event.message_id,
                "email_id": event.email_id,
                "outcome": event.outcome,
                "first": first,
                "bytes": len(event.body),
            }
        )
        first += len(event.body)
    bodies = b"".join(event.body for event in events)
    return set(connection.execute(KEEP, {"events": json.dumps(rows), "bodies": bodies}).scalars())


def act(connection: Connection, events: Sequence[Event]) -> None:
    """Queue what events name; add or retire the locations where our app was installed or removed."""
    for event in events:
        place = {"location_id": event.location_id or None, "company_id": event.company_id or None}
        if event.outcome == "install":
            locations.install(connection, **place, app_id=event.app_id)
        elif event.outcome == "uninstall":
            locations.retire(connection, **place)
    message_queue.enqueue_named(connection, [named for event in events for named in _named(event)])


def _named(event: Event) -> Iterable[Named]:
    if event.message_id is not None:
        yield Named("message", event.message_id, event.location_id)
    if event.email_id is not None:
        yield Named("email", event.email_id, event.location_id)


@dataclass(frozen=True, slots=True)
class Kept:
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
class Choice:
    """Which events; None chooses all."""

    webhook_ids: Sequence[str] | None = None
    outcome: str | None = None
    type: str | None = None
    location_id: str | None = None
    since: datetime | None = None
    """Received then or later."""

    def parameters(self) -> dict[str, object]:
        """The choice as SQL parameters."""
        ids = None if self.webhook_ids is None else list(self.webhook_ids)
        return {
            "webhook_ids": ids,
            "outcome": self.outcome,
            "type": self.type,
            "location_id": self.location_id,
            "since": self.since,
        }


CHOSEN = """
    (CAST(:webhook_ids AS text[]) IS NULL OR webhook_id = ANY(CAST(:webhook_ids AS text[])))
    AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome)
    AND (CAST(:type AS text) IS NULL OR type = :type)
    AND (CAST(:location_id AS text) IS NULL OR location_id = :location_id)
    AND (CAST(:since AS timestamptz) IS NULL OR received_at >= :since)"""

LIST = text(f"""
    SELECT webhook_id, received_at, type, location_id, conversation_id, message_id, email_id, outcome, replayed_at,
           length(body) AS body_bytes
    FROM etl.webhook_events WHERE {CHOSEN} ORDER BY received_at DESC, webhook_id LIMIT :most
""")  # noqa: S608 - no value is put into the text


def find(connection: Connection, choice: Choice, *, most: int | None = None) -> list[Kept]:
    """The newest chosen events."""
    return [Kept(*row) for row in connection.execute(LIST, choice.parameters() | {"most": most})]


BODY = text("SELECT body FROM etl.webhook_events WHERE webhook_id = :webhook_id")


def body(connection: Connection, webhook_id: str) -> bytes | None:
    """What was posted. Holds customers' words."""
    found: bytes | None = connection.execute(BODY, {"webhook_id": webhook_id}).scalar_one_or_none()
    return found


OUTCOMES = text("SELECT outcome, count(*) FROM etl.webhook_events GROUP BY outcome ORDER BY count(*) DESC, outcome")


def outcomes(connection: Connection) -> dict[str, int]:
    """How many events are kept, by outcome. Reads the whole table."""
    return {outcome: count for outcome, count in connection.execute(OUTCOMES)}  # noqa: C416 - dict() loses the types


# A page at a time, in order of arrival, so that a month of events neither fills memory nor makes one long transaction.
REPLAY_PAGE = text(f"""
    SELECT webhook_id, received_at, type, outcome, body FROM etl.webhook_events
    WHERE {CHOSEN} AND outcome NOT IN ('install', 'uninstall') AND received_at <= :until
      AND (received_at, webhook_id) > (coalesce(CAST(:after_at AS timestamptz), '-infinity'), :after_id)
    ORDER BY received_at, webhook_id LIMIT :most FOR UPDATE
""")  # noqa: S608 - no value is put into the text

REPLAYED = text("""
    UPDATE etl.webhook_events AS e
    SET replayed_at = now(), outcome = again.outcome, message_id = again.message_id, email_id = again.email_id
    FROM unnest(CAST(:webhook_ids AS text[]), CAST(:outcomes AS text[]), CAST(:message_ids AS text[]),
                CAST(:email_ids AS text[])) AS again (webhook_id, outcome, message_id, email_id)
    WHERE e.webhook_id = again.webhook_id
""")


@dataclass(frozen=True, slots=True)
class Page:
    """Where a replay stands."""

    replayed: int
    after_at: datetime
    after_id: str


def replay(
    connection: Connection, choice: Choice, *, until: datetime, after: Page | None = None, most: int = 1000
) -> Page | None:
    """Read the next chosen events anew and queue what they name; None when there are no more.

    Installations are left alone: an old one would bring back, or take away, a location that has changed since.
    """
    rows = connection.execute(
        REPLAY_PAGE,
        choice.parameters()
        | {
            "until": until,
            "after_at": after.after_at if after else None,
            "after_id": after.after_id if after else "",
            "most": most,
        },
    ).all()
    if not rows:
        return None
    read = [_read_again(row.webhook_id, row.type, row.body) for row in rows]
    act(connection, read)
    connection.execute(
        REPLAYED,
        {
            "webhook_ids": [row.webhook_id for row in rows],
            "outcomes": [event.outcome for event in read],
            "message_ids": [event.message_id for event in read],
            "email_ids": [event.email_id for event in read],
        },
    )
    return Page(len(rows), rows[-1].received_at, rows[-1].webhook_id)


def _read_again(webhook_id: str, event_type: str, posted: bytes) -> Event:
    if event_type == webhook.WORKFLOW:
        return webhook.parse_workflow(posted, webhook_id=webhook_id)
    event = webhook.parse(posted)
    return replace(event, outcome="ignored") if event.outcome in ("install", "uninstall") else event


PURGE = text(f"""
    DELETE FROM etl.webhook_events WHERE webhook_id IN (
        SELECT webhook_id FROM etl.webhook_events
        WHERE {CHOSEN} AND (CAST(:seconds AS float8) IS NULL OR received_at < now() - make_interval(secs => :seconds))
        ORDER BY received_at LIMIT :most FOR UPDATE SKIP LOCKED)
""")  # noqa: S608 - no value is put into the text


def purge(connection: Connection, choice: Choice, *, older_than: float | None, most: int | None = None) -> int:
    """Delete the oldest chosen events for good, those older than so many seconds; returns how many."""
    return connection.execute(PURGE, choice.parameters() | {"seconds": older_than, "most": most}).rowcount
