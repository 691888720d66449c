"""Works the marts out from messages and emails: turns, totals of conversations and of days. Nothing here commits.

Every figure is worked out from all messages of its conversation or day, and written only where it differs. A statement
stays within one location. Counted is what was exchanged with the contact, is not deleted, and is dated from the year
2000 to a day ahead.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, TextClause, text

from etl.load.upsert import Key, replace
from etl.models import Base, ConversationTotal, DailyTotal, DeliveryTotal, Turn
from etl.state.mart_changes import Change

CONVERSATIONS_AT_ONCE = 500
DAYS_AT_ONCE = 31

COUNTED = """
    m.with_contact AND m.deleted_at IS NULL
    AND m.date_added >= '2000-01-01 00:00:00Z' AND m.date_added <= now() + interval '1 day'
"""

# Backwards in time, so that what is still to come is counted as it goes. Of one instant, what answers comes last.
MESSAGES = f"""
    SELECT
        m.location_id, m.conversation_id, m.contact_id, m.message_id, m.email_id, m.channel, m.direction, m.date_added,
        m.local_time, m.local_day, m.sent_by, m.user_id, m.awaits_answer, m.is_answer,
        m.sent_by IN ('human', 'contact') AS by_human,
        row_number() OVER backwards AS nth,
        count(*) FILTER (WHERE m.is_answer) OVER backwards AS answers,
        count(*) FILTER (WHERE m.is_answer AND m.sent_by IN ('human', 'contact')) OVER backwards AS human_answers
    FROM highlevel.messages_flat AS m
    WHERE m.location_id = :location_id AND m.conversation_id = ANY(CAST(:conversation_ids AS text[])) AND {COUNTED}
    WINDOW backwards AS (
        PARTITION BY m.location_id, m.conversation_id
        ORDER BY m.date_added DESC, m.is_answer DESC, m.message_id DESC, m.email_id DESC ROWS UNBOUNDED PRECEDING
    )
"""  # noqa: S608 - constants

CONVERSATIONS = text(f"""
    SELECT
        m.location_id,
        m.conversation_id,
        max(m.contact_id) FILTER (WHERE m.nth = 1) AS contact_id,
        min(m.date_added) AS first_date_added,
        max(m.date_added) AS last_date_added,
        max(m.local_time) FILTER (WHERE m.nth = 1) AS last_local_time,
        max(m.local_day) FILTER (WHERE m.nth = 1) AS last_local_day,
        count(*) AS messages,
        count(*) FILTER (WHERE m.direction = 'inbound') AS inbound,
        count(*) FILTER (WHERE m.direction = 'outbound') AS outbound,
        max(m.channel) FILTER (WHERE m.nth = 1) AS last_channel,
        max(m.direction) FILTER (WHERE m.nth = 1) AS last_direction,
        max(m.sent_by) FILTER (WHERE m.nth = 1) AS last_sent_by,
        max(m.message_id) FILTER (WHERE m.nth = 1) AS last_message_id,
        min(m.date_added) FILTER (WHERE m.awaits_answer AND m.answers = 0) AS waiting_since,
        min(m.date_added) FILTER (WHERE m.awaits_answer AND m.human_answers = 0) AS waiting_for_human_since
    FROM ({MESSAGES}) AS m
    GROUP BY m.location_id, m.conversation_id
""")  # noqa: S608

# A turn begins with what awaits an answer and follows nothing that does. Its answer is the one of the same number: so
# many answers are still to come.
TURNS = text(f"""
    WITH m AS (
        SELECT m.*, lead(m.awaits_answer) OVER (PARTITION BY m.location_id, m.conversation_id ORDER BY m.nth)
            AS follows_request
        FROM ({MESSAGES}) AS m
        WHERE m.awaits_answer OR m.is_answer
    )
    SELECT
        m.location_id,
        m.conversation_id,
        m.date_added,
        m.contact_id,
        m.message_id,
        m.email_id,
        m.channel,
        m.local_time,
        m.local_day,
        date_trunc('month', m.local_time)::date AS local_month,
        a.date_added AS answered_at,
        a.message_id AS answer_message_id,
        a.email_id AS answer_email_id,
        a.channel AS answer_channel,
        a.sent_by AS answered_by,
        h.date_added AS human_answered_at,
        h.user_id
    FROM m
    LEFT JOIN m AS a
        ON a.location_id = m.location_id AND a.conversation_id = m.conversation_id AND a.is_answer
        AND a.answers = m.answers
    LEFT JOIN m AS h
        ON h.location_id = m.location_id AND h.conversation_id = m.conversation_id AND h.is_answer AND h.by_human
        AND h.human_answers = m.human_answers
    WHERE m.awaits_answer AND m.follows_request IS NOT TRUE
