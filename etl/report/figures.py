"""What the report shows, counted by the views; reads no customer's words, numbers, addresses or name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, TextClause, text

Row = Mapping[str, Any]

SPANS = ((92, "day"), (730, "week"))
"""Up to so many days a bar is a day, or a week; a longer time is shown in months."""

STALEST = 20
"""Locations shown of those that were loaded longest ago."""


@dataclass(frozen=True, slots=True)
class Period:
    """The days that are shown, each in its location's own time zone, and what one bar of time is."""

    since: date
    until: date
    bar: str

    @classmethod
    def of(cls, since: date, until: date) -> "Period":
        """Return the period with bars that are not too many to see."""
        days = (until - since).days
        return cls(since, until, next((bar for most, bar in SPANS if days <= most), "month"))

    def bars(self) -> list[date]:
        """Return the first day of each bar, also of those that stay empty."""
        days = (self.since + timedelta(days=each) for each in range((self.until - self.since).days + 1))
        return sorted({self._begin(day) for day in days})

    def _begin(self, day: date) -> date:
        """As date_trunc of Postgres does it: weeks begin on Monday."""
        return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[self.bar]


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is shown."""

    period: Period
    locations: Sequence[Row]
    volume: Sequence[Row]
    responses: Sequence[Row]
    waits: Row
    delivery: Sequence[Row]
    calls: Sequence[Row]
    freshness: Sequence[Row]
    taken_at: datetime


LOCATIONS = text("""
    SELECT location_id, coalesce(location_name, location_id) AS name
    FROM highlevel.location_time_zones
    WHERE location_id = :location_id OR CAST(:location_id AS text) IS NULL
    ORDER BY name, location_id
""")

DAYS = text("""
    SELECT min(d.local_day) FILTER (WHERE d.local_day >= :since) AS since, max(d.local_day) AS until,
           coalesce(bool_or(d.channel = 'Call' AND d.answered_calls IS NULL), false) AS is_behind
    FROM highlevel.daily_messages AS d
    WHERE d.location_id = :location_id OR CAST(:location_id AS text) IS NULL
""")

VOLUME = text("""
    SELECT date_trunc(:bar, d.local_day)::date AS day, d.channel,
           sum(d.messages) AS messages,
           coalesce(sum(d.messages) FILTER (WHERE d.direction = 'inbound'), 0) AS inbound,
           coalesce(sum(d.messages) FILTER (WHERE d.direction = 'outbound'), 0) AS outbound
    FROM highlevel.daily_messages AS d
    WHERE (d.location_id = :location_id OR CAST(:location_id AS text) IS NULL) AND d.local_day BETWEEN :since AND :until
    GROUP BY 1, 2 ORDER BY 1, 2
""")

# The index is on date_added; a day of room, because local days begin up to 14 hours before or after those of UTC.
RESPONSES = text("""
    SELECT CASE
               WHEN r.answered_at IS NULL THEN 'no answer yet'
               WHEN r.answered_at - r.date_added <= interval '5 minutes' THEN 'up to 5 min'
               WHEN r.answered_at - r.date_added <= interval '1 hour' THEN 'up to 1 h'
               WHEN r.answered_at - r.date_added <= interval '4 hours' THEN 'up to 4 h'
               WHEN r.answered_at - r.date_added <= interval '24 hours' THEN 'up to 1 day'
               ELSE 'later'
           END AS wait,
           CASE
               WHEN r.answered_by IS NULL THEN 'nobody'
               WHEN r.answered_by IN ('workflow', 'campaign', 'ai') THEN 'automatic'
               WHEN r.answered_by IN ('human', 'contact') THEN 'human'
               ELSE 'not known'
           END AS answered_by,
           count(*) AS turns
    FROM highlevel.response_times AS r
    WHERE (r.location_id = :location_id OR CAST(:location_id AS text) IS NULL)
          AND r.date_added >= CAST(:since AS date) - 1 AND r.local_day BETWEEN :since AND :until
    GROUP BY 1, 2
