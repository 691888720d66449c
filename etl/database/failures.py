"""Classifies errors of Postgres: whether to retry, whose fault it is, and how to word it."""

import enum
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from etl.database.urls import shown
from etl.errors import ConfigurationError, DatabaseUnavailableError

READ_ONLY = "25006"
"""The SQLSTATE of a standby, or of a database that was set so."""
LOCKED = "55P03"
"""The SQLSTATE of a lock that was waited for long enough."""
DISK_FULL = "53100"
"""The SQLSTATE of no space left on the device."""
NOT_GRANTED = "42501"
"""The SQLSTATE of a right that the role lacks."""
UNABLE = ("53", "58", "XX")
"""SQLSTATE classes of a server that answers and lacks something: space, memory, files it can read."""
FULL = "The disk of Postgres is full"
FREE = "Free space on the disk of Postgres, or enlarge it"

MISSET = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|no password supplied|invalid \S+ value|invalid port|"
    r"does not support SSL|value .* invalid when|certificate|private key|could not match|definition of service"
)
"""Texts of libpq, which gives no SQLSTATE, for a wrong login or setting; any other text: the server is away."""


class ErrorKind(enum.Enum):
    """The kind of a database error, which says what the caller must do."""

    TRANSIENT = "transient"
    """The same transaction may work in a moment: connection lost, restart, deadlock, lock timeout, disk full."""
    DATA = "data"
    """The data is at fault: some row can never be written as it is."""
    SETUP = "setup"
    """Permissions or tables are not as they should be: somebody must act."""


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
        kind = kind_of_error(error)
        reason = first_line(error)
        if "startup parameter" in reason:
            raise ConfigurationError(
                f"The pooler in front of Postgres refuses: {reason}. "
                "Set in pgbouncer.ini: ignore_startup_parameters = options; see docs/operations.md, Poolers."
            ) from error
        if kind is ErrorKind.TRANSIENT and not MISSET.search(reason):
            raise unavailable(error, engine) from error
        problem = f"Postgres refuses: {reason}. Check DATABASE_URL and the role's rights"
        raise ConfigurationError(f"{problem} (database: {shown(engine.url)})") from error


def unavailable(error: DBAPIError, engine: Engine) -> DatabaseUnavailableError:
    """Return the error for a caller who has waited long enough for an :attr:`ErrorKind.TRANSIENT` one to pass."""
    return DatabaseUnavailableError(f"{_trouble(error, engine)} (database: {shown(engine.url)})")


def _trouble(error: DBAPIError, engine: Engine) -> str:
    reason, sqlstate = first_line(error), sqlstate_of(error) or ""
    if sqlstate == READ_ONLY:
        return f"Postgres takes no writes: {reason}"
    if sqlstate == DISK_FULL:
        return f"{FULL}: {reason}. Nothing is lost: what was not written is written later. {FREE}"
    if sqlstate == LOCKED:
        holders = _holders(engine)
        of_whom = f" It may be one of {holders}: wait until it ends" if holders else ""
        return f"Postgres waits for a lock that another session has: {reason}.{of_whom}"
    if sqlstate[:2] in UNABLE:
        return f"Postgres cannot do it for now: {reason}"
    return f"Postgres cannot be reached: {reason}"


def _holders(engine: Engine) -> str | None:
    """Return who has locks on our tables now; every role may read that."""
    query = text("""
        SELECT string_agg(
            DISTINCT concat(nullif(a.application_name, '') || ' ', 'pid ', a.pid, ' of ', a.usename), ', ')
        FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE l.granted AND a.pid <> pg_backend_pid() AND a.datname = current_database()
          AND c.relnamespace IN (to_regnamespace('etl'), to_regnamespace('highlevel'))
    """)
    with suppress(DBAPIError, PoolTimeoutError), engine.connect() as connection:
        holders: str | None = connection.execute(query).scalar_one()
        return holders
    return None


def kind_of_error(error: DBAPIError) -> ErrorKind:
    """Return what to do about a database error, by its SQLSTATE class.

    Classes from https://www.postgresql.org/docs/current/errcodes-appendix.html. psycopg raises OperationalError for
    both a lost connection and a row that exceeds a limit, so its classes do not tell.
    """
    sqlstate = sqlstate_of(error)
    if sqlstate is None:
        # No code: libpq lost the server, or psycopg could not adapt a value.
        return ErrorKind.DATA if type(error).__name__ in ("DataError", "ProgrammingError") else ErrorKind.TRANSIENT
    if sqlstate[:2] in ("22", "23", "54", "P0"):
        return ErrorKind.DATA
    if sqlstate[:2] in ("28", "3D", "42", "3F", "0A"):
        return ErrorKind.SETUP
    return ErrorKind.TRANSIENT


def sqlstate_of(error: Exception) -> str | None:
    """Return the code that Postgres gave an error; None when it did not come from Postgres."""
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def first_line(error: DBAPIError) -> str:
    """Return the server's own words: they name host, role and database, never the password."""
    lines = str(error.orig).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error.orig).__name__
