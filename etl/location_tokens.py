"""Every statement on the stored tokens of locations and companies. Nothing here commits.

Tokens pass through here encrypted only; :mod:`etl.extract.vault` has the keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, text

Owner = Literal["location", "company"]

# A token is renewed some time before it expires; a short-lived one in the last quarter of its life.
STANDING_COLUMNS = """
    token_fingerprint AS fingerprint,
    extract(epoch FROM token_expires_at - clock_timestamp())::float8 AS seconds_left,
    extract(epoch FROM least(interval '10 minutes', (token_expires_at - token_issued_at) / 4))::float8 AS margin
"""

CONNECTED = text(f"""
    SELECT l.location_id, l.token_source AS source, l.retired_at IS NOT NULL AS retired, standing.*
    FROM etl.locations AS l
    LEFT JOIN etl.companies AS c
        ON c.company_id = l.company_id AND c.access_token IS NOT NULL AND c.retired_at IS NULL
    CROSS JOIN LATERAL (SELECT l.token_fingerprint, l.token_expires_at, l.token_issued_at) AS raw
    CROSS JOIN LATERAL (SELECT {STANDING_COLUMNS.replace("token_", "raw.token_")}) AS standing
    WHERE l.location_id = ANY(CAST(:locations AS text[])) AND (l.access_token IS NOT NULL OR c.company_id IS NOT NULL)
""")  # noqa: S608 - no value is put into the text


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a connected location's token, which is not in here."""

    location_id: str
    source: str | None
    """None: its company's token was not exchanged for it yet."""
    retired: bool
    fingerprint: str | None
    seconds_left: float | None
    """Until the token expires; negative when it has, None when that is not known."""
    margin: float | None
    """Seconds before that at which it is renewed."""


def connected(connection: Connection, locations: Sequence[str]) -> dict[str, Standing]:
    """Those of the locations that have tokens, or whose company has."""
    rows = connection.execute(CONNECTED, {"locations": list(locations)})
    return {row.location_id: Standing(*row) for row in rows}


ANY_CONNECTED = text("""
    SELECT EXISTS (SELECT FROM etl.locations WHERE access_token IS NOT NULL)
        OR EXISTS (SELECT FROM etl.companies WHERE access_token IS NOT NULL)
""")


def any_connected(connection: Connection) -> bool:
    """Whether any location can be served without the environment's token."""
    return bool(connection.execute(ANY_CONNECTED).scalar_one())


SEALED = text("""
    SELECT location_id, token_fingerprint, access_token FROM etl.locations
    WHERE location_id = ANY(CAST(:locations AS text[])) AND access_token IS NOT NULL
""")


