"""Every SQL statement on the stored tokens of locations and companies. Nothing here commits.

Tokens are encrypted here; :mod:`etl.tokens.vault` has the keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from etl.models import Company, Location

Owner = Literal["location", "company"]
MODELS: dict[Owner, type[Location] | type[Company]] = {"location": Location, "company": Company}


def _key(owner: Owner) -> Any:
    return Location.location_id if owner == "location" else Company.company_id


def _token(model: type[Location] | type[Company]) -> tuple[Any, ...]:
    """Return the token, its fingerprint, the seconds until it expires, and how many before that it is renewed.

    A token is renewed ten minutes before it expires; a short-lived one in the last quarter of its life.
    """
    left = sa.extract("epoch", model.token_expires_at - sa.func.clock_timestamp()).cast(sa.Double)
    lifetime = sa.extract("epoch", model.token_expires_at - model.token_issued_at).cast(sa.Double)
    return model.access_token, model.token_fingerprint, left, sa.func.least(600, lifetime / 4)


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The encrypted token of a known location, and whether it may be used."""

    source: str | None
    """None: its company's token was not exchanged for it yet."""
    is_connected: bool
    """Whether it or its company has a token, and the app was not uninstalled from it."""
    is_paused: bool
    paused_token: str | None
    """The fingerprint of the token whose refusal paused it; None: somebody paused it."""
    access_token: str | None = field(repr=False)
    fingerprint: str | None
    seconds_left: float | None
    """Seconds until the token expires; negative when it has; None: not known."""
    margin: float | None
    """Seconds before that at which it is renewed."""


SERVED_BY_COMPANY = sa.exists().where(
    Company.company_id == Location.company_id, Company.access_token.is_not(None), Company.retired_at.is_(None)
)
STATUSES = sa.select(
    Location.location_id,
    Location.token_source,
    Location.retired_at.is_(None) & (Location.access_token.is_not(None) | SERVED_BY_COMPANY),
    Location.paused_at.is_not(None),
    Location.paused_token,
    *_token(Location),
).where(Location.location_id == sa.any_(sa.bindparam("location_ids", type_=sa.ARRAY(sa.Text))))


def statuses(connection: sa.Connection, location_ids: Sequence[str]) -> dict[str, TokenStatus]:
    """Return the tokens and pauses of those locations that are known."""
    rows = connection.execute(STATUSES, {"location_ids": list(location_ids)}).all()
    return {row[0]: TokenStatus(*row[1:]) for row in rows}


def any_connected(connection: sa.Connection) -> bool:
    """Return whether any location can be served without the environment's token."""
    connected = sa.or_(*(sa.exists().where(model.access_token.is_not(None)) for model in (Location, Company)))
    return bool(connection.execute(sa.select(connected)).scalar_one())


# An advisory lock and not the row's: whoever pauses, installs or shows the location meanwhile must not wait for an
# HTTP answer. Like a row's lock it ends with the transaction, and so with the process.
LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('etl.tokens/' || :owner || '/' || :id, 0))")


def lock(connection: sa.Connection, owner: Owner, id_: str) -> None:
    """Lock the tokens of a location or company until the transaction ends.

    Every change of tokens takes this lock first; read them only afterwards.
    """
    connection.execute(LOCK, {"owner": owner, "id": id_})


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """The encrypted tokens of a location or a company, and what decides about their renewal."""

    id: str
    company_id: str | None
    source: str | None
    is_stopped: bool
    """Paused or uninstalled: its tokens are left alone."""
    refused_lately: bool
    """Whether a token was renewed within the hour because the one before was refused."""
    refresh_token: str | None = field(repr=False)
    access_token: str | None = field(repr=False)
    fingerprint: str | None
    seconds_left: float | None
    margin: float | None


def read(connection: sa.Connection, owner: Owner, id_: str) -> StoredTokens | None:
    """Return the tokens of a location or company; None when it is not known. The caller holds :func:`lock`."""
    model = MODELS[owner]
    own: tuple[Any, ...] = sa.literal("app"), model.retired_at.is_not(None), sa.literal(value=False)
    if model is Location:
        is_stopped = sa.or_(Location.retired_at.is_not(None), Location.paused_at.is_not(None))
        refused_lately = Location.token_refused_at > sa.func.now() - sa.cast(sa.literal("1 hour"), sa.Interval)
        own = Location.token_source, is_stopped, sa.func.coalesce(refused_lately, False)
    query = sa.select(_key(owner), model.company_id, *own, model.refresh_token, *_token(model)).where(
        _key(owner) == id_
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else StoredTokens(*row)


@dataclass(frozen=True, slots=True)
class EncryptedTokens:
    """Tokens to be stored, encrypted."""

    source: str
    """As in etl.locations.token_source."""
    access_token: str = field(repr=False)
    fingerprint: str
    refresh_token: str | None = field(default=None, repr=False)
    seconds: float | None = None
    """Seconds until the access token expires; None: not known."""

    def columns(self) -> dict[str, Any]:
        """Return the columns that both tables share."""
        now = sa.func.clock_timestamp()
        lifetime = sa.func.make_interval(0, 0, 0, 0, 0, 0, self.seconds, type_=sa.Interval)
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "token_fingerprint": self.fingerprint,
            "token_issued_at": now,
            "token_expires_at": None if self.seconds is None else sa.cast(now + lifetime, sa.DateTime(timezone=True)),
        }


def store(
    connection: sa.Connection, owner: Owner, id_: str, tokens: EncryptedTokens, *, after_refusal: bool = False
) -> None:
    """Write the tokens of a location or company; the caller holds :func:`lock`. ``after_refusal``: of the last one."""
    columns = tokens.columns() | ({"token_source": tokens.source} if owner == "location" else {})
    changes = columns | {"updated_at": sa.func.now()} | ({"token_refused_at": sa.func.now()} if after_refusal else {})
    statement = insert(MODELS[owner]).values({_key(owner).name: id_, **columns})
    connection.execute(statement.on_conflict_do_update(index_elements=[_key(owner)], set_=changes))


def all_encrypted(connection: sa.Connection) -> list[tuple[Owner, str, list[str]]]:
    """Return the owners of all stored tokens, with the encrypted texts."""
    queries = [
        sa.select(
            sa.literal(owner).label("owner"), _key(owner).label("id"), model.access_token, model.refresh_token
        ).where(model.access_token.is_not(None))
        for owner, model in MODELS.items()
    ]
    rows = connection.execute(sa.union_all(*queries).order_by("owner", "id"))
    return [
        (row.owner, row.id, [each for each in (row.access_token, row.refresh_token) if each is not None])
        for row in rows
    ]


def replace_texts(
    connection: sa.Connection, owner: Owner, id_: str, *, access_token: str, refresh_token: str | None
) -> None:
    """Replace the encrypted texts of unchanged tokens; the caller holds :func:`lock`."""
    connection.execute(
        sa.update(MODELS[owner])
        .where(_key(owner) == id_)
        .values(access_token=access_token, refresh_token=refresh_token, updated_at=sa.func.now())
    )