""")  # noqa: S608

# An hour of room, because a midnight may come twice; local_day decides.
OF_DAYS = f"""
    FROM unnest(CAST(:days AS date[])) AS d (day)
    CROSS JOIN LATERAL (
        SELECT * FROM highlevel.messages_flat AS m
        WHERE
            m.location_id = :location_id AND m.local_day = d.day
            AND m.date_added >= timezone(:time_zone, d.day::timestamp) - interval '1 hour'
            AND m.date_added < timezone(:time_zone, d.day + interval '1 day') + interval '1 hour' AND {COUNTED}
    ) AS m
"""  # noqa: S608

DAYS = text(f"""
    SELECT
        m.location_id, m.local_day,
        row_number() OVER (PARTITION BY m.location_id, m.local_day ORDER BY m.channel, m.direction, m.source, m.sent_by)
            AS position,
        m.channel, m.direction, m.source, m.sent_by,
        count(*) AS messages,
        count(DISTINCT m.contact_id) AS contacts
    {OF_DAYS}
    GROUP BY m.location_id, m.local_day, m.channel, m.direction, m.source, m.sent_by
""")

DELIVERY = text(f"""
    SELECT
        m.location_id, m.local_day,
        row_number() OVER (PARTITION BY m.location_id, m.local_day ORDER BY m.channel, m.source, m.sent_by, m.error)
            AS position,
        m.channel, m.source, m.sent_by, m.error,
        count(*) AS messages,
        count(*) FILTER (WHERE m.status IN ('pending', 'queued', 'scheduled')) AS waiting,
        count(*) FILTER (WHERE m.status IN ('sent', 'delivered', 'read', 'opened', 'clicked')) AS sent,
        count(*) FILTER (WHERE m.status IN ('delivered', 'read', 'opened', 'clicked')) AS delivered,
        count(*) FILTER (WHERE m.status IN ('read', 'opened', 'clicked')) AS opened,
        count(*) FILTER (WHERE m.status IN ('failed', 'undelivered')) AS failed
    {OF_DAYS}
    WHERE m.direction = 'outbound' AND m.channel <> 'Call'
    GROUP BY m.location_id, m.local_day, m.channel, m.source, m.sent_by, m.error
""")

FROM_CONVERSATIONS: dict[type[Base], TextClause] = {Turn: TURNS, ConversationTotal: CONVERSATIONS}
FROM_DAYS: dict[type[Base], TextClause] = {DailyTotal: DAYS, DeliveryTotal: DELIVERY}


@dataclass(slots=True)
class Part:
    """What has to be worked out of a location."""

    location_id: str
    time_zone: str
    conversation_ids: set[str] = field(default_factory=set)
    days: set[date] = field(default_factory=set)


def work_out(connection: Connection, part: Part) -> set[tuple[type[Base], Key]]:
    """Bring the marts to what messages and emails say; returns the tables and keys of what differed."""
    # The statements read few rows of wide views: to compile them takes longer.
    connection.execute(text("SET LOCAL jit = off"))
    given: dict[str, Any] = {"location_id": part.location_id, "time_zone": part.time_zone}
    differed: set[tuple[type[Base], Key]] = set()
    for ids in _batches(part.conversation_ids, CONVERSATIONS_AT_ONCE):
        for table, query in FROM_CONVERSATIONS.items():
            keys = _replace(connection, table, query, ids, {"conversation_ids": ids, **given})
            differed |= {(table, key) for key in keys}
    for days in _batches(part.days, DAYS_AT_ONCE):
        for table, query in FROM_DAYS.items():
            keys = _replace(connection, table, query, days, {"days": days, **given})
            differed |= {(table, key) for key in keys}
    return differed


def _replace(
    connection: Connection, table: type[Base], query: TextClause, ids: Sequence[Any], given: dict[str, Any]
) -> set[Key]:
    rows = [dict(row) for row in connection.execute(query, given).mappings()]
    parents = {(given["location_id"], id_) for id_ in ids}
    return replace(connection, table, parents, rows, now=datetime.now(UTC))  # noqa: TID251 - these tables have no times


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(sorted(values))
    while batch := list(islice(rest, size)):
        yield batch


NAMED = text("""
    SELECT conversation_id, date_added FROM highlevel.messages
    WHERE location_id = :location_id AND message_id = ANY(CAST(:message_ids AS text[]))
    UNION ALL
    SELECT conversation_id, date_added FROM highlevel.emails
    WHERE location_id = :location_id AND message_id = ANY(CAST(:message_ids AS text[]))
""")
DAYS_OF = text("""
    SELECT DISTINCT timezone(:time_zone, given.moment)::date
    FROM unnest(CAST(:moments AS timestamptz[])) AS given (moment)
    WHERE given.moment BETWEEN '1999-12-31 00:00:00Z' AND now() + interval '2 days'
