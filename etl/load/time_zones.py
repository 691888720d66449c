"""By which clock the days of a location are told, and when it is open."""

from collections.abc import Collection
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
    """What the marts of a location are worked out by."""

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
