"""Counts the marts from messages and emails: turns, totals of conversations and of days. Nothing here commits.

Every figure is counted from all messages of its conversation or day, and written only if it differs. A statement stays
within one location. A message counts if it is from or to the contact, is not deleted, and is dated between the year
2000 and a day ahead.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, select, text, union

from etl.database.connections import moment_of
from etl.load.clocks import Clock, clocks, open_time
from etl.load.upsert import Key, replace
from etl.models import Base, ConversationTotal, DailyTotal, DeliveryTotal, Email, Message, Turn, UserTotal
from etl.models.record import Row
from etl.state.mart_changes import Change

CONVERSATIONS_AT_ONCE = 500
DAYS_AT_ONCE = 31

COUNTED = """
    m.with_contact AND m.deleted_at IS NULL
    AND m.date_added >= '2000-01-01 00:00:00Z' AND m.date_added <= now() + interval '1 day'
"""

# Numbered backwards in time: so many answers are still to come, the message's own counted. Of one instant, what answers
# comes last. Messages of one number are an answer and what came before it since the answer before; those of them that
# await an answer are one turn. Returns the last message of each conversation, and the first one of each turn.
CONVERSATIONS = text(f"""
    WITH m AS (
        SELECT
            m.*,
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
    )
    SELECT * FROM (
        SELECT
            m.location_id,
            m.conversation_id,
            m.nth = 1 AS is_last,
            m.awaits_answer AND m.nth = max(m.nth) FILTER (WHERE m.awaits_answer) OVER same_answer AS is_turn,
            m.contact_id,
            m.message_id,
            m.email_id,
            m.channel,
            m.direction,
            m.sent_by,
            m.date_added,
            m.local_time,
            m.local_day,
            date_trunc('month', m.local_time)::date AS local_month,
            CASE WHEN m.answers > 0 THEN first_value(m.date_added) OVER same_answer END AS answered_at,
            CASE WHEN m.answers > 0 THEN first_value(m.message_id) OVER same_answer END AS answer_message_id,
            CASE WHEN m.answers > 0 THEN first_value(m.email_id) OVER same_answer END AS answer_email_id,
            CASE WHEN m.answers > 0 THEN first_value(m.channel) OVER same_answer END AS answer_channel,
            CASE WHEN m.answers > 0 THEN first_value(m.sent_by) OVER same_answer END AS answered_by,
            CASE WHEN m.human_answers > 0 THEN first_value(m.date_added) OVER same_human END AS human_answered_at,
            CASE WHEN m.human_answers > 0 THEN first_value(m.user_id) OVER same_human END AS user_id,
            min(m.date_added) OVER of_conversation AS first_date_added,
            count(*) OVER of_conversation AS messages,
            count(*) FILTER (WHERE m.direction = 'inbound') OVER of_conversation AS inbound,
            count(*) FILTER (WHERE m.direction = 'outbound') OVER of_conversation AS outbound,
            min(m.date_added) FILTER (WHERE m.awaits_answer AND m.answers = 0) OVER of_conversation AS waiting_since,
            min(m.date_added) FILTER (WHERE m.awaits_answer AND m.human_answers = 0) OVER of_conversation
                AS waiting_for_human_since
        FROM m
        WINDOW
            of_conversation AS (PARTITION BY m.location_id, m.conversation_id),
            same_answer AS (
                PARTITION BY m.location_id, m.conversation_id, m.answers ORDER BY m.nth
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ),
            same_human AS (PARTITION BY m.location_id, m.conversation_id, m.human_answers ORDER BY m.nth)
    ) AS m
    WHERE m.is_last OR m.is_turn
