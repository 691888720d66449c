"""Every statement on ``etl.message_queue``, and no other module has one. Nothing here commits.

The life of an item::

                     claim                     complete
    waiting ───────────────────▶ in hand ───────────────────▶ gone (its rows are written)
       ▲                            │ │
       │  retry (attempt spent)     │ │ bury
       │  snooze (no attempt spent) │ └──────────────────────▶ dead letter ──▶ etl dead retry ──▶ waiting
       └────────────────────────────┤
          release (lease lapsed) ◀──┘

A claim is a lease: it lapses unless renewed, and then the item waits again. Every settling statement names the lease
it was claimed under and acts only while that lease stands, so a worker that comes back late settles nothing. Lease
numbers come from a sequence. (The attempt number would not do as a fence: snoozing gives the attempt back, and an
item that was completed and queued again starts anew.)

``again`` marks an item that was queued once more while in hand. It is never deleted or buried then, but waits anew.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, TextClause, text


@dataclass(frozen=True, slots=True)
class Item:
    """One claimed row of the queue."""

    kind: str
    message_id: str
    location_id: str
    attempt: int
    """Attempts spent, this one included; 1 at first."""
    lease_id: int
    cause: str | None
    """Why the attempt before this one failed or waited; None at first."""
    claimed_at: datetime
    """By Postgres's clock."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """An item that returns to the queue."""

    item: Item
    delay: float
    """Seconds until it is due again."""
    cause: str | None = None
    spent: bool = True
    """Whether the attempt counts: False is a snooze."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An item to be buried, with what a dead letter keeps of it."""

    item: Item
    cause: str
    detail: str
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """Something to be fetched, as an event names it."""

    kind: str
    message_id: str
    location_id: str


# What the SQL function etl.enqueue does, for many items at once and in a third of the time; a test compares the two. In
# order of kind and id, as by every other statement, so that two callers cannot deadlock. Of two locations the one that
# is known wins.
ENQUEUE = text("""
    WITH added AS (
        INSERT INTO etl.message_queue AS q (kind, message_id, location_id, priority)
        SELECT kind, message_id, max(location_id), :priority
        FROM jsonb_to_recordset(CAST(:named AS jsonb)) AS given (kind text, message_id text, location_id text)
        GROUP BY kind, message_id ORDER BY kind, message_id
        ON CONFLICT (kind, message_id) DO UPDATE SET
            location_id = CASE WHEN q.lease_id IS NULL AND excluded.location_id <> ''
                               THEN excluded.location_id ELSE q.location_id END,
            priority = greatest(q.priority, excluded.priority),
            scheduled_at = CASE WHEN q.lease_id IS NULL OR q.again THEN least(q.scheduled_at, excluded.scheduled_at)
                                ELSE excluded.scheduled_at END,
            attempt = CASE WHEN q.lease_id IS NULL THEN 0 ELSE q.attempt END,
            again = q.lease_id IS NOT NULL,
            enqueued_at = now()
        RETURNING q.xmax = 0 AS new
    )
    SELECT count(*) FILTER (WHERE new) FROM added
""")


def enqueue_items(connection: Connection, named: Sequence[NewItem], *, priority: int = 0) -> int:
    """Queue items of several kinds and locations at once; returns how many were not queued already."""
    if not named:
        return 0
    document = json.dumps(
        [{"kind": each.kind, "message_id": each.message_id, "location_id": each.location_id} for each in named]
    )
    added: int = connection.execute(ENQUEUE, {"named": document, "priority": priority}).scalar_one()
    return added


def enqueue(
    connection: Connection, message_ids: Iterable[str], *, kind: str, location_id: str = "", priority: int = 0
) -> int:
    """Queue items of one kind and location; returns how many were not queued already."""
    named = [NewItem(kind, message_id, location_id) for message_id in message_ids]
    return enqueue_items(connection, named, priority=priority)


# A loose index scan: one probe for each location, however many items it has. The cursor makes it a round robin.
LOCATIONS = """
    WITH RECURSIVE next (location_id, n) AS (
        (SELECT location_id, 1 FROM etl.message_queue
         WHERE kind = :kind AND lease_id IS NULL AND location_id {beyond} :after
         ORDER BY location_id LIMIT 1)
        UNION ALL
        (SELECT found.location_id, next.n + 1
         FROM next, LATERAL (
             SELECT location_id FROM etl.message_queue
             WHERE kind = :kind AND lease_id IS NULL AND location_id > next.location_id
             ORDER BY location_id LIMIT 1) AS found
         WHERE next.n < :most)
    )
    SELECT location_id FROM next
"""
FIRST_LOCATIONS = text(LOCATIONS.format(beyond=">="))
NEXT_LOCATIONS = text(LOCATIONS.format(beyond=">"))


def waiting_locations(connection: Connection, *, kind: str, after: str | None, most: int) -> list[str]:
    """Up to ``most`` locations that have waiting items, in order of id, beyond ``after`` (None: from the first).

    Costs one index probe a location, whatever the number of items. Their items may not be due yet.
    """
    statement = FIRST_LOCATIONS if after is None else NEXT_LOCATIONS
    return list(connection.execute(statement, {"kind": kind, "after": after or "", "most": most}).scalars())


