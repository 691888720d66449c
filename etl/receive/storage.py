"""Stores all waiting events in one transaction, then those that came meanwhile; and monitors Postgres.

Guarantee: an event is reported as stored only after its transaction is committed. Its sender waits at most
``ANSWER_SECONDS`` for that, whatever Postgres does. The number of waiting events is limited by that of posts under way.

Weakness: a refused event may be stored all the same, when the commit took longer than its sender was made to wait. The
redelivery is then a duplicate, so nothing is lost and nothing is queued twice.

Why: docs/decisions, "The receiver stores all waiting events in one transaction".
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from etl.database import schema
from etl.database.connections import is_read_only
from etl.database.failures import DISK_FULL, NOT_GRANTED, ErrorKind, kind_of_error, sqlstate_of
from etl.receive import events
from etl.receive.metrics import Metrics
from etl.receive.signature import WebhookRefusedError
from etl.receive.webhook import Event
from etl.state import webhook_events
from etl.state.webhook_events import EventFilter

log = structlog.get_logger("etl.receive")

ANSWER_SECONDS = 1.5
"""How long a sender waits for the commit; HighLevel's own patience is not documented, so this is short."""
BATCH_EVENTS = 250
"""Events a transaction."""
BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of their bodies, from which on no further event is taken along."""
DEAD_SECONDS = 8.0
"""How long Postgres may take for a transaction before its connection is closed: something on the way may keep it open
without passing anything on, and no limit of Postgres's own ends that."""
CHECK_SECONDS = 1.0
"""Seconds between checks of Postgres."""
PURGE_SECONDS = 3600.0
"""How often events that are too old are deleted."""
PURGE_EVENTS = 500
"""Events deleted in one transaction."""
FAILED_SECONDS = 30.0
"""How long the receiver is not ready after Postgres refused to store for want of space, memory or rights. A look at
Postgres does not show these, and some events may still be stored meanwhile."""
FAILURES = {"53": "no_resources", "58": "no_files", "42": "no_rights", "XX": "corrupt"}
"""Classes of SQLSTATEs of such refusals, and what to call them; a full disk has a name of its own."""
MET = ("40001", "40P01", "55P03")
"""SQLSTATEs of a transaction that met another one: no serialization, a deadlock, a lock waited for too long. When it is
rolled back, the other one goes on, so a second try may succeed."""


class NotStoredError(WebhookRefusedError):
    """An event is not stored and must be sent again."""

    def __init__(self, reason: str) -> None:
        super().__init__(429, reason)


@dataclass(slots=True, eq=False, repr=False)
class _Waiting:
    event: Event
    answer: "asyncio.Future[str]"