""")


def parts(connection: Connection, changes: Iterable[Change]) -> list[Part]:
    """Return what has to be worked out anew because of some changes."""
    by_location: dict[str, list[Change]] = {}
    for change in changes:
        by_location.setdefault(change.location_id, []).append(change)
    zones = time_zones(connection, by_location)
    return [_part(connection, own, Part(name, zones[name])) for name, own in by_location.items()]


def _part(connection: Connection, changes: Sequence[Change], part: Part) -> Part:
    message_ids = [change.message_id for change in changes if change.message_id]
    touched = [(change.conversation_id, change.happened_at) for change in changes]
    if message_ids:
        named = {"location_id": part.location_id, "message_ids": message_ids}
        touched += [tuple(row) for row in connection.execute(NAMED, named)]
    part.conversation_ids = {conversation_id for conversation_id, _ in touched if conversation_id is not None}
    moments = [moment for _, moment in touched if moment is not None]
    given = {"time_zone": part.time_zone, "moments": moments}
    part.days = set(connection.execute(DAYS_OF, given).scalars()) if moments else set()
    return part


DEFAULT_ZONE = text("SELECT coalesce((SELECT default_time_zone FROM highlevel.settings), 'UTC')")
ZONES = text("""
    SELECT l.location_id, coalesce(z.known_as, z.time_zone) AS time_zone
    FROM highlevel.locations AS l JOIN highlevel.time_zones AS z ON z.time_zone = l.time_zone
    WHERE l.location_id = ANY(CAST(:location_ids AS text[]))
""")


def time_zones(connection: Connection, location_ids: Collection[str]) -> dict[str, str]:
    """Return the zone in which the days of each of the locations are told, as in ``highlevel.location_time_zones``."""
    default = connection.execute(DEFAULT_ZONE).scalar_one()
    own = connection.execute(ZONES, {"location_ids": list(location_ids)})
    return dict.fromkeys(location_ids, default) | {row.location_id: row.time_zone for row in own}


ALL_CONVERSATIONS = text("""
    SELECT conversation_id FROM highlevel.messages WHERE location_id = :location_id AND conversation_id IS NOT NULL
    UNION SELECT conversation_id FROM highlevel.emails WHERE location_id = :location_id AND conversation_id IS NOT NULL
    UNION SELECT conversation_id FROM highlevel.conversation_totals WHERE location_id = :location_id
    UNION SELECT conversation_id FROM highlevel.turns WHERE location_id = :location_id
""")
ALL_DAYS = text("""
    SELECT min(date_added) AS first_at, max(date_added) AS last_at FROM highlevel.messages
    WHERE location_id = :location_id AND date_added BETWEEN '2000-01-01 00:00:00Z' AND now() + interval '1 day'
    UNION ALL
    SELECT min(date_added), max(date_added) FROM highlevel.emails
    WHERE location_id = :location_id AND date_added BETWEEN '2000-01-01 00:00:00Z' AND now() + interval '1 day'
    UNION ALL
    SELECT min(local_day), max(local_day) FROM highlevel.daily_totals WHERE location_id = :location_id
    UNION ALL
    SELECT min(local_day), max(local_day) FROM highlevel.delivery_totals WHERE location_id = :location_id
""")


def everything(connection: Connection, location_id: str) -> list[Change]:
    """All of a location, in pieces: each conversation, and a noon in each day from the first message to the last."""
    given = {"location_id": location_id}
    ids = connection.execute(ALL_CONVERSATIONS, given).scalars()
    changes = [Change(location_id, conversation_id=id_) for id_ in ids]
    spans = [row for row in connection.execute(ALL_DAYS, given) if row.first_at is not None]
    if spans:
        # In some zones, noon by UTC is in the next day.
        first = min(row.first_at for row in spans).date() - timedelta(days=1)
        last = max(row.last_at for row in spans).date() + timedelta(days=1)
        noons = (datetime.combine(first, time(12), UTC) + timedelta(days=n) for n in range((last - first).days + 1))
        changes += [Change(location_id, happened_at=noon) for noon in noons]
    return changes


def locations(connection: Connection) -> list[str]:
    """Return the locations that have messages, emails, or something in the marts."""
    query = text("""
        SELECT location_id FROM highlevel.messages UNION SELECT location_id FROM highlevel.emails
        UNION SELECT location_id FROM highlevel.conversation_totals UNION SELECT location_id FROM highlevel.daily_totals
    """)
    return sorted(connection.execute(query).scalars())


def set_as_of(connection: Connection) -> None:
    """Note that everything is worked out which was loaded before this transaction."""
    connection.execute(text("UPDATE highlevel.marts SET as_of = now()"))


def as_of(connection: Connection) -> datetime | None:
    """When that was; None while the marts are filled for the first time."""
    moment: datetime | None = connection.execute(text("SELECT as_of FROM highlevel.marts")).scalar()
    return moment
