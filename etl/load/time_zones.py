"""In which time zone the days of a location are told, and what to do about names that Postgres does not know."""

from collections.abc import Collection

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

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


USED_ZONES = text("""
    SELECT DISTINCT coalesce(z.known_as, z.time_zone) AS time_zone
    FROM highlevel.locations AS l JOIN highlevel.time_zones AS z ON z.time_zone = l.time_zone
""")
# Citus lets a transaction change a table of every node after it read others only where it asked one node at a time.
ONE_AT_A_TIME = text("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
RETIRE = (
    text(
        "UPDATE highlevel.settings SET default_time_zone = 'UTC' WHERE default_time_zone = ANY(CAST(:zones AS text[]))"
    ),
    text("""
        UPDATE highlevel.time_zones
        SET known_as = coalesce((SELECT s.default_time_zone FROM highlevel.settings AS s), 'UTC')
        WHERE coalesce(known_as, time_zone) = ANY(CAST(:zones AS text[]))
    """),
)


def retire_zones(connection: Connection) -> list[str]:
    """Have days told in the default zone instead of one that this Postgres does not know; returns those zones.

    Another server, or a newer one, may know fewer names; and one unknown name would make every view fail.
    """
    connection.execute(ONE_AT_A_TIME)
    used = {connection.execute(DEFAULT_ZONE).scalar_one(), *connection.execute(USED_ZONES).scalars()}
    unknown = sorted(zone for zone in used if not _is_known(connection, zone))
    for statement in RETIRE if unknown else ():
        connection.execute(statement, {"zones": unknown})
    return unknown


def _is_known(connection: Connection, zone: str) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(text("SELECT timezone(CAST(:zone AS text), now())"), {"zone": zone})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == "22023":  # invalid_parameter_value
            return False
        raise
    return True
