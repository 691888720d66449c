"""Every statement on ``etl.locations`` and ``etl.companies`` but those on tokens. Nothing here commits.

A location is served unless it is *paused* (its token was refused, or somebody asked for it) or *retired* (the app was
uninstalled). Either way its items wait, untouched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

BY_HAND = "by_hand"
"""The pause_cause of a pause that somebody asked for."""

PAUSED = text("""
    SELECT location_id, paused_token FROM etl.locations
    WHERE paused_at IS NOT NULL AND location_id = ANY(CAST(:locations AS text[]))
""")


def paused(connection: Connection, locations: Sequence[str]) -> dict[str, str | None]:
    """Those of the locations that are paused, with the fingerprint of the token that was refused; None: by hand."""
    return {row.location_id: row.paused_token for row in connection.execute(PAUSED, {"locations": list(locations)})}


PAUSE = text("""
    INSERT INTO etl.locations (location_id, paused_at, pause_cause, pause_detail, paused_token)
    VALUES (:location_id, now(), :cause, :detail, :token)
    ON CONFLICT (location_id) DO UPDATE SET
        paused_at = coalesce(etl.locations.paused_at, excluded.paused_at), pause_cause = excluded.pause_cause,
        pause_detail = excluded.pause_detail, paused_token = excluded.paused_token, updated_at = now()
""")


def pause(connection: Connection, location_id: str, *, cause: str, detail: str, token: str | None) -> None:
    """Stop serving a location until another token comes or somebody resumes it.

    ``token`` is the fingerprint of the one that was refused; with None only :func:`resume` lifts the pause.
    """
    connection.execute(PAUSE, {"location_id": location_id, "cause": cause, "detail": detail, "token": token})


RESUME = text("""
    UPDATE etl.locations SET paused_at = NULL, pause_cause = NULL, pause_detail = NULL, paused_token = NULL,
                             token_refused_at = NULL, retired_at = NULL, updated_at = now()
    WHERE location_id = :location_id AND (paused_at IS NOT NULL OR retired_at IS NOT NULL)
""")


def resume(connection: Connection, location_id: str) -> bool:
    """Serve a location again; False when it was neither paused nor retired."""
    return connection.execute(RESUME, {"location_id": location_id}).rowcount > 0


INSTALL = text("""
    INSERT INTO etl.locations (location_id, company_id, app_id, name)
    VALUES (:location_id, :company_id, :app_id, :name)
    ON CONFLICT (location_id) DO UPDATE SET
        company_id = coalesce(excluded.company_id, etl.locations.company_id),
        app_id = coalesce(excluded.app_id, etl.locations.app_id),
        name = coalesce(excluded.name, etl.locations.name),
        retired_at = NULL, updated_at = now()
""")

INSTALL_COMPANY = text("""
    INSERT INTO etl.companies (company_id, app_id, name) VALUES (:company_id, :app_id, :name)
    ON CONFLICT (company_id) DO UPDATE SET
        app_id = coalesce(excluded.app_id, etl.companies.app_id), name = coalesce(excluded.name, etl.companies.name),
        retired_at = NULL, updated_at = now()
""")

# Somebody acted on purpose, so what was refused before may be accepted now; a pause by hand stays.
LIFT = text("""
    UPDATE etl.locations SET paused_at = NULL, pause_cause = NULL, pause_detail = NULL, paused_token = NULL,
                             token_refused_at = NULL, updated_at = now()
    WHERE paused_token IS NOT NULL
      AND (location_id = :location_id OR (company_id = :company_id AND token_source IS DISTINCT FROM 'private'))