""")  # noqa: S608 - constants

# Each day thrice: by direction; where there is one, by user; and for what was sent, without calls, by error. An hour of
# room, because a midnight may come twice; local_day decides.
DAYS = text(f"""
    SELECT
        m.location_id, m.local_day,
        CASE
            WHEN grouping(m.user_id) = 0 THEN 'user' WHEN grouping(m.direction) = 0 THEN 'day' ELSE 'delivery'
        END AS total,
        row_number() OVER (
            PARTITION BY m.location_id, m.local_day, grouping(m.direction, m.user_id)
            ORDER BY m.channel, m.direction, m.source, m.sent_by, m.error, m.user_id
        ) AS position,
        m.channel, m.direction, m.source, m.sent_by, m.error, m.user_id,
        count(*) FILTER (WHERE m.is_sending) AS sendings,
        count(*) AS messages,
        count(DISTINCT m.contact_id) AS contacts,
        CASE WHEN m.channel = 'Call' THEN count(*) FILTER (WHERE m.call_outcome = 'answered') END AS answered_calls,
        CASE WHEN m.channel = 'Call' THEN count(*) FILTER (WHERE m.call_outcome = 'missed') END AS missed_calls,
        CASE WHEN m.channel = 'Call' THEN count(*) FILTER (WHERE m.call_outcome = 'voicemail') END AS voicemails,
        CASE WHEN m.channel = 'Call' THEN
            coalesce(sum(m.call_duration) FILTER (WHERE m.call_outcome = 'answered'), 0)
        END AS answered_seconds,
        count(*) FILTER (WHERE m.is_sending AND m.status IN ('pending', 'queued', 'scheduled')) AS waiting,
        count(*) FILTER (WHERE m.is_sending AND m.status IN ('sent', 'delivered', 'read', 'opened', 'clicked')) AS sent,
        count(*) FILTER (WHERE m.is_sending AND m.status IN ('delivered', 'read', 'opened', 'clicked')) AS delivered,
        count(*) FILTER (WHERE m.is_sending AND m.status IN ('read', 'opened', 'clicked')) AS opened,
        count(*) FILTER (WHERE m.is_sending AND m.status IN ('failed', 'undelivered')) AS failed
    FROM (
        SELECT
            m.location_id, m.local_day, m.channel, m.direction, m.source, m.sent_by, m.error, m.status, m.contact_id,
            m.user_id, m.call_outcome, m.call_duration,
            m.direction = 'outbound' AND m.channel <> 'Call' AS is_sending
        FROM highlevel.messages_flat AS m
        WHERE
            m.location_id = :location_id AND m.local_day = ANY(CAST(:days AS date[]))
            AND m.date_added >= timezone(:time_zone, CAST(:first AS timestamp)) - interval '1 hour'
            AND m.date_added < timezone(:time_zone, CAST(:last AS timestamp) + interval '1 day') + interval '1 hour'
            AND {COUNTED}
        -- Citus groups so only what it has fetched before.
        OFFSET 0
    ) AS m
    GROUP BY GROUPING SETS (
        (m.location_id, m.local_day, m.channel, m.source, m.sent_by, m.direction),
        (m.location_id, m.local_day, m.channel, m.sent_by, m.direction, m.user_id),
        (m.location_id, m.local_day, m.channel, m.source, m.sent_by, m.error)
    )
    HAVING
        (grouping(m.user_id) = 1 OR m.user_id IS NOT NULL)
        AND (grouping(m.direction) = 0 OR count(*) FILTER (WHERE m.is_sending) > 0)
""")  # noqa: S608

OF_LAST = {
    "last_date_added": "date_added",
    "last_local_time": "local_time",
    "last_local_day": "local_day",
    "last_channel": "channel",
    "last_direction": "direction",
    "last_sent_by": "sent_by",
    "last_message_id": "message_id",
}
"""Columns of a conversation's totals that are those of its last message."""


@dataclass(slots=True)
class Part:
    """What the job has to count anew at a location."""

    location_id: str
    clock: Clock
    conversation_ids: set[str] = field(default_factory=set)
    days: set[date] = field(default_factory=set)
    ahead: list[Change] = field(default_factory=list)
    """Changes that are counted later, because they are dated in the future."""