CLAIM = text("""
    WITH lease AS MATERIALIZED (SELECT nextval('etl.lease_id_seq') AS lease_id),
    due AS (
        SELECT item.message_id
        FROM unnest(CAST(:locations AS text[]), CAST(:lots AS int[])) AS granted (location_id, lot)
        CROSS JOIN LATERAL (
            SELECT message_id FROM etl.message_queue
            WHERE kind = :kind AND location_id = granted.location_id AND lease_id IS NULL AND scheduled_at <= now()
            ORDER BY priority DESC, scheduled_at
            LIMIT granted.lot
            FOR UPDATE SKIP LOCKED
        ) AS item
    )
    UPDATE etl.message_queue AS q
    SET lease_id = lease.lease_id, leased_until = clock_timestamp() + make_interval(secs => :lease_seconds),
        attempt = q.attempt + 1, again = false
    FROM lease
    WHERE q.kind = :kind AND q.message_id = ANY (ARRAY (SELECT message_id FROM due))
    RETURNING q.message_id, q.location_id, q.attempt, q.lease_id, q.cause, clock_timestamp() AS claimed_at
""")


def claim(connection: Connection, *, kind: str, lots: Mapping[str, int], lease_seconds: float) -> list[Item]:
    """Take up to ``lots[location_id]`` due items of each location, the highest priority first, under one new lease.

    Items that another worker is claiming are passed over, never waited for.
    """
    rows = connection.execute(
        CLAIM,
        {"kind": kind, "locations": list(lots), "lots": list(lots.values()), "lease_seconds": lease_seconds},
    )
    return [Item(kind, *row) for row in rows.all()]


RENEW = text("""
    WITH held AS (
        SELECT kind, message_id FROM etl.message_queue
        WHERE lease_id = ANY(CAST(:lease_ids AS bigint[])) AND lease_id IS NOT NULL
        ORDER BY kind, message_id FOR UPDATE SKIP LOCKED
    )
    UPDATE etl.message_queue AS q SET leased_until = clock_timestamp() + make_interval(secs => :lease_seconds)
    FROM held WHERE q.kind = held.kind AND q.message_id = held.message_id
""")


def renew(connection: Connection, lease_ids: Iterable[int], *, lease_seconds: float) -> int:
    """Keep what is in hand under these leases; returns how many items. Rows being settled right now are passed over."""
    return connection.execute(RENEW, {"lease_ids": list(lease_ids), "lease_seconds": lease_seconds}).rowcount


RELEASE_LAPSED = text("""
    WITH lapsed AS (
        SELECT kind, message_id FROM etl.message_queue
        WHERE lease_id IS NOT NULL AND leased_until < clock_timestamp()
        FOR UPDATE SKIP LOCKED
    )
    UPDATE etl.message_queue AS q
    SET lease_id = NULL, leased_until = NULL, again = false, cause = 'lease_lapsed'
    FROM lapsed WHERE q.kind = lapsed.kind AND q.message_id = lapsed.message_id
""")


def release_lapsed(connection: Connection) -> int:
    """Return the items of workers that vanished to the queue; returns how many. Their attempts stay spent."""
    return connection.execute(RELEASE_LAPSED).rowcount


# Rows are locked in order of id, as by every statement that locks many: two of them can wait, but not deadlock.
HELD = """
    held AS (
        SELECT q.message_id, q.again, settled.*
        FROM etl.message_queue AS q
        JOIN {given} AS settled ({columns}) ON q.message_id = settled.id AND q.lease_id = settled.lease
        WHERE q.kind = :kind
        ORDER BY q.message_id FOR UPDATE OF q
    )"""

START_AGAIN = """
    back AS (
        UPDATE etl.message_queue AS q
        SET lease_id = NULL, leased_until = NULL, again = false, attempt = 0, cause = NULL
        FROM held WHERE q.kind = :kind AND q.message_id = held.message_id AND {those}
    )"""

# One document rather than an array a column: psycopg writes arrays in Python, value by value.
COMPLETE = text(f"""
    WITH {
    HELD.format(given="jsonb_to_recordset(CAST(:items AS jsonb))", columns="id text, lease bigint, complete bool")
},
    {START_AGAIN.format(those="held.again AND held.complete")},
    gone AS (
        DELETE FROM etl.message_queue AS q USING held
        WHERE q.kind = :kind AND q.message_id = held.message_id AND held.complete AND NOT held.again
    ),
    letters AS (
        DELETE FROM etl.dead_letters AS d USING held
        WHERE d.kind = :kind AND d.message_id = held.message_id AND held.complete
    )
    SELECT id, lease FROM held
""")  # noqa: S608 - no value is put into the text


