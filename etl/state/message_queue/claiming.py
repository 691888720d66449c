"""Claims items under a lease, renews leases, and releases the items of lost workers."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, text

from etl.state.message_queue.items import SUSPECT, Item

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
         WHERE next.n < :limit)
    )
    SELECT location_id FROM next
"""
FIRST_LOCATIONS = text(LOCATIONS.format(beyond=">="))
NEXT_LOCATIONS = text(LOCATIONS.format(beyond=">"))


def waiting_locations(connection: Connection, *, kind: str, after: str | None, limit: int) -> list[str]:
    """Up to ``limit`` locations that have waiting items, in order of id, beyond ``after`` (None: from the first).

    Costs one index probe a location, whatever the number of items. Their items may not be due yet.
    """
    statement = FIRST_LOCATIONS if after is None else NEXT_LOCATIONS
    return list(connection.execute(statement, {"kind": kind, "after": after or "", "limit": limit}).scalars())


CLAIM = text("""
    WITH lease AS MATERIALIZED (SELECT nextval('etl.lease_id_seq') AS lease_id),
    due AS (
        SELECT item.row_id
        FROM unnest(CAST(:locations AS text[]), CAST(:quotas AS int[])) AS granted (location_id, quota)
        CROSS JOIN LATERAL (
            SELECT ctid AS row_id FROM etl.message_queue
            WHERE kind = :kind AND location_id = granted.location_id AND lease_id IS NULL AND scheduled_at <= now()
              AND (lapses >= :suspect) = :suspects AND starts_with(message_id, CAST(:prefix AS text))
            ORDER BY priority DESC, scheduled_at
            LIMIT granted.quota
            FOR UPDATE SKIP LOCKED
        ) AS item
    )
    UPDATE etl.message_queue AS q
    SET lease_id = lease.lease_id, leased_until = clock_timestamp() + make_interval(secs => :lease_seconds),
        again = false
    FROM lease
    WHERE q.ctid = ANY (ARRAY (SELECT row_id FROM due))
    RETURNING q.kind, q.message_id, q.location_id, q.attempt + 1, q.lease_id, q.cause, clock_timestamp(),
              q.conversation_id, q.lapses
""")


def claim(
    connection: Connection,
    *,
    kind: str,
    quotas: Mapping[str, int],
    lease_seconds: float,
    suspects: bool = False,
    prefix: str = "",
) -> list[Item]:
    """Take up to ``quotas[location_id]`` due items of each location, the highest priority first, under one new lease.

    Skip items that another worker is claiming; never wait for them. Take only suspects, or only others: when a
    suspect lapses, it counts as the killer of its worker, so a worker fetches it alone. The ids begin with ``prefix``.
    """
    given = {
        "kind": kind,
        "locations": list(quotas),
        "quotas": list(quotas.values()),
        "lease_seconds": lease_seconds,
        "suspects": suspects,
        "suspect": SUSPECT,
        "prefix": prefix,
    }
    return [Item(*row) for row in connection.execute(CLAIM, given).all()]


RENEW = text("""
    WITH held AS (
        SELECT kind, message_id, location_id FROM etl.message_queue
        WHERE lease_id = ANY(CAST(:lease_ids AS bigint[])) AND lease_id IS NOT NULL
        FOR UPDATE SKIP LOCKED
    )
    UPDATE etl.message_queue AS q SET leased_until = clock_timestamp() + make_interval(secs => :lease_seconds)
    FROM held
    WHERE q.kind = held.kind AND q.message_id = held.message_id AND q.location_id = held.location_id
""")


def renew(connection: Connection, lease_ids: Iterable[int], *, lease_seconds: float) -> int:
    """Renew these leases; return how many items they hold. Rows being settled right now are skipped."""
    return connection.execute(RENEW, {"lease_ids": list(lease_ids), "lease_seconds": lease_seconds}).rowcount


# No lease lasts for minutes: one that seems to was taken before the clock of Postgres was set back.
RELEASE_LAPSED = text("""
    WITH lapsed AS (
        SELECT kind, message_id, location_id FROM etl.message_queue
        WHERE lease_id IS NOT NULL
          AND (leased_until < clock_timestamp() OR leased_until > clock_timestamp() + interval '2 minutes')
        FOR UPDATE SKIP LOCKED
    )
    UPDATE etl.message_queue AS q
    SET lease_id = NULL, leased_until = NULL, again = false, cause = 'lease_lapsed', lapses = q.lapses + 1,
        attempt = q.attempt + CAST(q.lapses >= :suspect AS int)
    FROM lapsed
    WHERE q.kind = lapsed.kind AND q.message_id = lapsed.message_id AND q.location_id = lapsed.location_id
""")


def release_lapsed(connection: Connection) -> int:
    """Return the items of lost workers to the queue; return how many.

    Nobody knows which of them was begun, so only a suspect, which was fetched alone, spends an attempt.
    """
    return connection.execute(RELEASE_LAPSED, {"suspect": SUSPECT}).rowcount


# One index probe for each location: a join might read the whole queue.
DUE_LOCATIONS = text("""
    SELECT location_id, lapses FROM unnest(CAST(:locations AS text[])) WITH ORDINALITY AS asked (location_id, place)
    CROSS JOIN LATERAL (
        SELECT q.lapses FROM etl.message_queue AS q
        WHERE q.kind = :kind AND q.location_id = asked.location_id AND q.lease_id IS NULL AND q.scheduled_at <= now()
        ORDER BY q.priority DESC, q.scheduled_at LIMIT 1
    ) AS due
    ORDER BY place
""")


def due_locations(connection: Connection, locations: Sequence[str], *, kind: str) -> dict[str, bool]:
    """Return the locations with a due item, in the same order, and whether that item is a suspect."""
    if not locations:
        return {}
    found = connection.execute(DUE_LOCATIONS, {"locations": list(locations), "kind": kind})
    return {row.location_id: row.lapses >= SUSPECT for row in found}