def work_out(connection: Connection, part: Part) -> set[tuple[type[Base], Key]]:
    """Bring the marts to what messages and emails say; returns the tables and keys of what differed."""
    # The statements read few rows of wide views: to compile them takes longer, also on nodes of Citus.
    connection.execute(text("SET LOCAL citus.propagate_set_commands = 'local'; SET LOCAL jit = off"))
    differed: set[tuple[type[Base], Key]] = set()
    conversation_ids = sorted(part.conversation_ids)
    for start in range(0, len(conversation_ids), CONVERSATIONS_AT_ONCE):
        ids = conversation_ids[start : start + CONVERSATIONS_AT_ONCE]
        given = {"location_id": part.location_id, "conversation_ids": ids}
        rows = [dict(row) for row in connection.execute(CONVERSATIONS, given).mappings()]
        last = [row | {name: row[own] for name, own in OF_LAST.items()} for row in rows if row["is_last"]]
        differed |= _replace(connection, ConversationTotal, part, ids, last)
        turns = _with_open_time(connection, part, [row for row in rows if row["is_turn"]])
        differed |= _replace(connection, Turn, part, ids, turns)
    for days in _runs(part.days):
        asked = {"days": days, "first": days[0], "last": days[-1], "time_zone": part.clock.time_zone}
        found = connection.execute(DAYS, {"location_id": part.location_id, **asked})
        rows = [dict(row) for row in found.mappings()]
        sent = [row | {"messages": row["sendings"]} for row in rows if row["total"] == "delivery"]
        differed |= _replace(connection, DeliveryTotal, part, days, sent)
        differed |= _replace(connection, DailyTotal, part, days, [row for row in rows if row["total"] == "day"])
        differed |= _replace(connection, UserTotal, part, days, [row for row in rows if row["total"] == "user"])
    return differed


def _with_open_time(connection: Connection, part: Part, turns: Sequence[Row]) -> list[Row]:
    ends = {"open_seconds": "answered_at", "human_open_seconds": "human_answered_at"}
    moments = [row[name] for row in turns for name in ("date_added", *ends.values())]
    was_open = open_time(connection, part.location_id, part.clock.time_zone, moments)
    return [
        {**row, **{name: was_open and was_open.seconds(row["date_added"], row[end]) for name, end in ends.items()}}
        for row in turns
    ]


def _replace(
    connection: Connection, table: type[Base], part: Part, ids: Sequence[Any], rows: Sequence[Row]
) -> set[tuple[type[Base], Key]]:
    """Make these rows all that a table has of conversations or days."""
    own = [{column.name: row[column.name] for column in table.__table__.columns} for row in rows]
    # None of these tables has a time of its own.
    now = datetime.now(UTC)  # noqa: TID251
    return {(table, key) for key in replace(connection, table, {(part.location_id, id_) for id_ in ids}, own, now=now)}


def _runs(days: Iterable[date]) -> Iterator[list[date]]:
    """Yield the days, those together that follow one another, up to a month of them."""
    run: list[date] = []
    for day in sorted(days):
        if run and (len(run) == DAYS_AT_ONCE or day - run[-1] > timedelta(days=1)):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


NAMED = text("""
    SELECT conversation_id, date_added, date_added > now() + interval '1 day' AS is_ahead, message_id
    FROM highlevel.messages WHERE location_id = :location_id AND message_id = ANY(CAST(:message_ids AS text[]))
    UNION ALL SELECT conversation_id, date_added, date_added > now() + interval '1 day', message_id
    FROM highlevel.emails WHERE location_id = :location_id AND message_id = ANY(CAST(:message_ids AS text[]))
""")
DAYS_OF = text("""
    SELECT DISTINCT timezone(:time_zone, given.moment)::date
    FROM unnest(CAST(:moments AS timestamptz[])) AS given (moment)
    WHERE given.moment BETWEEN '1999-12-31 00:00:00Z' AND now() + interval '2 days'
""")


