"""Connections to Postgres. The only place that opens an engine."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from socket import SHUT_RDWR, socket
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from etl.database.failures import NOT_GRANTED, sqlstate_of
from etl.database.urls import parse_url, shown
from etl.errors import ConfigurationError, DatabaseUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

SETTINGS = {
    # Names are not looked up where others may create them: in the schema public somebody may define what an operator of
    # ours then does, and a role named etl or highlevel finds our schema by default. So every name says its schema.
    "search_path": "pg_catalog,pg_temp",
    # Every date that Postgres keeps up to the year 9999 can be shown in this zone, and in no other.
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    # A lock that somebody keeps is waited for again and again, so that a stop is noticed in between.
    "lock_timeout": "10s",
    # A process that is suspended in a transaction gives up its locks after a while; renewing a token takes half as long
    # at most.
    "idle_in_transaction_session_timeout": "60s",
}
"""Settings of every session, whatever the server, the role or the environment say."""

LIBPQ = {
    # Seconds to wait for one connection.
    "connect_timeout": 5,
    # A peer that vanished without a word is noticed within a minute rather than in two hours; in milliseconds, while
    # something that was sent is not confirmed.
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""How libpq connects, where the URL does not say it."""


def open_engine(url: str, *, pool_size: int = 4) -> sa.Engine:
    """Return an engine that opens no connection yet.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    return _open(parse_url(url), pool_size=pool_size)


def moment_of(connection: sa.Connection) -> datetime:
    """Return when the transaction began, by Postgres's clock: this machine's may be wrong."""
    return connection.execute(sa.select(sa.func.now())).scalar_one()


def open_async_engine(url: str, *, pool_size: int = 1, settings: Mapping[str, str] | None = None) -> "AsyncEngine":
    """Return the same for an event loop; ``settings`` are those of its sessions, beyond :data:`SETTINGS`.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - only the receiver needs it

    driver = parse_url(url).set(drivername="postgresql+psycopg_async")
    # Without a look at the connection first: the sender of an event whose connection is gone comes again anyway.
    return AsyncEngine(_open(driver, pool_size=pool_size, pre_ping=False, settings=SETTINGS | dict(settings or {})))


def _open(url: sa.URL, *, pool_size: int, pre_ping: bool = True, settings: Mapping[str, str] = SETTINGS) -> sa.Engine:
    options = [*url.normalized_query.get("options", ()), *(f"-c {name}={value}" for name, value in settings.items())]
    opened: set[Any] = set()
    engine = sa.create_engine(
        url,
        execution_options={"opened": opened},
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=pre_ping,
        connect_args={
            **{name: value for name, value in LIBPQ.items() if name not in url.query},
            # A pooler may give each transaction another session, which has not prepared what this one has.
            "prepare_threshold": None,
            "application_name": "highlevel-etl",
            # Without it, a SQL_ASCII server answers bytes and SQLAlchemy fails before require_utf8 can say why.
            "client_encoding": "utf8",
            "options": " ".join(options),
        },
    )
    sa.event.listen(engine, "connect", lambda driver, _: opened.add(driver))
    sa.event.listen(engine, "close", lambda driver, _: opened.discard(driver))
    sa.event.listen(engine, "connect", _see_settings)
    sa.event.listen(engine, "begin", partial(_set, settings=settings))
    return engine


def _see_settings(driver: Any, record: ConnectionPoolEntry) -> None:
    """Note whether a new session has our settings: a pooler drops options, and libpq prefers PGTZ to them."""
    driver.autocommit = True
    cursor = driver.cursor()
    cursor.execute("SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('TimeZone')")
    path, zone = cursor.fetchone()
    cursor.close()
    driver.autocommit = False
    record.info["is_set"] = path.replace(" ", "") == SETTINGS["search_path"] and zone == SETTINGS["TimeZone"]


def _set(connection: sa.Connection, *, settings: Mapping[str, str]) -> None:
    """Set them in each transaction where the session lacks them: behind a pooler, others use the session too."""
    if not connection.info["is_set"]:
        each = ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())
        connection.exec_driver_sql(f"SELECT {each}")


def waiting(engine: sa.Engine) -> set[Any]:
    """Return the driver's connections that wait for an answer of Postgres now."""
    opened = engine.get_execution_options()["opened"].copy()
    return {driver for driver in opened if driver.info.transaction_status is TransactionStatus.ACTIVE}


def cut(driver: Any) -> None:
    """Break a driver's connection, so that a thread waiting on it returns; callable from any thread."""
    with suppress(OSError, psycopg.Error), socket(fileno=os.dup(driver.fileno())) as line:
        line.shutdown(SHUT_RDWR)


def require_utf8(connection: sa.Connection) -> None:
    """Check that the encoding is UTF8: others cannot hold all texts, and SQL_ASCII accepts anything.

    Raises:
        ConfigurationError: it is not UTF8.
    """
    encoding = connection.execute(sa.text("SELECT current_setting('server_encoding')")).scalar_one()
    if encoding != "UTF8":
        raise ConfigurationError(
            f"The database {shown(connection.engine.url)} is encoded in {encoding}; it must be UTF8. "
            "Make one with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )


def is_pooled(connection: sa.Connection) -> bool:
    """Return whether a pooler such as PgBouncer is between: it gives its clients other process ids than Postgres."""
    driver = connection.connection.driver_connection
    pid: int = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    return driver is not None and driver.info.backend_pid != pid


def is_read_only(connection: sa.Connection) -> bool:
    """Return whether nothing can be written: a standby, or a database or role set to read-only."""
    setting: str = connection.execute(sa.text("SELECT current_setting('transaction_read_only')")).scalar_one()
    return setting == "on"


PROBE_WRITES = sa.text("""
    CREATE TEMPORARY TABLE etl_doctor ON COMMIT DROP AS
    SELECT repeat('x', 1900) AS filler FROM generate_series(1, 8400)
""")
"""Takes 16 MB of new space, as much as a segment of WAL. Rows of the tables might fit into space that they have."""


def probe_writes(connection: sa.Connection) -> bool:
    """Write something and roll it back; return False if the role may not make temporary tables.

    Raises:
        DBAPIError: why it cannot be written, such as a full disk.
    """
    try:
        with connection.begin_nested() as attempt:
            connection.execute(PROBE_WRITES)
            attempt.rollback()
    except DBAPIError as error:
        if sqlstate_of(error) != NOT_GRANTED:
            raise
        return False
    return True


def require_writable(connection: sa.Connection) -> None:
    """Check that the database takes writes. Not worth waiting for: a standby stays one until somebody acts.

    Raises:
        DatabaseUnavailableError: it takes none.
    """
    if is_read_only(connection):
        raise DatabaseUnavailableError(
            f"Postgres takes no writes: {shown(connection.engine.url)} is a standby, or default_transaction_read_only "
            "is on. Point DATABASE_URL to the primary server, or switch that setting off."
        )


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that has begun and not ended."""

    pid: int
    role: str
    program: str
    since: datetime


def open_transactions(connection: sa.Connection) -> list[OpenTransaction]:
    """Return the oldest ones; of other roles, only one with the rights of pg_monitor sees them."""
    query = sa.text("""
        SELECT pid, usename AS role, coalesce(application_name, '') AS program, xact_start AS since
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL
          AND pid <> pg_backend_pid()
        ORDER BY xact_start LIMIT 5
    """)
    return [OpenTransaction(**row) for row in connection.execute(query).mappings()]
