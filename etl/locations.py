"""Every statement on ``etl.locations``: which locations are paused, and why. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

PAUSED = text("""
    SELECT location_id, pause_cause, pause_detail, paused_token FROM etl.locations
    WHERE paused_at IS NOT NULL AND location_id = ANY(CAST(:locations AS text[]))
""")


def paused(connection: Connection, locations: Sequence[str]) -> dict[str, str | None]:
    """Those of the locations that are paused, with the fingerprint of the token that was refused."""
    return {row.location_id: row.paused_token for row in connection.execute(PAUSED, {"locations": list(locations)})}


PAUSE = text("""
    INSERT INTO etl.locations (location_id, paused_at, pause_cause, pause_detail, paused_token)
    VALUES (:location_id, now(), :cause, :detail, :token)
    ON CONFLICT (location_id) DO UPDATE SET
        paused_at = coalesce(etl.locations.paused_at, excluded.paused_at), pause_cause = excluded.pause_cause,
        pause_detail = excluded.pause_detail, paused_token = excluded.paused_token, updated_at = now()
""")


def pause(connection: Connection, location_id: str, *, cause: str, detail: str, token: str) -> None:
    """Stop serving a location until another token comes or somebody resumes it. ``token`` is a fingerprint."""
    connection.execute(PAUSE, {"location_id": location_id, "cause": cause, "detail": detail, "token": token})


RESUME = text("""
    UPDATE etl.locations SET paused_at = NULL, pause_cause = NULL, pause_detail = NULL, paused_token = NULL,
                             updated_at = now()
    WHERE location_id = :location_id AND paused_at IS NOT NULL
""")


def resume(connection: Connection, location_id: str) -> bool:
    """Serve a location again; False when it was not paused."""
    return connection.execute(RESUME, {"location_id": location_id}).rowcount > 0


OVERVIEW = text("""
    SELECT location_id, l.paused_at, l.pause_cause, l.pause_detail,
           CASE WHEN r.blocked_until > now() THEN r.blocked_cause || ' until ' || date_trunc('second', r.blocked_until)
           END AS blocked,
           r.max_requests, r.interval_ms, coalesce(used.requests, 0) AS used, r.daily_remaining, r.heard_at
    FROM etl.locations AS l FULL JOIN etl.rate_limits AS r USING (location_id)
    LEFT JOIN LATERAL (
        SELECT sum(requests)::int AS requests FROM etl.rate_usage AS u
        WHERE u.location_id = r.location_id AND u.expires_at > clock_timestamp()
    ) AS used ON true
    ORDER BY location_id
""")


@dataclass(frozen=True, slots=True)
class Overview:
    """A location as status shows it."""

    location_id: str
    paused_at: datetime | None
    pause_cause: str | None
    pause_detail: str | None
    blocked: str | None
    """What blocks it and until when; None when nothing does."""
    max_requests: int | None
    interval_ms: int | None
    used: int
    """Requests that count against the current interval."""
    daily_remaining: int | None
    heard_at: datetime | None


def overview(connection: Connection) -> list[Overview]:
    """Every location we have dealt with."""
    return [Overview(*row) for row in connection.execute(OVERVIEW)]
