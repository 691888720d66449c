"""Claims items under a lease, renews leases, and releases the items of lost workers.

Why: docs/decisions, "Each claim has a number that is never used again".
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, TextClause, text

from etl.state.message_queue.items import SUSPECT, Backlog, Item

# A loose index scan: one probe for each location, however many items it has. The cursor makes it a round robin.
NEXT = """
    WITH RECURSIVE next (location_id, place) AS (
        (SELECT location_id, 1 FROM etl.message_queue
         WHERE kind = :kind AND lease_id IS NULL AND location_id {beyond} :after
         ORDER BY location_id LIMIT 1)
        UNION ALL
        (SELECT found.location_id, next.place + 1
         FROM next, LATERAL (
             SELECT location_id FROM etl.message_queue
             WHERE kind = :kind AND lease_id IS NULL AND location_id > next.location_id
             ORDER BY location_id LIMIT 1) AS found
         WHERE next.place < :limit)
    )
"""
GIVEN = """
    WITH next (location_id, place) AS (SELECT * FROM unnest(CAST(:locations AS text[])) WITH ORDINALITY)
"""
# One index probe for each location: a join might read the whole queue.
DUE = """
    , page AS MATERIALIZED (
        SELECT location_id FROM next WHERE location_id NOT IN (SELECT unnest(CAST(:skipped AS text[])))
        ORDER BY place LIMIT :most
    ), due AS MATERIALIZED (
        SELECT location_id, item.lapses FROM page CROSS JOIN LATERAL (
            SELECT q.lapses FROM etl.message_queue AS q
            WHERE q.kind = :kind AND q.location_id = page.location_id AND q.lease_id IS NULL AND q.scheduled_at <= now()
            ORDER BY q.priority DESC, q.scheduled_at LIMIT 1
        ) AS item
    )
    SELECT location_id, lapses FROM next LEFT JOIN due USING (location_id) ORDER BY place
"""
FIRST_LOCATIONS, NEXT_LOCATIONS, THESE_LOCATIONS = (
    text(which + DUE) for which in (NEXT.format(beyond=">="), NEXT.format(beyond=">"), GIVEN)
)


def waiting_locations(
    connection: Connection, *, kind: str, after: str | None, most: int, skipped: Collection[str] = ()
) -> dict[str, bool | None]:
    """Return locations that have waiting items, by id, beyond ``after`` (None: from the first).

    Up to ``most``, and those of the ``skipped`` among them. With each, whether its next due item is a suspect; None:
    nothing is due, or it is skipped. Costs two index probes a location, whatever the number of items.
    """
    statement = FIRST_LOCATIONS if after is None else NEXT_LOCATIONS
    limit = {"limit": most + len(skipped), "most": most, "skipped": list(skipped)}
    return _suspicions(connection, statement, {"kind": kind, "after": after or "", **limit})


def due_locations(connection: Connection, locations: Sequence[str], *, kind: str) -> dict[str, bool | None]:
    """Return the same of these locations, in their order."""
    given = {"locations": list(locations), "most": len(locations), "skipped": []}
    return _suspicions(connection, THESE_LOCATIONS, {"kind": kind, **given})


def _suspicions(connection: Connection, statement: TextClause, given: dict[str, Any]) -> dict[str, bool | None]:
    rows = connection.execute(statement, given).all()
    return {location_id: None if lapses is None else lapses >= SUSPECT for location_id, lapses in rows}


def backlogs(connection: Connection, locations: Sequence[str], *, most: int | None) -> list[Backlog]:
    """Return which of the next ``most`` due items of each location (None: of all) an export could fetch together."""
    query = text("""
        SELECT asked.location_id, date_trunc('hour', due.dated_at) AS hour, count(*) AS items
        FROM unnest(CAST(:locations AS text[])) AS asked (location_id)
        CROSS JOIN LATERAL (
            SELECT dated_at FROM etl.message_queue AS q
            WHERE q.kind = 'message' AND q.location_id = asked.location_id AND q.lease_id IS NULL
              AND q.scheduled_at <= now()
            ORDER BY q.priority DESC, q.scheduled_at LIMIT CAST(:most AS bigint)
        ) AS due
        WHERE isfinite(due.dated_at) GROUP BY 1, 2 ORDER BY 1, 2
    """)
    rows = connection.execute(query, {"locations": list(locations), "most": most})
    return [Backlog(**row) for row in rows.mappings()]


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
    """Put the items of killed workers back into the queue; return how many.

    It is not known which of them were being fetched. So only a suspect, which was fetched alone, spends an attempt.
    """
    return connection.execute(RELEASE_LAPSED, {"suspect": SUSPECT}).rowcount
