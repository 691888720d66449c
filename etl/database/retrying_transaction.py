"""Runs a transaction until it commits, across deadlocks, restarts and lost connections."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from etl.database import schema
from etl.database.failures import READ_ONLY, ErrorKind, first_line, kind_of_error, sqlstate_of, unavailable
from etl.errors import ConfigurationError

log = structlog.get_logger("etl.worker")

PATIENCE = 30.0
"""Seconds that a run without --follow waits for Postgres to come back."""
LONGEST_PAUSE = 2.0

T = TypeVar("T")


class RetryingTransaction:
    """Calls a function in a transaction, and calls it again as long as Postgres's error says that it may succeed later.

    The function may be called again after a commit whose confirmation was lost, so a second call must do no harm.
    Settling a lease twice, for example, does nothing.
    """

    def __init__(self, engine: Engine, *, patience: float | None, stopping: Callable[[], bool]) -> None:
        """Wait up to ``patience`` seconds (None: for ever), and hardly once ``stopping`` says so."""
        self._engine = engine
        self._patience = patience
        self._stopping = stopping

    def __call__(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` and commit.

        Raises:
            DatabaseUnavailableError: patience is over. With a limited patience, a read-only server is an error at once.
            ConfigurationError: a table or a right is missing; or another version migrated the tables.
            DBAPIError: the data is at fault.
        """
        began = time.monotonic()
        pause = 0.1
        failures = 0
        while True:
            try:
                with self._engine.begin() as connection:
                    done = work(connection)
            except DBAPIError as error:
                self._examine(error, waited=time.monotonic() - began)
                failures += 1
                if failures == 1:
                    log.warning("database_unavailable", error=type(error.orig).__name__, reason=first_line(error))
            else:
                if failures:
                    log.info("database_available", waited_seconds=round(time.monotonic() - began, 1))
                return done
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def attempt(self, work: Callable[[Connection], object]) -> None:
        """Run ``work`` once and commit, if Postgres takes it now."""
        with suppress(SQLAlchemyError), self._engine.begin() as connection:
            work(connection)

    def _examine(self, error: DBAPIError, *, waited: float) -> None:
        """Return when another try makes sense; raise otherwise."""
        kind = kind_of_error(error)
        if kind is ErrorKind.DATA:
            raise error
        if kind is ErrorKind.SETUP:
            with suppress(DBAPIError), self._engine.connect() as connection:
                schema.require_head(connection)
            raise ConfigurationError(f"Postgres refuses: {first_line(error)}. Try: etl db check") from error
        is_read_only = sqlstate_of(error) == READ_ONLY
        if is_read_only:
            # After a failover, a new connection may lead to the server that took over.
            self._engine.dispose()
        impatient = self._patience is not None and (is_read_only or waited >= self._patience)
        if impatient or (self._stopping() and waited >= LONGEST_PAUSE):
            raise unavailable(error, self._engine) from error
