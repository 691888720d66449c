"""Connections to Postgres, and what its errors mean. The only place that opens an engine."""

import enum
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    URL,
    ColumnElement,
    Connection,
    Engine,
    any_,
    cast,
    create_engine,
    func,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import InstrumentedAttribute

from etl.errors import ConfigurationError, DatabaseUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

CONNECT_TIMEOUT = 5
"""Seconds to wait for one connection."""


class Fate(enum.Enum):
    """What a database error asks of the caller."""

    AGAIN = "again"
    """The same transaction may work in a moment: connection lost, restart, deadlock, lock timeout, disk full."""
    DATA = "data"
    """The data is at fault: some row can never be written as it is."""
    SETUP = "setup"
    """Permissions or tables are not as they should be: somebody must act."""


def parse_url(url: str) -> URL:
    """Read a ``postgresql://`` URL and pin the driver.

    Raises:
        ConfigurationError: it is not one. The text never repeats the URL, which holds a password.
    """
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError("DATABASE_URL is not a URL. Example: postgresql://user:password@host/name") from error
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigurationError(
            f"DATABASE_URL starts with {parsed.drivername}://, but only PostgreSQL is supported: postgresql://…"
        )
    return parsed.set(drivername="postgresql+psycopg")


def open_engine(url: str, *, pool_size: int = 4) -> Engine:
    """An engine that opens no connection yet.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    return _open(parse_url(url), pool_size=pool_size)


def open_async_engine(url: str, *, pool_size: int = 1, options: str = "") -> "AsyncEngine":
    """The same for an event loop; ``options`` are libpq's, beyond those of every connection.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - only the receiver needs it

    driver = parse_url(url).set(drivername="postgresql+psycopg_async")
    # Without a look at the connection first: the sender of an event whose connection is gone comes again anyway.
    return AsyncEngine(_open(driver, pool_size=pool_size, pre_ping=False, options=options))


def _open(url: URL, *, pool_size: int, pre_ping: bool = True, options: str = "") -> Engine:
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=pre_ping,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            # A pooler may give each transaction another session, which has not prepared what this one has.
            "prepare_threshold": None,
            "application_name": "highlevel-etl",
            # Without it, a SQL_ASCII server answers bytes and SQLAlchemy fails before require_utf8 can say why.
            "client_encoding": "utf8",
            # A lock that somebody keeps is waited for again and again, so that a stop is noticed in between; and dates
            # are told apart whatever the database's own style.
            # A process that is suspended in a transaction gives up its locks after a while; renewing a token takes half
            # as long at most.
            # A role named etl or highlevel would otherwise find our schema by default, and look like another one.
            "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s -c datestyle=ISO "
            f"-c search_path=public {options}",
            # A peer that vanished without a word is noticed within a minute rather than in two hours.
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        },
    )


@contextmanager
def reading_errors() -> Iterator[None]:
    """Turn what a user can cause (server away, wrong password, no such database) into one clear error.

    Raises:
        DatabaseUnavailableError: it cannot be reached now.
        ConfigurationError: it refuses these credentials or has no such database.
    """
    try:
        yield
    except DBAPIError as error:
        fate = fate_of(error)
        reason = first_line(error)
        if "startup parameter" in reason:
            raise ConfigurationError(
                f"The pooler in front of Postgres refuses: {reason}. "
                "Set in pgbouncer.ini: ignore_startup_parameters = options; see docs/operations.md, Poolers."
            ) from error
        if fate is Fate.AGAIN and not _refuses_login(reason):
            raise DatabaseUnavailableError(f"Postgres cannot be reached: {reason}") from error
        raise ConfigurationError(f"Postgres refuses: {reason}. Check DATABASE_URL and the role's rights.") from error


def fate_of(error: DBAPIError) -> Fate:
    """What to do about a database error, by its SQLSTATE class.

    Classes from https://www.postgresql.org/docs/current/errcodes-appendix.html. psycopg raises OperationalError for
    both a lost connection and a row that exceeds a limit, so its classes do not tell.
    """
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        # No code: libpq lost the server, or psycopg could not adapt a value.
        return Fate.DATA if type(error).__name__ in ("DataError", "ProgrammingError") else Fate.AGAIN
    if sqlstate[:2] in ("22", "23", "54", "P0"):
        return Fate.DATA
    if sqlstate[:2] in ("28", "3D", "42", "3F", "0A"):
        return Fate.SETUP
    return Fate.AGAIN


def require_utf8(connection: Connection) -> None:
    """Check the database's encoding: others cannot hold every customer's words, and SQL_ASCII does not check any.

    Raises:
        ConfigurationError: it is not UTF8.
    """
    encoding = connection.execute(text("SELECT current_setting('server_encoding')")).scalar_one()
    if encoding != "UTF8":
        raise ConfigurationError(
            f"The database is encoded in {encoding}; it must be UTF8. "
            "Make one with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )


def among(column: InstrumentedAttribute[Any] | ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether a column is one of many values, which travel as one array rather than as a parameter each."""
    return column == any_(cast(list(values), ARRAY(column.type)))


def holds(column: InstrumentedAttribute[Any], id_: str) -> ColumnElement[bool]:
    """Whether a column of bytes, which are JSON, has an id as a whole text in it."""
    # The function itself: POSITION(… IN …) is syntax of its own.
    place: ColumnElement[int] = func.pg_catalog.position(column, f'"{id_}"'.encode())
    return place > 0


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler such as PgBouncer stands between: it tells its clients other process ids than Postgres does."""
    driver = connection.connection.driver_connection
    pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return driver is not None and driver.info.backend_pid != pid


def is_read_only(connection: Connection) -> bool:
    """Whether nothing can be written: a standby, or a database or role that was set so."""
    setting: str = connection.execute(text("SELECT current_setting('transaction_read_only')")).scalar_one()
    return setting == "on"


def require_writable(connection: Connection) -> None:
    """Check that the database takes writes. Not worth waiting for: a standby stays one until somebody acts.

    Raises:
        DatabaseUnavailableError: it does not.
    """
    if is_read_only(connection):
        raise DatabaseUnavailableError(
            "Postgres takes no writes: it is a standby, or default_transaction_read_only is on. "
            "Point DATABASE_URL to the primary server, or switch that setting off."
        )


def first_line(error: DBAPIError) -> str:
    """The server's own words: they name host, role and database, never the password."""
    lines = str(error.orig).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error.orig).__name__


def _refuses_login(reason: str) -> bool:
    """Libpq reports a refused login without SQLSTATE, so only its text tells it from a server that is away."""
    refusals = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")
    return any(words in reason for words in refusals)