""")

WAITS = text("""
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.response_seconds) AS median,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY r.human_response_seconds) AS median_human
    FROM highlevel.response_times AS r
    WHERE (r.location_id = :location_id OR CAST(:location_id AS text) IS NULL)
          AND r.date_added >= CAST(:since AS date) - 1 AND r.local_day BETWEEN :since AND :until
""")

DELIVERY = text("""
    SELECT d.channel,
           sum(d.messages) AS messages,
           sum(d.opened) AS opened,
           sum(d.delivered - d.opened) AS delivered,
           sum(d.sent - d.delivered) AS sent,
           sum(d.waiting) AS waiting,
           sum(d.failed) AS failed,
           sum(d.other) AS other
    FROM highlevel.delivery AS d
    WHERE (d.location_id = :location_id OR CAST(:location_id AS text) IS NULL) AND d.local_day BETWEEN :since AND :until
    GROUP BY 1 ORDER BY 2 DESC, 1
""")

CALLS = text("""
    SELECT date_trunc(:bar, d.local_day)::date AS day, o.outcome, sum(o.calls) AS calls,
           sum(CASE WHEN o.outcome = 'answered' THEN d.answered_seconds ELSE 0 END) AS seconds
    FROM highlevel.daily_messages AS d
    CROSS JOIN LATERAL (VALUES
        ('answered', d.answered_calls), ('missed', d.missed_calls), ('voicemail', d.voicemails),
        ('unknown', d.messages - d.answered_calls - d.missed_calls - d.voicemails)
    ) AS o (outcome, calls)
    WHERE (d.location_id = :location_id OR CAST(:location_id AS text) IS NULL) AND d.local_day BETWEEN :since AND :until
          AND o.calls > 0
    GROUP BY 1, 2 ORDER BY 1, 2
""")

FRESHNESS = text("""
    SELECT z.location_id, coalesce(z.location_name, z.location_id) AS name, n.date_added, n.created_at
    FROM (SELECT location_id, location_name FROM highlevel.daily_messages GROUP BY 1, 2) AS z
    CROSS JOIN LATERAL (
        SELECT m.date_added, m.created_at FROM highlevel.messages AS m
        WHERE m.location_id = z.location_id AND m.date_added <= now() + interval '1 day'
        ORDER BY m.date_added DESC LIMIT 1
    ) AS n
    WHERE z.location_id = :location_id OR CAST(:location_id AS text) IS NULL
    ORDER BY n.date_added, name LIMIT :stalest
""")


def locations(connection: Connection, *, location_id: str | None) -> list[Row]:
    """Return the locations that have messages, or the one that was asked for; empty when it has none."""
    return [row._asdict() for row in connection.execute(LOCATIONS, {"location_id": location_id})]


def days(connection: Connection, *, location_id: str | None, since: date) -> tuple[date | None, date | None, bool]:
    """Return the first day with messages since then, the last of all, and whether calls are still to be counted."""
    row = connection.execute(DAYS, {"location_id": location_id, "since": since}).one()
    return row.since, row.until, row.is_behind


def read(connection: Connection, locations: Sequence[Row], period: Period, *, location_id: str | None) -> Figures:
    """Return the figures of a period; in one transaction, so that they agree if it is a REPEATABLE READ."""
    # To compile these takes longer than to read what they read.
    connection.execute(text("SET LOCAL jit = off"))
    parameters = {"location_id": location_id, "since": period.since, "until": period.until, "bar": period.bar}

    def rows(query: TextClause, **more: Any) -> list[Row]:
        return [row._asdict() for row in connection.execute(query, parameters | more)]

    return Figures(
        period=period,
        locations=locations,
        volume=rows(VOLUME),
        responses=rows(RESPONSES),
        waits=rows(WAITS)[0],
        delivery=rows(DELIVERY),
        calls=rows(CALLS),
        freshness=rows(FRESHNESS, stalest=STALEST),
        taken_at=datetime.now(UTC),
    )