def parts(connection: Connection, changes: Iterable[Change]) -> list[Part]:
    """Return what these changes make the job count anew."""
    by_location: dict[str, list[Change]] = {}
    for change in changes:
        by_location.setdefault(change.location_id, []).append(change)
    of_location = clocks(connection, by_location)
    return [_part(connection, own, Part(name, of_location[name])) for name, own in by_location.items()]


def _part(connection: Connection, changes: Sequence[Change], part: Part) -> Part:
    touched = [(change.conversation_id, change.happened_at) for change in changes]
    if message_ids := [change.message_id for change in changes if change.message_id]:
        named = {"location_id": part.location_id, "message_ids": message_ids}
        rows = connection.execute(NAMED, named).all()
        touched += [(row.conversation_id, row.date_added) for row in rows]
        part.ahead = [Change(part.location_id, row.message_id, None, row.date_added) for row in rows if row.is_ahead]
    part.conversation_ids = {conversation_id for conversation_id, _ in touched if conversation_id is not None}
    moments = [moment for _, moment in touched if moment is not None]
    given = {"time_zone": part.clock.time_zone, "moments": moments}
    part.days = set(connection.execute(DAYS_OF, given).scalars()) if moments else set()
    return part


ALL_DAYS = text("""
    SELECT min(date_added) AS first_at, max(date_added) AS last_at FROM highlevel.messages
    WHERE location_id = :location_id AND date_added BETWEEN '2000-01-01 00:00:00Z' AND now() + interval '1 day'
    UNION ALL SELECT min(date_added), max(date_added) FROM highlevel.emails
    WHERE location_id = :location_id AND date_added BETWEEN '2000-01-01 00:00:00Z' AND now() + interval '1 day'
    UNION ALL SELECT min(local_day), max(local_day) FROM highlevel.daily_totals WHERE location_id = :location_id
    UNION ALL SELECT min(local_day), max(local_day) FROM highlevel.delivery_totals WHERE location_id = :location_id
""")


def everything(connection: Connection, location_id: str) -> list[Change]:
    """All of a location, in pieces: each conversation, and a noon in each day from the first message to the last."""
    models: tuple[Any, ...] = Message, Email, ConversationTotal, Turn
    query = union(*(select(each.conversation_id).where(each.location_id == location_id) for each in models))
    conversation_ids = [id_ for id_ in connection.execute(query).scalars() if id_ is not None]
    changes = [Change(location_id, conversation_id=id_) for id_ in conversation_ids]
    spans = [row for row in connection.execute(ALL_DAYS, {"location_id": location_id}) if row.first_at is not None]
    if spans:
        # In some zones, noon by UTC is in the next day.
        first = min(row.first_at for row in spans).date() - timedelta(days=1)
        last = max(row.last_at for row in spans).date() + timedelta(days=1)
        noons = (datetime.combine(first, time(12), UTC) + timedelta(days=n) for n in range((last - first).days + 1))
        # The last day may have messages already while its noon lies too far ahead.
        moments = (*noons, moment_of(connection) + timedelta(days=1))
        changes += [Change(location_id, happened_at=moment) for moment in moments]
    return changes


def locations(connection: Connection) -> list[str]:
    """Return the locations that have messages, emails, or something in the marts."""
    query = union(*(select(model.location_id) for model in (Message, Email, ConversationTotal, DailyTotal)))
    return sorted(connection.execute(query).scalars())


def set_as_of(connection: Connection) -> None:
    """Note that everything loaded before this transaction is counted."""
    connection.execute(text("UPDATE highlevel.marts SET as_of = now()"))


def as_of(connection: Connection) -> datetime | None:
    """When that was; None while the marts are filled for the first time."""
    moment: datetime | None = connection.execute(text("SELECT as_of FROM highlevel.marts")).scalar()
    return moment