class Storage:
    """Where events are kept. Works while the application serves: see :meth:`lifespan`."""

    def __init__(self, engine: AsyncEngine, *, metrics: Metrics, keep_days: float) -> None:
        self._engine = engine
        self._metrics = metrics
        self._too_old = EventFilter(older_than_days=keep_days)
        self._waiting: OrderedDict[_Waiting, None] = OrderedDict()
        self._arrived = asyncio.Event()
        self._next_purge = 0.0
        self._trouble = "starting"
        self._usable_revision: str | None = schema.HEAD
        self._busy_since: float | None = None
        self._failure = ""
        self._failed_at = -math.inf

    @property
    def trouble(self) -> str | None:
        """Return why events cannot be stored now, as a short code; None when they can."""
        if self._busy_since is not None and time.monotonic() - self._busy_since > ANSWER_SECONDS:
            return "database_slow"
        return self._trouble or self._recent_failure() or None

    def _recent_failure(self) -> str:
        return self._failure if time.monotonic() - self._failed_at < FAILED_SECONDS else ""

    async def put(self, event: Event) -> str:
        """Store an event; return its outcome once committed.

        When the caller gives up, its event is dropped, unless its transaction has begun.

        Raises:
            NotStoredError: it is not, or not known to be.
        """
        waiting = _Waiting(event, asyncio.get_running_loop().create_future())
        self._waiting[waiting] = None
        self._arrived.set()
        self._metrics.waiting.set(len(self._waiting))
        try:
            return await waiting.answer
        finally:
            self._waiting.pop(waiting, None)
            self._metrics.waiting.set(len(self._waiting))

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Store events and watch Postgres while the application serves."""
        await self._look()
        tasks = [asyncio.create_task(each) for each in (self._work(), self._watch())]
        yield
        # Requests that have begun are over by now: uvicorn waits for them first.
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._engine.dispose(), ANSWER_SECONDS)

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._store(self._next_batch())

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
            waiting, _ = self._waiting.popitem(last=False)
            batch.append(waiting)
            size += len(waiting.event.body)
        return batch

    async def _store(self, batch: Sequence[_Waiting], *, is_second_try: bool = False) -> None:
        """Store a batch and answer; one that fails is stored event by event, so that only those at fault fail."""
        # An event that was already answered 429 is not stored now.
        batch = [each for each in batch if not each.answer.done()]
        if not batch:
            return
        try:
            outcomes = await self._commit([each.event for each in batch])
        except (DBAPIError, PoolTimeoutError, TimeoutError) as error:
            self._metrics.failures.inc()
            away = not isinstance(error, DBAPIError) or error.connection_invalidated
            if len(batch) > 1 and not away:
                for each in batch:
                    await self._store([each])
            elif not is_second_try and sqlstate_of(error) in MET:
                await self._store(batch, is_second_try=True)
            else:
                self._refuse(batch, error)
            return
        for each, outcome in zip(batch, outcomes, strict=True):
            if not each.answer.done():
                each.answer.set_result(outcome)

    async def _commit(self, events_: Sequence[Event]) -> list[str]:
        self._busy_since = time.monotonic()
        try:
            async with asyncio.timeout(DEAD_SECONDS), self._engine.begin() as connection:
                return await connection.run_sync(events.store, events_)
        finally:
            self._busy_since = None

    def _refuse(self, batch: Sequence[_Waiting], error: Exception) -> None:
        code = sqlstate_of(error) or ""
        if code[:2] in FAILURES:
            self._failure = "disk_full" if code == DISK_FULL else FAILURES[code[:2]]
            self._failed_at = time.monotonic()
        for each in batch:
            if not each.answer.done():
                each.answer.set_exception(NotStoredError("database"))
        event = batch[0].event
        log.warning(
            "events_not_stored", events=len(batch), webhook_id=event.webhook_id, type=event.type, error=describe(error)
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._look()
            if not self._trouble:
                await self.purge()

    async def _look(self) -> None:
        before = self._trouble
        task = asyncio.create_task(self._find_trouble())
        done, _ = await asyncio.wait([task], timeout=ANSWER_SECONDS)
        self._trouble = (task.result() or self._recent_failure()) if done else "database_slow"
        self._metrics.ready.set(not self._trouble)
        if self._trouble and self._trouble != before:
            log.error("store_unavailable", reason=self._trouble)
        elif before not in ("", "starting") and not self._trouble:
            log.info("store_available")

    async def _find_trouble(self) -> str:
        """Return why events cannot be stored now; empty when they can."""
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(self._trouble_of)
        except (DBAPIError, PoolTimeoutError):
            return "database_unavailable"

    def _trouble_of(self, connection: Connection) -> str:
        if is_read_only(connection):
            return "database_read_only"
        at = schema.revision(connection)
        if at == self._usable_revision:
            return ""
        # During an upgrade, the tables are of a newer or an older version. Trying shows whether they take events.
        try:
            events.rehearse(connection)
        except DBAPIError as error:
            if kind_of_error(error) is ErrorKind.TRANSIENT:
                raise
            return "schema_not_at_head"
        finally:
            connection.rollback()
        self._usable_revision = at
        log.info("schema_changed", revision=at, expected=schema.HEAD)
        return ""

    async def purge(self) -> None:
        """Delete the events that are too old, when it is time; a failure waits for the next time."""
        if time.monotonic() < self._next_purge:
            return
        self._next_purge = time.monotonic() + PURGE_SECONDS
        deleted = PURGE_EVENTS
        while deleted == PURGE_EVENTS:
            try:
                async with self._engine.begin() as connection:
                    deleted = await connection.run_sync(webhook_events.purge, self._too_old, limit=PURGE_EVENTS)
            except (DBAPIError, PoolTimeoutError) as error:
                if sqlstate_of(error) == NOT_GRANTED:
                    # A role of etl db grant-receiver. That stays so, and etl prune does it.
                    self._next_purge = math.inf
                    log.info("events_not_purged_here", cure="run etl prune")
                else:
                    log.warning("events_not_purged", error=describe(error))
                return
            self._metrics.purged.inc(deleted)


def describe(error: Exception) -> str:
    """Return an error without the values in it."""
    name = type(error.orig if isinstance(error, DBAPIError) else error).__name__
    return f"{name} {sqlstate_of(error) or ''}".strip()
