"""Every SQL statement on the stored tokens of locations and companies. Nothing here commits.

Tokens are encrypted here; :mod:`etl.tokens.vault` has the keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    DateTime,
    Interval,
    cast,
    exists,
    extract,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from etl.models import Company, Location

Owner = Literal["location", "company"]
MODELS: dict[Owner, type[Location] | type[Company]] = {"location": Location, "company": Company}


def _key(owner: Owner) -> Any:
    return Location.location_id if owner == "location" else Company.company_id


def _times(model: type[Location] | type[Company]) -> tuple[Any, Any]:
    """Return the seconds until the token expires, and how many seconds before that it is renewed.

    A token is renewed ten minutes before it expires; a short-lived one in the last quarter of its life.
    """
    left = model.token_expires_at - func.clock_timestamp()
    lifetime = extract("epoch", model.token_expires_at - model.token_issued_at)
    return extract("epoch", left).label("seconds_left"), func.least(600, lifetime / 4).label("margin")


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The encrypted token of a connected location, and whether it may be used."""

    source: str | None
    """None: its company's token was not exchanged for it yet."""
    is_retired: bool
    access_token: str | None = field(repr=False)
    fingerprint: str | None
    seconds_left: float | None
    """Seconds until the token expires; negative when it has; None: not known."""
    margin: float | None
    """Seconds before that at which it is renewed."""


def statuses(connection: Connection, location_ids: Sequence[str]) -> dict[str, TokenStatus]:
    """Return the tokens of those locations that have one or whose company has."""
    left, margin = _times(Location)
    served_by_company = exists().where(
        Company.company_id == Location.company_id, Company.access_token.is_not(None), Company.retired_at.is_(None)
    )
    query = select(
        Location.location_id,
        Location.token_source,
        Location.retired_at,
        Location.access_token,
        Location.token_fingerprint,
        left,
        margin,
    ).where(Location.location_id.in_(location_ids), or_(Location.access_token.is_not(None), served_by_company))
    return {
        row.location_id: TokenStatus(
            source=row.token_source,
            is_retired=row.retired_at is not None,
            access_token=row.access_token,
            fingerprint=row.token_fingerprint,
            seconds_left=_float(row.seconds_left),
            margin=_float(row.margin),
        )
        for row in connection.execute(query)
    }


def any_connected(connection: Connection) -> bool:
    """Return whether any location can be served without the environment's token."""
    connected = or_(*(exists().where(model.access_token.is_not(None)) for model in (Location, Company)))
    return bool(connection.execute(select(connected)).scalar_one())


# An advisory lock and not the row's: whoever pauses, installs or shows the location meanwhile must not wait for an
# HTTP answer. Like a row's lock it ends with the transaction, and so with the process.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('etl.tokens/' || :owner || '/' || :id, 0))")


def lock(connection: Connection, owner: Owner, id_: str) -> None:
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
    """Paused or retired: its tokens are left alone."""
    refused_lately: bool
    """Whether a token was renewed within the hour because the one before was refused."""
    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    fingerprint: str | None
    seconds_left: float | None
    margin: float | None


def read(connection: Connection, owner: Owner, id_: str) -> StoredTokens | None:
    """Return the tokens of a location or company; None when it is not known. The caller holds :func:`lock`."""
    model = MODELS[owner]
    own: tuple[Any, ...] = ()
    if model is Location:
        hour = cast(literal("1 hour"), Interval)
        lately = func.coalesce(Location.token_refused_at > func.now() - hour, False)
        own = (Location.token_source, Location.paused_at, lately.label("refused_lately"))
    query = select(
        model.company_id,
        model.retired_at,
        model.access_token,
        model.refresh_token,
        model.token_fingerprint,
        *_times(model),
        *own,
    ).where(_key(owner) == id_)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    is_location = owner == "location"
    return StoredTokens(
        id=id_,
        company_id=row.company_id,
        source=row.token_source if is_location else "app",
        is_stopped=row.retired_at is not None or (is_location and row.paused_at is not None),
        refused_lately=is_location and row.refused_lately,
        access_token=row.access_token,
        refresh_token=row.refresh_token,
        fingerprint=row.token_fingerprint,
        seconds_left=_float(row.seconds_left),
        margin=_float(row.margin),
    )


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
        now = func.clock_timestamp()
        lifetime = func.make_interval(0, 0, 0, 0, 0, 0, self.seconds, type_=Interval)
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "token_fingerprint": self.fingerprint,
            "token_issued_at": now,
            "token_expires_at": None if self.seconds is None else cast(now + lifetime, DateTime(timezone=True)),
        }


def store(connection: Connection, location_id: str, tokens: EncryptedTokens, *, after_refusal: bool = False) -> None:
    """Write a location's tokens; the caller holds :func:`lock`. ``after_refusal``: the last one was refused."""
    columns = tokens.columns() | {"token_source": tokens.source}
    changes = columns | {"updated_at": func.now()}
    if after_refusal:
        changes |= {"token_refused_at": func.now()}
    connection.execute(
        insert(Location)
        .values(location_id=location_id, **columns)
        .on_conflict_do_update(index_elements=[Location.location_id], set_=changes)
    )


def store_company(connection: Connection, company_id: str, tokens: EncryptedTokens) -> None:
    """Write a company's tokens; the caller holds :func:`lock`."""
    columns = tokens.columns()
    connection.execute(
        insert(Company)
        .values(company_id=company_id, **columns)
        .on_conflict_do_update(index_elements=[Company.company_id], set_=columns | {"updated_at": func.now()})
    )


def all_encrypted(connection: Connection) -> list[tuple[Owner, str, list[str]]]:
    """Return the owners of all stored tokens, with the encrypted texts."""
    queries = [
        select(literal(owner).label("owner"), _key(owner).label("id"), model.access_token, model.refresh_token).where(
            model.access_token.is_not(None)
        )
        for owner, model in MODELS.items()
    ]
    rows = connection.execute(union_all(*queries).order_by("owner", "id"))
    return [
        (row.owner, row.id, [each for each in (row.access_token, row.refresh_token) if each is not None])
        for row in rows
    ]


def replace_texts(
    connection: Connection, owner: Owner, id_: str, *, access_token: str, refresh_token: str | None
) -> None:
    """Replace the encrypted texts of unchanged tokens; the caller holds :func:`lock`."""
    connection.execute(
        update(MODELS[owner])
        .where(_key(owner) == id_)
        .values(access_token=access_token, refresh_token=refresh_token, updated_at=func.now())
    )