""")


def install(
    connection: Connection,
    *,
    location_id: str | None = None,
    company_id: str | None = None,
    app_id: str | None = None,
    name: str | None = None,
) -> None:
    """The app was installed in a location, or with no ``location_id`` for a company. Safe to repeat.

    A location whose company is connected is served from now on; any other waits for ``etl connect``.
    """
    named = {"location_id": location_id, "company_id": company_id, "app_id": app_id, "name": name}
    if location_id:
        connection.execute(INSTALL, named)
    elif company_id:
        connection.execute(INSTALL_COMPANY, named)
    lift(connection, location_id=location_id, company_id=None if location_id else company_id)


def lift(connection: Connection, *, location_id: str | None = None, company_id: str | None = None) -> None:
    """Serve again what a refused token paused: a location, or all that a company's token serves."""
    connection.execute(LIFT, {"location_id": location_id, "company_id": company_id})


RETIRE = text("""
    UPDATE etl.locations SET retired_at = coalesce(retired_at, now()), updated_at = now()
    WHERE location_id = :location_id OR (CAST(:location_id AS text) IS NULL AND company_id = :company_id)
""")

RETIRE_COMPANY = text("""
    UPDATE etl.companies SET retired_at = coalesce(retired_at, now()), updated_at = now()
    WHERE company_id = :company_id AND CAST(:location_id AS text) IS NULL
""")


def retire(connection: Connection, *, location_id: str | None = None, company_id: str | None = None) -> None:
    """The app was uninstalled from a location, or with no ``location_id`` from a company and all its locations.

    Nothing is deleted: UNINSTALL may arrive late, after the app was installed again.
    """
    named = {"location_id": location_id or None, "company_id": company_id}
    connection.execute(RETIRE, named)
    connection.execute(RETIRE_COMPANY, named)


REMOVE = text("DELETE FROM etl.locations WHERE location_id = :location_id")


def remove(connection: Connection, location_id: str) -> bool:
    """Forget a location and its tokens; False when it is not known. Its items stay in the queue."""
    return connection.execute(REMOVE, {"location_id": location_id}).rowcount > 0


REMOVE_COMPANY = text("DELETE FROM etl.companies WHERE company_id = :company_id")
REMOVE_COMPANY_LOCATIONS = text("""
    DELETE FROM etl.locations WHERE company_id = :company_id AND token_source IS DISTINCT FROM 'app'
                                AND token_source IS DISTINCT FROM 'private'
""")


def remove_company(connection: Connection, company_id: str) -> bool:
    """Forget a company and the locations that only its token serves; False when it is not known."""
    named = {"company_id": company_id}
    connection.execute(REMOVE_COMPANY_LOCATIONS, named)
    return connection.execute(REMOVE_COMPANY, named).rowcount > 0


OVERVIEW = text("""
    SELECT location_id, l.name, l.company_id, l.token_source, l.token_expires_at, l.retired_at,
           l.access_token IS NOT NULL OR c.access_token IS NOT NULL AS connected,
           l.paused_at, l.pause_cause, l.pause_detail,
           CASE WHEN r.blocked_until > now() THEN r.blocked_cause || ' until ' || date_trunc('second', r.blocked_until)
           END AS blocked,
           r.max_requests, r.interval_ms, coalesce(used.requests, 0) AS used, r.daily_remaining, r.heard_at
    FROM etl.locations AS l FULL JOIN etl.rate_limits AS r USING (location_id)
    LEFT JOIN etl.companies AS c ON c.company_id = l.company_id AND c.retired_at IS NULL
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
    name: str | None
    company_id: str | None
    token_source: str | None
    token_expires_at: datetime | None
    retired_at: datetime | None
    connected: bool
    """It has a stored token, or its company has one."""
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


COMPANIES = text("""
    SELECT company_id, name, access_token IS NOT NULL AS connected, token_expires_at, retired_at,
           (SELECT count(*)::int FROM etl.locations AS l WHERE l.company_id = c.company_id) AS locations
    FROM etl.companies AS c ORDER BY company_id
""")


@dataclass(frozen=True, slots=True)
class Company:
    """A company as the command line shows it."""

    company_id: str
    name: str | None
    connected: bool
    token_expires_at: datetime | None
    retired_at: datetime | None
    locations: int


def companies(connection: Connection) -> list[Company]:
    """Every company that installed the app."""
    return [Company(*row) for row in connection.execute(COMPANIES)]
