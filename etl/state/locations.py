"""Every statement on ``etl.locations`` and ``etl.companies`` but those on tokens. Nothing here commits.

A location is served unless it is paused (its token was refused, or somebody asked for it) or the app was uninstalled
from it. Either way its items wait unchanged.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from etl.database.conditions import columns_of
from etl.models import Company, Location, WebhookEvent

BY_HAND = "by_hand"
"""The pause_cause of a pause by hand."""

SERVED_BY_COMPANY = sa.or_(Location.token_source.is_(None), Location.token_source.in_(["company"]))
NOT_PAUSED: dict[str, Any] = {
    "paused_at": None,
    "pause_cause": None,
    "pause_detail": None,
    "paused_token": None,
    "token_refused_at": None,
}


def changes(connection: sa.Connection) -> str:
    """Return a text that changes with every location or company; of two changes at once, one may be missed."""
    query = sa.text("""
        SELECT (SELECT (max(updated_at), count(*))::text FROM etl.locations) ||
               (SELECT (max(updated_at), count(*))::text FROM etl.companies)
    """)
    return str(connection.execute(query).scalar_one())


def pause(connection: sa.Connection, location_id: str, *, cause: str, detail: str, token: str | None) -> None:
    """Stop serving a location until it gets another token or somebody resumes it.

    ``token`` is the fingerprint of the refused token; with None only :func:`resume` ends the pause.
    """
    why = {"pause_cause": cause, "pause_detail": detail, "paused_token": token}
    since = sa.func.coalesce(Location.paused_at, sa.func.now())
    connection.execute(
        insert(Location)
        .values(location_id=location_id, paused_at=sa.func.now(), **why)
        .on_conflict_do_update(
            index_elements=[Location.location_id], set_={"paused_at": since, "updated_at": sa.func.now(), **why}
        )
    )


def resume(connection: sa.Connection, location_id: str) -> bool:
    """Serve a location again; return False when it was neither paused nor uninstalled."""
    stopped = sa.or_(Location.paused_at.is_not(None), Location.retired_at.is_not(None))
    statement = sa.update(Location).where(Location.location_id == location_id, stopped)
    changes = {**NOT_PAUSED, "retired_at": None, "app_changed_at": sa.func.now(), "updated_at": sa.func.now()}
    return connection.execute(statement.values(**changes)).rowcount > 0


def install(
    connection: sa.Connection,
    *,
    location_id: str | None = None,
    company_id: str | None = None,
    app_id: str | None = None,
    name: str | None = None,
    at: datetime | None = None,
) -> None:
    """Note that the app was installed in a location, or with no ``location_id`` for a company. Safe to repeat.

    A location whose company is connected is served from now on; any other waits for ``etl connect``. ``name`` is that
    of the location or company at HighLevel. Nothing changes if it was uninstalled after ``at`` (None: now).
    """
    model = Location if location_id else Company
    key = {"location_id": location_id} if location_id else {"company_id": company_id}
    given = {"app_id": app_id, "name": name, "company_id": company_id if location_id else None}
    when = sa.func.least(at, sa.func.now(), type_=sa.DateTime(timezone=True))
    changes = {name: value for name, value in given.items() if value is not None} | {"app_changed_at": when}
    statement = insert(model).values(**key, **changes)
    heeded = connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(key),
            set_=changes | {"retired_at": None, "updated_at": sa.func.now()},
            where=sa.func.coalesce(model.app_changed_at, when) <= when,
        )
    )
    if heeded.rowcount:
        unpause(connection, location_id=location_id, company_id=None if location_id else company_id)


def unpause(connection: sa.Connection, *, location_id: str | None = None, company_id: str | None = None) -> None:
    """End the pause by a refused token: of a location, or of all that a company's token serves.

    A person has acted, so the token may be accepted now; a pause by hand stays.
    """
    of_company = sa.and_(Location.company_id == company_id, Location.token_source.is_distinct_from("private"))
    connection.execute(
        sa.update(Location)
        .where(Location.paused_token.is_not(None), sa.or_(Location.location_id == location_id, of_company))
        .values(**NOT_PAUSED, updated_at=sa.func.now())
    )


def uninstall(
    connection: sa.Connection,
    *,
    location_id: str | None = None,
    company_id: str | None = None,
    at: datetime | None = None,
) -> None:
    """Note that the app was uninstalled from a location; without ``location_id`` from a company and all it serves.

    Nothing is deleted. Nothing changes if the app was installed, connected, or got a new token after ``at`` (None:
    now), since UNINSTALL may arrive late; or if the location has a token that is not the app's.
    """
    when = sa.func.least(at, sa.func.now(), type_=sa.DateTime(timezone=True))
    if location_id:
        is_of_app = Location.token_source.is_distinct_from("private")
        _uninstall(connection, Location, Location.location_id == location_id, is_of_app, at=when)
    else:
        _uninstall(connection, Location, Location.company_id == company_id, SERVED_BY_COMPANY, at=when)
        _uninstall(connection, Company, Company.company_id == company_id, at=when)


def _uninstall(
    connection: sa.Connection, model: type[Location] | type[Company], *which: sa.ColumnElement[bool], at: Any
) -> None:
    newest = sa.func.greatest(model.app_changed_at, model.token_issued_at)
    since = sa.func.coalesce(model.retired_at, at)
    statement = sa.update(model).where(*which, sa.func.coalesce(newest, at) <= at)
    connection.execute(statement.values(retired_at=since, app_changed_at=at, updated_at=sa.func.now()))


def known(connection: sa.Connection, location_ids: Collection[str]) -> set[str]:
    """Return those of the locations that were connected or have our app installed."""
    query = sa.select(Location.location_id).where(Location.location_id.in_(location_ids))
    return set(connection.execute(query).scalars())


def webhooks_since(connection: sa.Connection, location_id: str) -> datetime | None:
    """Return the earliest time of a location's webhooks: its first event or connection; None without either.

    Old events are deleted, so this may be later than the truth.
    """
    first_event = sa.select(sa.func.min(WebhookEvent.received_at)).where(WebhookEvent.location_id == location_id)
    connected = sa.select(Location.created_at).where(Location.location_id == location_id)
    query = sa.select(sa.func.least(first_event.scalar_subquery(), connected.scalar_subquery()))
    since: datetime | None = connection.execute(query).scalar_one()
    return since


def remove(connection: sa.Connection, location_id: str) -> bool:
    """Delete a location and its tokens; return False when it is not known. Its items stay in the queue."""
    return connection.execute(sa.delete(Location).where(Location.location_id == location_id)).rowcount > 0


def remove_company(connection: sa.Connection, company_id: str) -> bool:
    """Delete a company and the locations that only its token serves; return False when it is not known."""
    connection.execute(sa.delete(Location).where(Location.company_id == company_id, SERVED_BY_COMPANY))
    return connection.execute(sa.delete(Company).where(Company.company_id == company_id)).rowcount > 0


OVERVIEW = sa.text("""
    SELECT location_id, l.name, l.company_id, l.token_source, l.token_issued_at, l.token_expires_at, l.retired_at,
           l.access_token IS NOT NULL OR c.access_token IS NOT NULL AS connected,
           l.paused_at, l.pause_cause, l.pause_detail,
           CASE WHEN r.blocked_until > now() THEN r.blocked_cause END AS blocked_cause,
           CASE WHEN r.blocked_until > now() THEN r.blocked_until END AS blocked_until,
           r.max_requests, r.interval_ms, coalesce(used.requests, 0) AS used, r.daily_limit, r.heard_at,
           CASE WHEN r.daily_since < (now() AT TIME ZONE 'utc')::date THEN r.daily_limit ELSE r.daily_remaining END
               AS daily_remaining
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
    """A location as ``etl status`` shows it."""

    location_id: str
    name: str | None = None
    company_id: str | None = None
    token_source: str | None = None
    token_issued_at: datetime | None = None
    token_expires_at: datetime | None = None
    retired_at: datetime | None = None
    connected: bool = False
    """Whether it or its company has a stored token."""
    paused_at: datetime | None = None
    pause_cause: str | None = None
    pause_detail: str | None = None
    blocked_cause: str | None = None
    """rate_limited or daily_budget; None when nothing blocks it now."""
    blocked_until: datetime | None = None
    max_requests: int | None = None
    interval_ms: int | None = None
    used: int = 0
    """Requests that count in the current interval."""
    daily_limit: int | None = None
    daily_remaining: int | None = None
    """Requests left of today's budget (UTC)."""
    heard_at: datetime | None = None


def overview(connection: sa.Connection) -> list[Overview]:
    """Return every known location."""
    return [Overview(**row) for row in connection.execute(OVERVIEW).mappings()]


@dataclass(frozen=True, slots=True)
class CompanyOverview:
    """A company as the command line shows it."""

    company_id: str
    name: str | None
    connected: bool
    token_issued_at: datetime | None
    token_expires_at: datetime | None
    retired_at: datetime | None
    locations: int


def companies(connection: sa.Connection) -> list[CompanyOverview]:
    """Return every company that installed the app."""
    of_company = sa.select(sa.func.count()).where(Location.company_id == Company.company_id).scalar_subquery()
    is_connected = Company.access_token.is_not(None).label("connected")
    query = sa.select(*columns_of(Company, CompanyOverview), is_connected, of_company.label("locations"))
    return [CompanyOverview(**row) for row in connection.execute(query.order_by(Company.company_id)).mappings()]