def complete(connection: Connection, items: Sequence[Item], *, others: Sequence[Item] = ()) -> set[Item]:
    """Remove items whose rows this transaction writes; returns those whose lease stands, of ``others`` too.

    What is not returned was claimed by somebody else meanwhile: its rows must not be written. A dead letter of an
    earlier try goes too; an item queued again meanwhile stays, and waits anew.

    A transaction that settles ``others`` in further statements names them here: all are then locked in one order.
    """
    if not items and not others:
        return set()
    given = {(item.message_id, item.lease_id): item for item in (*items, *others)}
    rows = [{"id": item.message_id, "lease": item.lease_id, "complete": True} for item in items]
    rows += [{"id": item.message_id, "lease": item.lease_id, "complete": False} for item in others]
    parameters = {"kind": (*items, *others)[0].kind, "items": json.dumps(rows)}
    return {given[id_, lease_id] for id_, lease_id in connection.execute(COMPLETE, parameters).all()}


BURY = text(f"""
    WITH {
    HELD.format(
        given="unnest(CAST(:ids AS text[]), CAST(:leases AS bigint[]), CAST(:causes AS text[]), "
        "CAST(:details AS text[]), CAST(:payloads AS bytea[]))",
        columns="id, lease, cause, detail, payload",
    )
},
    {START_AGAIN.format(those="held.again")},
    gone AS (
        DELETE FROM etl.message_queue AS q USING held
        WHERE q.kind = :kind AND q.message_id = held.message_id AND NOT held.again
        RETURNING q.message_id, q.location_id, q.attempt
    ),
    letters AS (
        INSERT INTO etl.dead_letters AS d (kind, message_id, location_id, attempt, cause, detail, payload)
        SELECT :kind, gone.message_id, gone.location_id, gone.attempt, held.cause, held.detail, held.payload
        FROM gone JOIN held USING (message_id)
        ON CONFLICT (kind, message_id) DO UPDATE SET
            location_id = excluded.location_id, attempt = excluded.attempt, cause = excluded.cause,
            detail = excluded.detail, payload = coalesce(excluded.payload, d.payload), died_at = now(),
            retried_at = NULL
    )
    SELECT message_id FROM held WHERE NOT again
""")  # noqa: S608 - no value is put into the text


def bury(connection: Connection, letters: Sequence[Letter]) -> set[str]:
    """Turn items into dead letters; returns the ids that were buried.

    A letter that was retried keeps the payload it had when the new failure brought none. An item queued again
    meanwhile is not buried, but waits anew.
    """
    return _settle(
        connection,
        BURY,
        [letter.item for letter in letters],
        causes=[letter.cause for letter in letters],
        details=[letter.detail for letter in letters],
        payloads=[letter.payload for letter in letters],
    )


PUT_BACK = text(f"""
    WITH {
    HELD.format(
        given="unnest(CAST(:ids AS text[]), CAST(:leases AS bigint[]), CAST(:delays AS float8[]), "
        "CAST(:causes AS text[]), CAST(:spent AS bool[]))",
        columns="id, lease, delay, cause, spent",
    )
},
    returned AS (
        UPDATE etl.message_queue AS q
        SET lease_id = NULL, leased_until = NULL, again = false, cause = held.cause,
            attempt = CASE WHEN q.again THEN 0 WHEN held.spent THEN q.attempt ELSE greatest(q.attempt - 1, 0) END,
            scheduled_at = CASE WHEN q.again THEN q.scheduled_at
                                ELSE clock_timestamp() + make_interval(secs => held.delay) END
        FROM held WHERE q.kind = :kind AND q.message_id = held.message_id
    )
    SELECT message_id FROM held
""")  # noqa: S608 - no value is put into the text


def put_back(connection: Connection, returned: Sequence[PutBack]) -> set[str]:
    """Retry (attempt spent) or snooze (not spent) items; returns the ids whose lease stood.

    An item queued again meanwhile is due when that asked for, with its attempts back: somebody has news of it.
    """
    return _settle(
        connection,
        PUT_BACK,
        [each.item for each in returned],
        delays=[each.delay for each in returned],
        causes=[each.cause for each in returned],
        spent=[each.spent for each in returned],
    )


def _settle(
    connection: Connection, statement: TextClause, items: Sequence[Item], **arrays: Sequence[object]
) -> set[str]:
    """Run a settling statement; the items of one call are of one kind."""
    if not items:
        return set()
    parameters: dict[str, object] = {
        "kind": items[0].kind,
        "ids": [item.message_id for item in items],
        "leases": [item.lease_id for item in items],
        **arrays,
    }
    return set(connection.execute(statement, parameters).scalars().all())


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
    return [Depth(*row) for row in connection.execute(DEPTH)]


DUE_LOCATIONS = text("""
    SELECT location_id FROM unnest(CAST(:locations AS text[])) AS asked (location_id)
    WHERE EXISTS (SELECT FROM etl.message_queue AS q
                  WHERE q.kind = :kind AND q.location_id = asked.location_id AND q.lease_id IS NULL
                    AND q.scheduled_at <= now())
""")


def due_locations(connection: Connection, locations: Sequence[str], *, kind: str) -> list[str]:
    """Those of the locations that have an item to be fetched now."""
    if not locations:
        return []
    return list(connection.execute(DUE_LOCATIONS, {"locations": list(locations), "kind": kind}).scalars())