def sealed(connection: Connection, locations: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The fingerprint and the encrypted token of each location that has one."""
    rows = connection.execute(SEALED, {"locations": list(locations)})
    return {row.location_id: (row.token_fingerprint, row.access_token) for row in rows}


# An advisory lock and not the row's: whoever pauses, installs or shows the location meanwhile must not wait for an
# HTTP answer. Like a row's lock it ends with the transaction, and so with the process.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('etl.tokens/' || :owner || '/' || :id, 0))")


def lock_tokens(connection: Connection, owner: Owner, id_: str) -> None:
    """Become the only one who may change the tokens of a location or company, until the transaction ends.

    Every change of tokens takes this lock first; read them only afterwards.
    """
    connection.execute(LOCK, {"owner": owner, "id": id_})


@dataclass(frozen=True, slots=True)
class Held:
    """The tokens of a location or a company, encrypted, and all that decides about their renewal."""

    id: str
    company_id: str | None
    source: str | None
    stopped: bool
    """Paused or retired: its tokens are left alone."""
    refused_lately: bool
    """A token of it was renewed within the hour because the one before was refused."""
    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    fingerprint: str | None
    seconds_left: float | None
    margin: float | None


HELD_LOCATION = text(f"""
    SELECT location_id, company_id, token_source, paused_at IS NOT NULL OR retired_at IS NOT NULL,
           coalesce(token_refused_at > now() - interval '1 hour', false), access_token, refresh_token,
           {STANDING_COLUMNS}
    FROM etl.locations WHERE location_id = :id
""")  # noqa: S608 - no value is put into the text

HELD_COMPANY = text(f"""
    SELECT company_id, company_id, 'app', retired_at IS NOT NULL, false, access_token, refresh_token,
           {STANDING_COLUMNS}
    FROM etl.companies WHERE company_id = :id
""")  # noqa: S608 - no value is put into the text


def held(connection: Connection, owner: Owner, id_: str) -> Held | None:
    """The tokens of a location or company; None when it is not known."""
    row = connection.execute(HELD_LOCATION if owner == "location" else HELD_COMPANY, {"id": id_}).one_or_none()
    return None if row is None else Held(*row)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Tokens to be stored, encrypted."""

    source: str
    """As in etl.locations.token_source."""
    access_token: str = field(repr=False)
    fingerprint: str
    refresh_token: str | None = field(default=None, repr=False)
    seconds: float | None = None
    """Until the access token expires; None when that is not known."""


STORE_LOCATION = text("""
    INSERT INTO etl.locations (location_id, company_id, token_source, access_token, refresh_token, token_fingerprint,
                               token_issued_at, token_expires_at)
    VALUES (:id, :company_id, :source, :access_token, :refresh_token, :fingerprint, clock_timestamp(),
            clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (location_id) DO UPDATE SET
        company_id = coalesce(excluded.company_id, etl.locations.company_id), token_source = excluded.token_source,
        access_token = excluded.access_token, refresh_token = excluded.refresh_token,
        token_fingerprint = excluded.token_fingerprint, token_issued_at = excluded.token_issued_at,
        token_expires_at = excluded.token_expires_at, updated_at = now(),
        token_refused_at = CASE WHEN :after_refusal THEN now() ELSE etl.locations.token_refused_at END
""")


def store(
    connection: Connection,
    location_id: str,
    tokens: Sealed,
    *,
    company_id: str | None = None,
    after_refusal: bool = False,
) -> None:
    """Write a location's tokens; the caller holds :func:`lock_tokens`. ``after_refusal``: the last one was refused."""
    connection.execute(
        STORE_LOCATION,
        _parameters(tokens)
        | {"id": location_id, "company_id": company_id, "source": tokens.source, "after_refusal": after_refusal},
    )


STORE_COMPANY = text("""
    INSERT INTO etl.companies (company_id, access_token, refresh_token, token_fingerprint, token_issued_at,
                               token_expires_at)
    VALUES (:id, :access_token, :refresh_token, :fingerprint, clock_timestamp(),
            clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (company_id) DO UPDATE SET
        access_token = excluded.access_token, refresh_token = excluded.refresh_token,
        token_fingerprint = excluded.token_fingerprint, token_issued_at = excluded.token_issued_at,
        token_expires_at = excluded.token_expires_at, updated_at = now()
""")


def store_company(connection: Connection, company_id: str, tokens: Sealed) -> None:
    """Write a company's tokens; the caller holds :func:`lock_tokens`."""
    connection.execute(STORE_COMPANY, _parameters(tokens) | {"id": company_id})


def _parameters(tokens: Sealed) -> dict[str, object]:
    return {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "fingerprint": tokens.fingerprint,
        "seconds": tokens.seconds,
    }


ALL_HELD = text("""
    SELECT 'location' AS owner, location_id AS id, access_token, refresh_token FROM etl.locations
    WHERE access_token IS NOT NULL
    UNION ALL
    SELECT 'company', company_id, access_token, refresh_token FROM etl.companies WHERE access_token IS NOT NULL
    ORDER BY owner, id
""")


def everything_sealed(connection: Connection) -> list[tuple[Owner, str, list[str]]]:
    """Whose tokens are stored, and their encrypted texts."""
    return [
        (row.owner, row.id, [each for each in (row.access_token, row.refresh_token) if each is not None])
        for row in connection.execute(ALL_HELD)
    ]


RESEAL = {
    "location": text("""
        UPDATE etl.locations SET access_token = :access_token, refresh_token = :refresh_token, updated_at = now()
        WHERE location_id = :id
    """),
    "company": text("""
        UPDATE etl.companies SET access_token = :access_token, refresh_token = :refresh_token, updated_at = now()
        WHERE company_id = :id
    """),
}


def reseal(connection: Connection, owner: Owner, id_: str, *, access_token: str, refresh_token: str | None) -> None:
    """Replace the encrypted texts of the same tokens; the caller holds :func:`lock_tokens`."""
    connection.execute(RESEAL[owner], {"id": id_, "access_token": access_token, "refresh_token": refresh_token})
