"""Cleans up the rows of :mod:`etl.state.limits`, even when the clock of Postgres is set back. Never commits."""

from sqlalchemy import Connection, text

from etl.state.allowance import GUARD

FORGET = text("""
    DELETE FROM etl.rate_usage AS used USING etl.rate_limits AS r
    WHERE used.location_id = r.location_id
      AND used.expires_at < clock_timestamp() - make_interval(secs => r.interval_ms / 1000.0)
""")

# An entry that expires implausibly late was written before the clock of Postgres was set back.
SHORTEN_USAGE = text("""
    WITH late AS (
        SELECT used.usage_id, longest.time
        FROM etl.rate_usage AS used JOIN etl.rate_limits AS r USING (location_id)
        CROSS JOIN LATERAL (
            SELECT make_interval(secs => CASE WHEN used.lease_id IS NULL THEN r.interval_ms / 1000.0 + :guard
                                              ELSE :under_way END) AS time
        ) AS longest
        WHERE used.expires_at > clock_timestamp() + longest.time + interval '1 second'
        FOR UPDATE OF used SKIP LOCKED
    )
    UPDATE etl.rate_usage AS used SET expires_at = clock_timestamp() + late.time
    FROM late WHERE used.usage_id = late.usage_id
""")

# How long a block may be has no such bound: a 429 may ask for a day.
LIFT_BLOCKS = text("""
    UPDATE etl.rate_limits SET blocked_until = NULL, blocked_at = NULL
    WHERE location_id IN (
        SELECT location_id FROM etl.rate_limits WHERE blocked_at > clock_timestamp() + interval '1 second'
        ORDER BY location_id FOR UPDATE SKIP LOCKED)
""")


def tidy(connection: Connection, *, under_way: float) -> None:
    """Delete entries that expired an interval ago; younger answers may still be compared with newer entries.

    When the clock of Postgres was set back, requests count for one interval, or for ``under_way`` seconds while they
    are, from now on; and blocked locations are unblocked.
    """
    connection.execute(FORGET)
    connection.execute(SHORTEN_USAGE, {"guard": GUARD, "under_way": under_way})
    connection.execute(LIFT_BLOCKS)
