"""The receiver's one connection to Postgres: stores batches, looks whether Postgres is well, deletes old events.

Each call is one transaction, or a few short ones, and none waits long for a lock or a slow disk.
"""

import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from etl import schema
from etl.database import Fate, fate_of
from etl.receive import events
from etl.receive.events import Choice
from etl.receive.metrics import Metrics
from etl.receive.webhook import Event

log = structlog.get_logger("etl.receive")

PURGE_SECONDS = 3600.0
"""How often events that are too old are looked for."""
PURGE_EVENTS = 500
"""How many are deleted in one transaction, between two batches: at most; a failure halves it, a success doubles it."""
PURGE_AGAIN_SECONDS = 10.0
"""When a failed deletion is tried again."""

# Where somebody switched synchronous_commit off, a crash of Postgres would lose events that were acknowledged.
LIMITS = text("""
    SELECT set_config('statement_timeout', '1000', false), set_config('lock_timeout', '300', false),
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', false) END
""")

# Whoever holds a lock that a whole batch has waited for may hold it for long, and stands in the way of each half again.
SHORTER_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = 30")

BLAMES_A_ROW = ("55P03", "40P01")
"""Lock not available and deadlock: about some rows, not about Postgres."""


class NotStoredError(Exception):
    """An event is not stored, and its sender must come again; ``reason`` is a short code for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Result = str | NotStoredError
"""What became of an event, as :func:`etl.receive.events.store` says, or why it is not stored."""


class Storage:
    """For one task at a time."""

    def __init__(
        self, engine: AsyncEngine, *, metrics: Metrics, keep_days: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._keep_seconds = keep_days * 86_400
        self._clock = clock
        self._connection: AsyncConnection | None = None
        self._next_purge = 0.0
        self._purge_events = PURGE_EVENTS

    async def store(self, batch: Sequence[Event], *, until: float) -> list[Result]:
        """Store events and commit; returns what became of each, in order.

        An event at fault (a row that somebody has locked, data that Postgres refuses) fails alone: its batch is
        halved until it is found, but not beyond ``until`` on the clock.

        Raises:
            DBAPIError: Postgres is at fault. Some events may be stored all the same.
        """
        return await self._store(batch, until=until, part=False)

    async def _store(self, batch: Sequence[Event], *, until: float, part: bool) -> list[Result]:
        try:
            return list(await self._commit(batch, part=part))
        except Exception as error:
            self._metrics.failures.inc()
            if not _blames_a_row(error):
                raise
            reason = describe(error)
        if len(batch) == 1:
            log.error("event_not_stored", webhook_id=batch[0].webhook_id, type=batch[0].type, error=reason)
            return [NotStoredError("event")]
        if self._clock() >= until:
            return [NotStoredError("slow")] * len(batch)
        middle = len(batch) // 2
        first, second = batch[:middle], batch[middle:]
        told = await self._store(first, until=until, part=True)
        return told + await self._store(second, until=until, part=True)

    async def _commit(self, batch: Sequence[Event], *, part: bool) -> list[str]:
        connection = await self._open()
        async with connection.begin():
            if part:
                await connection.execute(SHORTER_LOCK_TIMEOUT)
            return await connection.run_sync(events.store, batch)

    async def check(self) -> bool:
        """Whether the schema is the one this version writes; connects first where there is no connection.

        Raises:
            DBAPIError: Postgres does not answer.
        """
        connection = await self._open()
        async with connection.begin():
            return await connection.run_sync(schema.revision) == schema.HEAD

    async def purge(self) -> None:
        """Delete some events that are too old, when it is time. A deletion that fails is no reason not to store.

        Raises:
            DBAPIError: the connection is lost.
        """
        if self._clock() < self._next_purge:
            return
        most = self._purge_events
        connection = await self._open()
        try:
            async with connection.begin():
                purged = await connection.run_sync(events.purge, Choice(), older_than=self._keep_seconds, most=most)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            log.warning("events_not_purged", error=describe(error), events=most)
            self._purge_events = max(1, most // 2)
            self._next_purge = self._clock() + PURGE_AGAIN_SECONDS
            return
        self._metrics.purged.inc(purged)
        self._purge_events = min(most * 2, PURGE_EVENTS)
        if purged < most:
            self._next_purge = self._clock() + PURGE_SECONDS

    async def close(self) -> None:
        """Give up the connection; the next call opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.invalidate()
            await connection.close()

    async def _open(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await self._engine.connect()
            async with self._connection.begin():
                await self._connection.execute(LIMITS)
        return self._connection


def _blames_a_row(error: Exception) -> bool:
    """Whether other events could be stored."""
    if not isinstance(error, DBAPIError):
        return True
    return getattr(error.orig, "sqlstate", None) in BLAMES_A_ROW or fate_of(error) is Fate.DATA


def describe(error: Exception) -> str:
    """An error without the values in it."""
    if isinstance(error, DBAPIError):
        return f"{type(error.orig).__name__} {getattr(error.orig, 'sqlstate', None) or ''}".strip()
    return type(error).__name__
