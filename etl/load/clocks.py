"""The clock of a location's days, and its opening hours: how long it is open between two moments."""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

DEFAULT_ZONE = text(
    "SELECT coalesce((SELECT highlevel.known_zone(s.default_time_zone) FROM highlevel.settings AS s), 'UTC')"
)
ZONES = text("""
    SELECT l.location_id, highlevel.known_zone(coalesce(z.known_as, z.time_zone)) AS time_zone
    FROM highlevel.locations AS l JOIN highlevel.time_zones AS z ON z.time_zone = l.time_zone
    WHERE l.location_id = ANY(CAST(:location_ids AS text[]))
""")
HOURS = text("""
    SELECT location_id, string_agg(concat_ws(' ', weekday, opens, closes), ', ' ORDER BY weekday, opens) AS hours
    FROM highlevel.opening_hours WHERE location_id = ANY(CAST(:location_ids AS text[])) GROUP BY location_id
""")


class Clock(NamedTuple):
    """The clock and opening hours by which the marts of a location are counted."""

    time_zone: str
    """As in ``highlevel.location_time_zones``."""
    opening_hours: str | None
    """Those of ``highlevel.opening_hours`` in one text."""


def clocks(connection: Connection, location_ids: Collection[str]) -> dict[str, Clock]:
    """Return the clock of each of the locations."""
    given = {"location_ids": list(location_ids)}
    default = connection.execute(DEFAULT_ZONE).scalar_one()
    zones = {row.location_id: row.time_zone for row in connection.execute(ZONES, given)}
    hours = {row.location_id: row.hours for row in connection.execute(HOURS, given)}
    return {each: Clock(zones.get(each) or default, hours.get(each)) for each in location_ids}


# By the clock before a change of clocks, where that leaves out or repeats a time: Postgres takes a repeated one for the
# later. Nine days more, so that there is a row unless the location has no hours at all.
SPANS = text("""
    SELECT least(timezone(:zone, s.opens), timezone(:zone, s.opens - interval '1 hour') + interval '1 hour') AS opens,
           least(timezone(:zone, s.closes), timezone(:zone, s.closes - interval '1 hour') + interval '1 hour') AS closes
    FROM (
        SELECT d.day + h.opens AS opens,
               d.day + h.closes + CASE WHEN h.closes < h.opens THEN interval '1 day' ELSE interval '0' END AS closes
        FROM highlevel.opening_hours AS h
        CROSS JOIN generate_series(
            CAST(:first AS timestamp) - interval '9 days', CAST(:last AS timestamp) + interval '1 day', interval '1 day'
        ) AS d (day)
        WHERE h.location_id = :location_id AND h.weekday = extract(isodow FROM d.day)
    ) AS s
    ORDER BY 1
""")


class OpenTime:
    """The time that a location was open, summed up; spans that overlap count once."""

    def __init__(self, spans: Iterable[tuple[datetime, datetime]]) -> None:
        """Take the spans in the order in which they begin."""
        self._spans: list[tuple[datetime, datetime, timedelta]] = []
        before, end = timedelta(), None
        for opens, closes in spans:
            start = opens if end is None else max(opens, end)
            if closes > start:
                self._spans.append((start, closes, before))
                before, end = before + (closes - start), closes
        self._starts = [start for start, _, _ in self._spans]

    def seconds(self, since: datetime, until: datetime | None) -> float | None:
        """Return how long it was open between two moments; None without an end."""
        return None if until is None else (self._until(until) - self._until(since)).total_seconds()

    def _until(self, moment: datetime) -> timedelta:
        place = bisect_right(self._starts, moment) - 1
        if place < 0:
            return timedelta()
        start, end, before = self._spans[place]
        return before + min(moment, end) - start


def open_time(
    connection: Connection, location_id: str, time_zone: str, moments: Iterable[datetime | None]
) -> OpenTime | None:
    """Return when a location was open around these moments; None if it has no hours, or there are no moments."""
    known = [moment for moment in moments if moment is not None]
    if not known:
        return None
    given = {"location_id": location_id, "zone": time_zone, "first": min(known).date(), "last": max(known).date()}
    spans = [(row.opens, row.closes) for row in connection.execute(SPANS, given)]
    return OpenTime(spans) if spans else None
