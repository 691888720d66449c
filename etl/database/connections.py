"""Connections to Postgres, and what its errors mean. The only place that opens an engine."""

import enum
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from socket import SHUT_RDWR, socket
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import Conninfo, TransactionStatus
from sqlalchemy import (
    ARRAY,
    URL,
    ColumnElement,
    Connection,
    Engine,
    any_,
    cast,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
    tuple_,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.pool import ConnectionPoolEntry

from etl.errors import ConfigurationError, DatabaseUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

SETTINGS = {
    # Nothing is looked for where others may create it: in the schema public somebody may define what an operator of
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
"""What every session is set to, whatever the server, the role or the environment say."""

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


READ_ONLY = "25006"
"""The SQLSTATE of a standby, or of a database that was set so."""
LOCKED = "55P03"
"""The SQLSTATE of a lock that was waited for long enough."""

MISSET = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|no password supplied|invalid \S+ value|invalid port|"
    r"does not support SSL|value .* invalid when|certificate|private key|could not match|definition of service"
)
"""What libpq, which gives no SQLSTATE, says of a login or a setting that will not do; all else is a server away."""


class Fate(enum.Enum):
    """What a database error asks of the caller."""

    AGAIN = "again"
    """The same transaction may work in a moment: connection lost, restart, deadlock, lock timeout, disk full."""
    DATA = "data"
    """The data is at fault: some row can never be written as it is."""
    SETUP = "setup"
    """Permissions or tables are not as they should be: somebody must act."""


SHOWN = ("host", "hostaddr", "port", "user", "dbname", "service")
"""What of a URL's query is shown."""
USER = re.compile(r"[\w+]+://(?:[^:/]*(?::[^@]*)?@)?")
"""What of a URL comes before the host."""


def parse_url(url: str) -> URL:
    """Read a ``postgresql://`` URL and pin the driver.

    Raises:
        ConfigurationError: it is not one. The text never repeats the URL, which holds a password.
    """
    if "@" in USER.sub("", url, count=1):
        # What follows the first one would count as the host, which errors name.
        raise ConfigurationError("DATABASE_URL has more than one @. Write %40 for one within the password")
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError("DATABASE_URL is not a URL. Example: postgresql://user:password@host/name") from error
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigurationError(
            f"DATABASE_URL starts with {parsed.drivername}://, but only PostgreSQL is supported: postgresql://…"
        )
    return parsed.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """A URL for people: where the database is and who logs in. Whatever else a URL holds may be secret."""
    query = {name: value for name, value in url.query.items() if name in SHOWN}
    place = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return place.render_as_string()


def without_secrets(url: URL) -> tuple[URL, str]:
    """A URL that everybody on the machine may read, as the argument of a program; and its password."""
    secret = [option.keyword.decode() for option in Conninfo.get_defaults() if option.dispchar]
    password = url.normalized_query.get("password", [url.password or ""])[-1]
    # SQLAlchemy's set() takes None for "as it is".
    return url.difference_update_query(secret)._replace(drivername="postgresql", password=None), password


def open_engine(url: str, *, pool_size: int = 4) -> Engine:
    """An engine that opens no connection yet.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    return _open(parse_url(url), pool_size=pool_size)


def moment_of(connection: Connection) -> datetime:
    """When the connection's transaction began, by Postgres's clock: this machine's may be wrong."""
    return connection.execute(select(func.now())).scalar_one()


def open_async_engine(url: str, *, pool_size: int = 1, settings: Mapping[str, str] | None = None) -> "AsyncEngine":
    """The same for an event loop; ``settings`` are those of its sessions, beyond :data:`SETTINGS`.

    Raises:
        ConfigurationError: the URL cannot be read.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 - only the receiver needs it

    driver = parse_url(url).set(drivername="postgresql+psycopg_async")
    # Without a look at the connection first: the sender of an event whose connection is gone comes again anyway.
    return AsyncEngine(_open(driver, pool_size=pool_size, pre_ping=False, settings=SETTINGS | dict(settings or {})))


def _open(url: URL, *, pool_size: int, pre_ping: bool = True, settings: Mapping[str, str] = SETTINGS) -> Engine:
    options = [*url.normalized_query.get("options", ()), *(f"-c {name}={value}" for name, value in settings.items())]
    opened: set[Any] = set()
    engine = create_engine(
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
    event.listen(engine, "connect", lambda driver, _: opened.add(driver))
    event.listen(engine, "close", lambda driver, _: opened.discard(driver))
    event.listen(engine, "connect", _see_settings)
    event.listen(engine, "begin", partial(_set, settings=settings))
    return engine


def _see_settings(driver: Any, record: ConnectionPoolEntry) -> None:
    """Note whether a new session is as we want it: a pooler drops options, and libpq prefers PGTZ to them."""
    driver.autocommit = True
    cursor = driver.cursor()
    cursor.execute("SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('TimeZone')")
    path, zone = cursor.fetchone()
    cursor.close()
    driver.autocommit = False
    record.info["is_set"] = path.replace(" ", "") == SETTINGS["search_path"] and zone == SETTINGS["TimeZone"]


def _set(connection: Connection, *, settings: Mapping[str, str]) -> None:
    """Where a session is not as we want it, each transaction is made so: a pooler has the session for others, too."""
    if not connection.info["is_set"]:
        each = ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())
        connection.exec_driver_sql(f"SELECT {each}")


def waiting(engine: Engine) -> set[Any]:
    """The driver's connections on which Postgres is to answer now."""
    opened = engine.get_execution_options()["opened"].copy()
    return {driver for driver in opened if driver.info.transaction_status is TransactionStatus.ACTIVE}


def cut(driver: Any) -> None:
    """Have whoever waits on a connection of the driver's find it lost; from any thread."""
    with suppress(OSError, psycopg.Error), socket(fileno=os.dup(driver.fileno())) as line:
        line.shutdown(SHUT_RDWR)


@contextmanager
def reading_errors(engine: Engine) -> Iterator[None]:
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
        if fate is Fate.AGAIN and not MISSET.search(reason):
            raise unavailable(error, engine) from error
        raise ConfigurationError(f"Postgres refuses: {reason}. Check DATABASE_URL and the role's rights.") from error


def unavailable(error: DBAPIError, engine: Engine) -> DatabaseUnavailableError:
    """What to tell when somebody has waited long enough for what :attr:`Fate.AGAIN` says."""
    reason = first_line(error)
    if sqlstate_of(error) == READ_ONLY:
        return DatabaseUnavailableError(f"Postgres takes no writes: {reason}")
    if sqlstate_of(error) == LOCKED:
        holders = _holders(engine)
        of_whom = f" It may be one of {holders}: wait until it ends." if holders else ""
        return DatabaseUnavailableError(f"Postgres waits for a lock that another session has: {reason}.{of_whom}")
    return DatabaseUnavailableError(f"Postgres cannot be reached: {reason}")


HOLDERS = text("""
    SELECT string_agg(DISTINCT concat(nullif(a.application_name, '') || ' ', 'pid ', a.pid, ' of ', a.usename), ', ')
    FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.granted AND a.pid <> pg_backend_pid() AND a.datname = current_database()
      AND c.relnamespace IN (to_regnamespace('etl'), to_regnamespace('highlevel'))
""")


def _holders(engine: Engine) -> str | None:
    """Who has locks on our tables now; everybody may know that."""
    with suppress(DBAPIError, PoolTimeoutError), engine.connect() as connection:
        holders: str | None = connection.execute(HOLDERS).scalar_one()
        return holders
    return None


def fate_of(error: DBAPIError) -> Fate:
    """What to do about a database error, by its SQLSTATE class.

    Classes from https://www.postgresql.org/docs/current/errcodes-appendix.html. psycopg raises OperationalError for
    both a lost connection and a row that exceeds a limit, so its classes do not tell.
    """
    sqlstate = sqlstate_of(error)
    if sqlstate is None:
        # No code: libpq lost the server, or psycopg could not adapt a value.
        return Fate.DATA if type(error).__name__ in ("DataError", "ProgrammingError") else Fate.AGAIN
    if sqlstate[:2] in ("22", "23", "54", "P0"):
        return Fate.DATA
    if sqlstate[:2] in ("28", "3D", "42", "3F", "0A"):
        return Fate.SETUP
    return Fate.AGAIN


def sqlstate_of(error: DBAPIError) -> str | None:
    """The code that Postgres gave an error; None when it was not Postgres that found it."""
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    return sqlstate


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


def among_rows(columns: Sequence[InstrumentedAttribute[Any]], rows: Iterable[Sequence[Any]]) -> ColumnElement[bool]:
    """Whether columns hold one of many rows of values, of which there is at least one."""
    values = zip(*rows, strict=True)
    arrays = [cast(list(each), ARRAY(column.type)) for column, each in zip(columns, values, strict=True)]
    return tuple_(*columns).in_(select(*map(func.unnest, arrays)))


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
